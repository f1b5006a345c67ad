"""Sound in: any sound file to 48 kHz mono."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from engine.errors import MediaError
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm

MAX_SPEECH_S = 2 * 3600
"""Longest speech that is read."""

# Demuxers that only read the file they are given: a playlist could name other files or hosts.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,flac,flv,matroska,webm,mov,mp3,mp4,mpeg,mpegts,ogg,"
    "opus,w64,wav,wv"
)
_CUT_OFF_S = 0.5
"""A file that ends this much before the length it claims is reported as cut off."""
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
            raise MediaError(f"{self.path} cannot be read: {reason_of(error)}") from error
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


def _check_readable(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {reason_of(error)}") from error
    if path.is_dir():
        raise MediaError(f"{path} is a folder, expected a sound or video file")
    if not path.is_file():
        raise MediaError(f"{path} is not a plain file")
    if not size:
        raise MediaError(f"{path} is empty (0 bytes)")


def _resampler() -> AudioResampler:
    return AudioResampler("s16", "mono", SAMPLE_RATE_HZ, FRAME_SAMPLES)


def _samples(frames: list[av.AudioFrame]) -> Iterator[npt.NDArray[np.int16]]:
    for frame in frames:
        yield np.asarray(frame.to_ndarray(), np.int16).reshape(-1)


def _kinds(container: InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def reason_of(error: Exception) -> str:
    """What an error of PyAV or of the system says, without number and path."""
    return str(getattr(error, "strerror", None) or error).lower()


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{s:02}"
