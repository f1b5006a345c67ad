"""Wrapper of `eyeballs.cu`, and the form in which heads and eyes lie on a device."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.eyeballs import Eyeball
from kernels.gpu import Array, Device, blocks
from kernels.guide import ITERATIONS

F32 = npt.NDArray[np.float32]

_BLOCK = (32, 4, 1)


def packed_head(head: F32) -> F32:
    """(G, G, 4) -> (G * G, 4) float32: a point's drivers are one load of 16 bytes."""
    return np.ascontiguousarray(head.reshape(-1, head.shape[2]))


def fill_eyes(table: Array, eyes: Sequence[Eyeball]) -> None:
    """Writes what eyes are into (E,) `kernels.gpu.EYEBALL`: all but addresses and sources."""
    # Column by column: a struct's fields one at a time cost ten times as much.
    table["rim_count"] = [len(eye.rim) for eye in eyes]
    table["corner"] = [eye.corner for eye in eyes]
    table["size"] = [eye.size for eye in eyes]
    table["iris"] = [eye.iris for eye in eyes]
    table["gaze"] = [eye.gaze_px for eye in eyes]
    table["spread"] = [eye.spread for eye in eyes]
    table["fade"] = [eye.fade for eye in eyes]


def draw_eyeballs(
    device: Device, eyes: int, count: int, side: int, step_px: int, size: tuple[int, int]
) -> None:
    """Launches the drawing of each.

    Args:
        device: where everything lies.
        eyes: address of (count,) `kernels.gpu.EYEBALL`.
        count: eyes, up to 65535.
        side, step_px: the lattice's, the same for all.
        size: (width, height) of the widest and the highest.
    """
    device.launch(
        "eyeballs.cu",
        "eyeballs",
        blocks(*size, count, _BLOCK),
        _BLOCK,
        np.uint64(eyes),
        np.int32(side),
        np.float32(step_px),
        np.int32(ITERATIONS),
    )
