"""Motion stage: lips from the sound, and a head and eyes that live by themselves, seeded.

The head follows critically damped springs towards targets that are drawn anew now and then, sooner
and wider while there is speech; loud syllables add small nods and raise the brows. The eyes stay on
the viewer while the head turns, with small glances. Blinks come at random, never two in a row
without a pause.
"""

from dataclasses import dataclass
from math import exp, radians

import numpy as np
import numpy.typing as npt

from engine.config import EngineConfig
from engine.frames import FRAME_MS, AudioFrame, Motion, Pose

_DT_S = FRAME_MS / 1000


@dataclass(frozen=True, slots=True)
class Wander:
    """How one axis of the head moves: spread of its targets, pause between them, and its pace."""

    idle: float
    speaking: float
    idle_pause_s: float
    speaking_pause_s: float
    pace_hz: float


AXES: dict[str, Wander] = {
    "yaw": Wander(radians(1.3), radians(4.4), 2.6, 0.9, 0.62),
    "pitch": Wander(radians(1.1), radians(3.4), 2.2, 0.7, 0.70),
    "roll": Wander(radians(0.7), radians(2.8), 3.0, 1.1, 0.55),
    "x": Wander(0.010, 0.032, 3.2, 1.4, 0.40),
    "y": Wander(0.007, 0.018, 2.8, 1.2, 0.40),
    "scale": Wander(0.004, 0.010, 4.0, 2.2, 0.25),
}
"""Towards the spread measured on real speakers (models/weights/liveliness.json), from below: the
body stays still, and the warp is good to about 12 degrees."""
_LIMIT = 2.2
"""Targets are cut at this many spreads: a head never turns far enough to tear the warp."""
_NOD = radians(1.8)
_BROW = 0.014
_STEADY_GAZE = 0.40
"""Turn of the eyes in eye widths a radian of the head, opposite: an eyeball of 12 mm radius in a
30 mm opening."""


@dataclass(frozen=True, slots=True)
class BlinkShape:
    """One blink's course in seconds: lids fall, rest, rise. 100 to 300 ms in all."""

    fall_s: float = 0.08
    rest_s: float = 0.03
    rise_s: float = 0.15

    @property
    def length_s(self) -> float:
        """From the first fall to the last rise."""
        return self.fall_s + self.rest_s + self.rise_s

    def closure(self, since_s: float) -> float:
        """Closure in [0, 1] at a time since the lids began to fall."""
        if since_s <= 0 or since_s >= self.length_s:
            return 0.0
        if since_s < self.fall_s:
            return _ease(since_s / self.fall_s)
        if since_s < self.fall_s + self.rest_s:
            return 1.0
        return 1.0 - _ease((since_s - self.fall_s - self.rest_s) / self.rise_s)


class Spring:
    """A critically damped spring, stepped exactly a picture at a time."""

    def __init__(self, pace_hz: float) -> None:
        self._omega = 2 * np.pi * pace_hz
        self._decay = exp(-self._omega * _DT_S)
        self.value = 0.0
        self._speed = 0.0

    def step(self, target: float) -> float:
        """Moves one picture on and returns the new value."""
        away = self.value - target
        drive = self._speed + self._omega * away
        self.value = target + (away + drive * _DT_S) * self._decay
        self._speed = (self._speed - self._omega * drive * _DT_S) * self._decay
        return self.value


