"""Rows on a GPU, and networks that run where they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from kernels.cuda import rows as launches
from kernels.gpu import ROW, Arena, Array, Device, Memory
from kernels.rows import Bound, Network, Place, Rows, Shape, on_device, run_on_host

F32 = npt.NDArray[np.float32]
U64 = npt.NDArray[np.uint64]
_FLOAT = np.dtype(np.float32).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class CudaRows:
    """Rows on a device.

    Attributes:
        addresses: (B,) of each.
        shape: of one.
        kept: where they lie.
    """

    addresses: U64
    shape: Shape
    kept: tuple[Memory, ...]

    def __len__(self) -> int:
        return len(self.addresses)

    def __getitem__(self, part: slice) -> "CudaRows":
        return CudaRows(self.addresses[part], self.shape, self.kept)


class RowsOnCuda:
    """The part of `kernels.dispatch.Kernels` that is about rows, on a GPU."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def put(self, rows: F32) -> CudaRows:
        """See `Kernels.put`."""
        memory, at = self._sent(np.asarray(rows, np.float32))
        return CudaRows(_places(at, rows.shape), rows.shape[1:], (memory,))

    def stacked(self, rows: Sequence[Rows]) -> CudaRows:
        """See `Kernels.stacked`; nothing is copied."""
        known = [_own(each) for each in rows]
        if len(known) == 1:
            return known[0]
        addresses = np.concatenate([each.addresses for each in known])
        memories = tuple(memory for each in known for memory in each.kept)
        return CudaRows(addresses, known[0].shape, memories)

    def mixed(self, given: Rows, into: Rows, of_given: float, of_into: float) -> CudaRows:
        """See `Kernels.mixed`."""
        of, to = _own(given), _own(into)
        table = _table(of.addresses, to.addresses, prod(to.shape))
        memory, at = self._sent(table)
        longest = prod(to.shape)
        launches.mix(self._device, at, len(table), longest, of_given, of_into)
        return CudaRows(to.addresses, to.shape, (*to.kept, memory))

    def run(self, network: Network, feeds: Mapping[str, Rows], output: str) -> CudaRows:
        """See `Kernels.run`."""
        known = {name: _own(rows) for name, rows in feeds.items()}
        there = on_device(network)
        if there is None:
            arrays = {name: self.fetch(rows) for name, rows in known.items()}
            return self.put(run_on_host(network, arrays, output))
        count, parts = len(next(iter(known.values()))), []
        for begin in range(0, count, there.most):
            part = slice(begin, min(begin + there.most, count))
            with there.bound(self._device, part.stop - begin) as bound:
                parts.append(self._ran(bound, known, part, output))
        return self.stacked(parts)

    def fetch(self, rows: Rows) -> F32:
        """See `Kernels.fetch`."""
        known = _own(rows)
        whole = self._room(len(known), known.shape)
        floats = prod(known.shape)
        _, at = self._sent(_table(known.addresses, whole.addresses, floats))
        launches.copy(self._device, at, len(known), floats)
        nbytes = _FLOAT * len(known) * floats
        made = self._device.fetch(whole.kept[0], nbytes).view(np.float32)
        return made.reshape(len(known), *known.shape)

    def _ran(
        self, bound: Bound, feeds: Mapping[str, CudaRows], part: slice, output: str
    ) -> CudaRows:
        """One output of a batch, copied from the network's memory, which is soon another's."""
        count, out = part.stop - part.start, bound.outputs[output]
        made = self._room(count, out.shape)
        each = count * ROW.itemsize
        arena = Arena(self._device, (len(feeds) + 1) * each, 1)
        tables, at = arena.reserve((len(feeds) + 1, count), ROW)
        longest = 0
        for table, (name, rows) in zip(tables, feeds.items(), strict=False):
            into = bound.inputs[name]
            _check(name, rows.shape, into)
            floats = prod(into.shape)
            longest = max(longest, floats)
            _fill(table, rows.addresses[part], _places(into.address, (count, *into.shape)), floats)
        floats = prod(out.shape)
        _fill(tables[-1], _places(out.address, (count, *out.shape)), made.addresses, floats)
        arena.send()
        launches.copy(self._device, at, len(feeds) * count, longest)
        bound.launch()
        launches.copy(self._device, at + len(feeds) * each, count, floats)
        return made

    def _room(self, count: int, shape: Shape) -> CudaRows:
        """Rows to be written, one after the other."""
        memory = self._device.empty(_FLOAT * count * prod(shape))
        return CudaRows(_places(memory.address, (count, *shape)), shape, (memory,))

    def _sent(self, array: Array) -> tuple[Memory, int]:
        arena = Arena(self._device, array.nbytes, 1)
        at = arena.add(array)
        arena.send()
        return arena.memory, at


def _own(rows: Rows) -> CudaRows:
    """Rows of a device.

    Raises:
        ValueError: they are the host's.
    """
    if not isinstance(rows, CudaRows):
        raise ValueError(f"rows are a {type(rows).__name__}, expected those of a device")
    return rows


def _places(first: int, shape: Shape) -> U64:
    """Addresses of (B, ...) rows one after the other."""
    step = _FLOAT * prod(shape[1:])
    return np.arange(first, first + shape[0] * step, step, dtype=np.uint64)


def _table(given: U64, into: U64, count: int) -> Array:
    table = np.zeros(len(given), ROW)
    _fill(table, given, into, count)
    return table


def _fill(table: Array, given: U64, into: U64, count: int) -> None:
    table["from"], table["into"], table["count"] = given, into, count


def _check(name: str, shape: Shape, into: Place) -> None:
    if shape != into.shape:
        raise ValueError(f"rows of input {name!r} are {shape}, expected {into.shape}")
