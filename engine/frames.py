"""What travels between the stages. Every `pts` is set once, at capture, and carried to the end."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 48_000
"""Rate of all sound outside the audio stage: what Opus decodes to."""
FPS = 25
FRAME_MS = 1000 // FPS
FRAME_SAMPLES = SAMPLE_RATE_HZ // FPS
"""Samples of sound that belong to one picture: 1920, that is 40 ms."""


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """A run of mono sound.

    Attributes:
        pts: first sample's time in samples at 48 kHz since the session's epoch.
        samples: (N,) int16.
    """

    pts: int
    samples: npt.NDArray[np.int16]

    @property
    def end(self) -> int:
        """Time just after the last sample."""
        return self.pts + len(self.samples)


EMBEDDING = 64
"""Length of the lip network's embedding."""


def _nothing_heard() -> npt.NDArray[np.float32]:
    return np.zeros(EMBEDDING, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """What the audio stage says of one picture's time.

    Attributes:
        index: picture number; its time is `index * FRAME_MS`.
        lip_code: (K,) float32, coefficients of the lip basis; zero is a shut mouth.
        voice: voice activity in [0, 1], smoothed.
        energy: loudness in [0, 1], for accents of the head and brows.
        embedding: (EMBEDDING,) float32, what the lip network makes of the sound; the lips are
            read from it.
    """

    index: int
    lip_code: npt.NDArray[np.float32]
    voice: float
    energy: float
    embedding: npt.NDArray[np.float32] = field(default_factory=_nothing_heard)


@dataclass(frozen=True, slots=True)
class Pose:
    """Rigid head pose, relative to the portrait's own.

    Angles in radians; `x`, `y` in face widths (right and down positive); `scale` is a factor.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Everything that moves in one picture.

    Attributes:
        index: picture number.
        lip_code: (K,) float32, see `AudioFrame`.
        pose: rigid head pose.
        blink: closure of the (left, right) eyelid, 0 open to 1 shut.
        gaze: (x, y) turn of the eyes in eye widths.
        brow: raise of the brows, in face widths.
        embedding: (EMBEDDING,) float32 of the sound, see `AudioFrame`.
        smile: 1 is broad, with shut lips; below 0 the mouth's corners fall.
    """

    index: int
    lip_code: npt.NDArray[np.float32]
    pose: Pose = field(default_factory=Pose)
    blink: tuple[float, float] = (0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    brow: float = 0.0
    embedding: npt.NDArray[np.float32] = field(default_factory=_nothing_heard)
    smile: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One tick of the media clock: a picture and the sound that belongs to it.

    Attributes:
        index: picture number; pts is `index * FRAME_MS` in milliseconds.
        i420: (H * 3 // 2, W) uint8 planar YUV 4:2:0, BT.601 limited range; None where the picture
            was dropped because its moment had passed.
        pcm: the `FRAME_SAMPLES` samples that start at the picture's time. Never dropped.
        motion: what was drawn.
        voice: see `AudioFrame`.
        alpha: (H, W) uint8, 255 where the person is, 0 where nothing is; `i420` is not multiplied
            by it and shows the person's colours throughout. None unless the background is
            `transparent`.
    """

    index: int
    i420: npt.NDArray[np.uint8] | None
    pcm: Pcm
    motion: Motion
    voice: float = 0.0
    alpha: npt.NDArray[np.uint8] | None = None
