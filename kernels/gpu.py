"""The GPU as the kernels' wrappers see it: memory, launches of `kernels/cuda`, and structs."""

import math
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kernels.guide import LINE_POINTS

U8 = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

SOURCES = Path(__file__).parent / "cuda"
KERNELS = {
    "eyeballs.cu": ("eyeballs",),
    "guide.cu": ("guide_forward", "guide_backward"),
    "look.cu": (
        "look_within",
        "look_blur_rows",
        "look_blur_columns",
        "look_seen",
        "look_painted",
    ),
    "plates.cu": ("plates",),
    "rgb_to_i420.cu": ("rgb_to_i420", "rgb_to_i420_wide"),
    "rows.cu": ("rows_copy", "rows_mix"),
    "warp_composite.cu": ("warp_composite_rgb", "warp_composite_i420"),
}
OPTIONS = ("-std=c++17", "-fmad=false")
"""Without fused multiply-adds a GPU rounds as NumPy does; the kernels wait for memory anyway."""

LINE = np.dtype(
    [
        ("count", "i4"),
        ("window", "i4", 4),
        ("stretched", "i4", 4),
        ("fade_px", "f4"),
        ("level_px", "f4"),
        ("x", "f4", LINE_POINTS),
        ("y", "f4", LINE_POINTS),
    ]
)
FACE = np.dtype(
    [
        ("fields", "u8"),
        ("drivers", "u8"),
        ("lines", "u8"),
        ("forward", "u8"),
        ("flows", "u8"),
        ("line_count", "i4"),
        ("unused", "i4"),
    ]
)
PATCH = np.dtype([("rgb", "u8"), ("alpha", "u8"), ("corner", "i4", 2), ("size", "i4", 2)])
PICTURE = np.dtype(
    [
        ("source", "u8"),
        ("flows", "u8"),
        ("lines", "u8"),
        ("patches", "u8"),
        ("behind", "u8"),
        ("out", "u8"),
        ("alpha", "u8"),
        ("source_size", "i4", 2),
        ("scale", "f4"),
        ("line_count", "i4"),
        ("patch_count", "i4"),
        ("corner", "i4", 2),
        ("side_px", "i4"),
    ]
)
LOOK = np.dtype(
    [
        ("window", "u8"),
        ("hull", "u8"),
        ("taps", "u8"),
        ("rows", "u8"),
        ("may", "u8"),
        ("guide", "u8"),
        ("region", "u8"),
        ("made", "u8"),
        ("out", "u8"),
        ("hull_count", "i4"),
        ("reach", "i4"),
        ("rim_px", "f4"),
        ("gains", "f4", 3),
    ]
)
ROW = np.dtype([("from", "u8"), ("into", "u8"), ("count", "i4"), ("unused", "i4")])
EYEBALL = np.dtype(
    [
        ("source", "u8"),
        ("head", "u8"),
        ("drivers", "u8"),
        ("rim", "u8"),
        ("rgb", "u8"),
        ("alpha", "u8"),
        ("source_size", "i4", 2),
        ("scale", "f4"),
        ("rim_count", "i4"),
        ("corner", "i4", 2),
        ("size", "i4", 2),
        ("iris", "f4", 2),
        ("spread", "f4"),
        ("gaze", "f4", 2),
        ("fade", "f4"),
    ]
)
PLATE = np.dtype([("rgba", "u8"), ("size", "i4", 2), ("place", "f4", 6)])
MOUTH = np.dtype(
    [
        ("plates", "u8"),
        ("rim", "u8"),
        ("rgb", "u8"),
        ("alpha", "u8"),
        ("plate_count", "i4"),
        ("rim_count", "i4"),
        ("corner", "i4", 2),
        ("size", "i4", 2),
        ("deep_px", "f4"),
        ("light", "f4"),
        ("tint", "f4", 3),
        ("unused", "i4"),
    ]
)
_ALIGNMENT = 16
_PAGE_BYTES = 1 << 20
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)
Size = tuple[int, int, int]


class GpuError(RuntimeError):
    """There is no GPU that the kernels could run on, CuPy is not installed, or memory is full."""


class Memory(Protocol):
    """Bytes on a device; freed when nothing refers to it any more.

    Attributes:
        address: of the first byte, as kernels see it.
    """

    address: int


class Device(Protocol):
    """Where kernels run. All is done in the order asked for; `fetch` and `wait` alone wait.

    Attributes:
        handle: of the CUDA stream in which it is done.
    """

    @property
    def handle(self) -> int:
        """See above."""

    def empty(self, nbytes: int) -> Memory:
        """Memory whose content is undefined.

        Raises:
            GpuError: there is none left.
        """

    def staging(self, nbytes: int) -> U8:
        """(nbytes,) of the host's memory that the device can read while the host goes on."""

    def pair(self, nbytes: int) -> tuple[U8, Memory]:
        """Both, of one size: what is written to the one is to be sent to the other."""

    def send(self, host: U8, memory: Memory) -> None:
        """Copies to the device; nobody may write to `host` until the next wait."""

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *given: Any) -> None:
        """Runs a kernel of one of `SOURCES` on arguments that are NumPy scalars."""

    def fetch(self, memory: Memory, nbytes: int) -> U8:
        """Waits for all that was asked for and gives (nbytes,) of memory back."""

    def wait(self) -> None:
        """Waits for all that was asked for."""


