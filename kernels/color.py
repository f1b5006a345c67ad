"""RGB to planar YUV 4:2:0, the form that encoders take."""

import cv2
import numpy as np
import numpy.typing as npt


def rgb_to_i420(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Converts by ITU-R BT.601, limited range.

    Args:
        rgb: (H, W, 3) uint8, H and W even.

    Returns:
        (H * 3 // 2, W) uint8: the Y plane, then U and V at half size.

    Raises:
        ValueError: the shape or dtype is another.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"rgb is {rgb.shape} {rgb.dtype}, expected (H, W, 3) uint8")
    if rgb.shape[0] % 2 or rgb.shape[1] % 2:
        raise ValueError(f"rgb is {rgb.shape}, expected an even height and width")
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
