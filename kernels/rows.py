"""Rows of float32 that networks take and give, wherever they lie, and the networks themselves."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kernels.gpu import Device

F32 = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class Rows(Protocol):
    """(B, ...) float32 where kernels find it."""

    def __len__(self) -> int:
        """B."""

    def __getitem__(self, part: slice) -> "Rows":
        """Some of them, which are not copied."""


class Network(Protocol):
    """What runs on arrays of the host.

    Attributes:
        inputs: shape of each input by name; a first side that is no batch's is 1 or more.
    """

    inputs: dict[str, Shape]

    def run(self, feeds: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Arrays by input name -> arrays by output name."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Rows of a network's own memory, one after the other.

    Attributes:
        address: of the first.
        shape: of one.
    """

    address: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """A network's own memory for a batch, and what runs it there.

    Attributes:
        inputs, outputs: by name.
        launch: runs it, after all that was asked of the device before; nothing waits.
    """

    inputs: Mapping[str, Place]
    outputs: Mapping[str, Place]
    launch: Callable[[], None]


class OnDevice(Protocol):
    """A network that lies on a device, and there takes what kernels made.

    Attributes:
        most: rows of a batch.
    """

    most: int

    def bound(self, device: Device, rows: int) -> AbstractContextManager[Bound]:
        """Its memory for so many rows or a few more, for this device alone until it is left."""
        ...


def on_device(network: Network) -> OnDevice | None:
    """The same network on a device; None where it is not."""
    found: OnDevice | None = getattr(network, "on_device", None)
    return found


def run_on_host(network: Network, feeds: dict[str, F32], output: str) -> F32:
    """One output for a batch: in one run where the network takes any, else row by row."""
    rows = len(next(iter(feeds.values())))
    if rows == 1 or all(shape[0] == -1 for shape in network.inputs.values()):
        return np.asarray(network.run(dict(feeds))[output], np.float32)
    each = [{name: rows_of[i : i + 1] for name, rows_of in feeds.items()} for i in range(rows)]
    return np.concatenate([network.run(dict(one))[output] for one in each])


class Held:
    """An array of rows that kernels take in once, and again where others ask for them.

    Args:
        array: (B, ...) float32.
    """

    def __init__(self, array: F32) -> None:
        self._array = array
        self._last: tuple[Taker, Rows] | None = None

    def by(self, kernels: "Taker") -> Rows:
        """The rows where these kernels have them."""
        last = self._last
        if last is None or last[0] is not kernels:
            last = self._last = kernels, kernels.put(self._array)
        return last[1]


class Taker(Protocol):
    """What takes rows in."""

    def put(self, rows: F32) -> Rows:
        """See `kernels.dispatch.Kernels.put`."""


class HostRows:
    """The part of `kernels.dispatch.Kernels` that is about rows, on arrays of the host."""

    def put(self, rows: F32) -> F32:
        """See `Kernels.put`."""
        return rows

    def stacked(self, rows: Sequence[Rows]) -> F32:
        """See `Kernels.stacked`."""
        return np.concatenate([_array(each) for each in rows])

    def mixed(self, given: Rows, into: Rows, of_given: float, of_into: float) -> F32:
        """See `Kernels.mixed`."""
        return _array(given) * np.float32(of_given) + _array(into) * np.float32(of_into)

    def run(self, network: Network, feeds: Mapping[str, Rows], output: str) -> F32:
        """See `Kernels.run`."""
        return run_on_host(network, {name: _array(rows) for name, rows in feeds.items()}, output)

    def fetch(self, rows: Rows) -> F32:
        """See `Kernels.fetch`."""
        return _array(rows)


def _array(rows: Rows) -> F32:
    """Rows of the host.

    Raises:
        ValueError: they lie on a device.
    """
    if not isinstance(rows, np.ndarray):
        raise ValueError(f"rows are a {type(rows).__name__} of a device, expected arrays")
    return rows
