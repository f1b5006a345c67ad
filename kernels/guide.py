"""The geometric guide: from coefficients of motion to a dense backward flow.

How a portrait's points move is linear in what drives them: a weak-perspective head pose times the
point's place and depth, plus expression modes. So one matrix product moves a whole lattice of
points, and a few fixed-point steps turn that forward field into the backward flow of a warp.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

NO_MAP: Any = None
"""OpenCV's second map, which a map of two channels does without."""
F32 = npt.NDArray[np.float32]


def lattice(size_px: int, step_px: int) -> F32:
    """Centres of the cells of a square lattice: (G, G, 2) float32 pixels, G = size / step.

    The centres lie where `cv2.resize` assumes them, so a field on the lattice scales up in place.
    """
    if size_px % step_px:
        raise ValueError(f"size_px is {size_px}, expected a multiple of step_px, {step_px}")
    axis = (np.arange(size_px // step_px, dtype=np.float32) + 0.5) * step_px - 0.5
    return np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)


def forward_field(fields: F32, coefficients: F32) -> F32:
    """Displacement of each lattice point.

    Args:
        fields: (G, G, N) float32, how far each driver reaches.
        coefficients: (N, 2) float32, pixels a unit of the driver, in x and y.

    Returns:
        (G, G, 2) float32 pixels.
    """
    side = fields.shape[0]
    flat = fields.reshape(side * fields.shape[1], -1) @ coefficients
    return np.ascontiguousarray(flat.reshape(side, -1, 2), np.float32)


def backward_flow(
    forward: F32, points: F32, step_px: int, iterations: int = 5, relax: float = 1.0
) -> F32:
    """Inverts a forward field at some points by relaxed fixed-point iteration.

    Solves s + D(s) = p for each p. A step leaves the share |1 - relax (1 + D')| of the error, so
    `relax` 1 is quick where D changes by less than a pixel a pixel, and 0.6 still converges where
    skin is stretched threefold.

    Args:
        forward: (G, G, 2) float32 pixels, D on the lattice.
        points: (H, W, 2) float32 pixels, p.
        step_px: the lattice's step.
        iterations: each costs one sampling of the lattice.
        relax: share of each step that is taken, over 0 to 1.

    Returns:
        (H, W, 2) float32 pixels, s - p: where each point comes from, relative to itself.
    """
    to_lattice = np.float32(1.0 / step_px)
    shift = np.float32(0.5 * to_lattice - 0.5)
    start = points * to_lattice + shift
    at: Any = start
    for _ in range(iterations):
        moved = cv2.remap(forward, at, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        at = cv2.addWeighted(at, 1 - relax, start - moved * to_lattice, relax, 0.0)
    return np.asarray((at - start) * np.float32(step_px), np.float32)


def enlarge(flow: F32, size_px: tuple[int, int]) -> F32:
    """Scales a field up to (width, height) pixels, values unchanged: (H, W, 2) float32."""
    return np.asarray(cv2.resize(flow, size_px, interpolation=cv2.INTER_LINEAR), np.float32)
