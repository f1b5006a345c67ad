"""Decodes one picture in a process of its own: `python -I decode.py LIMITS`, where the
limits are its longer side, its pixels, the bytes of memory and the seconds of processor time.

The picture's file comes on standard input. On standard output a line of JSON goes out, then the
pixels; or the line `{"error": "..."}`. What a stranger sends is decoded where a crash, a bomb or a
library's fault ends nothing but this process. Pillow is all it imports, so that it starts fast.
"""

import io
import json
import resource
import sys
import warnings
from typing import Any, Final

from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

FORMATS: Final = "JPEG MPO PNG WEBP AVIF GIF BMP TIFF HEIF".split()
GROUND: Final = (214, 210, 203)
"""What lies behind transparent parts."""
_DEEP: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


class UnreadableError(Exception):
    """The picture is not taken; the words say why."""


def decode(data: bytes, longest_px: int, max_pixels: int) -> tuple[dict[str, Any], list[bytes]]:
    """A picture's first frame, upright, in sRGB, its longer side at most `longest_px`.

    Returns:
        Its width, height, format, the size it had, and whether it has alpha; then the pixels, RGB,
        and alpha where there is any.

    Raises:
        UnreadableError: it is no such picture, too large, or broken.
    """
    # Both would be errors of ours: the size is checked here, metadata does not matter.
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(io.BytesIO(data), formats=known) as image:
            return _read(image, longest_px, max_pixels)
    except UnidentifiedImageError as error:
        raise UnreadableError("it is damaged, or no picture at all") from error
    except MemoryError as error:
        raise UnreadableError("decoding it takes more memory than is allowed") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if "truncated" in str(error) or isinstance(error, EOFError):
            raise UnreadableError("it is cut off: its file ends before the picture does") from error
        raise UnreadableError(f"it is damaged: {error}") from error


def _read(
    image: Image.Image, longest_px: int, max_pixels: int
) -> tuple[dict[str, Any], list[bytes]]:
    wide, high = image.size
    if wide * high > max_pixels:
        raise UnreadableError(
            f"it has {wide} x {high} px, {wide * high / 1e6:.0f} megapixels, "
            f"limit {max_pixels / 1e6:.0f}"
        )
    kind = image.format or ""
    if image.mode in _DEEP:
        image = _eight_bits(image)
    elif image.mode in ("P", "PA", "1"):
        # Resampling mixes colours, not numbers of a palette.
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    # Reads a JPEG at a part of its size where that will do.
    image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    image = ImageOps.exif_transpose(image)
    rgb, alpha = _colours(image)
    told = {
        "width": rgb.width,
        "height": rgb.height,
        "format": kind,
        "original": [wide, high],
        "alpha": alpha is not None,
    }
    return told, [rgb.tobytes()] + ([alpha.tobytes()] if alpha is not None else [])


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits and more, as scans have them, to 8."""
    if image.mode == "F":
        return image.convert("L")
    return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _colours(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture in sRGB without alpha, and its alpha if any of it is not opaque."""
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
    image = _managed(image)
    if alpha is not None:
        plain = Image.new("RGB", image.size, GROUND)
        plain.paste(image, mask=alpha)
        image = plain
    return image, alpha


def _managed(image: Image.Image) -> Image.Image:
    """In sRGB by its own profile (telephones write Display P3), as it is without a sound one."""
    profile = image.info.get("icc_profile")
    colours = image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    if profile and colours.mode in ("RGB", "CMYK", "L"):
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            done = ImageCms.profileToProfile(
                colours, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if done is not None:
                return done
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return colours.convert("RGB")


def main() -> None:
    """Reads standard input, writes standard output."""
    out = sys.stdout.buffer
    longest_px, max_pixels, memory, time_s = (int(text) for text in sys.argv[1:5])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (time_s, time_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told, pieces = decode(sys.stdin.buffer.read(), longest_px, max_pixels)
    except UnreadableError as error:
        told, pieces = {"error": str(error)}, []
    out.write(json.dumps(told).encode() + b"\n")
    for piece in pieces:
        out.write(piece)
    out.flush()


if __name__ == "__main__":
    main()
