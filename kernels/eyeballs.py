"""Eyeballs, laid behind their lids: they follow the head and their gaze, not what slides over."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import cv2
import numpy as np
import numpy.typing as npt

from kernels.guide import backward_flow
from kernels.rim import Corner, Size, check_window, mask
from kernels.warp_composite import Patch, warp

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

POSE_DRIVERS = 4
"""The first of a face's drivers: the head's pose, which alone moves its eyeballs."""
_BELL = 1.4
"""Width of the bell in which a gaze moves the iris, over the iris's radius."""


@dataclass(frozen=True, slots=True, eq=False)
class Eyeball:
    """What shows between two lids. All places are pixels of the picture.

    Attributes:
        corner: (x, y) of the window's upper left pixel.
        size: (width, height) of the window, inside the picture.
        rim: (2 K, 2) float32, the lids' rims: the upper one from left to right, then the lower one
            from right to left.
        iris: (x, y) of its middle.
        radius_px: of the iris, over 0.
        gaze_px: (x, y), how far a gaze turns the eyeball.
        fade: how much of it shows, 0 to 1.

    Raises:
        ValueError: the rim is of another shape or dtype, the window is empty or the radius not
            over 0.
    """

    corner: Corner
    size: Size
    rim: F32
    iris: tuple[float, float]
    radius_px: float
    gaze_px: tuple[float, float]
    fade: float

    def __post_init__(self) -> None:
        check_window(self.rim, self.size)
        if not self.radius_px > 0:
            raise ValueError(f"radius_px is {self.radius_px}, expected over 0")

    @property
    def spread(self) -> float:
        """Twice the squared width of the bell in which a gaze moves the iris, square pixels."""
        return 2 * (_BELL * self.radius_px) ** 2


def eyeballs(
    source: U8, scale: float, head: F32, eyes: Sequence[Eyeball], step_px: int
) -> list[Patch]:
    """Windows of the portrait as the head alone moves it, turned around its irises.

    All at once, one below the other: OpenCV lets go of Python's lock at each call, and waits for
    it again.

    Args:
        source: (H', W', 3) uint8, `scale` times the picture's size.
        scale: see `source`.
        head: (G, G, 2) float32 pixels, how the pose moves the lattice.
        eyes: what is drawn, at least one.
        step_px: the lattice's.
    """
    heights = [eye.size[1] for eye in eyes]
    wide, ends = max(eye.size[0] for eye in eyes), list(accumulate(heights))
    parts = [slice(end - high, end) for end, high in zip(ends, heights, strict=True)]
    places = np.empty((ends[-1], wide, 2), np.float32)
    for eye, rows in zip(eyes, parts, strict=True):
        left, top = eye.corner
        places[rows, :, 0] = np.arange(left, left + wide, dtype=np.float32)
        places[rows, :, 1] = np.arange(top, top + eye.size[1], dtype=np.float32)[:, None]
    way = backward_flow(head, places, step_px)
    for eye, rows in zip(eyes, parts, strict=True):
        x, y = places[rows.start, :, 0], places[rows, 0, 1]
        aside, below = (x - eye.iris[0]) ** 2, (y[:, None] - eye.iris[1]) ** 2
        near = np.exp(-(aside + below) / eye.spread)
        for axis in range(2):  # an axis at a time: NumPy is slow where the last one is short
            way[rows, :, axis] -= near * eye.gaze_px[axis]
    by = np.float32(scale)
    rgb = warp(source, way * by, places * by + (by - 1) / 2)
    made = []
    for eye, rows in zip(eyes, parts, strict=True):
        alpha = cv2.convertScaleAbs(mask(eye.rim, eye.corner, eye.size), alpha=eye.fade)
        made.append(Patch(*eye.corner, rgb[rows, : eye.size[0]], np.asarray(alpha, np.uint8)))
    return made
