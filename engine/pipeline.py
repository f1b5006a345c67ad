"""The pipeline: sound in, pictures with their sound out; the same for a call and for a file."""

import numpy as np

from engine.audio import AudioStage
from engine.avatar import Avatar
from engine.config import EngineConfig
from engine.errors import MediaError
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, Motion, Pcm, Picture
from engine.metrics import StageTimes
from engine.motion import MotionStage
from engine.renderer import Direct, Drawing, Scene, Share
from engine.ring import RingBuffer

_RING_MS = 4000
_PIECE = SAMPLE_RATE_HZ
"""Samples taken at a time, however much is pushed: the ring must not lose what waits in it."""

Heard = tuple[AudioFrame, Pcm]


class Pipeline:
    """One session's stages, in order: audio, motion, and what draws: render, composite.

    Picture i comes out as soon as the sound up to `i * 40 ms + lookahead_ms` has been pushed.

    Args:
        avatar: who speaks.
        config: with `live`, of several pictures that are ready at once only the newest is drawn;
            the others keep their sound and have no picture.
        drawing: draws for this and other sessions; the pipeline itself if None.

    Attributes:
        timings: recent times of each stage.

    Raises:
        ConfigError: a style or a background that cannot be had.
    """

    def __init__(
        self, avatar: Avatar, config: EngineConfig, drawing: Drawing | None = None
    ) -> None:
        self.config = config
        self.timings = StageTimes()
        self._audio = AudioStage(config)
        self._motion = MotionStage(config)
        self._drawer = (drawing or Direct()).start(Scene.of(avatar, config), self.timings)
        self.reset()

    @property
    def share(self) -> Share:
        """What this session gets of what draws for several."""
        return self._drawer.share

    def reset(self) -> None:
        """Forgets everything heard; the next sound starts at pts 0."""
        self._sound = RingBuffer(_RING_MS)
        for stage in (self._audio, self._motion):
            stage.reset()

    def close(self) -> None:
        """Nothing more will be pushed."""
        self._drawer.close()

    def push(self, pcm: Pcm) -> list[Picture]:
        """Takes sound in order of its pts, gives the pictures that are now ready.

        Raises:
            MediaError: the samples are no (N,) int16: as floats of 1 at most they would be silence.
        """
        if pcm.samples.ndim != 1 or pcm.samples.dtype != np.int16:
            raise MediaError(
                f"samples are {pcm.samples.shape} {pcm.samples.dtype}, expected (N,) int16"
            )
        heard: list[Heard] = []
        for start in range(0, len(pcm.samples), _PIECE):
            piece = Pcm(pcm.pts + start, pcm.samples[start : start + _PIECE])
            self._sound.write(piece)
            with self.timings.measure("audio"):
                frames = self._audio.push(piece)
            heard += self._with_sound(frames)
        return self._pictures(heard)

    def flush(self) -> list[Picture]:
        """The pictures that still waited for future sound; silence stands in for it.

        The stream ends here: `reset` comes before the next `push`.
        """
        return self._pictures(self._with_sound(self._audio.flush()))

    def _with_sound(self, frames: list[AudioFrame]) -> list[Heard]:
        return [
            (frame, self._sound.read(frame.index * FRAME_SAMPLES, FRAME_SAMPLES))
            for frame in frames
        ]

    def _pictures(self, heard: list[Heard]) -> list[Picture]:
        pictures = []
        for number, (frame, pcm) in enumerate(heard, 1):
            with self.timings.measure("motion"):
                (motion,) = self._motion.push(frame)
            late = self.config.live and number < len(heard)
            pictures.append(self._picture(frame, pcm, motion, late))
        return pictures

    def _picture(self, frame: AudioFrame, pcm: Pcm, motion: Motion, late: bool) -> Picture:
        planes = None if late else self._drawer.draw(motion)
        if planes is None:
            return Picture(frame.index, None, pcm, motion, frame.voice)
        return Picture(frame.index, planes.i420, pcm, motion, frame.voice, planes.alpha)
