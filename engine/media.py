"""Sound in and film out: any sound file to 48 kHz mono, pictures and sound to an MP4."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from engine.errors import MediaError
from engine.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm

MAX_SPEECH_S = 2 * 3600
"""Longest speech that is read."""

# Demuxers that only read the file they are given: a playlist could name other files or hosts.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,flac,flv,matroska,webm,mov,mp3,mp4,mpeg,mpegts,ogg,"
    "opus,w64,wav,wv"
)
_CUT_OFF_S = 0.5
"""A file that ends this much before the length it claims is reported as cut off."""
_X264 = {"preset": "veryfast", "crf": "20", "profile": "high"}
_AAC_BPS = 128_000
_log = logging.getLogger(__name__)


class SpeechFile:
    """A sound file, or the sound of a video, read as 48 kHz mono. Use as a context manager.

    Iterating yields `Pcm` of `FRAME_SAMPLES` (the last may be shorter), whose pts count from 0.
    A cut-off file gives what it holds, and a warning in the log.

    Attributes:
        path: the file.
        duration_s: its length as the container tells it, or as its packets add up to.
        samples: how many were given so far, at 48 kHz.

    Raises:
        MediaError: the file is missing, empty, not a sound file, holds no sound, or is longer
            than `limit_s`. Too long is told before anything is decoded wherever the container
            knows its length.
    """

    def __init__(self, path: str | os.PathLike[str], limit_s: float = MAX_SPEECH_S) -> None:
        self.path = Path(path)
        self.limit_s = limit_s
        self.samples = 0
        self._broken = 0
        _check_readable(self.path)
        self._container = self._open()
        try:
            self.duration_s = self._length()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Pcm]:
        limit = int(self.limit_s * SAMPLE_RATE_HZ)
        for samples in self._resampled():
            pcm = Pcm(self.samples, samples)
            self.samples = pcm.end
            if pcm.end > limit:
                raise self._too_long(None)
            yield pcm
        if not self.samples and self._broken:
            raise MediaError(
                f"{self.path} is damaged: none of its {self._broken} packets can be decoded"
            )
        if not self.samples:
            raise MediaError(f"{self.path} holds no sound: 0 samples")
        read_s = self.samples / SAMPLE_RATE_HZ
        if self.duration_s - read_s > _CUT_OFF_S:
            _log.warning(
                "%s is cut off: it ends at %.1f s, its header tells %.1f s",
                self.path,
                read_s,
                self.duration_s,
            )
        elif self._broken:
            _log.warning("%s is damaged: %d of its packets were left out", self.path, self._broken)

    def _open(self) -> InputContainer:
        try:
            # "file:" keeps a name with a colon from being taken for an address.
            container = av.open(
                f"file:{self.path}", container_options={"format_whitelist": _FORMATS}
            )
        except OSError as error:
            raise MediaError(f"{self.path} cannot be read: {_reason(error)}") from error
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self.path} is cut off, damaged, or not a sound or video file"
            ) from error
        if not container.streams.audio:
            kinds = _kinds(container)
            container.close()
            raise MediaError(f"{self.path} holds no sound, only {kinds}")
        if container.streams.audio[0].codec_context is None:
            container.close()
            raise MediaError(f"{self.path} holds sound of a kind that cannot be decoded")
        return container

    def _length(self) -> float:
        stream = self._container.streams.audio[0]
        claimed_s: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            claimed_s = float(stream.duration * stream.time_base)
        elif self._container.duration is not None:
            claimed_s = self._container.duration / av.time_base
        if claimed_s is not None and claimed_s <= self.limit_s:
            return claimed_s
        # Live recordings tell no length, and a damaged header may tell a wrong one.
        seconds = 0.0
        try:
            for packet in self._container.demux(stream):
                if packet.duration and packet.time_base:
                    seconds += float(packet.duration * packet.time_base)
                if seconds > self.limit_s:
                    raise self._too_long(claimed_s)
        except av.error.FFmpegError as error:
            _log.debug("%s: %s", self.path, error)
        self._container.close()
        self._container = self._open()
        return seconds

    def _too_long(self, seconds: float | None) -> MediaError:
        limit = _clock(self.limit_s)
        if seconds is None:
            return MediaError(f"{self.path} is longer than the limit of {limit}")
        return MediaError(f"{self.path} is {_clock(seconds)} long, the limit is {limit}")

    def _resampled(self) -> Iterator[npt.NDArray[np.int16]]:
        resampler: AudioResampler | None = None
        layout: tuple[object, ...] = ()
        for frame in self._frames():
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or now != layout:
                if resampler is not None:
                    yield from _samples(resampler.resample(None))
                resampler, layout = _resampler(), now
            frame.pts = None
            yield from _samples(resampler.resample(frame))
        if resampler is not None:
            yield from _samples(resampler.resample(None))

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Decoded frames; packets that cannot be decoded are stepped over and counted."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                self._broken += 1
                _log.debug("%s: %s", self.path, error)
                continue
            yield from frames

    def _packets(self) -> "Iterator[av.Packet[AudioStream]]":
        """Packets of the first sound stream; a file that breaks off ends there."""
        try:
            yield from self._container.demux(self._container.streams.audio[0])
        except av.error.FFmpegError as error:
            self._broken += 1
            _log.debug("%s: %s", self.path, error)


def decode(path: str | os.PathLike[str], limit_s: float = MAX_SPEECH_S) -> Iterator[Pcm]:
    """Yields a file's sound; see `SpeechFile`, which also tells its length.

    Raises:
        MediaError: see `SpeechFile`; raised when the first piece is asked for.
    """
    with SpeechFile(path, limit_s) as speech:
        yield from speech


class Mp4Writer:
    """Writes pictures and their sound to an MP4: H.264 and AAC, 25 pictures a second.

    Use as a context manager. The file appears under its name only when the block ends well;
    until then it is a hidden file beside it, which is removed when the block raises.

    Args:
        path: ends in `.mp4`; an older file of that name is replaced.
        size_px: side of the square picture, even.

    Raises:
        MediaError: the name does not end in `.mp4`, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], size_px: int) -> None:
        self.path = Path(path)
        self.frames = 0
        self._part = _make_part(self.path)
        try:
            self._container = av.open(
                f"file:{self._part}",
                "w",
                format="mp4",
                container_options={"movflags": "+faststart"},
            )
            self._video = self._container.add_stream("libx264", FPS, options=_X264)
            context = self._video.codec_context
            context.width = context.height = size_px
            context.pix_fmt = "yuv420p"
            context.thread_count = 1
            # sRGB portrait, BT.601 matrix: what `Picture.i420` holds.
            context.color_range = ColorRange.MPEG
            context.color_primaries = ColorPrimaries.BT709
            context.color_trc = ColorTrc.IEC61966_2_1
            context.colorspace = Colorspace.ITU601
            self._audio = self._container.add_stream(
                "aac", SAMPLE_RATE_HZ, layout="mono", bit_rate=_AAC_BPS
            )
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

    def write(self, i420: npt.NDArray[np.uint8], pcm: Pcm) -> None:
        """Adds one picture, (size_px * 3 // 2, size_px) uint8, and its sound.

        Raises:
            MediaError: the disk is full, or the picture is of another size.
        """
        size = self._video.codec_context.width
        if i420.shape != (size * 3 // 2, size):
            raise MediaError(f"picture is {i420.shape}, expected {(size * 3 // 2, size)}")
        picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(i420), format="yuv420p")
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

    def _failed(self, error: Exception) -> MediaError:
        return MediaError(f"{self.path} cannot be written: {_reason(error)}")


def _check_readable(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {_reason(error)}") from error
    if path.is_dir():
        raise MediaError(f"{path} is a folder, expected a sound or video file")
    if not path.is_file():
        raise MediaError(f"{path} is not a plain file")
    if not size:
        raise MediaError(f"{path} is empty (0 bytes)")


def _make_part(path: Path) -> Path:
    if path.suffix.lower() != ".mp4":
        raise MediaError(f"{path} ends in {path.suffix!r}, expected '.mp4'")
    if path.is_dir():
        raise MediaError(f"{path} is a folder, expected the name of a file")
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
    except OSError as error:
        raise MediaError(f"{path} cannot be written: {_reason(error)}") from error
    return part


def _resampler() -> AudioResampler:
    return AudioResampler("s16", "mono", SAMPLE_RATE_HZ, FRAME_SAMPLES)


def _samples(frames: list[av.AudioFrame]) -> Iterator[npt.NDArray[np.int16]]:
    for frame in frames:
        yield np.asarray(frame.to_ndarray(), np.int16).reshape(-1)


def _kinds(container: InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{s:02}"
