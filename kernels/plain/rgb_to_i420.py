"""`kernels/cuda/rgb_to_i420.cu` in NumPy."""

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]

_SHIFT = 20
_Y = (269484, 528482, 102760)
_U = (-155188, -305135, 460324)
_V = (460324, -385875, -74448)


def _plane(rgb: npt.NDArray[np.int64], weights: tuple[int, int, int], offset: int) -> U8:
    total = rgb @ np.array(weights, np.int64) + (offset << _SHIFT) + (1 << (_SHIFT - 1))
    return np.asarray(total >> _SHIFT, np.uint8)


def rgb_to_i420(rgb: U8) -> U8:
    """(H, W, 3) uint8, H and W even -> (H * 3 // 2, W): BT.601, limited range, fixed point.

    Chroma is that of the upper left of four pixels, as OpenCV takes it.
    """
    wide = rgb.astype(np.int64)
    planes = [_plane(wide, _Y, 16)] + [_plane(wide[::2, ::2], c, 128) for c in (_U, _V)]
    flat = np.concatenate([plane.reshape(-1) for plane in planes])
    return flat.reshape(-1, rgb.shape[1])
