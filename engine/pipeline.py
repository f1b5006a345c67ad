"""The pipeline: sound in, pictures with their sound out; the same for a call and for a file."""

from engine.audio import AudioStage
from engine.avatar import Avatar
from engine.backdrop import backdrop
from engine.composite import CompositeStage
from engine.config import TRANSPARENT, EngineConfig
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, Motion, Pcm, Picture
from engine.kept import kept_with_first
from engine.metrics import StageTimes
from engine.motion import MotionStage
from engine.mouth import MouthPainter
from engine.paint import NetworkPainter
from engine.render import Painter, RenderStage
from engine.rig import Rig, build
from engine.ring import RingBuffer
from models import facemodel

_RING_MS = 4000
_PIECE = SAMPLE_RATE_HZ
"""Samples taken at a time, however much is pushed: the ring must not lose what waits in it."""

Heard = tuple[AudioFrame, Pcm]


class Pipeline:
    """One session's stages, in order: audio, motion, render, composite.

    Picture i comes out as soon as the sound up to `i * 40 ms + lookahead_ms` has been pushed.

    Args:
        avatar: who speaks.
        config: with `live`, of several pictures that are ready at once only the newest is drawn;
            the others keep their sound and have no picture.

    Attributes:
        timings: recent times of each stage.

    Raises:
        ConfigError: a style or a background that cannot be had.
    """

    def __init__(self, avatar: Avatar, config: EngineConfig) -> None:
        rig = rig_of(avatar, config.size_px)
        self.config = config
        self.timings = StageTimes()
        self._audio = AudioStage(config)
        self._motion = MotionStage(config)
        self._render = RenderStage(rig, _painter(rig, config))
        self._composite = CompositeStage(
            rig, backdrop(rig, config.background), config.background == TRANSPARENT
        )
        self.reset()

    def reset(self) -> None:
        """Forgets everything heard and drawn; the next sound starts at pts 0."""
        self._sound = RingBuffer(_RING_MS)
        for stage in (self._audio, self._motion, self._render, self._composite):
            stage.reset()

    def push(self, pcm: Pcm) -> list[Picture]:
        """Takes sound in order of its pts, gives the pictures that are now ready."""
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
        if late:
            return Picture(frame.index, None, pcm, motion, frame.voice)
        with self.timings.measure("render"):
            (guided,) = self._render.push(motion)
        with self.timings.measure("composite"):
            (planes,) = self._composite.push(guided)
        return Picture(frame.index, planes.i420, pcm, motion, frame.voice, planes.alpha)


def _painter(rig: Rig, config: EngineConfig) -> Painter:
    if config.steps:
        return NetworkPainter(rig, config.steps, config.backend)
    return MouthPainter(rig)


@kept_with_first
def rig_of(avatar: Avatar, size_px: int) -> Rig:
    """Made once for an avatar and a size, shared by all sessions: nothing in it changes."""
    return build(avatar, size_px, facemodel.load())
