"""From the page's stamps to figures: onsets, pictures, reactions, skew. Times in ms, page clock."""

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]

BLOCK_MS = 1.0
FLASH_LEVEL = 128
REACTION_MS = 600.0
IDLE_MS = 300.0
MARGIN = 1.25
"""A reaction must exceed the idle noise floor by this factor."""
LEAST_LEVEL = 0.75
"""Grey levels of mean change in the mouth below which nothing counts as visible."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Loudness over time.

    Attributes:
        at_ms: (N,) time of each millisecond's start.
        peak: (N,) loudest sample in it, 0 to 32767.
    """

    at_ms: Times
    peak: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that were presented.

    Attributes:
        shown_ms: (N,) when the screen shows it: the later of the callback and the expected
            display, so a whole screen refresh is counted in.
        presented_ms: (N,) when the browser handed it to the compositor.
        number: (N,) the browser's own count of pictures; a step of 2 is a missed callback.
        flash: (N,) bool, the probe's square is lit.
        face: (N, S, S) uint8 grey, or (N, 0, 0).
    """

    shown_ms: Times
    presented_ms: Times
    number: npt.NDArray[np.int64]
    flash: npt.NDArray[np.bool_]
    face: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reactions:
    """When the mouth answered each onset.

    Attributes:
        onset_ms: (K,) times at which the microphone heard something.
        first_ms: (K,) delay until the mouth has visibly changed; nan where it has not in 600 ms.
        half_ms: (K,) delay until half of the burst's greatest change.
        threshold: grey levels that count as visible.
        floor: median idle change, grey levels.
        peak: median of the greatest change a burst, grey levels.
    """

    onset_ms: Times
    first_ms: Times
    half_ms: Times
    threshold: float
    floor: float
    peak: float


def sound(chunks: list[list[Any]], stamped_at_end: bool, delay_ms: float = 0.0) -> Sound:
    """Joins the probe's buffers.

    Args:
        chunks: [stamp, duration, arrival, peaks] each.
        stamped_at_end: whether the stamp is the time of the buffer's end. So it is for the fake
            microphone, which hands over 10 ms at once: a sample counts from when a real one would
            have heard it, which makes latency larger. Sound received is stamped as it is fetched
            for playing.
        delay_ms: how late the buffers hold what their stamp names.
    """
    times, peaks = [], []
    for stamp, duration, _, values in chunks:
        start = stamp - delay_ms - (duration if stamped_at_end else 0.0)
        times.append(start + np.arange(len(values)) * BLOCK_MS)
        peaks.append(np.asarray(values, np.int32))
    if not times:
        return Sound(np.zeros(0), np.zeros(0, np.int32))
    return Sound(np.concatenate(times), np.concatenate(peaks))


def pictures(rows: list[list[Any]], face_px: int = 80) -> Pictures:
    """Joins the probe's pictures; repeated callbacks for one picture are dropped."""
    kept = [row for i, row in enumerate(rows) if i == 0 or row[4] != rows[i - 1][4]]
    faces = [
        np.frombuffer(base64.b64decode(row[7]), np.uint8).reshape(face_px, face_px)
        for row in kept
        if row[7] is not None
    ]
    return Pictures(
        shown_ms=np.array([max(row[0], row[2]) for row in kept], np.float64),
        presented_ms=np.array([row[1] for row in kept], np.float64),
        number=np.array([row[4] for row in kept], np.int64),
        flash=np.array([row[6] > FLASH_LEVEL for row in kept], np.bool_),
        face=np.stack(faces) if len(faces) == len(kept) and kept else np.zeros((0, 0, 0), np.uint8),
    )


def spans(heard: Sound, share: float = 0.1, quiet_ms: int = 150) -> Times:
    """(K, 2) when each sound begins and ends.

    Args:
        share: of the loudest (99.5th percentile) that counts as sound.
        quiet_ms: what is closer together is one sound.
    """
    if not len(heard.peak):
        return np.zeros((0, 2))
    at = heard.at_ms[_loud(heard, share)]
    breaks = np.flatnonzero(np.diff(at) > quiet_ms)
    if not len(at):
        return np.zeros((0, 2))
    begin = at[np.concatenate(([0], breaks + 1))]
    end = at[np.concatenate((breaks, [len(at) - 1]))] + BLOCK_MS
    return np.stack([begin, end], axis=1)


def onsets(heard: Sound, share: float = 0.1, quiet_ms: int = 150) -> Times:
    """(K,) when each sound begins, see `spans`."""
    return spans(heard, share, quiet_ms)[:, 0]


def flashes(seen: Pictures) -> Times:
    """(K, 2) when the probe's square lit up, and when it was dark again."""
    turns = np.diff(seen.flash.astype(np.int8))
    lit, dark = (seen.shown_ms[np.flatnonzero(turns == turn) + 1] for turn in (1, -1))
    dark = dark[np.searchsorted(dark, lit[0]) :] if len(lit) else dark[:0]
    return np.stack([lit[: len(dark)], dark], axis=1)


def paired(first: Times, second: Times, least_ms: float, most_ms: float) -> Times:
    """(K, 2) each of `first` with the one of `second` that follows it within the limits."""
    pairs = []
    for time_ms in first:
        later = second[(second >= time_ms + least_ms) & (second <= time_ms + most_ms)]
        if len(later):
            pairs.append((time_ms, later[0]))
    return np.array(pairs, np.float64).reshape(-1, 2)


