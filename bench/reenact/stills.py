"""Stills as pairs: the same picture with its mouth shut, and as it was taken."""

import numpy as np
import numpy.typing as npt

from bench.reenact.sitter import Sitter
from engine.closing import led, met, posed

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]


def shut(picture: U8, points: F64, lips: F64 | None, turn: F64) -> tuple[U8, F64]:
    """The picture (SIDE_PX, SIDE_PX, 3) with its mouth shut, and where its landmarks went."""
    wanted = met(posed(points, lips, turn))
    return led(picture, points, wanted), wanted


def sitter(picture: U8, points: F64, lips: F64 | None, turn: F64) -> Sitter:
    """A sitter whose portrait is the picture with its mouth shut and its head turned."""
    closed, wanted = shut(picture, points, lips, turn)
    return Sitter(closed, wanted)
