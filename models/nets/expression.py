"""The autoencoder that splits an expression into a lip code, a blink code and the rest."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDTH = 128


class Split(NamedTuple):
    """Codes of an expression.

    Attributes:
        lip: (..., L); component 0 follows the opening of the inner lips.
        blink: (..., 2), the picture's left eye first; follows the closing of the lids.
        rest: (..., R), brows, cheeks, gaze, and what a clip's mouth keeps throughout.
    """

    lip: Tensor
    blink: Tensor
    rest: Tensor


class Expression(nn.Module):
    """Fully connected, three layers each way.

    Args:
        size: E, modes of `models.faceshape`.
        lip, blink, rest: lengths of the codes.
    """

    def __init__(self, size: int, lip: int = 6, blink: int = 2, rest: int = 8) -> None:
        super().__init__()
        self.sizes = (lip, blink, rest)
        self.encoder = _layers(size, sum(self.sizes))
        self.decoder = _layers(sum(self.sizes), size)

    def split(self, expression: Tensor) -> Split:
        """(..., E) -> codes."""
        return Split(*self.encoder(expression).split(self.sizes, -1))

    def join(self, codes: Split) -> Tensor:
        """Codes -> (..., E)."""
        joined: Tensor = self.decoder(torch.cat(codes, -1))
        return joined


def _layers(size: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, out)
    )