class CupyDevice:
    """The first NVIDIA GPU, on a stream of its own.

    Attributes:
        cupy: the library.
        stream: where everything is done.

    Raises:
        GpuError: CuPy is not installed, or finds no GPU.
    """

    def __init__(self) -> None:
        self.cupy = require()
        self.stream = self.cupy.cuda.Stream(non_blocking=True)
        self._under_way: list[U8] = []
        self._lock = Lock()
        self._pages = Pages(self)

    @property
    def handle(self) -> int:
        """See `Device`."""
        return int(self.stream.ptr)

    def empty(self, nbytes: int) -> Memory:
        """See `Device.empty`."""
        try:
            with self.stream:
                return _CupyMemory(self.cupy.cuda.alloc(max(nbytes, 1)))
        except self.cupy.cuda.memory.OutOfMemoryError as error:
            raise GpuError(f"the GPU's memory is full: {error}") from error

    def staging(self, nbytes: int) -> U8:
        """Pinned memory, of CuPy's pool: it goes back when the array is gone."""
        pinned = self.cupy.cuda.alloc_pinned_memory(max(nbytes, 1))
        return np.frombuffer(pinned, np.uint8, nbytes)

    def pair(self, nbytes: int) -> tuple[U8, Memory]:
        """See `Device.pair`; not for several threads at once."""
        return self._pages.pair(nbytes)

    def send(self, host: U8, memory: Memory) -> None:
        """See `Device.send`."""
        runtime = self.cupy.cuda.runtime
        with self._lock:
            runtime.memcpyAsync(
                memory.address,
                host.ctypes.data,
                host.nbytes,
                runtime.memcpyHostToDevice,
                self.stream.ptr,
            )
            # The pool hands memory out anew at once, copied or not.
            self._under_way.append(host)

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *given: Any) -> None:
        """See `Device.launch`; a source is compiled once a process, and kept on disk by CuPy."""
        with self.stream:
            _function(source, kernel)(grid, block, given)

    def fetch(self, memory: Memory, nbytes: int) -> U8:
        """See `Device.fetch`; the array lies in pinned memory."""
        host = self.staging(nbytes)
        runtime = self.cupy.cuda.runtime
        runtime.memcpyAsync(
            host.ctypes.data, memory.address, nbytes, runtime.memcpyDeviceToHost, self.stream.ptr
        )
        self.wait()
        return host

    def wait(self) -> None:
        """See `Device.wait`; another thread may wait for what this one asks for."""
        with self._lock:
            sent, self._under_way = self._under_way, []
        self.stream.synchronize()
        sent.clear()


class _CupyMemory:
    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.address = int(pointer.ptr)


class Pages:
    """Pairs cut from larger ones: a batch sends ten small tables, and to ask a device for memory
    takes longer than to fill it.

    A page is never written to twice; it goes back when nothing cut from it is in use.

    Args:
        device: whose.
        nbytes: of a page; what takes over a quarter of it has its own memory.
    """

    def __init__(self, device: Device, nbytes: int = _PAGE_BYTES) -> None:
        self._device, self._nbytes = device, nbytes
        self._page: tuple[U8, Memory] | None = None
        self._end = 0

    def pair(self, nbytes: int) -> tuple[U8, Memory]:
        """See `Device.pair`."""
        if 4 * nbytes > self._nbytes:
            return self._device.staging(nbytes), self._device.empty(nbytes)
        begin = self._end
        if self._page is None or begin + nbytes > self._nbytes:
            self._page = self._device.staging(self._nbytes), self._device.empty(self._nbytes)
            begin = 0
        self._end = begin + _aligned(nbytes)
        host, memory = self._page
        return host[begin : begin + nbytes], _Part(memory, begin)


class _Part:
    def __init__(self, memory: Memory, begin: int) -> None:
        self._memory = memory
        self.address = memory.address + begin


def require() -> Any:
    """CuPy, where it finds a GPU.

    Raises:
        GpuError: it is not installed, or there is none.
    """
    try:
        cupy = import_module("cupy")
    except ImportError as error:
        raise GpuError(
            f"CUDA kernels need CuPy ({error}): .venv/bin/pip install -e '.[gpu]'"
        ) from error
    if not cupy.is_available():
        raise GpuError("CuPy (extra 'gpu' of visavis) finds no NVIDIA GPU here, expected one")
    return cupy


def text(source: str) -> str:
    """A file of `SOURCES` with its headers written out: CuPy's cache does not look into them."""
    return _written_out(source, set())


def _written_out(source: str, seen: set[str]) -> str:
    if source in seen:
        return ""
    seen.add(source)
    code = (SOURCES / source).read_text(encoding="utf-8").replace("#pragma once\n", "")
    return _INCLUDE.sub(lambda found: _written_out(found[1], seen), code)


@cache
def _module(source: str) -> Any:
    return require().RawModule(code=text(source), options=OPTIONS)


@cache
def _function(source: str, kernel: str) -> Any:
    return _module(source).get_function(kernel)


class Arena:
    """What one batch sends to a device, gathered into one copy.

    Args:
        device: where to.
        nbytes: sum of the sizes of all that is added.
        count: how many arrays are added at most.
    """

    def __init__(self, device: Device, nbytes: int, count: int) -> None:
        size = nbytes + count * _ALIGNMENT
        self._device = device
        self._host, self.memory = device.pair(size)
        self._end = 0

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> tuple[Array, int]:
        """An array to be filled before `send`, and the address that its copy will have."""
        kind = np.dtype(dtype)
        begin, nbytes = self._end, math.prod(shape) * kind.itemsize
        self._end = begin + _aligned(nbytes)
        array = self._host[begin : begin + nbytes].view(kind).reshape(shape)
        return array, self.memory.address + begin

    def add(self, array: Array) -> int:
        """Address that the array's copy will have."""
        into, address = self.reserve(array.shape, array.dtype)
        into[...] = array
        return address

    def send(self) -> None:
        """Copies all that was added."""
        self._device.send(self._host[: self._end], self.memory)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def blocks(width: int, height: int, batch: int, block: Size) -> Size:
    """Grid that covers so many threads."""
    return -(-width // block[0]), -(-height // block[1]), batch
