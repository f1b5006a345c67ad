"""The figures of `bench quality`, each a plain function of arrays; README.md says where they err.

Faces are (T, 478, 3), upright, in widths of the speaker's own face (`made.Upright`);
openings (T,) are gaps of the inner lips beyond those of the shut mouth, in face widths; angles
are radians. A figure that a clip is too short or too quiet for is NaN.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import measures
from models.topology import LANDMARKS

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Sound = tuple[str, float, float]
"""A sound of speech: its name, and when it begins and ends, in seconds."""

FPS = measures.FPS
LMD_PX = 256
"""Width of the face at which landmark distances are told."""
MOUTH = np.array(
    [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 81, 13, 311, 308, 402, 14, 178]
)
"""Twelve points of the outer lips and eight of the inner: the mouth of the 68-point scheme."""
FACE = np.arange(LANDMARKS - 10)
"""All but the irises, which gaze moves."""
MAX_LAG = 5
SHUT = 0.008
"""Below this opening the lips count as shut."""
CLOSED_SOUNDS = ("p", "b", "m")
OPEN_SOUNDS = tuple("aa ae ah ao aw ax ay eh er ey ow oy".split())
_BEAT_SIGMA_S = 0.1
_BEAT_GAP_HOPS = 15
_LEAST = 10


def lmd(true: F64, made: F64, index: npt.NDArray[np.int64], valid: Mask) -> float:
    """Mean distance a point, both sets centred on their own mean, in px of a 256 px wide face."""
    a, b = true[:, index, :2][valid], made[:, index, :2][valid]
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return float(np.linalg.norm(a - b, axis=2).mean() * LMD_PX)


def correlations(true: F64, made: F64, use: Mask) -> F64:
    """(2 MAX_LAG + 1,) correlation of two openings where `use` holds of the true one, for each
    number of pictures, -5 to 5, by which the made one comes late."""
    count = len(true)
    found = []
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        a = made[max(0, lag) : count + min(0, lag)]
        part = slice(max(0, -lag), count - max(0, lag))
        x, y = a[use[part]], true[part][use[part]]
        moves = len(x) >= _LEAST and x.std() > 1e-6 and y.std() > 1e-6
        found.append(np.corrcoef(x, y)[0, 1] if moves else np.nan)
    return np.array(found)


def spread(true: F64, made: F64, use: Mask) -> float:
    """Standard deviation of the made opening over that of the true one."""
    moves = use.any() and true[use].std() > 0
    return float(made[use].std() / true[use].std()) if moves else float("nan")


def closed(opening: F64, sounds: Sequence[Sound], names: Sequence[str]) -> tuple[int, int]:
    """Of the named sounds, at how many the lips shut, and how many there are.

    Shut is an opening under `SHUT` in any picture from one before the sound to one after it.
    """
    shut = total = 0
    for name, begin_s, end_s in sounds:
        first, last = int(np.ceil(begin_s * FPS)) - 1, int(np.floor(end_s * FPS)) + 1
        if name not in names or first < 0 or last >= len(opening):
            continue
        total += 1
        shut += bool(opening[first : last + 1].min() < SHUT)
    return shut, total


def movement(points: F64, use: Mask) -> float:
    """Mean speed of the mouth's points in face widths a second, where `use` (T,) holds."""
    steps = np.linalg.norm(np.diff(points[:, MOUTH, :2], axis=0), axis=2).mean(1) * FPS
    both = use[1:] & use[:-1]
    return float(steps[both].mean()) if both.any() else float("nan")


def percent(part: float, whole: float) -> float:
    """A share in percent; NaN of nothing."""
    return 100 * part / whole if whole else float("nan")


def lip_jitter(points: F64, use: Mask) -> float:
    """Mean acceleration of the mouth's points in face widths a second squared."""
    bend = np.linalg.norm(np.diff(points[:, MOUTH, :2], 2, axis=0), axis=2).mean(1) * FPS**2
    three = use[2:] & use[1:-1] & use[:-2]
    return float(bend[three].mean()) if three.any() else float("nan")


def head_jitter(angles: F64) -> float:
    """Mean acceleration of (T, 3) yaw, pitch and roll together, in degrees a second squared."""
    bend = np.linalg.norm(np.diff(np.degrees(angles), 2, axis=0), axis=1)
    return float(bend.mean() * FPS**2)


def head_speed(angles: F64) -> F64:
    """(T - 3,) speed of yaw, pitch and roll together in degrees a second, after a mean of three
    pictures; entry k is at picture k + 1.5."""
    steps = np.diff(np.degrees(measures.smooth(angles)), axis=0)
    return np.asarray(np.linalg.norm(steps, axis=1) * FPS)


def beats(pcm: F32) -> F64:
    """Seconds of the beats of speech: peaks of the rise of the log-mel spectrum, 150 ms apart."""
    mel = logmel.LogMel().push(pcm)
    rise = np.maximum(mel[2:] - mel[:-2], 0).mean(1)
    rise = np.convolve(rise, np.hanning(7)[1:-1] / np.hanning(7).sum(), "same")
    level = rise.mean() + 0.5 * rise.std()
    peaks = [
        i
        for i in range(_BEAT_GAP_HOPS, len(rise) - _BEAT_GAP_HOPS)
        if rise[i] > level and rise[i] == rise[i - _BEAT_GAP_HOPS : i + _BEAT_GAP_HOPS + 1].max()
    ]
    return (np.array(peaks) + 2.0) * logmel.HOP / logmel.RATE_HZ


def beat_align(angles: F64, beat_s: F64) -> tuple[float, float]:
    """Mean over beats of exp(-d^2 / 2 sigma^2), sigma 0.1 s, d to the nearest minimum of the
    head's speed; and what the same beats give by chance, moved around the clip."""
    speed = head_speed(angles)
    inner = speed[1:-1]
    low = np.flatnonzero((inner <= speed[:-2]) & (inner < speed[2:])) + 1
    if not len(low) or not len(beat_s):
        return float("nan"), float("nan")
    low_s = (low + 1.5) / FPS
    length_s = len(angles) / FPS

    def score(times: F64) -> float:
        away = np.abs(times[:, None] - low_s).min(1)
        return float(np.exp(-(away**2) / (2 * _BEAT_SIGMA_S**2)).mean())

    moved = np.arange(1, 24) / 24 * length_s
    return score(beat_s), float(np.mean([score((beat_s + m) % length_s) for m in moved]))
