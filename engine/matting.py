"""A person apart from the background: alpha, colours of the person alone, and what lies behind.

All of it runs once for a portrait, never for a picture of a call.
"""

import cv2
import numpy as np
import numpy.typing as npt

from engine.backends import Network
from kernels.guided import coefficients

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_RADIUS, _RIDGE = 3, 2e-5
"""Of the guided filter that brings alpha to full resolution: reach in pixels of the network's
picture, and what stands against noise in the guide, in squared brightness of [0, 1]."""
_SURE = 0.04
"""Alpha this near to 0 or 1, all around, stays as the network says."""
_WIDE, _NARROW = 0.06, 0.006
"""Reach of the blurs that part colours, of the picture's longer side."""
CLEAR = 12
"""Alpha, of 255, under which a pixel counts as background."""
_SMALL_PX, _ROUNDS = 128, 300
"""Side at which the background is stretched under the person, and how often it is evened out."""
_APART = 0.012
"""How far from the person's rim the background is taken from, of the picture's longer side."""


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
    seen, (x, y, wide, high) = _boxed(picture, network.inputs["picture"][2])
    feed = np.ascontiguousarray(seen.transpose(2, 0, 1)[None])
    found = np.asarray(network.run({"picture": feed})["alpha"][0, 0], np.float32)
    window = slice(y, y + high), slice(x, x + wide)
    alpha = _enlarged(found, seen, window, picture)
    return np.asarray(np.rint(alpha * 255), np.uint8)


def foreground(picture: U8, alpha: U8) -> U8:
    """Colours of the person alone, without what of the background mixes into hair and rims.

    Blurred colours on both sides of the rim solve I = a F + (1 - a) B for F, twice, from wide to
    narrow (Forte 2021, "Approximate fast foreground colour estimation"), here of the purer pixels
    rather than of all. Outside the person the
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
    colours = picture.astype(np.float32)
    share = (alpha.astype(np.float32) / np.float32(255))[..., None]
    rest = 1 - share
    # One in the rim shows both sides: purer pixels count for more.
    pure, clear = share * share * share, rest * rest * rest
    front, back = colours, colours
    for reach in (_WIDE, _NARROW):
        radius = max(round(reach * max(alpha.shape)), 1)
        front_wide = _mean(front, pure, radius)
        back = _mean(back, clear, radius)
        wrong = colours - share * front_wide - rest * back
        front = np.clip(front_wide + share * wrong, 0, 255)
    solid = (alpha >= CLEAR).astype(np.float32)
    return np.asarray(np.rint(_pulled(front, solid)), np.uint8)


def fill(picture: U8, alpha: U8) -> U8:
    """The background with the person taken out, smoothly closed from its rims inwards.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB; the picture itself well away from the person.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    _check(picture, alpha)
    reach = max(round(_APART * max(alpha.shape)), 1)
    person = cv2.dilate((alpha >= CLEAR).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    known = 1 - person.astype(np.float32)
    if not known.any():
        mean = picture.reshape(-1, 3).mean(0)
        return np.broadcast_to(np.rint(mean), picture.shape).astype(np.uint8)
    filled = _relaxed(picture, known)
    soft = cv2.GaussianBlur(known, (0, 0), reach)[..., None]
    share = np.clip(2 * soft - 1, 0, 1) * known[..., None]
    return np.asarray(np.rint(filled + share * (picture - filled)), np.uint8)


def _relaxed(picture: U8, known: F32) -> F32:
    """The picture, softened, with its unknown part stretched like a membrane: (H, W, 3)."""
    scale = min(_SMALL_PX / max(known.shape), 1.0)
    size = max(round(known.shape[1] * scale), 1), max(round(known.shape[0] * scale), 1)
    weight = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    share = weight[..., None]
    total = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA)
    colours = np.asarray(total / np.maximum(share, 1e-3), np.float32)
    held = (share > 0.5).astype(np.float32)
    field = _pulled(colours, held[..., 0]) if held.any() else _pulled(colours, weight)
    for _ in range(_ROUNDS):
        even = cv2.blur(field, (3, 3), borderType=cv2.BORDER_REPLICATE)
        field = np.asarray(even + held * (colours - even), np.float32)
    wide = cv2.resize(field, known.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(wide, 0, 255), np.float32)


