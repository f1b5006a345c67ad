"""Motion stage: a head and lids that live by themselves, drawn by a network, seeded.

A transformer VAE (`models.nets.motion`) turns what is heard, a style and Gaussian latents into
head pose and the chance that a blink begins. The latents are stationary, and the network sees the
last seconds alone and never its own output, so minute 600 moves as minute 1. Only small things
are made by hand: the eyes stay on the viewer while the head turns, with small glances, and loud
syllables raise the brows.
"""

from dataclasses import astuple, dataclass
from math import exp, radians, tanh

import numpy as np
import numpy.typing as npt

from engine import backends
from engine.config import EXPRESSIONS, EngineConfig
from engine.errors import ConfigError
from engine.frames import FRAME_MS, AudioFrame, Motion, Pose
from models import weights
from models.activity import Activity
from models.latents import HOLD, MEMORIES_S, Latents

F32 = npt.NDArray[np.float32]
Angles = tuple[float, float, float]

WEIGHTS = "motion.onnx"
_DT_S = FRAME_MS / 1000
_FREE, _LIMIT = radians(8.0), radians(12.0)
"""Angles pass unchanged up to the first and never reach the second: the warp is good to it."""
_JUMP = radians(4.0)
"""A head never turns further than this in a picture; the footage's largest step is 4.3 degrees."""
_BODY = (0.5, 0.5, 0.7)
"""Share of the trained x, y and log size that is shown: the picture's body stays where it is."""
_SETTLE_S = 3.0
"""A talk starts in the portrait's own pose and is on its way after this time."""
_WARM_UP = 60
"""Silent pictures before the first, so that the network's window is full: 12 ms."""
_BROW = 0.014
_ROUNDING = 2
"""Component of the lip code that draws the mouth's corners in."""
_AJAR = 0.15
"""Lip code 0 below which the lips are about to close."""
_YIELDS = 0.6
"""Share of the expression that such sounds take away."""
_STEADY_GAZE = 0.40
"""Turn of the eyes in eye widths a radian of the head, opposite: an eyeball of 12 mm radius in a
30 mm opening."""


@dataclass(frozen=True, slots=True)
class Style:
    """Character of a head's motion: natural logarithms against the footage's mean, -1.2 to 1.2.

    Attributes:
        amplitude: of the angles.
        pace: speed at the same amplitude.
        nodding: nods against turns.
        blinking: how often.

    Raises:
        ConfigError: a value is out of its range.
    """

    amplitude: float = 0.0
    pace: float = 0.0
    nodding: float = 0.0
    blinking: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amplitude", "pace", "nodding", "blinking"):
            value = getattr(self, name)
            if not -1.2 <= value <= 1.2:
                raise ConfigError(f"{name} of a style is {value}, expected -1.2 to 1.2")


