"""When a video's pictures were really taken: undoes conversions of the frame rate.

Film of 24 or 29.97 pictures a second that was stored at 25 or 30 repeats or skips some. The
file's own times then run ahead of and behind the motion by up to a picture, in a regular beat.
The beat shows in how much each picture differs from the one before; from it follow the pictures
that are repeats, and the true times of the others.
"""

from dataclasses import dataclass
from math import isclose

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FILM, TELEVISION = 24000 / 1001, 30000 / 1001
CHAINS: tuple[tuple[float, ...], ...] = (
    *((rate,) for rate in (12.5, 15.0, 20.0, FILM, 24.0, 25.0, TELEVISION, 30.0, 50.0, 60.0)),
    (FILM, TELEVISION),
    (24.0, 30.0),
    (25.0, 30.0),
)
"""Rates that a picture may have gone through before the file's own, the camera's first."""
PHASES = 32
MIN_SCORE = 5.0
"""Correlation with the beat times the root of the number of pictures, for the best of all chains
and phases. None of 127 GRID clips, filmed at 25 a second, reaches it."""
MIN_CORRELATION = 0.3
REPEAT = 0.25
"""A picture that changes less than this share of its neighbours' change is a repeat."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A frame rate conversion.

    Attributes:
        rates_hz: the camera's rate and those in between, without the file's own.
        source: (N,) number of the camera's picture that each of the file's pictures shows.
        offset: what to add to `source` before dividing by the camera's rate, to have times that
            agree with the file's on average.
    """

    rates_hz: tuple[float, ...]
    source: I64
    offset: float

    @property
    def times(self) -> F64:
        """(N,) seconds since the file's first picture, true to the camera's."""
        return np.asarray((self.source + self.offset) / self.rates_hz[0])


def relative_change(change: F64) -> F64:
    """(N,) logarithm of how much pictures change, above that of their neighbours."""
    level = np.log(change + 0.02)
    padded = np.pad(level, 6, mode="reflect" if len(level) > 6 else "edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, 13)
    return np.asarray(level - np.median(near, 1))


def shown(count: int, rate_hz: float, chain: tuple[float, ...], phases: tuple[float, ...]) -> I64:
    """(count,) which of the camera's pictures a file shows, for the phase of each conversion."""
    index = np.arange(count)
    later = rate_hz
    for rate, phase in zip(reversed(chain), reversed(phases), strict=True):
        index = np.floor(index * (rate / later) + phase).astype(np.int64)
        later = rate
    return np.asarray(index - index[0])


def cadence(change: F64, rate_hz: float) -> Cadence | None:
    """The conversion that fits how much each picture differs from the one before, or None.

    Args:
        change: (N - 1,) mean absolute difference of successive pictures, any unit.
        rate_hz: of the file.
    """
    count = len(change) + 1
    if count < 30:
        return None
    seen = relative_change(change)
    seen = np.clip(seen - seen.mean(), -2.5, 2.5)
    norm = float(np.sqrt(seen @ seen))
    best: tuple[float, tuple[float, ...], I64] | None = None
    grid = np.arange(PHASES) / PHASES
    for chain in CHAINS:
        later = (*chain[1:], rate_hz)
        if any(
            isclose(a, b, rel_tol=0.004) or not 0.4 < a / b < 2.5
            for a, b in zip(chain, later, strict=True)
        ):
            continue
        for phases in np.stack(np.meshgrid(*[grid] * len(chain)), -1).reshape(-1, len(chain)):
            source = shown(count, rate_hz, chain, tuple(phases))
            step = np.diff(source).astype(np.float64)
            step -= step.mean()
            size = float(np.sqrt(step @ step))
            score = float(seen @ step) / (size * norm) if size > 0 and norm > 0 else 0.0
            if best is None or score > best[0]:
                best = (score, chain, source)
    if best is None or best[0] < MIN_CORRELATION or best[0] * np.sqrt(count) < MIN_SCORE:
        return None
    _, chain, source = best
    offset = float(np.mean(np.arange(count) * (chain[0] / rate_hz) - source))
    return Cadence(chain, source, offset)


def true_times(times: F64, change: F64) -> tuple[F64, Bools, Cadence | None]:
    """True times (N,) of a video's pictures, which of them (N,) are no repeats, the conversion.

    Args:
        times: (N,) seconds by the file.
        change: (N - 1,) mean absolute difference of successive pictures.
    """
    count = len(times)
    steps = np.diff(times)
    found = None
    if count >= 30 and np.allclose(steps, np.median(steps), rtol=0.1):
        found = cadence(change, (count - 1) / (times[-1] - times[0]))
    if found is not None:
        fresh = np.concatenate([[True], np.diff(found.source) > 0])
        return times[0] + found.times, fresh, found
    # Without a beat, single repeats are taken out; a longer run may be a face that holds still.
    fresh = np.ones(count, bool)
    if count >= 8:
        still = relative_change(change) < np.log(REPEAT)
        padded = np.pad(still, 1)
        fresh[1:] = ~(still & ~padded[:-2] & ~padded[2:])
    return times, fresh, None


def resample(times: F64, values: F32, grid: F64) -> F32:
    """Values (N, ...) at `times` (N,) read at `grid` (T,), by a cubic through four neighbours.

    Slopes are those of the parabola through each point and its two neighbours; beyond the ends
    the nearest value stays. Straight lines between pictures would take away 13 % of a movement
    of 5 Hz half-way between pictures of 30 a second; the cubic takes 3 %.
    """
    if len(times) == 1:
        return np.repeat(values, len(grid), 0)
    gap = np.diff(times)
    shape = (-1, *[1] * (values.ndim - 1))
    rise = np.diff(values, axis=0) / gap.reshape(shape).astype(np.float32)
    slope = np.empty_like(values, dtype=np.float32)
    slope[0], slope[-1] = rise[0], rise[-1]
    before, after = gap[:-1].reshape(shape), gap[1:].reshape(shape)
    slope[1:-1] = (rise[:-1] * after + rise[1:] * before) / (before + after)
    right = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    left = right - 1
    width = gap[left].reshape(shape).astype(np.float32)
    u = np.clip((grid - times[left]) / gap[left], 0.0, 1.0).astype(np.float32).reshape(shape)
    v = 1 - u
    ends = values[left] * v * v * (1 + 2 * u) + values[right] * u * u * (3 - 2 * u)
    out = ends + width * u * v * (slope[left] * v - slope[right] * u)
    return np.asarray(out, np.float32)
