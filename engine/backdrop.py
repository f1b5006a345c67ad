"""What a person moves over: their background, still or blurred, a colour, a picture, or nothing."""

import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.config import TRANSPARENT
from engine.errors import ConfigError
from engine.kept import kept_with_first
from engine.rig import Rig

U8 = npt.NDArray[np.uint8]

STILL, BLUR = "still", "blur"
MAX_FILE_BYTES = 32 * 2**20
MAX_PX = 8192
_BLUR = 0.035
"""Sigma of the blur, of the picture's side."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@kept_with_first
def backdrop(rig: Rig, background: str) -> U8 | None:
    """What is behind the person in every picture.

    Args:
        rig: the avatar.
        background: `still`, `blur`, a colour `#rrggbb`, the path of a picture, or
            `transparent`.

    Returns:
        (size, size, 3) uint8 RGB; None where nothing is, by wish or because the
        portrait has no background of its own and moves as a whole.

    Raises:
        ConfigError: no such background, the picture cannot be read, or the avatar has no matte.
    """
    if rig.behind is None:
        if background != STILL:
            raise ConfigError(
                f"background is {background!r}, but the avatar's matte leaves no background: "
                f"expected {STILL!r}"
            )
        return None
    if background == TRANSPARENT:
        return None
    if background == STILL:
        return rig.behind
    if background == BLUR:
        return _blurred(rig.behind)
    if background.startswith("#"):
        return np.full_like(rig.behind, _colour(background))
    return _covering(_read(Path(background)), rig.size_px)


def _blurred(picture: U8) -> U8:
    sigma = _BLUR * picture.shape[0]
    soft = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.uint8)


def _colour(text: str) -> tuple[int, int, int]:
    if not _COLOUR.fullmatch(text):
        raise ConfigError(f"background is {text[:40]!r}, expected a colour as '#rrggbb'")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _read(path: Path) -> U8:
    """A picture file as (H, W, 3) uint8 RGB."""
    kinds = f"{STILL!r}, {BLUR!r}, {TRANSPARENT!r}, a colour '#rrggbb' or a picture file"
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_FILE_BYTES else None
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise ConfigError(f"background {str(path)[:200]!r}: {reason}, expected {kinds}") from error
    if data is None:
        raise ConfigError(f"background {path} has {size} bytes, limit {MAX_FILE_BYTES}")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        bgr = None
    if bgr is None or max(bgr.shape[:2]) > MAX_PX:
        what = "no picture that can be read" if bgr is None else f"{max(bgr.shape[:2])} px"
        raise ConfigError(f"background {path}: {what}, expected {kinds} of at most {MAX_PX} px")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _covering(picture: U8, side: int) -> U8:
    """The middle of a picture, scaled to fill a square."""
    high, wide = picture.shape[:2]
    edge = min(high, wide)
    top, left = (high - edge) // 2, (wide - edge) // 2
    middle = picture[top : top + edge, left : left + edge]
    way = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (side, side), interpolation=way), np.uint8)