STYLES: dict[str, Style] = {
    "even": Style(amplitude=-0.25),
    "calm": Style(amplitude=-0.7, pace=-0.15, blinking=-0.2),
    "lively": Style(amplitude=0.15, pace=0.15),
}
"""By name; `even` is the usual one, calmer than the footage's mean: that is nearly all one man's
before a teleprompter."""


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
    """Audio frames in, motion out, one for one.

    Args:
        config: `seed` draws the motion, `liveliness` scales the head's.
        style: one's own, in place of the one that `config` names.

    Raises:
        ConfigError: no such style.
        BackendError: the configured backend cannot run.
    """

    def __init__(self, config: EngineConfig, style: Style | None = None) -> None:
        if style is None and config.style not in STYLES:
            raise ConfigError(
                f"style {config.style!r} is unknown, expected one of {sorted(STYLES)}"
            )
        self._config = config
        self._style = np.array([astuple(style or STYLES[config.style])], np.float32)
        self._network = backends.load(backends.beside(config.backend), weights.path(WEIGHTS))
        self.reset()

    def reset(self) -> None:
        """Starts anew: the same seed moves the head the same way."""
        streams = np.random.SeedSequence(self._config.seed).spawn(3)
        dice = [np.random.default_rng(stream) for stream in streams]
        self._latents = Latents(MEMORIES_S, HOLD, dice[0])
        self._blinks = _Blinks(dice[1])
        self._glances = _Glances(dice[2])
        self._activity = Activity()
        self._cache = np.zeros(self._network.inputs["cache"], np.float32)
        self._angles = (0.0, 0.0, 0.0)
        self._drawn = np.zeros(6, np.float32)
        self._settled = Spring(1 / _SETTLE_S)
        self._speech = Spring(0.9)
        self._brow = Spring(1.2)
        self._loud = 0.0
        self._smile = Spring(2.0)
        for _ in range(_WARM_UP):
            self._draw(0.0, 0.0)

    def flush(self) -> list[Motion]:
        """Nothing is held back."""
        return []

    def push(self, frame: AudioFrame) -> list[Motion]:
        """One audio frame gives one motion."""
        found = self._draw(frame.voice, frame.energy)
        blink = self._blinks.step(float(found["blink"][0, 0]))
        lively = self._config.liveliness * self._settled.step(1.0)
        # The mean of two pictures takes off a quarter of what is left of jitter at 6 Hz.
        drawn, self._drawn = (self._drawn + found["pose"][0]) / 2, found["pose"][0]
        self._angles = _follow(self._angles, lively * drawn[:3])
        pose = _pose(self._angles, drawn[3:], lively)
        accent = max(frame.energy - self._loud, 0.0) * frame.voice
        self._loud += 0.12 * (frame.energy - self._loud)
        glance = self._glances.step(self._speech.step(frame.voice))
        gaze = (
            glance[0] * lively - _STEADY_GAZE * pose.yaw,
            glance[1] * lively - _STEADY_GAZE * pose.pitch,
        )
        smile, frown = EXPRESSIONS[self._config.expression]
        brow = lively * _BROW * min(self._brow.step(2.5 * accent), 1.0) + frown
        smile *= self._smile.step(_smiling(frame))
        code, sound = frame.lip_code, frame.embedding
        return [Motion(frame.index, code, pose, blink, gaze, brow, sound, smile)]

    def _draw(self, voice: float, energy: float) -> backends.Arrays:
        """Moves the network one picture on."""
        found = self._network.run(
            {
                "heard": self._activity.step(voice, energy)[None],
                "style": self._style,
                "noise": self._latents.step(),
                "since_s": np.array([[self._blinks.since_s]], np.float32),
                "cache": self._cache,
            }
        )
        self._cache = found["next_cache"]
        return found


def _smiling(frame: AudioFrame) -> float:
    """Share of the expression that the lips leave room for: less where they round or must close."""
    code = frame.lip_code
    if not frame.voice or len(code) <= _ROUNDING:
        return 1.0
    shut = max(1 - float(code[0]) / _AJAR, 0.0)
    rounded = min(max(float(code[_ROUNDING]), 0.0), 1.0)
    return 1 - _YIELDS * frame.voice * max(shut, rounded)


def _follow(shown: Angles, wanted: npt.NDArray[np.floating]) -> Angles:
    """The next angles to show: those wanted, within _LIMIT and a step of _JUMP."""
    goals = (_bounded(float(a)) for a in wanted)
    yaw, pitch, roll = (
        a + _JUMP * tanh((g - a) / _JUMP) for a, g in zip(shown, goals, strict=True)
    )
    return yaw, pitch, roll


def _pose(angles: Angles, moved: F32, lively: float) -> Pose:
    x, y, size = (lively * share * float(a) for share, a in zip(_BODY, moved, strict=True))
    return Pose(*angles, x, y, exp(size))


def _bounded(angle: float) -> float:
    beyond = abs(angle) - _FREE
    if beyond <= 0:
        return angle
    room = _LIMIT - _FREE
    return (1 if angle > 0 else -1) * (_FREE + room * tanh(beyond / room))


class _Blinks:
    """Begins a blink by the network's chance, and closes both lids along a `BlinkShape`."""

    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self._shape = BlinkShape()
        self._lag_s = 0.0
        self.since_s = 1.0

    def step(self, chance: float) -> tuple[float, float]:
        """Chance that a blink begins in this picture -> closure of both lids."""
        # One throw a picture, whether it counts or not, so that a seed means the same everywhere.
        begins = self._dice.random() < chance
        if begins and self.since_s > self._shape.length_s + _DT_S:
            pace = self._dice.uniform(0.85, 1.12)
            self._shape = BlinkShape(0.08 * pace, 0.03 * pace, 0.15 * pace)
            self._lag_s = self._dice.uniform(-0.006, 0.006)
            self.since_s = 0.0
        closed = self._shape.closure(self.since_s), self._shape.closure(self.since_s - self._lag_s)
        self.since_s += _DT_S
        return closed


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
