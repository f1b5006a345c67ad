"""Networks that take what kernels made: arrays of the host seen as a device's own memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from kernels.gpu import Device
from kernels.rows import Bound, Network, Place


class Bounded:
    """A network of the host that is one on a device, too, always for as many rows.

    Args:
        network: what it is.
        outputs: shape of a row of each output that is asked for.
        most: rows of its memory.

    Attributes:
        inputs, run: the network's.
        on_device: itself.
        bounds: how many rows were asked for, each time.
    """

    def __init__(self, network: Network, outputs: dict[str, tuple[int, ...]], most: int) -> None:
        self.inputs, self.run, self.most = network.inputs, network.run, most
        self.on_device, self.bounds = self, []
        self._given = {name: shape[1:] for name, shape in network.inputs.items()}
        self._made = outputs

    @contextmanager
    def bound(self, device: Device, rows: int) -> Iterator[Bound]:
        self.bounds.append(rows)
        memory = {
            name: device.empty(4 * self.most * int(np.prod(shape)))
            for name, shape in {**self._given, **self._made}.items()
        }

        def launch() -> None:
            feeds = {}
            for name, shape in self._given.items():
                whole = device.fetch(memory[name], 4 * self.most * int(np.prod(shape)))
                feeds[name] = whole.view(np.float32).reshape(self.most, *shape)[:rows]
            made = self.run(feeds)
            for name in self._made:
                host = device.staging(made[name].nbytes)
                host[:] = made[name].reshape(-1).view(np.uint8)
                device.send(host, memory[name])

        yield Bound(
            {name: Place(memory[name].address, shape) for name, shape in self._given.items()},
            {name: Place(memory[name].address, shape) for name, shape in self._made.items()},
            launch,
        )
