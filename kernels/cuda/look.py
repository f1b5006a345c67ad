"""Wrapper of `look.cu`."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kernels.gpu import Device, blocks
from kernels.look import Size, reach_px

F32 = npt.NDArray[np.float32]

_BLOCK = (32, 4, 1)


@lru_cache(maxsize=256)
def blur_taps(soft_px: float) -> F32:
    """Weights of a Gaussian of that width: (2 * `reach_px` + 1,) float32."""
    reach = reach_px(soft_px)
    at = np.arange(-reach, reach + 1)
    weights = np.exp(-(at**2) / (2 * soft_px**2))
    return np.asarray(weights / weights.sum(), np.float32)


def look(device: Device, looks: int, batch: int, size: Size, frame: int, seen: Size) -> None:
    """Launches what a network is shown: `guide` and `region` of each.

    Args:
        device: where everything lies.
        looks: address of (batch,) `kernels.gpu.LOOK`.
        batch: windows, up to 65535.
        size: (width, height) of the windows.
        frame: address of (H, W) float32, how much of what is painted stays.
        seen: (W, H) that the network sees.
    """
    at, sides = np.uint64(looks), [np.int32(side) for side in size]
    for kernel in ("look_within", "look_blur_rows", "look_blur_columns"):
        device.launch("look.cu", kernel, blocks(*size, batch, _BLOCK), _BLOCK, at, *sides)
    device.launch(
        "look.cu",
        "look_seen",
        blocks(*seen, batch, _BLOCK),
        _BLOCK,
        at,
        np.uint64(frame),
        *sides,
        *(np.int32(side) for side in seen),
    )


def painted(device: Device, looks: int, batch: int, size: Size, seen: Size) -> None:
    """Launches what becomes of the network's pictures: `out` of each; see `look`."""
    sides = [np.int32(side) for side in (*size, *seen)]
    grid = blocks(*size, batch, _BLOCK)
    device.launch("look.cu", "look_painted", grid, _BLOCK, np.uint64(looks), *sides)
