"""The window that the render network sees: the mouth of a face 192 px wide."""

import numpy as np
import numpy.typing as npt

from kernels import look
from kernels.look import Shown
from models import topology as topo

F32 = npt.NDArray[np.float32]
Landmarks = npt.NDArray[np.floating]

WIDE_PX, HIGH_PX = 112, 96
FACE_PX = 192
"""Width of a face at which a window's pixels are the picture's own."""
POSE, BLINK, EMBEDDING = 8, 2, 64
CONDITIONS = POSE + BLINK + EMBEDDING + 1
"""Pose, blink, lip embedding, and whether there is one."""
_RIM_PX, _SOFT_PX = 3.0, 3.0
"""How far around the lips the network may paint, and over what it fades, at `FACE_PX`."""
_FADE_PX = 6
"""Width of the window's border over which painting fades, so that no edge of it shows."""
HUE = np.array([1.3255, 1.0, 0.7830], np.float32)
"""Mean colour of the portraits' windows over their green, of footage and synthetic heads."""
LIKE = np.array([0.25, 1.0, 0.7], np.float32)
"""How far a portrait's red and blue, over its green, are taken for its light's: as far as those of
people's teeth go with them. Red is mostly skin's own."""
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
_MIDDLE = [*topo.OUTER_MOUTH_CORNERS, *topo.LIP_MIDDLES]
_LIPS = np.unique(np.concatenate([topo.UPPER_LIP, topo.LOWER_LIP, topo.OUTER_MOUTH_CORNERS]))


def centre(landmarks: Landmarks) -> tuple[float, float]:
    """Place (x, y) in the middle between the lips' corners and rims, of landmarks (478, 2+)."""
    left, right, upper, lower = landmarks[_MIDDLE, :2]
    x, y = ((left + right) / 2 + (upper + lower) / 2) / 2
    return float(x), float(y)


def frame() -> F32:
    """How much of what is painted stays, less near the border: (HIGH_PX, WIDE_PX) float32."""
    fades = []
    for length in (HIGH_PX, WIDE_PX):
        at = np.arange(length)
        fades.append(np.clip(np.minimum(at, at[::-1]) / _FADE_PX, 0, 1))
    return np.minimum(fades[0][:, None], fades[1][None]).astype(np.float32)


def noise() -> F32:
    """What every picture begins from: (3, HIGH_PX, WIDE_PX) float32, always the same.

    Fresh noise would flicker, and to see through any noise costs a network what it could paint.
    """
    return np.random.default_rng(0).standard_normal((3, HIGH_PX, WIDE_PX), np.float32)


def tone(portraits: F32) -> F32:
    """Gains that take the hue of a portrait's light from its window, its brightness unchanged.

    The network sees and paints in such colours, so that it need not guess the light.

    Args:
        portraits: (B, 3, H, W) from 0 to 1.

    Returns:
        (B, 3) float32, what its pictures, from 0 to 1, are multiplied by.
    """
    mean = portraits.mean((2, 3)) + np.float32(1e-3)
    gains = (HUE * mean[:, 1:2] / mean) ** LIKE
    return np.asarray(gains * (mean @ BRIGHTNESS / (mean * gains @ BRIGHTNESS))[:, None])


def shown(landmarks: Landmarks, corner: tuple[int, int], face_px: float, gains: F32) -> Shown:
    """What kernels must know of a window: the network may paint the lips and what they enclose.

    Args:
        landmarks: (478, 2+) pixels.
        corner: (x, y) of the window's upper left pixel.
        face_px: width of the face in the same pixels.
        gains: (3,) float32, see `tone`.
    """
    unit = face_px / FACE_PX
    hull = look.hull_of(np.asarray(landmarks[_LIPS, :2] - corner, np.float32))
    return Shown(corner, hull, round(_RIM_PX * unit), _SOFT_PX * unit, gains)


def region(
    landmarks: Landmarks, corner: tuple[int, int], size: tuple[int, int], face_px: float
) -> F32:
    """Where the network may paint: (height, width) float32 to 1.

    Args:
        landmarks, corner, face_px: see `shown`.
        size: (width, height) of the window, pixels.
    """
    return look.region(shown(landmarks, corner, face_px, np.ones(3, np.float32)), size)


def conditions(
    pose: npt.NDArray[np.floating], blink: tuple[float, float], embedding: F32 | None
) -> F32:
    """What the network is told beside pictures: (CONDITIONS,) float32.

    Args:
        pose: (4, 2) drivers of the head's pose, `engine.rig`; the last row over the face's width.
        blink: closure of the (left, right) lid.
        embedding: (64,) of the sound, None where there is none.
    """
    heard = np.zeros(EMBEDDING) if embedding is None else embedding
    told = np.concatenate([pose.ravel(), blink, heard, [float(embedding is not None)]])
    return told.astype(np.float32)
