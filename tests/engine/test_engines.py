"""`visavis engine build`, with TensorRT for RTX itself: it compiles where there is no GPU."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import cli
from engine.backends import driver, tensorrt, tensorrt_builder
from engine.backends.engine_cache import EngineCache
from engine.backends.tensorrt_builder import Target
from engine.errors import BackendError
from models import weights
from tests.engine import fake_tensorrt

HALF = weights.beside(weights.path(weights.PAINTER), "fp16")
LARGE = weights.PAINTERS["base"] / weights.PAINTER


@pytest.fixture(autouse=True)
def _signals() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def rtx() -> tensorrt_builder.Library:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    return tensorrt_builder.library(tensorrt_builder.RTX)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise BackendError("NVIDIA's driver is not installed: install the one for your GPU")

    monkeypatch.setattr(driver, "first_gpu", refuse)


def test_the_render_network_compiles_for_a_gpu_that_is_not_here(
    rtx: tensorrt_builder.Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["engine", "build", "--gpu", "sm_89", "--engines", str(tmp_path)]
    assert cli.main(command) == 0
    path, _, said = capsys.readouterr().out.strip().partition(": ")
    assert Path(path).name.startswith(f"{HALF.stem}-any-sm_89-")
    assert said.startswith(f"{Path(path).stat().st_size / 1e6:.1f} MB, ") and said.endswith(" s")
    # What a server on such a GPU looks for is what lies there.
    recipe = tensorrt_builder.recipe(rtx, HALF, Target("any", "sm_89"))
    assert EngineCache(tmp_path).read(EngineCache(tmp_path).path(HALF.stem, recipe))
    assert cli.main(command) == 0
    assert capsys.readouterr().out.strip().endswith("kept already")


@pytest.mark.parametrize(
    ("path", "architecture"), [(HALF, "sm_75"), (HALF, "sm_120"), (LARGE, "sm_89")]
)
def test_the_float16_networks_compile_for_old_and_new(
    rtx: tensorrt_builder.Library, path: Path, architecture: str
) -> None:
    told: list[tuple[int, int]] = []
    build = tensorrt_builder.Build(rtx, path, Target("any", architecture))
    assert len(build.run(lambda done, known: told.append((done, known)))) > 1e6
    assert told == sorted(told) and told[-1][0] == told[-1][1] > 100
    # A run that allocates cannot be captured.
    assert build._config.get_flag(rtx.trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


def test_ctrl_c_ends_a_build(rtx: tensorrt_builder.Library) -> None:
    told: list[int] = []

    def tell(done: int, known: int) -> None:
        if not told:
            os.kill(os.getpid(), signal.SIGINT)
        told.append(done)

    build = tensorrt_builder.Build(rtx, HALF, Target("any", "sm_89"))
    with pytest.raises(KeyboardInterrupt):
        build.run(tell)
    whole: list[int] = []
    again = tensorrt_builder.Build(rtx, HALF, Target("any", "sm_89"))
    again.run(lambda done, known: whole.append(done))
    assert len(told) < len(whole)


END = """
import sys
from pathlib import Path
from threading import Event, Thread
from engine.backends.tensorrt_builder import RTX, Build, Target, library
build = Build(library(RTX), Path(sys.argv[1]), Target("any", "sm_89"))
begun = Event()
Thread(target=build.run, args=(lambda done, known: begun.set(),), daemon=True).start()
begun.wait()
"""


def test_a_process_that_ends_ends_its_build(rtx: tensorrt_builder.Library) -> None:
    command = [sys.executable, "-c", END, str(HALF)]
    root = Path(cli.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0 and "terminate" not in done.stderr


def test_a_gpu_that_rtx_does_not_know_is_named(
    rtx: tensorrt_builder.Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["engine", "build", "--gpu", "sm_90", "--engines", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "does not build for 'sm_90', expected one of ['sm_75', " in said
    assert len(said.splitlines()) == 1 and not list(tmp_path.glob("*.engine"))


def test_rtx_names_what_it_refuses(rtx: tensorrt_builder.Library, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(HALF.read_bytes()[:100_000])
    with pytest.raises(BackendError, match=r"broken\.onnx: tensorrt_rtx refuses the network: \w"):
        tensorrt_builder.Build(rtx, path, Target("any", "sm_89"))


def test_without_a_gpu_there_is_one_error(
    monkeypatch: pytest.MonkeyPatch, no_gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    trt = fake_tensorrt.module()
    monkeypatch.setattr(tensorrt_builder, "import_module", {"tensorrt": trt}.__getitem__)
    assert cli.main(["engine", "build"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("visavis: error: NVIDIA's driver is not installed: install")
    assert len(said.splitlines()) == 1 and fake_tensorrt.made.builds == 0


def test_without_tensorrt_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(tensorrt_builder, "import_module", refuse)
    assert cli.main(["engine", "build"]) == 2
    assert ".venv/bin/pip install -e '.[tensorrt]'" in capsys.readouterr().err
    assert cli.main(["engine", "build", "--gpu", "sm_89"]) == 2
    assert ".venv/bin/pip install -e '.[tensorrt-rtx]'" in capsys.readouterr().err


def test_an_engine_kept_is_compiled_again_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trt = fake_tensorrt.module()
    path = fake_tensorrt.write(tmp_path / weights.PAINTER)
    fake_tensorrt.write(tmp_path / weights.PORTRAIT)
    monkeypatch.setattr(tensorrt_builder, "import_module", {"tensorrt": trt}.__getitem__)
    monkeypatch.setattr(driver, "first_gpu", lambda: driver.Gpu("GPU", (9, 0), 2**30, (13, 0)))
    command = ["engine", "build", "--engines", str(tmp_path), "--painter", str(tmp_path)]
    builds = []
    for more in ([], [], ["--again"]):
        assert cli.main(command + more) == 0
        builds.append(fake_tensorrt.made.builds)
    assert builds == [1, 1, 2]
    cache = EngineCache(tmp_path)
    found, wanted = tensorrt_builder.library(), Target("GPU", "sm_90")
    assert tensorrt.opened(found, path, wanted, cache) is not None
    assert fake_tensorrt.made.builds == 2
