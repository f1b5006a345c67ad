import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from engine.backends import driver
from engine.errors import BackendError


def fake(count: int = 1, **codes: int) -> Any:
    """The driver's library: fills in what it is asked for, or gives an error's code."""

    def at(pointer: Any, value: int) -> int:
        pointer._obj.value = value
        return 0

    def name(buffer: Any, size: int, device: Any) -> int:
        buffer.value = b"NVIDIA L4"
        return 0

    numbers = {75: 8, 76: 9}
    calls: dict[str, Any] = {
        "cuInit": lambda flags: 0,
        "cuDriverGetVersion": lambda p: at(p, 13010),
        "cuDeviceGetCount": lambda p: at(p, count),
        "cuDeviceGet": lambda p, number: at(p, number),
        "cuDeviceGetName": name,
        "cuDeviceTotalMem_v2": lambda p, device: at(p, 24 * 2**30),
        "cuDeviceGetAttribute": lambda p, which, device: at(p, numbers[which]),
    }
    calls |= {name: lambda *given, code=code: code for name, code in codes.items()}
    return SimpleNamespace(**calls)


def test_a_gpu_is_described() -> None:
    gpu = driver.first_gpu(fake())
    assert gpu == driver.Gpu("NVIDIA L4", (8, 9), 24 * 2**30, (13, 1))
    assert gpu.architecture == "sm_89"


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (fake(0), "finds 0 GPUs, expected at least one"),
        (fake(cuInit=100), "finds no GPU"),
        (fake(cuInit=803), "cuInit gives error 803, expected 0"),
        (fake(cuDeviceGetName=1), "cuDeviceGetName gives error 1"),
        (SimpleNamespace(cuInit=lambda flags: 0), "damaged or too old: no cuDriverGetVersion"),
    ],
)
def test_what_is_wrong_is_said(library: Any, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        driver.first_gpu(library)


def test_no_driver_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(BackendError, match=r"not installed .*https://www\.nvidia\.com/drivers"):
        driver.first_gpu()
