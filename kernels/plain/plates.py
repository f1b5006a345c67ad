"""`kernels/cuda/plates.cu` in NumPy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.cuda.plates import inverted
from kernels.plain.rim import Distances, coverage, distances
from kernels.plates import Mouth
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]

_CAVITY = np.array([46, 17, 16], np.float32)
_STEP, _FIRST_PX, _ROUND_PX = np.float32(0.96), np.float32(1), np.float32(1.9)
_ZERO, _ONE, _TWO, _FOUR, _FULL = (np.float32(n) for n in (0, 1, 2, 4, 255))


def _drawn(plate: F32, place: F32, x: F32, y: F32) -> F32:
    """A plate at pixels x and y, nothing beyond its edges: (h, w, 4)."""
    height, width = plate.shape[:2]
    across, down = (row[0] * x + row[1] * y + row[2] for row in place.reshape(2, 3))
    inside = (across > -1) & (across < width) & (down > -1) & (down < height)
    across, down = np.where(inside, across, _ZERO), np.where(inside, down, _ZERO)
    left, top = np.floor(across), np.floor(down)
    edged = np.pad(plate, ((1, 1), (1, 1), (0, 0)))
    column, row = left.astype(np.int64) + 1, top.astype(np.int64) + 1
    right, under = (across - left)[..., None], (down - top)[..., None]
    a, b = edged[row, column], edged[row, column + 1]
    c, d = edged[row + 1, column], edged[row + 1, column + 1]
    high, low = a + (b - a) * right, c + (d - c) * right
    return np.asarray(np.where(inside[..., None], high + (low - high) * under, _ZERO))


def _ramp(value: F32) -> F32:
    risen = np.clip(value + _ROUND_PX, _ZERO, _TWO * _ROUND_PX)
    return np.asarray(
        risen * risen / (_FOUR * _ROUND_PX) + np.maximum(value - _ROUND_PX, _ZERO), np.float32
    )


def _depth(found: Distances, deep_px: np.float32) -> F32:
    nearest, soft = np.minimum(found.upper, found.lower), _TWO * _ROUND_PX
    lacking = np.maximum(soft - np.abs(found.upper - found.lower), _ZERO)
    inside_px = np.where(found.inside, nearest, -nearest) - lacking * lacking / (_FOUR * soft)
    away = inside_px * _STEP + _FIRST_PX
    return np.asarray((_ramp(away) - _ramp(away - deep_px)) / deep_px, np.float32)


def mouth(plates: Sequence[F32], seen: Mouth) -> Patch:
    """See `kernels.plates.mouth`."""
    x, y = np.meshgrid(
        *(
            np.arange(a, a + n, dtype=np.float32)
            for a, n in zip(seen.corner, seen.size, strict=True)
        )
    )
    rgb = np.empty((*x.shape, 3), np.float32)
    rgb[:] = _CAVITY
    for plate, place in zip(plates, inverted(seen.placements), strict=True):
        drawn = _drawn(plate, place, x, y)
        rgb = rgb * (_ONE - drawn[..., 3:] / _FULL) + drawn[..., :3]
    found = distances(seen.rim, x, y)
    near = _depth(found, np.float32(seen.deep_px))
    shade = (np.float32(0.45) + np.float32(0.55) * near) * np.float32(seen.opened * seen.light)
    lit = np.clip(_CAVITY + (rgb - _CAVITY) * shade[..., None], _ZERO, _FULL)
    tint = np.ones(3, np.float32) if seen.tint is None else seen.tint
    done = np.minimum(np.trunc(lit) / tint, _FULL).astype(np.uint8)
    return Patch(*seen.corner, done, np.rint(coverage(found)).astype(np.uint8))
