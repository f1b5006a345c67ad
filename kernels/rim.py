"""What a rim encloses: lids and lips, which part and meet."""

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Corner = tuple[int, int]
Size = tuple[int, int]

_SUBPIXEL_BITS = 4


def check_window(rim: F32, size: Size) -> None:
    """Raises ValueError unless a rim is (2 K, 2) float32, K over 0, and its window holds pixels."""
    if rim.ndim != 2 or rim.shape[1] != 2 or not len(rim) or len(rim) % 2:
        raise ValueError(f"a rim is {rim.shape}, expected (2 K, 2) with K over 0")
    if rim.dtype != np.float32:
        raise ValueError(f"a rim is {rim.dtype}, expected float32")
    if min(size) < 1:
        raise ValueError(f"a window's size is {size}, expected at least (1, 1)")


def mask(rim: F32, corner: Corner, size: Size) -> U8:
    """255 inside a rim of picture pixels, smoothed over its edge: (height, width) uint8.

    Args:
        rim: (P, 2) float32 pixels.
        corner: (x, y) of the window's upper left pixel in the picture.
        size: (width, height) of the window.
    """
    made = np.zeros((size[1], size[0]), np.uint8)
    places = np.round((rim - np.array(corner, np.float32)) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(made, [places], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(made, (3, 3), 0.7), np.uint8)
