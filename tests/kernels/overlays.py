"""Made-up eyes and mouths, between rims as lids and lips have them."""

from dataclasses import dataclass

import cv2
import numpy as np

from kernels.dispatch import Overlay
from kernels.eyeballs import Eyeball
from kernels.gpu import Device
from kernels.plates import Mouth
from kernels.warp_composite import Patch


@dataclass
class _Place:
    address: int


def fetched(on: Device, overlay: Overlay) -> Patch:
    """What kernels made on a device."""
    width, height = overlay.size
    rgb = on.fetch(_Place(overlay.rgb), 3 * width * height).reshape(height, width, 3)
    alpha = on.fetch(_Place(overlay.alpha), width * height).reshape(height, width)
    return Patch(overlay.x, overlay.y, rgb, alpha)


def rim(seed: int, size_px: int, at: tuple[float, float], points: int, wide: float) -> np.ndarray:
    """(2 * points, 2) float32 around a place in shares of the picture; its ends meet."""
    rng = np.random.default_rng(seed)
    along = np.linspace(-1, 1, points)
    x = (at[0] + wide / 2 * along) * size_px
    high = 0.3 * wide * (1 - along**2) * size_px
    upper, lower = (at[1] * size_px + by * high * rng.uniform(0.7, 1.3, points) for by in (-1, 1))
    there, back = np.stack([x, upper], axis=-1), np.stack([x, lower], axis=-1)[::-1]
    return np.concatenate([there, back]).astype(np.float32)


def window(
    around: np.ndarray, size_px: int, margin_px: int = 4
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corner and size of what lies around a rim, inside the picture."""
    low = np.clip(np.floor(around.min(0)).astype(int) - margin_px, 0, size_px)
    high = np.clip(np.ceil(around.max(0)).astype(int) + margin_px, 0, size_px)
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return (x, y), (width, height)


def eyes(seed: int, size_px: int) -> list[Eyeball]:
    """One that looks aside and is half faded, one over the picture's edge."""
    made = []
    for at, gaze_px, fade in (((0.3, 0.4), (2.5, -1.2), 0.5), ((0.97, 0.4), (0.0, 0.0), 1.0)):
        lids = rim(seed, size_px, at, 9, 0.2)
        corner, size = window(lids, size_px)
        middle = at[0] * size_px, at[1] * size_px
        made.append(Eyeball(corner, size, lids, middle, 0.05 * size_px, gaze_px, fade))
    return made


def plates(seed: int, side: int = 40) -> list[np.ndarray]:
    """A wide one with holes and a small one, each (h, w, 4) float32, as `Kernels.plates` says."""
    rng = np.random.default_rng(seed)
    made = []
    for width, height in ((side, side // 2), (side // 3, side // 4)):
        rgba = cv2.GaussianBlur(
            rng.uniform(-200, 455, (height, width, 4)).astype(np.float32), (0, 0), 1.0
        )
        rgba = np.clip(rgba, 0, 255)
        rgba[..., :3] *= rgba[..., 3:] / 255
        made.append(rgba)
    return made


def mouth(
    seed: int, size_px: int, at: tuple[float, float] = (0.5, 0.7), turn: float = 0.2
) -> Mouth:
    """Its plates reach beyond its window and end inside of it."""
    rng = np.random.default_rng(seed)
    lips = rim(seed, size_px, at, 41, 0.4)
    corner, size = window(lips, size_px)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array(at) * size_px - (10, 6)
    placements = np.stack(
        [np.column_stack([matrix * by, middle + rng.uniform(-4, 4, 2)]) for by in (1.1, 0.8)]
    )
    tint = None if seed % 2 else np.array([0.8, 1.0, 1.3], np.float32)
    return Mouth(corner, size, lips, placements, 0.03 * size_px, 0.9, 0.95, tint)
