"""Colours of a person and of what is behind them, for a whole batch at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

_WIDE, _NARROW, _QUICK = 16, 3, 8
_CLEAR = 0.05
"""Alpha over which a pixel does not count as background."""


def foreground(picture: Tensor, alpha: Tensor) -> Tensor:
    """Colours of the person without the background's, twice blurred (Forte 2021).

    Args:
        picture: (B, 3, S, S) in [0, 1].
        alpha: (B, 1, S, S) in [0, 1].

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    front, back = picture, picture
    for radius in (_WIDE, _NARROW):
        front_wide = _blurred(front * alpha, radius) / (_blurred(alpha, radius) + 1e-4)
        rest = 1 - alpha
        back_wide = _blurred(back * rest, radius) / (_blurred(rest, radius) + 1e-4)
        wrong = picture - alpha * front_wide - rest * back_wide
        front = (front_wide + alpha * wrong).clamp(0, 1)
        back = back_wide
    return front


def background(picture: Tensor, alpha: Tensor) -> Tensor:
    """The picture with its person filled in from the rims: pull and push over a pyramid.

    Args and result as `foreground`.
    """
    known = (F.max_pool2d(alpha, 7, 1, 3) < _CLEAR).to(picture.dtype)
    levels = [(picture * known, known)]
    while levels[-1][1].shape[-1] % 2 == 0:
        levels.append((F.avg_pool2d(levels[-1][0], 2), F.avg_pool2d(levels[-1][1], 2)))
    colours, weight = levels[-1]
    spread = colours.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-4)
    filled = torch.where(weight > 1e-3, colours / weight.clamp(min=1e-3), spread)
    for colours, weight in reversed(levels[:-1]):
        wide = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        filled = colours + (1 - weight) * wide
    return filled.clamp(0, 1)


def _blurred(values: Tensor, radius: int) -> Tensor:
    """Mean over a box; a wide one is taken of a picture a quarter as large."""
    if radius > _QUICK:
        small = _blurred(F.avg_pool2d(values, 4), radius // 4)
        return F.interpolate(small, scale_factor=4.0, mode="bilinear", align_corners=False)
    side = 2 * radius + 1
    padded = F.pad(values, (radius,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, side), 1), (side, 1), 1)
