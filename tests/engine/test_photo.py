"""Pictures as people have them, and as nobody should send them."""

import io
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.errors import PortraitError
from engine.onboarding import photo
from tests.engine.portraits import encoded

WIDE, HIGH = 400, 300


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """Red, green, blue and white quarters: which way it lies can be seen."""
    picture = np.zeros((HIGH, WIDE, 3), np.uint8)
    picture[: HIGH // 2, : WIDE // 2] = 200, 30, 30
    picture[: HIGH // 2, WIDE // 2 :] = 30, 180, 30
    picture[HIGH // 2 :, : WIDE // 2] = 30, 30, 210
    picture[HIGH // 2 :, WIDE // 2 :] = 240, 240, 240
    return picture


def quarters(picture: np.ndarray) -> np.ndarray:
    high, wide = picture.shape[:2]
    return np.array(
        [[picture[y * high // 4, x * wide // 4] for x in (1, 3)] for y in (1, 3)], np.int16
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF"])
def test_every_kind_is_read(colours, kind):
    read = photo.read(encoded(colours, kind))
    assert read.kind == kind
    assert read.alpha is None
    assert np.abs(quarters(read.rgb) - quarters(colours)).max() < 12


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_lies_as_its_camera_says(colours, turn):
    # What EXIF's numbers mean, by the file's rows and columns that they lay out anew.
    laid = {
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.transpose(1, 0, 2),
        6: np.rot90(colours, 1),
        7: colours[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(colours, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    read = photo.read(encoded(np.ascontiguousarray(laid), "JPEG", exif=exif, quality=95))
    assert read.rgb.shape == colours.shape
    assert np.abs(quarters(read.rgb) - quarters(colours)).max() < 12


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "I;16", "F"])
def test_every_kind_of_pixel_is_read(colours, mode):
    grey = Image.fromarray(colours).convert("L")
    out = io.BytesIO()
    if mode == "I;16":
        Image.fromarray(np.asarray(grey, np.uint16) * 257).save(out, "PNG")
    elif mode == "F":
        grey.convert("F").save(out, "TIFF")
    else:
        kind = "TIFF" if mode == "CMYK" else "PNG"
        palette = Image.Palette.ADAPTIVE
        Image.fromarray(colours).convert(mode, palette=palette).save(out, kind)
    read = photo.read(out.getvalue())
    assert read.rgb.shape == (HIGH, WIDE, 3)
    coloured = mode in ("P", "CMYK")
    wanted = colours if coloured else np.asarray(grey.convert("RGB"))
    if mode != "1":
        assert np.abs(quarters(read.rgb) - quarters(wanted)).max() < 12


def test_colours_of_16_bits_are_read(colours):
    deep = np.ascontiguousarray(colours[..., ::-1]).astype(np.uint16) * 257
    read = photo.read(cv2.imencode(".png", deep)[1].tobytes())
    assert np.abs(read.rgb.astype(int) - colours).max() <= 1


def test_a_cmyk_jpeg_is_read(colours):
    out = io.BytesIO()
    Image.fromarray(colours).convert("CMYK").save(out, "JPEG", quality=95)
    assert np.abs(quarters(photo.read(out.getvalue()).rgb) - quarters(colours)).max() < 16


def test_colours_follow_the_pictures_own_profile(colours):
    lab = ImageCms.createProfile("LAB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = photo.read(encoded(colours, "PNG", icc_profile=profile)).rgb
    assert np.abs(plain.astype(int) - colours).max() <= 2
    foreign = ImageCms.ImageCmsProfile(lab).tobytes()
    unusable = photo.read(encoded(colours, "PNG", icc_profile=foreign)).rgb
    assert np.abs(unusable.astype(int) - colours).max() <= 2
    broken = photo.read(encoded(colours, "PNG", icc_profile=b"no profile")).rgb
    assert np.array_equal(broken, colours)


def test_transparent_parts_are_told_and_laid_on_grey(colours):
    alpha = np.full((HIGH, WIDE, 1), 255, np.uint8)
    alpha[:, :100] = 0
    read = photo.read(encoded(np.concatenate([colours, alpha], -1), "PNG"))
    assert np.array_equal(read.alpha, alpha[..., 0])
    assert read.rgb[10, 10].min() > 190
    assert np.array_equal(read.rgb[:, 100:], colours[:, 100:])


def test_of_an_animation_the_first_frame_is_taken(colours):
    for kind in ("GIF", "WEBP"):
        out = io.BytesIO()
        first = Image.fromarray(colours)
        first.save(out, kind, save_all=True, append_images=[first.rotate(180)], duration=100)
        assert np.abs(quarters(photo.read(out.getvalue()).rgb) - quarters(colours)).max() < 12


def test_a_large_picture_is_read_smaller():
    picture = cv2.resize(
        np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8), (4000, 3000)
    )
    read = photo.read(encoded(picture))
    assert read.rgb.shape == (1920, 2560, 3)
    small = cv2.resize(picture, (2560, 1920), interpolation=cv2.INTER_AREA)
    assert np.abs(read.rgb.astype(int) - small).mean() < 3


def claimed(colours: np.ndarray, wide: int, high: int) -> bytes:
    """A PNG that claims another size, with a right check sum."""
    data = bytearray(encoded(colours, "PNG"))
    data[16:24] = struct.pack(">II", wide, high)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: b"", r"empty \(0 bytes\)"),
        (lambda c: b"\xff\xd8" + bytes(photo.MAX_BYTES), f"bytes, limit {photo.MAX_BYTES}"),
        (lambda c: claimed(c, 20_000, 15_000), "20000 x 15000 px, 300 megapixels, limit 64"),
        (lambda c: claimed(c, 8000, 7000), "cannot be read"),
        (lambda c: encoded(c)[:2000], "cut off: its file ends before the picture does"),
        (lambda c: encoded(c, "PNG")[:600], "cut off: its file ends before the picture does"),
        (lambda c: encoded(c, "WEBP")[:400], "cannot be read"),
        (lambda c: encoded(c, "AVIF")[:400], "cannot be read"),
        (lambda c: encoded(c[:50]), "400 x 50 px, expected at least 128 each way"),
        (lambda c: b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "this is an SVG or XML file"),
        (lambda c: b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "this is an SVG drawing"),
        (lambda c: b"PK\x03\x04" + bytes(200), "this is a ZIP archive, not a picture"),
        (lambda c: b"%PDF-1.7 ...", "this is a PDF"),
        (lambda c: b"<!DOCTYPE html><html></html>", "this is a web page"),
        (lambda c: b"\0\0\0\x20ftypisom" + bytes(200), "this is a video"),
        (lambda c: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "HEIC pictures are not"),
        (lambda c: b"no picture " * 50, "it is damaged, or no picture at all"),
        (lambda c: bytes(5000), "it is damaged, or no picture at all"),
    ],
)
def test_a_bad_picture_is_one_clear_error(colours, make, words):
    with pytest.raises(PortraitError, match=words) as caught:
        photo.read(make(colours))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_damage_anywhere_harms_nobody(colours, kind):
    whole = encoded(colours, kind)
    dice = np.random.default_rng(7)
    for _ in range(3):
        data = bytearray(whole)
        for at in dice.integers(8, len(data), 20):
            data[at] = dice.integers(256)
        with suppress(PortraitError):
            assert photo.read(bytes(data)).rgb.dtype == np.uint8


def test_memory_is_bounded(colours, monkeypatch):
    monkeypatch.setattr(photo, "MEMORY_BYTES", 120 * 2**20)
    with pytest.raises(PortraitError, match="more memory than is allowed|made to break"):
        photo.read(encoded(np.zeros((6000, 6000, 3), np.uint8), "PNG", compress_level=1))


def test_files_that_cannot_be_read_are_named(tmp_path, colours):
    with pytest.raises(PortraitError, match=r"none\.png: No such file"):
        photo.read_file(tmp_path / "none.png")
    with pytest.raises(PortraitError, match="is a folder, expected a picture"):
        photo.read_file(tmp_path)
    zipped = tmp_path / "me.png"
    zipped.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(PortraitError, match=r"me\.png: this is a ZIP archive"):
        photo.read_file(zipped)
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(photo.MAX_BYTES + 1)
    with pytest.raises(PortraitError, match=r"large\.jpg: the picture has 31457281 bytes"):
        photo.read_file(large)
