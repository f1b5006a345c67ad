"""NVIDIA's driver and its first GPU, asked through the driver's own library: CuPy is not needed."""

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

from engine.errors import BackendError

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
_NO_DEVICE = 100
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU.

    Attributes:
        name: such as `NVIDIA L4`.
        capability: (major, minor) of its instructions.
        memory_bytes: its own.
        cuda: (major, minor) of the newest CUDA that the driver serves.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    cuda: tuple[int, int]

    @property
    def architecture(self) -> str:
        """Such as `sm_89`."""
        return "sm_{}{}".format(*self.capability)


def first_gpu(library: Any = None) -> Gpu:
    """The first GPU.

    Args:
        library: the driver's; the one of this machine if not given.

    Raises:
        BackendError: there is no driver, no GPU, or they do not work.
    """
    if library is None:
        library = _opened()
    _ask(library, "cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    _ask(library, "cuDriverGetVersion", ctypes.byref(version))
    _ask(library, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise BackendError("NVIDIA's driver finds 0 GPUs, expected at least one")
    name = ctypes.create_string_buffer(_NAME_BYTES)
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    _ask(library, "cuDeviceGet", ctypes.byref(device), 0)
    _ask(library, "cuDeviceGetName", name, _NAME_BYTES, device)
    _ask(library, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        number = ctypes.c_int()
        _ask(library, "cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
        numbers.append(number.value)
    cuda = version.value // 1000, version.value % 1000 // 10
    return Gpu(name.value.decode(errors="replace"), (numbers[0], numbers[1]), memory.value, cuda)


def _opened() -> Any:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise BackendError(
            f"NVIDIA's driver is not installed ({error}): "
            "install the one for your GPU, https://www.nvidia.com/drivers"
        ) from error


def _ask(library: Any, name: str, *given: Any) -> None:
    try:
        code = getattr(library, name)(*given)
    except AttributeError as error:
        raise BackendError(f"NVIDIA's driver is damaged or too old: no {name} in it") from error
    if code == _NO_DEVICE:
        raise BackendError("NVIDIA's driver finds no GPU, expected at least one")
    if code:
        raise BackendError(f"NVIDIA's driver fails: {name} gives error {code}, expected 0")