def _check(picture: U8, alpha: U8 | None = None) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"picture is {picture.shape} {picture.dtype}, expected (H, W, 3) uint8")
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != picture.shape[:2]):
        raise ValueError(
            f"alpha is {alpha.shape} {alpha.dtype}, expected {picture.shape[:2]} uint8"
        )


def _boxed(picture: U8, side: int) -> tuple[F32, tuple[int, int, int, int]]:
    """Fitted into a square, its rims drawn out: (side, side, 3) float32 in [0, 1]; x, y, w, h."""
    high, wide = picture.shape[:2]
    scale = side / max(high, wide)
    size = max(round(wide * scale), 1), max(round(high * scale), 1)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted = cv2.resize(picture, size, interpolation=way)
    x, y = (side - size[0]) // 2, (side - size[1]) // 2
    rims = y, side - size[1] - y, x, side - size[0] - x
    boxed = cv2.copyMakeBorder(fitted, *rims, cv2.BORDER_REPLICATE)
    return np.asarray(boxed, np.float32) / np.float32(255), (x, y, *size)


def _enlarged(found: F32, seen: F32, window: tuple[slice, slice], picture: U8) -> F32:
    """The network's alpha at full resolution, its rim on the picture's own edges.

    The guided filter's coefficients are found where the network looked and applied to the picture
    (He 2015, "Fast guided filter").
    """
    size = picture.shape[1], picture.shape[0]
    slope, base = coefficients(seen, found, _RADIUS, _RIDGE)
    linear = np.dstack([slope, base])[window]
    wider = cv2.resize(np.ascontiguousarray(linear), size, interpolation=cv2.INTER_LINEAR)
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)  # its fourth channel, 255, takes the base
    products = cv2.multiply(wider, guide, scale=1 / 255, dtype=cv2.CV_32F)
    fine = np.clip(cv2.transform(products, np.ones((1, 4), np.float32)), 0, 1)
    plain = np.ascontiguousarray(found[window])
    wide = np.clip(cv2.resize(plain, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    kernel = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(plain, kernel), cv2.dilate(plain, kernel)
    certain = ((least > 1 - _SURE) | (most < _SURE)).astype(np.float32)
    sure = cv2.resize(certain, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine + sure * (np.rint(wide) - fine), np.float32)


def _mean(colours: F32, weight: F32, radius: int) -> F32:
    """Weighted mean over a box, 0 where nothing weighs: (H, W, 3), weight (H, W, 1)."""
    side = (2 * radius + 1,) * 2
    share = cv2.blur(weight, side, borderType=cv2.BORDER_REPLICATE)[..., None]
    total = cv2.blur(colours * weight, side, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(total / (share + np.float32(1e-6)), np.float32)


def _pulled(colours: F32, known: F32) -> F32:
    """Colours carried from where they are known to where not, over a pyramid (pull and push).

    Args:
        colours: (H, W, 3) float32.
        known: (H, W) float32 in [0, 1], not all 0.

    Returns:
        (H, W, 3) float32.
    """
    levels = [np.dstack([colours * known[..., None], known]).astype(np.float32)]
    while max(levels[-1].shape[:2]) > 1:
        high, wide = levels[-1].shape[:2]
        half = (wide + 1) // 2, (high + 1) // 2
        levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA)))
    top = levels[-1].reshape(1, 1, 4)
    filled = top[..., :3] / np.maximum(top[..., 3:], 1e-9)
    for level in reversed(levels[:-1]):
        size = level.shape[1], level.shape[0]
        above = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR).reshape(
            *level.shape[:2], 3
        )
        # A cell that is known in part takes the rest from the level above.
        filled = level[..., :3] + (1 - level[..., 3:]) * above
    return np.asarray(filled, np.float32)
