"""Full-resolution warp of the portrait, and the patches that are laid over it."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kernels.guide import NO_MAP

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Patch:
    """A window of the picture painted by something else than the warp.

    Attributes:
        x, y: its upper left corner in the picture.
        rgb: (h, w, 3) uint8.
        alpha: (h, w) uint8, how much of the warped picture it replaces.
    """

    x: int
    y: int
    rgb: U8
    alpha: U8


def warp(source: U8, flow: F32, base: F32) -> U8:
    """Samples a picture along a backward flow, bilinearly.

    Args:
        source: (H', W', C) or (H', W') uint8, `scale` times the size of the picture to make.
        flow: (H, W, 2) float32, where each pixel comes from relative to itself, in source pixels.
        base: (H, W, 2) float32, each pixel's own place, in source pixels.

    Returns:
        (H, W, C) or (H, W) uint8.
    """
    places = cv2.add(flow, base)
    return np.asarray(
        cv2.remap(source, places, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def lay_over(picture: U8, patch: Patch) -> None:
    """Lays a patch over an (H, W, 3) uint8 picture, in place; what sticks out is cut off."""
    height, width = picture.shape[:2]
    top, left = max(patch.y, 0), max(patch.x, 0)
    bottom = min(patch.y + patch.rgb.shape[0], height)
    right = min(patch.x + patch.rgb.shape[1], width)
    if top >= bottom or left >= right:
        return
    rows = slice(top - patch.y, bottom - patch.y)
    columns = slice(left - patch.x, right - patch.x)
    under, over = picture[top:bottom, left:right], patch.rgb[rows, columns]
    alpha = patch.alpha[rows, columns, None]
    if alpha.min() == 255:  # as painted windows are: a tenth of the time
        under[:] = over
        return
    share = alpha.astype(np.int32)
    mixed = under * (255 - share) + over.astype(np.int32) * share + 127
    under[:] = mixed // 255


def lay_between(front: U8, alpha: U8, behind: U8) -> U8:
    """A picture laid over another by its own alpha.

    Args:
        front: (H, W, 3) uint8, colours that are not multiplied by alpha.
        alpha: (H, W) uint8.
        behind: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8; `front` where alpha is 255, `behind` where it is 0.
    """
    share = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    near = cv2.multiply(front, share, scale=1 / 255)
    far = cv2.multiply(behind, cv2.bitwise_not(share), scale=1 / 255)
    return np.asarray(cv2.add(near, far, dst=near), np.uint8)
