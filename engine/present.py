"""A file in, a film out: the call's own pipeline, fed from a sound file at full speed."""

import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from engine.avatar import Avatar, find, names
from engine.config import TRANSPARENT, EngineConfig
from engine.errors import AvatarError, MediaError
from engine.film import FilmWriter
from engine.frames import FPS, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, Picture
from engine.media import SpeechFile
from engine.metrics import StageSummary, StageTimes
from engine.pipeline import Pipeline

QUEUE_MS = 320
"""How far rendering may run ahead of encoding."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PresentStats:
    """What `present_file` made.

    Attributes:
        frames: pictures written.
        speech_s: length of the speech, before it was padded to whole frames.
        wall_s: time it took.
        stages: ms a frame by stage, encoding among them.
    """

    frames: int
    speech_s: float
    wall_s: float
    stages: dict[str, StageSummary]

    @property
    def fps(self) -> float:
        """Frames made a second."""
        return self.frames / self.wall_s if self.wall_s > 0 else 0.0


def present_file(
    speech: str | os.PathLike[str],
    out: str | os.PathLike[str],
    avatar: Avatar | str | None = None,
    config: EngineConfig | None = None,
    progress: Progress | None = None,
) -> PresentStats:
    """Lets an avatar say a sound file, or the sound of a video, into a film.

    Args:
        speech: any file that `SpeechFile` reads.
        out: name of the film, whose ending is one of `engine.film.KINDS`; an older one is replaced
            when the new one is whole.
        avatar: the avatar or its name; the first built-in one if None.
        config: settings; `live` does not apply, as no picture of a file is ever dropped.
        progress: called with (frames done, frames expected) from the calling thread.

    Raises:
        MediaError: the speech cannot be read or is too long, or the film cannot be written.
        AvatarError: there is no such avatar.
        BackendError: the networks cannot run here.
    """
    if isinstance(avatar, str) or avatar is None:
        avatar = find(avatar or default_avatar())
    config = replace(config or EngineConfig(), live=False)
    started = time.perf_counter()
    with SpeechFile(speech) as source:
        if Path(out).exists() and Path(out).samefile(source.path):
            raise MediaError(f"{out} is the speech itself, expected another name for the film")
        expected = math.ceil(source.duration_s * FPS)
        with FilmWriter(out, config.size_px, config.background == TRANSPARENT) as writer:
            pipeline = Pipeline(avatar, config)
            with _Encoder(writer, pipeline.timings) as encoder:
                for picture in _pictures(source, pipeline):
                    encoder.put(picture)
                    if progress is not None:
                        progress(picture.index + 1, max(expected, picture.index + 1))
    return PresentStats(
        writer.frames,
        source.samples / SAMPLE_RATE_HZ,
        time.perf_counter() - started,
        pipeline.timings.summary(),
    )


def default_avatar() -> str:
    """Name of the avatar that is taken where none is named.

    Raises:
        AvatarError: no avatar is installed.
    """
    known = names()
    if not known:
        raise AvatarError("no avatar is installed, expected at least one in models/avatars")
    return known[0]


class _Encoder:
    """Writes pictures on a thread of its own: codecs release the GIL while the next is rendered."""

    def __init__(self, writer: FilmWriter, timings: StageTimes) -> None:
        self._writer = writer
        self._timings = timings
        self._queue: queue.Queue[Picture | None] = queue.Queue(QUEUE_MS // FRAME_MS)
        self._error: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="encode")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stopped.set()
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, picture: Picture) -> None:
        """Hands a picture over; waits while the queue is full; raises what the thread raised."""
        if self._error is not None:
            raise self._error
        self._queue.put(picture)

    def _run(self) -> None:
        # After an error the queue is still emptied, so that `put` never waits for ever.
        while (picture := self._queue.get()) is not None:
            if self._stopped.is_set():
                continue
            try:
                with self._timings.measure("encode"):
                    self._write(picture)
            except Exception as error:  # noqa: BLE001 - raised again on the calling thread
                self._error = error
                self._stopped.set()

    def _write(self, picture: Picture) -> None:
        if picture.i420 is None:
            raise MediaError(f"picture {picture.index} was dropped, expected none to be")
        self._writer.write(picture.i420, picture.pcm, picture.alpha)


def _pictures(source: SpeechFile, pipeline: Pipeline) -> Iterator[Picture]:
    """Every picture of the speech, whose last frame is filled up with silence."""
    for pcm in source:
        yield from pipeline.push(pcm)
    if missing := -source.samples % FRAME_SAMPLES:
        yield from pipeline.push(Pcm(source.samples, np.zeros(missing, np.int16)))
    yield from pipeline.flush()
