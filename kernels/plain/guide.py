"""`kernels/cuda/guide.cu` in NumPy."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.guide import ITERATIONS, SHORT_ITERATIONS, SHORT_RELAX, Line

F32 = npt.NDArray[np.float32]
_ONE, _HALF = np.float32(1), np.float32(0.5)


def sample(field: npt.NDArray[np.generic], x: F32, y: F32) -> F32:
    """(H, W, C) at places (...), bilinearly, edges repeated: (..., C) float32."""
    height, width = field.shape[:2]
    x, y = np.clip(x, 0, np.float32(width - 1)), np.clip(y, 0, np.float32(height - 1))
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left.astype(np.float32))[..., None], (y - top.astype(np.float32))[..., None]
    a, b, c, d = (
        field[rows, columns].astype(np.float32)
        for rows, columns in ((top, left), (top, right), (bottom, left), (bottom, right))
    )
    over, under = a + (b - a) * across, c + (d - c) * across
    return np.asarray(over + (under - over) * down, np.float32)


def share_below(line: Line, x: F32, y: F32, soft_px: float) -> F32:
    """1 below a line, 0 above, at pixels x and y of one shape."""
    xs, ys = line.points[:, 0], line.points[:, 1]
    k = np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2)
    slope = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k])
    height = slope * (x - xs[k]) + ys[k]
    height = np.where(x < xs[0], ys[0], np.where(x >= xs[-1], ys[-1], height))
    beyond = np.maximum(np.maximum(xs[0] - x, x - xs[-1]), np.float32(0))
    soft = np.float32(soft_px) + np.float32(0.8) * beyond
    share = np.clip((y - height) / soft + _HALF, 0, 1)
    if line.fade_px is not None:
        fade = np.float32(line.fade_px)
        beside = np.clip(_ONE - beyond / (np.float32(0.4) * fade), 0, 1)
        under = np.clip(_ONE - (y - line.level_px) / fade, 0, 1)
        near = beside * under
        share = share * (near * near * (np.float32(3) - np.float32(2) * near))
    return np.asarray(share, np.float32)


def forward_field(fields: F32, drivers: F32) -> F32:
    """(G, G, N) and (N, 2) -> (G, G, 2), summed in the drivers' order."""
    total = np.zeros((*fields.shape[:2], 2), np.float32)
    for n, driver in enumerate(drivers):
        total += fields[..., n, None] * driver
    return total


def inverse(
    forward: Callable[[F32, F32], F32], x: F32, y: F32, step_px: int, steps: int, relax: float
) -> F32:
    """Backward flow (..., 2) pixels at places x and y of the lattice, whose `forward` field is in
    pixels, too."""
    to_lattice, some = _ONE / np.float32(step_px), np.float32(relax)
    kept = _ONE - some
    at_x: Any = x
    at_y: Any = y
    for _ in range(steps):
        moved = forward(at_x, at_y)
        at_x = at_x * kept + (x - moved[..., 0] * to_lattice) * some
        at_y = at_y * kept + (y - moved[..., 1] * to_lattice) * some
    return np.stack([at_x - x, at_y - y], axis=-1) * np.float32(step_px)


def flows(upper: F32, lower: F32, drivers: F32, lines: Sequence[Line], step_px: int) -> F32:
    """(3, G, G, 2) float32 pixels: the joined backward flow, the upper and the lower one.

    Args:
        upper, lower: (G, G, N) float32, reach of each driver.
        drivers: (N, 2) float32.
        lines: the mouth's first.
        step_px: the lattice's.
    """
    side = upper.shape[0]
    y, x = (a.astype(np.float32) for a in np.mgrid[:side, :side])
    rises, falls = (partial(sample, forward_field(reach, drivers)) for reach in (upper, lower))
    over = inverse(rises, x, y, step_px, ITERATIONS, 1.0)
    under = inverse(falls, x, y, step_px, ITERATIONS, 1.0)
    joined = over
    if lines:
        step = np.float32(step_px)
        middle = _HALF * step - _HALF
        share = share_below(lines[0], x * step + middle, y * step + middle, step_px)
        joined = over + (under - over) * share[..., None]
    over = over.copy()
    for line in lines:
        left, top, right, bottom = line.stretched
        part = slice(top, bottom), slice(left, right)
        over[part] = inverse(rises, x[part], y[part], step_px, SHORT_ITERATIONS, SHORT_RELAX)
    return np.stack([joined, over, under])
