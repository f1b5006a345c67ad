"""The geometric guide: from coefficients of motion to a dense backward flow.

How a portrait's points move is linear in what drives them: a weak-perspective head pose times the
point's place and depth, plus expression modes. So one matrix product moves a whole lattice of
points, and a few fixed-point steps turn that forward field into the backward flow that a warp needs.
"""

import cv2
import numpy as np
import numpy.typing as npt

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


def backward_flow(forward: F32, points: F32, step_px: int, iterations: int = 4) -> F32:
    """Inverts a forward field at some points by fixed-point iteration.

    Solves s + D(s) = p for each p. It converges where D changes by less than a pixel a pixel.

    Args:
        forward: (G, G, 2) float32 pixels, D on the lattice.
        points: (H, W, 2) float32 pixels, p.
        step_px: the lattice's step.
        iterations: each costs one sampling of the lattice.

    Returns:
        (H, W, 2) float32 pixels, s - p: where each point comes from, relative to itself.
    """
    to_lattice = np.float32(1.0 / step_px)
    shift = np.float32(0.5 * to_lattice - 0.5)
    at = points * to_lattice + shift
    start = at
    moved = np.zeros_like(points)
    for _ in range(iterations):
        moved = cv2.remap(forward, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        at = start - moved * to_lattice
    return np.negative(moved)


def enlarge(flow: F32, size_px: tuple[int, int]) -> F32:
    """Scales a field up to (width, height) pixels, values unchanged: (H, W, 2) float32."""
    return np.asarray(cv2.resize(flow, size_px, interpolation=cv2.INTER_LINEAR), np.float32)
