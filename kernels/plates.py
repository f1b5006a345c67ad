"""The mouth's inside: plates of tongue and teeth in a dark cavity, seen between the lips."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kernels.rim import Corner, Size, check_window, mask
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

_CAVITY = np.array([46.0, 17.0, 16.0], np.float32)[:, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """What shows between two lips. All places are pixels of the picture.

    Attributes:
        corner: (x, y) of the window's upper left pixel.
        size: (width, height) of the window.
        rim: (2 K, 2) float32, the lips' rims: the upper one from left to right, then the lower one
            from right to left.
        placements: (P, 2, 3) float64, where each plate lies, from the back to the front: what takes
            its (x, y, 1) to the picture.
        deep_px: how far from the lips all light arrives, over 0.
        opened: share of the light that the mouth's opening lets in.
        light: how bright the portrait's light is; 1 is a lit light skin.
        tint: (3,) float32 by which colours are divided at last, None for 1.

    Raises:
        ValueError: the rim, placements or tint are of another shape or dtype, the window is empty
            or `deep_px` not over 0.
    """

    corner: Corner
    size: Size
    rim: F32
    placements: F64
    deep_px: float
    opened: float
    light: float
    tint: F32 | None = None

    def __post_init__(self) -> None:
        check_window(self.rim, self.size)
        if self.placements.shape[1:] != (2, 3):
            raise ValueError(f"placements are {self.placements.shape}, expected (P, 2, 3)")
        if not self.deep_px > 0:
            raise ValueError(f"deep_px is {self.deep_px}, expected over 0")
        tint = self.tint
        if tint is not None and (tint.shape != (3,) or tint.dtype != np.float32):
            raise ValueError(f"tint is {tint.shape} {tint.dtype}, expected (3,) float32")


def mouth(plates: Sequence[F32], seen: Mouth) -> Patch:
    """Draws what is seen of some plates.

    Args:
        plates: (h, w, 4) float32 from 0 to 255 each, colours multiplied by alpha.
        seen: as many placements.
    """
    alpha = mask(seen.rim, seen.corner, seen.size)
    shade = _shade(alpha, seen)
    lit = np.clip(_CAVITY + (_inside(plates, seen) - _CAVITY) * shade, 0, 255).astype(np.uint8)
    rgb = np.ascontiguousarray(lit.transpose(1, 2, 0))
    if seen.tint is not None:
        rgb = np.minimum(rgb / seen.tint, 255).astype(np.uint8)
    return Patch(*seen.corner, rgb, alpha)


def _inside(plates: Sequence[F32], seen: Mouth) -> F32:
    """Cavity and plates in the window: (3, h, w) float32, in planes, which is quicker."""
    rgb = np.empty((3, seen.size[1], seen.size[0]), np.float32)
    rgb[:] = _CAVITY
    drawn = np.empty((4, *rgb.shape[1:]), np.float32)
    for plate, placement in zip(plates, seen.placements, strict=True):
        place = placement.copy()
        place[:, 2] -= seen.corner
        over = cv2.warpAffine(plate, place, seen.size, flags=cv2.INTER_LINEAR)
        cv2.split(over, list(drawn))
        rgb += drawn[:3] - rgb * (drawn[3] / 255)
    return rgb


def _shade(alpha: U8, seen: Mouth) -> F32:
    """Light that reaches the inside: less near the lips."""
    inside = cv2.distanceTransform((alpha > 100).astype(np.uint8), cv2.DIST_L2, 3)
    near = np.clip(inside / seen.deep_px, 0.0, 1.0)
    shade = (0.45 + 0.55 * near) * seen.opened * seen.light
    return np.asarray(cv2.GaussianBlur(shade, (5, 5), 1.2), np.float32)
