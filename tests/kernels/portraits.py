"""Made-up portraits that move as faces do: smooth fields, parting lines, patches."""

from dataclasses import replace

import cv2
import numpy as np

from kernels.dispatch import Face, Kernels, Moved, Portrait
from kernels.eyeballs import POSE_DRIVERS
from kernels.guide import Line, cells_around
from kernels.warp_composite import Patch

STEP_PX = 4
DRIVERS = 7


def smooth(rng: np.random.Generator, side: int, channels: int, cells: int = 5) -> np.ndarray:
    """(side, side, channels) float32, noise of a few cells enlarged."""
    coarse = rng.standard_normal((cells, cells, channels)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, -1)


def portrait(
    seed: int, size_px: int, source_px: tuple[int, int] | None = None, cut: bool = False
) -> Portrait:
    """Fields of up to about 0.4 px a pixel; a source with detail, of another size.

    Args:
        cut: it has alpha, all there, gone and in between.
    """
    rng = np.random.default_rng(seed)
    width, height = source_px or (size_px * 3 // 2, size_px * 3 // 2)
    rgb = 128 + 40 * rng.standard_normal((height, width, 3)).astype(np.float32)
    source = np.clip(cv2.GaussianBlur(rgb, (0, 0), 1.0) * 2 - 128, 0, 255).astype(np.uint8)
    upper = smooth(rng, size_px // STEP_PX, DRIVERS)
    lower = upper + 0.3 * smooth(rng, size_px // STEP_PX, DRIVERS)
    alpha = None
    if cut:
        clouds = cv2.resize(rng.standard_normal((5, 5)).astype(np.float32), (width, height))
        alpha = np.clip(128 + 300 * clouds, 0, 255).astype(np.uint8)
    return Portrait(source, width / size_px, STEP_PX, upper, lower, alpha)


def headed(seed: int, size_px: int, source_px: tuple[int, int] | None = None) -> Portrait:
    """The same with a head, whose eyeballs can be drawn."""
    head = smooth(np.random.default_rng(seed + 99), size_px // STEP_PX, POSE_DRIVERS)
    return replace(portrait(seed, size_px, source_px), head=head)


def room(seed: int, size_px: int) -> np.ndarray:
    """A background: noise."""
    return np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), np.uint8)


def line(seed: int, size_px: int, at: float, points: int, fade: bool) -> Line:
    """A bent line across the middle of a picture, `at` of its height down."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0.3, 0.7, points) * size_px + rng.uniform(-0.2, 0.2, points)
    y = size_px * (at + 0.03 * rng.standard_normal(points))
    along = np.stack([x, y], axis=-1).astype(np.float32)
    margin = 0.08 * size_px
    side = size_px // STEP_PX
    window = cells_around(along, (0.4 * margin, margin), STEP_PX, side)
    if not fade:
        return Line(along, window)
    return Line(along, window, cells_around(along, (margin, margin), STEP_PX, side), margin)


def lines(seed: int, size_px: int) -> list[Line]:
    """A mouth and two eyes, the second over the picture's edge."""
    return [
        line(seed, size_px, 0.65, 11, fade=False),
        line(seed + 1, size_px, 0.3, 9, fade=True),
        line(seed + 2, size_px, 0.02, 9, fade=True),
    ]


def patches(seed: int, size_px: int) -> list[Patch]:
    """One inside, one over each of two corners, one over the first, one outside."""
    rng = np.random.default_rng(seed)
    third = size_px // 3
    corners = [(third, third), (-5, -3), (size_px - 9, size_px - 7), (third + 3, third - 2)]
    made = []
    for x, y in [*corners, (2 * size_px, 0)]:
        width, height = rng.integers(9, 20, 2)
        rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
        made.append(Patch(x, y, rgb, rng.integers(0, 256, (height, width), np.uint8)))
    return made


def drivers(seed: int, size_px: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01 * size_px, (DRIVERS, 2)).astype(np.float32)


def moved(kernels: Kernels, known: Portrait, seed: int, face: Face | None = None) -> Moved:
    size = known.size_px
    return Moved(face or kernels.prepare(known), drivers(seed, size), lines(seed, size))
