"""The CUDA sources where there is no GPU: under sanitizers, and by NVIDIA's own compiler."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kernels import gpu
from kernels.gpu import KERNELS, SOURCES
from tests.kernels import devices, host

ROOT = Path(__file__).parent.parent.parent
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
SANITIZERS = (
    "-g",
    "-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero",
    "-fno-sanitize-recover=all",
)


def sanitized(what: str) -> subprocess.CompletedProcess[str]:
    """Runs `tests.kernels.exercise` with the sanitizers' runtime loaded first."""
    if host.compiler() is None:
        pytest.skip("g++ is not installed: the kernels' sources cannot be run here")
    # OpenCV throws: the sanitizer must find the C++ library's own throw when it is loaded.
    runtimes = [host.runtime(name) for name in ("libasan.so", "libstdc++.so")]
    if None in runtimes:
        pytest.skip("g++ comes without AddressSanitizer's runtime")
    folder = devices.libraries(*SANITIZERS)[next(iter(KERNELS))].parent
    settings = {"LD_PRELOAD": " ".join(map(str, runtimes)), "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-m", "tests.kernels.exercise", str(folder), what]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | settings
    )


def test_nothing_is_touched_beyond_its_end() -> None:
    done = sanitized("all")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "exercised" in done.stdout


@pytest.mark.parametrize(
    "what", ["short input", "short output", "short backdrop", "short head", "short plate"]
)
def test_the_sanitizer_sees_memory_that_is_too_short(what: str) -> None:
    done = sanitized(what)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", KERNELS)
def test_nvrtc_compiles_every_kernel(source: str, architecture: str) -> None:
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        pytest.skip("cuda-core is not installed: NVRTC cannot be asked")
    try:
        core = importlib.import_module("cuda.core")
        options = core.ProgramOptions(arch=architecture, std="c++17", fma=False)
        program = core.Program(gpu.text(source), "c++", options)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"NVRTC cannot be loaded: {error}")
    code = program.compile("cubin").code
    for kernel in KERNELS[source]:
        assert kernel.encode() in code


def test_every_source_is_listed_and_shipped() -> None:
    assert sorted(KERNELS) == sorted(path.name for path in SOURCES.glob("*.cu"))
    for source, kernels in KERNELS.items():
        text = (SOURCES / source).read_text()
        assert text.count("__global__") == len(kernels)
        assert all(f"__global__ void {kernel}(" in text for kernel in kernels)


def test_headers_are_written_out() -> None:
    for source in KERNELS:
        whole = gpu.text(source)
        assert "#include" not in whole and "#pragma once" not in whole
        assert whole.count("struct Line {") == (source in ("guide.cu", "warp_composite.cu"))
        assert whole.count("struct Taps {") == (
            source not in ("look.cu", "rgb_to_i420.cu", "rows.cu")
        )
