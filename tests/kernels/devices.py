"""Where the kernels' tests run: the sources as C++, threads in both orders, and a GPU's own."""

import tempfile
from functools import cache
from pathlib import Path

import pytest

from kernels.gpu import KERNELS, CupyDevice, Device, GpuError
from tests.kernels import host

ORDERS = ("threads in order", "threads in reverse")
GPU = "gpu"
NAMES = (*ORDERS, GPU)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@cache
def libraries(*flags: str) -> dict[str, Path]:
    """Each source's library, built once."""
    folder = Path(_folder().name) / f"{len(flags)} flags"
    folder.mkdir()
    return {source: host.compile_source(source, folder, *flags) for source in KERNELS}


def device(name: str) -> Device:
    """The device of that name; skips the test where there is none."""
    if name == GPU:
        try:
            return CupyDevice()
        except GpuError as error:
            pytest.skip(str(error))
    if host.compiler() is None:
        pytest.skip("g++ is not installed: the kernels' sources cannot be run here")
    return host.HostDevice(libraries(), backward=name == ORDERS[1])


everywhere = pytest.mark.parametrize("name", NAMES)
