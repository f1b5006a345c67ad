"""Wrapper of `guide.cu`, and the form in which fields and lines lie on a device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.gpu import LINE, Device, blocks
from kernels.guide import ITERATIONS, SHORT_ITERATIONS, SHORT_RELAX, Line

F32 = npt.NDArray[np.float32]

_VECTOR = 4
_FORWARD_BLOCK = (64, 1, 1)
_BACKWARD_BLOCK = (32, 4, 1)


def plane_of(side: int) -> int:
    """Points from one field to the next: a lattice's, made up to whole vectors."""
    return -(-side * side // _VECTOR) * _VECTOR


def packed_fields(upper: F32, lower: F32) -> F32:
    """Two fields (G, G, N) -> (2, N, plane) float32."""
    side, _, drivers = upper.shape
    packed = np.zeros((2, drivers, plane_of(side)), np.float32)
    for field, into in zip((upper, lower), packed, strict=True):
        into[:, : side * side] = field.reshape(side * side, drivers).T
    return packed


def packed_lines(lines: Sequence[Line], step_px: int) -> npt.NDArray[Any]:
    """Lines as the kernels read them: (L,) `kernels.gpu.LINE`."""
    packed = np.zeros(len(lines), LINE)
    counts = [len(line.points) for line in lines]
    if not lines:
        return packed
    # Column by column: a struct's fields one at a time cost ten times as much.
    packed["count"] = counts
    packed["window"] = step_px * np.array([line.window for line in lines])
    packed["stretched"] = [line.stretched for line in lines]
    packed["fade_px"] = [line.fade_px or 0.0 for line in lines]
    packed["level_px"] = [line.level_px for line in lines]
    x, y = packed["x"], packed["y"]
    for row, (line, count) in enumerate(zip(lines, counts, strict=True)):
        x[row, :count], y[row, :count] = line.points.T
    return packed


def guide(device: Device, faces: int, batch: int, drivers: int, side: int, step_px: int) -> None:
    """Launches forward fields and their inversion.

    Args:
        device: where everything lies.
        faces: address of (batch,) `kernels.gpu.FACE`.
        batch: faces, up to 65535.
        drivers: N, the same for all.
        side: G of the lattice, the same for all.
        step_px: the lattice's.
    """
    plane = plane_of(side)
    at, n = np.uint64(faces), np.int32(plane)
    grid = blocks(plane // _VECTOR, 1, batch, _FORWARD_BLOCK)
    device.launch(
        "guide.cu",
        "guide_forward",
        (grid[0], 2, batch),
        _FORWARD_BLOCK,
        at,
        np.int32(drivers),
        n,
    )
    device.launch(
        "guide.cu",
        "guide_backward",
        blocks(side, side, batch, _BACKWARD_BLOCK),
        _BACKWARD_BLOCK,
        at,
        np.int32(side),
        n,
        np.float32(step_px),
        np.int32(ITERATIONS),
        np.int32(SHORT_ITERATIONS),
        np.float32(SHORT_RELAX),
    )
