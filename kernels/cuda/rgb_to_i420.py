"""Wrapper of `rgb_to_i420.cu`."""

import numpy as np

from kernels.gpu import Device, Memory, blocks

_BLOCK = (32, 4, 1)
_WIDE_PX = 8


def rgb_to_i420(
    device: Device, rgb: Memory, i420: Memory, size: tuple[int, int], batch: int
) -> None:
    """Launches the conversion.

    Args:
        device: where both lie.
        rgb: (batch, H, W, 3) uint8.
        i420: (batch, H * 3 // 2, W) uint8 to be written.
        size: (W, H) pixels.
        batch: pictures, up to 65535.

    Raises:
        ValueError: a side is odd or not over 0.
    """
    width, height = size
    if min(size) <= 0 or width % 2 or height % 2:
        raise ValueError(f"size is {size}, expected an even width and height")
    wide = width % _WIDE_PX == 0
    device.launch(
        "rgb_to_i420.cu",
        "rgb_to_i420_wide" if wide else "rgb_to_i420",
        blocks(width // (_WIDE_PX if wide else 2), height // 2, batch, _BLOCK),
        _BLOCK,
        np.uint64(rgb.address),
        np.uint64(i420.address),
        np.int32(width),
        np.int32(height),
    )
