import ctypes
import gc
from weakref import ref

import numpy as np
import pytest

from kernels.gpu import Memory, Pages
from kernels.on_cuda import CudaKernels
from kernels.rows import Rows
from tests.kernels.devices import device, libraries
from tests.kernels.host import HostDevice, HostMemory


class Paged(HostDevice):
    """The host's device with a GPU's pages, small ones.

    Attributes:
        given: whatever was asked of it beside them.
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__(libraries())
        self.given: list[ref[HostMemory]] = []
        self._pages = Pages(self, nbytes)

    def empty(self, nbytes: int) -> HostMemory:
        memory = super().empty(nbytes)
        self.given.append(ref(memory))
        return memory

    def pair(self, nbytes: int) -> tuple[np.ndarray, Memory]:
        return self._pages.pair(nbytes)


@pytest.fixture
def paged() -> Paged:
    assert device("threads in order")
    return Paged(256)


def test_pairs_lie_apart_and_begin_at_16_bytes(paged: Paged) -> None:
    pairs = [paged.pair(nbytes) for nbytes in (1, 17, 64, 64, 64, 64, 65, 3)]
    for value, (host, memory) in enumerate(pairs):
        host[:] = value
        paged.send(host, memory)
    for value, (host, memory) in enumerate(pairs):
        assert memory.address % 16 == 0
        assert (host == value).all()
        found = (ctypes.c_uint8 * len(host)).from_address(memory.address)
        assert bytes(found) == bytes([value]) * len(host)


def test_what_is_large_has_its_own_memory(paged: Paged) -> None:
    for nbytes, asked in ((64, 1), (64, 1), (65, 2), (64, 2), (64, 2), (64, 3)):
        paged.pair(nbytes)
        assert len(paged.given) == asked


def test_a_page_goes_back_when_nothing_of_it_is_in_use(paged: Paged) -> None:
    first, kept = paged.pair(64), paged.pair(64)
    del first
    for _ in range(8):
        paged.pair(64)
    gc.collect()
    assert [page() is not None for page in paged.given] == [True, False, True]
    del kept
    gc.collect()
    assert [page() is not None for page in paged.given] == [False, False, True]


def test_kernels_find_what_was_sent_in_pages(paged: Paged) -> None:
    kernels = CudaKernels(paged)
    arrays = [np.arange(n, n + 5, dtype=np.float32)[None] for n in range(40)]
    rows: list[Rows] = [kernels.put(array) for array in arrays]
    np.testing.assert_array_equal(kernels.fetch(kernels.stacked(rows)), np.concatenate(arrays))
