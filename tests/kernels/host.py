"""A device that is none: the kernels' sources compiled as C++ and run by the CPU."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from kernels.gpu import KERNELS, SOURCES, Memory, Size

SHIM = Path(__file__).parent
FLAGS = (
    *("-std=c++17", "-O2", "-shared", "-fPIC"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
)
_KINDS = {
    np.dtype(np.uint64): ctypes.c_uint64,
    np.dtype(np.int32): ctypes.c_int32,
    np.dtype(np.float32): ctypes.c_float,
}


def compiler() -> str | None:
    return shutil.which("g++")


def runtime(name: str) -> Path | None:
    """A library that comes with g++."""
    command = ["g++", f"-print-file-name={name}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Path(found) if Path(found).is_absolute() else None


def compile_source(source: str, folder: Path, *flags: str) -> Path:
    """Builds a `.cu` file as a shared library."""
    unit = folder / f"{source}.cpp"
    exports = "".join(f"EXPORT({kernel})\n" for kernel in KERNELS[source])
    unit.write_text(f'#include "shim.h"\n#include "{source}"\n{exports}')
    library = folder / f"{source}.so"
    includes = (f"-I{SHIM}", f"-I{SOURCES}")
    command = [compiler(), *FLAGS, *flags, *includes, str(unit), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return library


class HostMemory:
    """Bytes of malloc's own, 16-byte aligned as it aligns: AddressSanitizer guards both ends."""

    def __init__(self, nbytes: int) -> None:
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.argtypes = [ctypes.c_void_p]
        self._free = libc.free
        self.address: int = libc.malloc(max(nbytes, 1))
        ctypes.memset(self.address, 0xA5, nbytes)

    def __del__(self) -> None:
        self._free(self.address)


class HostDevice:
    """`kernels.gpu.Device` on the CPU.

    Args:
        libraries: a built library for each source.
        backward: run the last thread first.
    """

    handle = 0

    def __init__(self, libraries: dict[str, Path], backward: bool = False) -> None:
        self._libraries = {name: ctypes.CDLL(str(path)) for name, path in libraries.items()}
        self._backward = backward

    def empty(self, nbytes: int) -> HostMemory:
        return HostMemory(nbytes)

    def staging(self, nbytes: int) -> Any:
        return np.full(nbytes, 0x5A, np.uint8)

    def pair(self, nbytes: int) -> tuple[Any, HostMemory]:
        return self.staging(nbytes), self.empty(nbytes)

    def send(self, host: Any, memory: Memory) -> None:
        ctypes.memmove(memory.address, host.ctypes.data, host.nbytes)

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *given: Any) -> None:
        run = ctypes.c_void_p.in_dll(self._libraries[source], f"run_{kernel}").value
        kinds = [_KINDS[value.dtype] for value in given]
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, *kinds)(run)
        sizes = np.array([*grid, *block], np.uint32)
        function(sizes.ctypes.data, self._backward, *(value.item() for value in given))

    def fetch(self, memory: Memory, nbytes: int) -> Any:
        return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(memory.address)).copy()

    def wait(self) -> None:
        """Everything is done at once."""
