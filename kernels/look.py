"""The window that a network is shown and what becomes of its picture, on OpenCV and NumPy."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Corner = tuple[int, int]
Size = tuple[int, int]

_SUBPIXEL_BITS = 4
_BLUR_WIDTHS = 3
"""Widths of a blur, on either side, beyond which it is nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What of a picture a network is shown, and where it may paint.

    Attributes:
        corner: (x, y) of the window in the picture.
        hull: (K, 2) float32 pixels of the window, the convex outline within which it may paint.
        rim_px: how far around that, too.
        soft_px: width of the blur over which that fades.
        gains: (3,) float32, what the network sees colours multiplied by.
    """

    corner: Corner
    hull: F32
    rim_px: int
    soft_px: float
    gains: F32


def hull_of(points: F32) -> F32:
    """Convex outline of (N, 2) float32 points: (K, 2)."""
    return np.asarray(cv2.convexHull(points)[:, 0], np.float32)


def reach_px(soft_px: float) -> int:
    """Pixels on either side that a blur of that width takes in, as OpenCV does for bytes."""
    return round(_BLUR_WIDTHS * soft_px)


def region(shown: Shown, size: Size) -> F32:
    """Where a network may paint in a window (width, height): (height, width) float32 to 1."""
    places = np.round(shown.hull * 2**_SUBPIXEL_BITS).astype(np.int32)
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(mask, places, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    wide = 2 * shown.rim_px + 1
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
    soft = np.zeros(size[::-1], np.float32)
    # Beyond what the blur reaches there is nothing: half of the time saved.
    reach = wide // 2 + int(np.ceil(_BLUR_WIDTHS * shown.soft_px)) + 3
    low = (np.floor(shown.hull.min(0)).astype(int) - reach).clip(0, size)
    high = (np.ceil(shown.hull.max(0)).astype(int) + reach).clip(0, size)
    part = slice(low[1], high[1]), slice(low[0], high[0])
    if (high > low).all():
        soft[part] = cv2.GaussianBlur(grown[part], (0, 0), shown.soft_px)
    return np.asarray(soft / np.float32(255), np.float32)


def fitted(values: F32 | U8, size: Size) -> F32:
    """A window (height, width, ...) at a network's size (width, height)."""
    if values.shape[1::-1] == size:
        return np.asarray(values, np.float32)
    way = cv2.INTER_AREA if values.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=way), np.float32)


def seen(picture: U8, gains: F32, size: Size) -> F32:
    """(height, width, 3) uint8 -> (3, H, W) float32 in [-1, 1], colours times the gains."""
    planes = np.ascontiguousarray(fitted(picture, size).transpose(2, 0, 1))
    by = (gains / np.float32(127.5))[:, None, None]
    return np.asarray(np.minimum(planes * by - 1, 1), np.float32)


def painted(picture: U8, may: F32, gains: F32, guide: F32, made: F32) -> U8:
    """A window with what a network made of it.

    Args:
        picture: (height, width, 3), what it was made of.
        may: (height, width) float32, where it may paint.
        gains: (3,) float32.
        guide, made: (3, H, W) float32, what the network was shown and what it gave.

    Returns:
        (height, width, 3) uint8: the picture plus the change, which is nothing where the network
        changed nothing.
    """
    change = ((made - guide) / gains[:, None, None]).transpose(1, 2, 0) * np.float32(127.5)
    size = picture.shape[1], picture.shape[0]
    if size != change.shape[1::-1]:
        change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(np.rint(_unclipped(picture, may, gains) + change), 0, 255), np.uint8)


def _unclipped(picture: U8, may: F32, gains: F32) -> F32:
    """The picture as the network saw it where it may paint: gains clip what is too bright."""
    shown, inside = picture.astype(np.float32), may > 0
    for channel, most in enumerate(np.float32(255) / gains):
        if most < 255:
            np.minimum(shown[..., channel], most, out=shown[..., channel], where=inside)
    return shown
