"""Begins a larger render network where a smaller one is: it paints the same pictures.

Units are copied and what reads them shares their weights out (Net2WiderNet, Chen 2016); blocks that
the smaller one has not begin as identities. Copies stand beside their originals, so that a group
norm's groups hold the same values as before, but for attention, where whole heads are copied.
"""

import torch
from torch import Tensor

from models.nets.painter import HEAD, Painter, PainterConfig

_SPREAD = 0.5
"""How unevenly copies are read, over the size of the weights. Copies alike would stay alike; what
is added for one is taken from the others, so that the pictures stay the same."""


def larger(config: PainterConfig, than: PainterConfig) -> bool:
    """Whether some size of a network exceeds another's."""
    pairs = zip(_sizes(config), _sizes(than), strict=True)
    return any(one > other for one, other in pairs)


def widened(net: Painter, config: PainterConfig) -> Painter:
    """A network of other sizes that paints the same.

    Args:
        net: the smaller one.
        config: of the larger one.

    Raises:
        ValueError: a width is no whole multiple of the smaller one's, or there are fewer blocks.
    """
    pairs = list(zip(_sizes(config), _sizes(net.config), strict=True))
    if config.blocks < net.config.blocks or any(one % other for one, other in pairs[:-1]):
        raise ValueError(
            f"network has sizes {_sizes(config)}, expected whole multiples of {_sizes(net.config)}"
            " and as many blocks at least"
        )
    out = Painter(config).to(memory_format=torch.channels_last)
    known, state = net.state_dict(), out.state_dict()
    for name, values in known.items():
        state[name] = _grown(name, values, state[name].shape)
    out.load_state_dict(state)
    return out.eval()


def _sizes(config: PainterConfig) -> tuple[int, ...]:
    """Widths, and the blocks last."""
    return *config.channels, config.code, config.blocks


def _grown(name: str, values: Tensor, shape: torch.Size) -> Tensor:
    by_head = {"attend.query_key_value.weight": 0, "attend.query_key_value.bias": 0}
    by_head["attend.out.weight"] = 1
    for axis, (have, wanted) in enumerate(zip(values.shape, shape, strict=True)):
        copies = wanted // have
        if copies == 1:
            continue
        unit = HEAD if by_head.get(name) == axis else 1
        rows = torch.arange(have).view(-1, unit).repeat_interleave(copies, 0).flatten()
        reads = axis == 1 and name.endswith(".weight")
        size = float(values.square().mean().sqrt()) / copies
        values = values.index_select(axis, rows)
        if reads:
            uneven = _SPREAD * size * torch.randn_like(values)
            values = values / copies + uneven - _mean(uneven, rows, copies)
    return values


def _mean(values: Tensor, rows: Tensor, copies: int) -> Tensor:
    """Of the copies along axis 1, where `rows` says whose they are."""
    sums = torch.zeros_like(values[:, : len(rows) // copies]).index_add(1, rows, values)
    return (sums / copies).index_select(1, rows)