class MotionStage:
    """Audio frames in, motion out, one for one."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Starts anew: the same seed moves the head the same way."""
        streams = np.random.SeedSequence(self._config.seed).spawn(len(AXES) + 2)
        dice = [np.random.default_rng(stream) for stream in streams]
        self._axes = {name: _Axis(wander, dice[i]) for i, (name, wander) in enumerate(AXES.items())}
        self._blinks = _Blinks(dice[-2])
        self._glances = _Glances(dice[-1])
        self._speech = Spring(0.9)
        self._nod = Spring(1.6)
        self._brow = Spring(1.2)
        self._loud = 0.0

    def flush(self) -> list[Motion]:
        """Nothing is held back."""
        return []

    def push(self, frame: AudioFrame) -> list[Motion]:
        """One audio frame gives one motion."""
        speech = self._speech.step(frame.voice)
        accent = max(frame.energy - self._loud, 0.0) * frame.voice
        self._loud += 0.12 * (frame.energy - self._loud)
        lively = self._config.liveliness
        turn = {name: axis.step(speech) * lively for name, axis in self._axes.items()}
        turn["pitch"] += lively * _NOD * self._nod.step(3.0 * accent)
        turn["scale"] += 1.0
        pose = Pose(**turn)
        glance = self._glances.step(speech)
        gaze = (
            glance[0] * lively - _STEADY_GAZE * pose.yaw,
            glance[1] * lively - _STEADY_GAZE * pose.pitch,
        )
        brow = lively * _BROW * min(self._brow.step(2.5 * accent), 1.0)
        blink = self._blinks.step(frame.index, speech)
        return [Motion(frame.index, frame.lip_code, pose, blink, gaze, brow)]


class _Axis:
    def __init__(self, wander: Wander, dice: np.random.Generator) -> None:
        self._wander = wander
        self._dice = dice
        self._target = 0.0
        self._pause_s = 0.0
        self._spring = Spring(wander.pace_hz)
        self._smooth = Spring(1.5)

    def step(self, speech: float) -> float:
        wander = self._wander
        self._pause_s -= _DT_S
        if self._pause_s <= 0:
            mean_s = _mix(wander.idle_pause_s, wander.speaking_pause_s, speech)
            self._pause_s = mean_s * self._dice.uniform(0.4, 1.6)
            self._target = float(np.clip(self._dice.standard_normal(), -_LIMIT, _LIMIT))
        spread = _mix(wander.idle, wander.speaking, speech)
        # A second spring takes away the kink in speed where the target jumps.
        return self._smooth.step(self._spring.step(self._target * spread))


class _Blinks:
    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self._at_s = self._pause()
        self._shape = self._next_shape()
        self._lag_s = 0.0

    def step(self, index: int, speech: float) -> tuple[float, float]:
        now_s = index * _DT_S
        if now_s > self._at_s + self._shape.length_s + 0.05:
            self._at_s = now_s + self._pause() * _mix(1.1, 0.9, speech)
            self._shape = self._next_shape()
            self._lag_s = self._dice.uniform(-0.006, 0.006)
        since_s = now_s - self._at_s
        return self._shape.closure(since_s), self._shape.closure(since_s - self._lag_s)

    def _pause(self) -> float:
        return float(np.clip(0.9 + self._dice.gamma(2.2, 1.05), 0.9, 8.0))

    def _next_shape(self) -> BlinkShape:
        pace = self._dice.uniform(0.85, 1.12)
        return BlinkShape(0.08 * pace, 0.03 * pace, 0.15 * pace)


class _Glances:
    """Small jumps of the eyes, mostly back to the viewer."""

    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self._pause_s = 1.0
        self._target = np.zeros(2)
        self._now = np.zeros(2)

    def step(self, speech: float) -> npt.NDArray[np.float64]:
        self._pause_s -= _DT_S
        if self._pause_s <= 0:
            away = self._dice.random() < _mix(0.30, 0.40, speech)
            self._target = self._dice.normal(0.0, 1.0, 2) * (
                (0.030, 0.012) if away else (0.006, 0.004)
            )
            self._pause_s = self._dice.uniform(0.3, 0.9) if away else self._dice.uniform(0.8, 2.6)
        self._now = self._now + 0.65 * (self._target - self._now)
        return self._now


def _ease(x: float) -> float:
    return x * x * (3 - 2 * x)


def _mix(a: float, b: float, share: float) -> float:
    return a + (b - a) * min(max(share, 0.0), 1.0)
