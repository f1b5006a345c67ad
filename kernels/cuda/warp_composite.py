"""Wrapper of `warp_composite.cu`, and the form in which pictures lie on a device."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from kernels.cuda.guide import plane_of
from kernels.gpu import Device, blocks

U8 = npt.NDArray[np.uint8]

_BLOCK = (32, 4, 1)


def packed_source(rgb: U8, alpha: U8 | None = None) -> U8:
    """(H, W, 3) and (H, W), 255 if not given -> (H, W, 4) uint8: a pixel is one load of 4 bytes."""
    known = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha
    return np.dstack([rgb, known])


def warp_composite(
    device: Device,
    pictures: int,
    batch: int,
    side: int,
    step_px: int,
    size: tuple[int, int],
    form: Literal["rgb", "i420"],
) -> None:
    """Launches warp, joins, patches and what is behind the person in one pass.

    Args:
        device: where everything lies.
        pictures: address of (batch,) `kernels.gpu.PICTURE`.
        batch: pictures, up to 65535.
        side, step_px: the lattice's, the same for all.
        size: (width, height) pixels of what comes out, the same for all.
        form: `rgb` for (height, width, 3), `i420` for planes.

    Raises:
        ValueError: a side is not over 0, or odd where planes are asked for.
    """
    width, height = size
    if min(size) <= 0 or (form == "i420" and (width % 2 or height % 2)):
        raise ValueError(f"size is {size}, expected an even width and height")
    each = 2 if form == "i420" else 1
    device.launch(
        "warp_composite.cu",
        f"warp_composite_{form}",
        blocks(width // each, height // each, batch, _BLOCK),
        _BLOCK,
        np.uint64(pictures),
        np.int32(side),
        np.int32(plane_of(side)),
        np.float32(step_px),
        np.int32(width),
        np.int32(height),
    )
