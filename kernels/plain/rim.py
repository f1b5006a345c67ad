"""`kernels/cuda/rim.cuh` in NumPy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

_COVERED_PX = np.float32(3)
_COVERAGE = np.array([0, 4, 8, 38, 79, 146, 208, 233, 253, 255, 255], np.float32)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """How far places (h, w) are from both halves of a rim, pixels, and whether it holds them."""

    upper: F32
    lower: F32
    inside: npt.NDArray[np.bool_]


def _squared_distance(start: F32, end: F32, x: F32, y: F32) -> F32:
    along = end - start
    length = along[0] * along[0] + along[1] * along[1]
    right, down = x - start[0], y - start[1]
    share = np.zeros_like(x)
    if length > 0:
        share = np.clip((right * along[0] + down * along[1]) / length, _ZERO, _ONE)
    away = right - share * along[0], down - share * along[1]
    return np.asarray(away[0] * away[0] + away[1] * away[1], np.float32)


def distances(rim: F32, x: F32, y: F32) -> Distances:
    """Of pixels x and y of one shape from a rim (2 K, 2)."""
    least = np.full((2, *x.shape), 3e38, np.float32)
    inside = np.zeros(x.shape, np.bool_)
    for i, start in enumerate(rim):
        end = rim[(i + 1) % len(rim)]
        nearest = least[0 if i < len(rim) // 2 else 1]
        np.minimum(nearest, _squared_distance(start, end, x, y), out=nearest)
        if start[1] != end[1]:
            share = (y - start[1]) / (end[1] - start[1])
            beside = x < (end[0] - start[0]) * share + start[0]
            inside ^= ((start[1] > y) != (end[1] > y)) & beside
    upper, lower = np.sqrt(least)
    return Distances(upper, lower, inside)


def coverage(found: Distances) -> F32:
    """How much of each pixel a rim covers, 0 to 255."""
    nearest = np.minimum(found.upper, found.lower)
    at = np.where(found.inside, nearest, -nearest) * _TWO + _TWO * _COVERED_PX
    at = np.clip(at, _ZERO, np.float32(len(_COVERAGE) - 1))
    k = np.minimum(at, np.float32(len(_COVERAGE) - 2)).astype(np.int64)
    low, high = _COVERAGE[k], _COVERAGE[k + 1]
    return np.asarray(low + (high - low) * (at - k.astype(np.float32)), np.float32)
