"""How far the sound of a clip lies behind its picture, from what lips ought to do for the sound.

A lip network hears the sound; how fast it expects the lips to part or meet is laid over how fast
they did, at every lag. (Speeds: how wide a mouth rests says nothing about time.)
Zero is what the network was taught (GRID, recorded for the purpose). A network must not have
been trained on the clip: it would find whatever offset the clip had then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FPS = 25
REACH = 15
"""Lags looked at either way, in pictures; short clips are looked at over an eighth of theirs."""
CHANCE = 1.44
"""Standard deviation, times the root of the pictures compared, of the correlation between sound
and lips of different clips; it was the same for pieces of 3, 5 and 10 s."""
LEAST_PICTURES = 40
OWN_PICTURES = 200
"""A longer clip's own peak stands on its own; a shorter one may lean on its speaker's."""
LEAN = 0.12
"""A short clip takes its speaker's offset where that costs it no more correlation than this."""
SURE = 3.0
ALIKE = 0.5
"""A speaker's clips count as cut alike if the offsets of those as confident as SURE lie, in the
median, no further than this from their own median, in pictures."""


Listener = Callable[[F32], F32]
"""(T * 640,) float32 sound at 16 kHz -> (T,) the opening that it lets expect, in any unit."""


@dataclass(frozen=True, slots=True)
class Lags:
    """Likeness of expected and tracked speed of the opening at every lag.

    Attributes:
        curve: (2 reach + 1,) correlation at lags of -reach to reach pictures; positive: the sound
            comes late.
        count: pictures compared.
    """

    curve: F64
    count: int

    @property
    def chance(self) -> float:
        """Standard deviation of a correlation between things that have nothing in common."""
        return float(CHANCE / np.sqrt(self.count))

    @property
    def reach(self) -> int:
        """Lags looked at either way."""
        return len(self.curve) // 2

    def at(self, lag: float) -> float:
        """Correlation at a lag in pictures, between whole ones by a straight line."""
        return float(np.interp(lag, np.arange(-self.reach, self.reach + 1), self.curve))


@dataclass(frozen=True, slots=True)
class Offset:
    """The sound's lateness.

    Attributes:
        pictures: at 25 a second; positive where the sound comes after the picture.
        correlation: of expected and tracked speed there.
        confidence: correlation over its standard deviation by chance. Where sound and picture
            have nothing in common, the best of all lags reaches 2.5 in an eighth of the cases.
        own: found in the clip alone, not taken from its speaker's other clips.
    """

    pictures: float
    correlation: float
    confidence: float
    own: bool = True


def _correlation(a: F64, b: F64) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-20))


def lags(expected: F32, tracked: F32, use: Bools) -> Lags | None:
    """Compares an expected (T,) with a tracked (T,) opening where `use` (T,) says so.

    Returns:
        None where fewer than LEAST_PICTURES are to be compared, or nothing moves.
    """
    count = min(len(expected), len(tracked))
    if count < LEAST_PICTURES or int(use[:count].sum()) < LEAST_PICTURES:
        return None
    heard = np.gradient(np.maximum(expected[:count], 0).astype(np.float64))
    seen, use = np.gradient(tracked[:count].astype(np.float64)), use[:count]
    if heard.std() < 1e-6 or seen[use].std() < 1e-6:
        return None
    reach = min(REACH, count // 8)
    shifts = range(-reach, reach + 1)
    curve = [_correlation(np.roll(heard, -lag)[use], seen[use]) for lag in shifts]
    return Lags(np.array(curve), int(use.sum()))


def peak(curve: F64) -> float:
    """Lag of a curve's maximum, by the parabola through it and its neighbours."""
    best, reach = int(np.argmax(curve)), len(curve) // 2
    if not 0 < best < len(curve) - 1:
        return float(best - reach)
    low, top, high = curve[best - 1 : best + 2]
    bend = low - 2 * top + high
    return float(best - reach + (0.5 * (low - high) / bend if bend < 0 else 0.0))


def own(found: Lags) -> Offset:
    """The offset that a clip shows by itself; no confidence where the best lag is the last."""
    lag = peak(found.curve)
    top = float(found.curve.max())
    sure = top / found.chance if abs(lag) < found.reach else 0.0
    return Offset(round(lag, 2), round(top, 3), round(sure, 2))


def at(found: Lags, lag: float) -> Offset:
    """An offset that is known from elsewhere, and how well it fits the clip."""
    there = found.at(lag)
    return Offset(round(lag, 2), round(there, 3), round(there / found.chance, 2), own=False)


def common(found: dict[str, Lags]) -> float | None:
    """The one offset of a speaker's clips, None where they were not all cut alike."""
    sure = [o.pictures for o in map(own, found.values()) if o.confidence >= SURE]
    if len(sure) < 3 or np.median(np.abs(np.array(sure) - np.median(sure))) > ALIKE:
        return None
    reach = min(f.reach for f in found.values())
    curves = [f.curve[f.reach - reach :][: 2 * reach + 1] for f in found.values()]
    return peak(np.average(curves, axis=0, weights=[f.count for f in found.values()]))


def settle(found: dict[str, Lags], usual: float | None) -> dict[str, Offset]:
    """Offsets of one speaker's clips, by name.

    A short clip's peak is uncertain by a picture or more: it takes the speaker's `common` offset,
    `usual`, unless its own curve says clearly otherwise.
    """
    out = {name: own(one) for name, one in found.items()}
    for name, one in found.items():
        if usual is None or one.count >= OWN_PICTURES:
            continue
        if one.at(usual) > out[name].correlation - LEAN:
            out[name] = at(one, usual)
    return out
