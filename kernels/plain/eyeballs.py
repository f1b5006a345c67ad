"""`kernels/cuda/eyeballs.cu` in NumPy."""

from functools import partial

import numpy as np
import numpy.typing as npt

from kernels.eyeballs import Eyeball
from kernels.guide import ITERATIONS
from kernels.plain.guide import forward_field, inverse, sample
from kernels.plain.rim import coverage, distances
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
_ONE, _HALF = np.float32(1), np.float32(0.5)
_BELL = (0.00189375, 0.00894959, 0.05586034, 0.24014182, 0.69315449, 0.99999990)


def bell(t: F32) -> F32:
    """e to the power of -t, t from 0."""
    power = np.clip(t * np.float32(-1.44269504), np.float32(-126), np.float32(0))
    whole = np.floor(power)
    part = power - whole
    value = np.full_like(t, _BELL[0])
    for factor in _BELL[1:]:
        value = value * part + np.float32(factor)
    return np.asarray(np.ldexp(value, whole.astype(np.int32)), np.float32)


def eyeball(source: U8, scale: float, head: F32, drivers: F32, eye: Eyeball, step_px: int) -> Patch:
    """A window of the portrait as the head alone moves it, turned around an iris.

    Args:
        source: (H', W', 4) uint8 RGBA, `scale` times the picture's size.
        scale: see `source`.
        head: (G, G, 4) float32, reach of the pose's drivers.
        drivers: (4, 2) float32.
        eye: what is drawn.
        step_px: the lattice's.
    """
    x, y = np.meshgrid(
        *(np.arange(a, a + n, dtype=np.float32) for a, n in zip(eye.corner, eye.size, strict=True))
    )
    to_lattice = _ONE / np.float32(step_px)
    places = (x + _HALF) * to_lattice - _HALF, (y + _HALF) * to_lattice - _HALF
    forward = partial(sample, forward_field(head, drivers))
    way = inverse(forward, *places, step_px, ITERATIONS, 1.0)
    aside, below = x - np.float32(eye.iris[0]), y - np.float32(eye.iris[1])
    away = np.asarray(aside * aside + below * below, np.float32)
    near = bell(np.asarray(away / np.float32(eye.spread), np.float32))
    by = np.float32(scale)
    middle = (by - _ONE) / np.float32(2)
    flow = (way[..., i] - near * np.float32(gaze) for i, gaze in enumerate(eye.gaze_px))
    from_px = (f * by + (axis * by + middle) for f, axis in zip(flow, (x, y), strict=True))
    rgb = np.asarray(np.rint(sample(source, *from_px)), np.uint8)[..., :3]
    alpha = np.rint(coverage(distances(eye.rim, x, y)) * np.float32(eye.fade)).astype(np.uint8)
    return Patch(*eye.corner, np.ascontiguousarray(rgb), alpha)
