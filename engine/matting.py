"""A person apart from the background: alpha, colours without the background's, and what lies behind.

All of it runs once for a portrait, never for a picture of a call.
"""

import cv2
import numpy as np
import numpy.typing as npt

from engine.backends import Network

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_GUIDE_RADIUS, _GUIDE_RIDGE = 4, 1e-4
"""Of the guided filter that brings alpha to full resolution: window in pixels of the network's
picture, and what stands against noise in the guide, in squared brightness of [0, 1]."""
_SURE = 0.06
"""Alpha this near to 0 or 1 is left as the network says."""
_CLEAR = 12
"""Alpha, of 255, over which a pixel does not count as background when the hole is filled."""


def matte(picture: U8, network: Network) -> U8:
    """Alpha of the person in a portrait: head, hair and shoulders.

    Args:
        picture: (H, W, 3) uint8 RGB, one person, the face well inside.
        network: `models/weights/matte.onnx`, loaded: `backends.load(name, weights.path(MATTE))`.

    Returns:
        (H, W) uint8, 255 where the person is, 0 where the background is.

    Raises:
        ValueError: the picture has another shape or dtype.
    """
    _check(picture)
    seen, (x, y, wide, high) = _letterbox(picture, network.inputs["picture"][2])
    found = network.run({"picture": seen.transpose(2, 0, 1)[None]})["alpha"][0, 0]
    window = slice(y, y + high), slice(x, x + wide)
    alpha = _enlarged(np.ascontiguousarray(found[window]), seen[window], picture)
    return np.asarray(np.rint(alpha * 255), np.uint8)


def foreground(picture: U8, alpha: U8) -> U8:
    """Colours of the person alone, without what of the background mixes into hair and rims.

    Blurred colours on both sides of the rim solve I = a F + (1 - a) B for F, twice, from wide to
    narrow (Forte 2021, "Approximate fast foreground colour estimation"). Outside the person the
    nearest of its colours go on, so that a warp may sample there.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    _check(picture, alpha)
    raise NotImplementedError


def fill(picture: U8, alpha: U8) -> U8:
    """The background with the person taken out, smoothly closed from its rims inwards.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB; the picture itself where alpha is 0.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    _check(picture, alpha)
    raise NotImplementedError


def _check(picture: U8, alpha: U8 | None = None) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"picture is {picture.shape} {picture.dtype}, expected (H, W, 3) uint8"
        )
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != picture.shape[:2]):
        raise ValueError(
            f"alpha is {alpha.shape} {alpha.dtype}, expected {picture.shape[:2]} uint8"
        )


def _letterbox(picture: U8, side: int) -> tuple[F32, tuple[int, int, int, int]]:
    """The picture fitted into a grey square: (side, side, 3) float32 in [0, 1]; its x, y, w, h."""
    raise NotImplementedError


def _enlarged(alpha: F32, seen: F32, picture: U8) -> F32:
    raise NotImplementedError
