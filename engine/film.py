"""Film out: pictures and their sound to a file, of a kind that its name's ending tells."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm
from engine.media import reason_of

U8 = npt.NDArray[np.uint8]

_SMPTE170M: Final = 6
"""The BT.601 matrix by its other name, which PyAV does not list."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How films of one ending are written.

    Attributes:
        container: FFmpeg's name of it, and its settings.
        video: name of the encoder of pictures, and its settings.
        pixels: the encoder's pixel format for opaque pictures.
        see_through: the same for pictures with alpha; None where the codec has none.
        audio: name of the encoder of sound.
        audio_bps: its bitrate; None where nothing is compressed.
        matrix: what the film calls the BT.601 matrix of `Picture.i420`.
        transfer: what it calls the portrait's sRGB.
    """

    container: tuple[str, dict[str, str]]
    video: tuple[str, dict[str, str]]
    pixels: str
    see_through: str | None
    audio: str
    audio_bps: int | None
    matrix: int = Colorspace.ITU601
    transfer: int = ColorTrc.IEC61966_2_1


KINDS: Final[dict[str, Kind]] = {
    ".mp4": Kind(
        ("mp4", {"movflags": "+faststart"}),
        ("libx264", {"preset": "veryfast", "crf": "20", "profile": "high"}),
        "yuv420p",
        None,
        "aac",
        128_000,
    ),
    # libvpx takes no alpha with alternate reference frames.
    ".webm": Kind(
        ("webm", {}),
        (
            "libvpx-vp9",
            {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "5", "auto-alt-ref": "0"},
        ),
        "yuv420p",
        "yuva420p",
        "libopus",
        96_000,
    ),
    # ProRes knows one of the two names of the BT.601 matrix, and no sRGB.
    ".mov": Kind(
        ("mov", {"movflags": "+faststart"}),
        ("prores_ks", {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}),
        "yuv444p10le",
        "yuva444p10le",
        "pcm_s16le",
        None,
        _SMPTE170M,
        ColorTrc.BT709,
    ),
}
"""By the ending of the film's name."""


class FilmWriter:
    """Writes pictures and their sound to a film of 25 pictures a second, see `KINDS`.

    Use as a context manager. The file appears under its name only when the block ends well;
    until then it is a hidden file beside it, which is removed when the block raises.

    Args:
        path: its ending is one of `KINDS`; an older file of that name is replaced.
        size_px: side of the square picture, even.
        transparent: whether the pictures have alpha.

    Raises:
        MediaError: the ending is unknown or of a kind without alpha, or the file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], size_px: int, transparent: bool = False
    ) -> None:
        self.path = Path(path)
        self.transparent = transparent
        self.frames = 0
        self._kind = kind = _kind(self.path, transparent)
        self._part = _make_part(self.path)
        try:
            container, settings = kind.container
            self._container = av.open(
                f"file:{self._part}", "w", format=container, container_options=settings
            )
            encoder, options = kind.video
            self._video = cast(
                VideoStream, self._container.add_stream(encoder, FPS, options=options)
            )
            context = self._video.codec_context
            context.width = context.height = size_px
            context.pix_fmt = (kind.see_through or kind.pixels) if transparent else kind.pixels
            context.thread_count = 1
            context.color_range = ColorRange.MPEG
            context.color_primaries = ColorPrimaries.BT709
            context.color_trc = kind.transfer
            context.colorspace = kind.matrix
            self._audio = cast(
                AudioStream,
                self._container.add_stream(kind.audio, SAMPLE_RATE_HZ, layout="mono"),
            )
            if kind.audio_bps is not None:
                self._audio.codec_context.bit_rate = kind.audio_bps
        except av.codec.codec.UnknownCodecError as error:
            self._part.unlink(missing_ok=True)
            raise MediaError(
                f"{self.path} cannot be written: PyAV lacks a codec: {error}"
            ) from error
        except BaseException:
            self._part.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def write(self, i420: U8, pcm: Pcm, alpha: U8 | None = None) -> None:
        """Adds one picture and its sound.

        Args:
            i420: (size_px * 3 // 2, size_px) uint8.
            pcm: its sound.
            alpha: (size_px, size_px) uint8 of a film that is transparent, None of any other.

        Raises:
            MediaError: the disk is full, or the picture or its alpha is of another size.
        """
        picture = self._frame(i420, alpha)
        # ProRes takes the frame's word for its colours.
        picture.color_range = ColorRange.MPEG
        picture.color_primaries = ColorPrimaries.BT709
        picture.color_trc = self._kind.transfer
        picture.colorspace = self._kind.matrix
        picture.pts = self.frames
        picture.time_base = Fraction(1, FPS)
        sound = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(pcm.samples)[None], format="s16", layout="mono"
        )
        sound.sample_rate = SAMPLE_RATE_HZ
        sound.pts = self.frames * FRAME_SAMPLES
        sound.time_base = Fraction(1, SAMPLE_RATE_HZ)
        try:
            self._container.mux(self._video.encode(picture))
            self._container.mux(self._audio.encode(sound))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self.frames += 1

    def close(self) -> None:
        """Finishes the file and gives it its name.

        Raises:
            MediaError: no picture was written, or the disk is full.
        """
        try:
            if not self.frames:
                raise MediaError(f"{self.path} would hold no picture")
            self._container.mux(self._video.encode(None))
            self._container.mux(self._audio.encode(None))
            self._container.close()
            self._part.replace(self.path)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        finally:
            self._part.unlink(missing_ok=True)

    def abort(self) -> None:
        """Removes what was written so far."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _frame(self, i420: U8, alpha: U8 | None) -> av.VideoFrame:
        size = self._video.codec_context.width
        if i420.shape != (size * 3 // 2, size):
            raise MediaError(f"picture is {i420.shape}, expected {(size * 3 // 2, size)}")
        found = None if alpha is None else alpha.shape
        wanted = (size, size) if self.transparent else None
        if found != wanted:
            raise MediaError(f"alpha of the picture is {found}, expected {wanted}")
        if alpha is None:
            return av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(i420), format="yuv420p")
        frame = av.VideoFrame(size, size, "yuva420p")
        chroma = i420[size:].reshape(2, size // 2, size // 2)
        for plane, values in zip(frame.planes, (i420[:size], *chroma, alpha), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            rows[:, : plane.width] = values
        return frame

    def _failed(self, error: Exception) -> MediaError:
        return MediaError(f"{self.path} cannot be written: {reason_of(error)}")


def _kind(path: Path, transparent: bool) -> Kind:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise MediaError(f"{path} ends in {path.suffix!r}, expected {_listed(list(KINDS))}")
    if transparent and kind.see_through is None:
        able = [ending for ending, kind in KINDS.items() if kind.see_through is not None]
        raise MediaError(
            f"{path} ends in {path.suffix!r}, a kind of film without transparency, "
            f"expected {_listed(able)}"
        )
    return kind


def _listed(endings: list[str]) -> str:
    return " or ".join(repr(ending) for ending in endings)


def _make_part(path: Path) -> Path:
    if path.is_dir():
        raise MediaError(f"{path} is a folder, expected the name of a file")
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
    except OSError as error:
        raise MediaError(f"{path} cannot be written: {reason_of(error)}") from error
    return part