def gaps(seen: Pictures) -> Times:
    """(N,) ms from each presented picture to the next; a missed callback splits its gap evenly."""
    steps = np.maximum(np.diff(seen.number), 1)
    return np.repeat(np.diff(seen.presented_ms) / steps, steps)


def fps(seen: Pictures) -> float:
    """Pictures presented a second, over the whole stretch."""
    if len(seen.number) < 2:
        return 0.0
    span_ms = seen.presented_ms[-1] - seen.presented_ms[0]
    return float((seen.number[-1] - seen.number[0]) * 1000.0 / span_ms)


def drift(times_ms: Times, values_ms: Times) -> float:
    """Median of the last fifth less that of the first fifth."""
    fifth = max(1, len(times_ms) // 5)
    if len(values_ms) < 2:
        return 0.0
    return float(np.median(values_ms[-fifth:]) - np.median(values_ms[:fifth]))


def reactions(seen: Pictures, starts: Times, heard: Sound, mouth: tuple[slice, slice]) -> Reactions:
    """When the mouth visibly answers each start of sound.

    The rule: for each start the mean of the last three pictures before it is the reference. Every
    later picture is shifted onto it by the movement of the upper face (phase correlation), so that
    a head which merely moves counts as still; its change is the mean grey difference in the mouth
    window. The same is done at many moments of silence. Visible is what exceeds both `LEAST_LEVEL`
    and `MARGIN` times the 99th percentile of the greatest change in 300 ms of silence, in two
    pictures running; the first of the two is the reaction.

    Args:
        seen: with faces.
        starts: (K,) from `onsets` of the microphone.
        heard: the microphone.
        mouth: rows and columns of the mouth in the face pixels.
    """
    idle = np.array(
        [
            _changes(seen, at, IDLE_MS, mouth)[1].max(initial=0.0)
            for at in _idle_moments(heard, seen)
        ]
    )
    threshold = LEAST_LEVEL
    if len(idle):
        threshold = max(threshold, MARGIN * float(np.percentile(idle, 99)))
    first, half, peaks = [], [], []
    for start in starts:
        times, change = _changes(seen, start, REACTION_MS, mouth)
        above = change > threshold
        twice = np.flatnonzero(above[:-1] & above[1:])
        if not len(twice):
            first.append(np.nan)
            half.append(np.nan)
            continue
        peak = float(change.max())
        first.append(times[twice[0]] - start)
        wide = np.flatnonzero(change >= max(peak / 2, threshold))
        half.append(times[max(wide[0], twice[0])] - start)
        peaks.append(peak)
    return Reactions(
        starts,
        np.array(first, np.float64),
        np.array(half, np.float64),
        threshold,
        float(np.median(idle)) if len(idle) else 0.0,
        float(np.median(peaks)) if peaks else 0.0,
    )


def _loud(heard: Sound, share: float) -> npt.NDArray[np.bool_]:
    return heard.peak > max(share * float(np.percentile(heard.peak, 99.5)), 100.0)


def _idle_moments(heard: Sound, seen: Pictures) -> Times:
    """Moments with at least 1 s of silence before them and 300 ms after, 100 ms apart."""
    if not len(seen.shown_ms) or not len(heard.peak):
        return np.zeros(0)
    level = max(0.02 * float(heard.peak.max()), 60.0)
    loud = heard.at_ms[heard.peak > level]
    moments = np.arange(seen.shown_ms[0] + 500.0, seen.shown_ms[-1] - IDLE_MS, 100.0)
    after = np.searchsorted(loud, moments)
    padded = np.concatenate(([-np.inf], loud, [np.inf]))
    silent = (moments - padded[after] > 1000.0) & (padded[after + 1] - moments > IDLE_MS)
    return moments[silent]


def _changes(
    seen: Pictures, start: float, span_ms: float, mouth: tuple[slice, slice]
) -> tuple[Times, Times]:
    """Times and mouth changes of the pictures shown within `span_ms` after `start`."""
    before = np.flatnonzero(seen.shown_ms <= start)[-3:]
    after = np.flatnonzero((seen.shown_ms > start) & (seen.shown_ms <= start + span_ms))
    if not len(before) or not len(after):
        return np.zeros(0), np.zeros(0)
    reference = seen.face[before].astype(np.float32).mean(axis=0)
    change = [_change(reference, seen.face[i].astype(np.float32), mouth) for i in after]
    return seen.shown_ms[after], np.array(change, np.float64)


def _change(
    reference: npt.NDArray[np.float32], face: npt.NDArray[np.float32], mouth: tuple[slice, slice]
) -> float:
    upper = slice(0, mouth[0].start)
    before, after = (np.ascontiguousarray(picture[upper]) for picture in (reference, face))
    window = cv2.createHanningWindow(before.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(before, after, window)
    back = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = (face.shape[1], face.shape[0])
    still = cv2.warpAffine(
        face,
        back,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # A shift that makes the mouth less alike was no movement of the head.
    return min(float(np.abs(one[mouth] - reference[mouth]).mean()) for one in (still, face))
