"""Reads a person's picture, whatever it is: kinds and limits first, pixels in a process apart."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.errors import PortraitError

U8 = npt.NDArray[np.uint8]

MAX_BYTES: Final = 30 * 2**20
MAX_PIXELS: Final = 64_000_000
MIN_PX: Final = 128
LONGEST_PX: Final = 2560
"""A larger picture is read at this size."""
MEMORY_BYTES: Final = 900 * 2**20
TIME_S: Final = 15
KINDS: Final = "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF"

_DECODER: Final = Path(__file__).with_name("decode.py")
_STARTS: Final = {
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF",
    b"<svg": "an SVG drawing",
    b"<?xml": "an SVG or XML file",
    b"<!doc": "a web page",
    b"<html": "a web page",
    b"8BPS": "a Photoshop file",
    b"II*\x00\x10\x00\x00\x00CR": "a camera's raw file",
    b"\x1aE\xdf\xa3": "a video",
}
_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"isom", b"mp41", b"mp42", b"qt  ", b"M4V "), "a video"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A picture, upright.

    Attributes:
        rgb: (H, W, 3) uint8 sRGB; the longer side has at most `LONGEST_PX`.
        alpha: (H, W) uint8 where the file has transparent parts, else None.
        kind: the file's format, such as "JPEG".
    """

    rgb: U8
    alpha: U8 | None
    kind: str


def read_file(path: Path | str) -> Photo:
    """Reads a file's picture.

    Raises:
        PortraitError: see `read`; or there is no such file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise PortraitError(f"{path} is a folder, expected a picture")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise PortraitError(f"{path.name}: {_too_large(size)}")
        data = path.read_bytes()
    except OSError as error:
        raise PortraitError(f"{path}: {error.strerror or 'it cannot be read'}") from error
    try:
        return read(data)
    except PortraitError as error:
        raise PortraitError(f"{path.name}: {error}") from error


def read(data: bytes) -> Photo:
    """Decodes a picture's bytes in a process of its own; blocks for as long as that takes.

    Raises:
        PortraitError: it is no picture, of a kind that is not read, too large, or broken.
    """
    if not data:
        raise PortraitError("the picture is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise PortraitError(_too_large(len(data)))
    if (known := _known(data)) is not None:
        raise PortraitError(known)
    told, pixels = _decode(data)
    if "error" in told:
        raise PortraitError(f"the picture cannot be read: {told['error']}")
    wide, high = told["width"], told["height"]
    if min(wide, high) < MIN_PX:
        raise PortraitError(
            f"the picture has {wide} x {high} px, expected at least {MIN_PX} each way"
        )
    rgb = np.frombuffer(pixels, np.uint8, wide * high * 3).reshape(high, wide, 3)
    alpha = None
    if told["alpha"]:
        alpha = np.frombuffer(pixels, np.uint8, wide * high, wide * high * 3).reshape(high, wide)
    return Photo(rgb, alpha, str(told["format"]))


def _too_large(size: int) -> str:
    return f"the picture has {size} bytes, limit {MAX_BYTES}"


def _known(data: bytes) -> str | None:
    """Why a file is refused by its first bytes, whatever its name says; None if it is not."""
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    lowered = start.lower()
    for mark, what in _STARTS.items():
        if start.startswith(mark) or lowered.startswith(mark):
            return f"this is {what}, not a picture, expected {KINDS}"
    brand = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if brand == "HEIC" and b"avif" not in data[8:64] and not _reads_heic():
        return (
            f"HEIC pictures are not read here, expected {KINDS}; "
            "on an iPhone, share it as JPEG (Options, Most Compatible)"
        )
    if brand == "a video":
        return f"this is a video, not a picture, expected {KINDS}"
    return None


def _reads_heic() -> bool:
    from PIL import Image

    Image.init()
    return "HEIF" in Image.OPEN


def _decode(data: bytes) -> tuple[dict[str, Any], memoryview]:
    # -I: neither the environment nor the folder that happens to be current is searched for code.
    limits = [str(n) for n in (LONGEST_PX, MAX_PIXELS, MEMORY_BYTES, TIME_S)]
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_DECODER), *limits],
            input=data,
            capture_output=True,
            timeout=2 * TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PortraitError(
            f"the picture cannot be read: it took more than {2 * TIME_S} s"
        ) from error
    line, _, pixels = done.stdout.partition(b"\n")
    if done.returncode or not line:
        # A codec that was refused memory, or that broke on what it was given.
        raise PortraitError("the picture cannot be read: it is damaged, or made to break readers")
    return json.loads(line), memoryview(pixels)
