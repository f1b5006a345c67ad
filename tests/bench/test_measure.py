import base64

import numpy as np
import pytest

from bench import measure, signals

MOUTH = (slice(50, 70), slice(25, 55))
RNG = np.random.default_rng(3)
FACE = np.kron(RNG.uniform(60, 200, (12, 12)), np.ones((8, 8)))


def face(open_by: float = 0.0, shift_px: int = 0) -> bytes:
    """A patchwork face of 80 x 80 whose mouth darkens as it opens and whose head moves sideways."""
    picture = np.roll(FACE, shift_px, axis=1)[:80, :80].copy()
    picture[52:68, 30 + shift_px : 50 + shift_px] -= 60 * open_by
    noisy = picture + RNG.normal(0, 1, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8).tobytes()


def row(at_ms: float, number: int, flash: int = 0, pixels: bytes | None = None) -> list:
    text = None if pixels is None else base64.b64encode(pixels).decode()
    return [at_ms - 10, at_ms - 12, at_ms, None, number, 512, flash, text]


def chunks(samples: np.ndarray, first_ms: float = 0.0) -> list:
    """Peaks as the page's probe sends them: 10 ms a buffer, stamped at its end."""
    peaks = np.abs(samples.astype(np.int32)).reshape(-1, 48).max(axis=1)
    return [
        [first_ms + start + 10.0, 10.0, 0.0, peaks[start : start + 10].tolist()]
        for start in range(0, len(peaks), 10)
    ]


def spoken_call(delay_ms: float, nods: bool = False) -> measure.Reactions:
    """Pictures at 25 fps of a mouth that follows the microphone's bursts after `delay_ms`."""
    samples = signals.bursts(30, seed=1)
    mic = measure.sound(chunks(samples), stamped_at_end=True)
    rows = []
    for number, at_ms in enumerate(np.arange(0, 29_000, 40.0)):
        heard = mic.peak[max(0, int(at_ms - delay_ms) - 20) : max(1, int(at_ms - delay_ms))]
        shift = round(1.5 + 1.5 * np.sin(at_ms / 400)) if nods else 0
        rows.append(row(at_ms, number, pixels=face(float(heard.max() > 1000), shift)))
    return measure.reactions(measure.pictures(rows), measure.onsets(mic), mic, MOUTH)


@pytest.mark.parametrize("nods", [False, True])
@pytest.mark.parametrize("delay_ms", [60.0, 140.0])
def test_reaction_time_is_found_within_a_picture_even_when_the_head_nods(delay_ms, nods):
    found = spoken_call(delay_ms, nods)
    assert len(found.onset_ms) > 10
    assert np.isfinite(found.first_ms).all()
    error = found.first_ms - delay_ms
    assert error.min() >= 0
    assert error.max() <= 45
    assert found.threshold < found.peak / 2


def test_mouth_that_never_moves_is_never_seen_to_react():
    assert np.isnan(spoken_call(delay_ms=100_000, nods=True).first_ms).all()


def test_onsets_of_bursts_are_where_they_were_laid():
    samples = signals.bursts(20)
    loud = np.flatnonzero(np.abs(samples) > 100)
    first_ms = loud[0] / 48
    found = measure.onsets(measure.sound(chunks(samples), stamped_at_end=True))
    assert found[0] == pytest.approx(first_ms, abs=1.5)
    assert np.diff(found).min() > 1200


def test_delay_of_processing_moves_the_sound_earlier():
    data = chunks(signals.beeps(10))
    plain = measure.onsets(measure.sound(data, True))
    late = measure.onsets(measure.sound(data, True, delay_ms=10))
    assert plain - late == pytest.approx(10)


@pytest.mark.parametrize("skew_ms", [-40.0, 0.0, 25.0])
def test_skew_by_middles_errs_by_less_than_half_a_picture(skew_ms):
    heard = measure.spans(measure.sound(chunks(signals.beeps(60)), True))
    rows = []
    for number, at_ms in enumerate(np.arange(0, 59_000, 40.0)):
        held = np.clip(np.minimum(heard[:, 1], at_ms + 40) - np.maximum(heard[:, 0], at_ms), 0, 40)
        rows.append(row(at_ms - skew_ms, number, flash=255 if held.sum() >= 20 else 0))
    lit = measure.flashes(measure.pictures(rows))
    found = heard[: len(lit)].mean(axis=1) - lit.mean(axis=1)
    assert np.abs(found - skew_ms).max() <= 11


def test_flash_that_was_lit_at_the_start_and_one_still_lit_at_the_end_do_not_count():
    lit = [1, 0, 0, 1, 1, 0, 1]
    seen = measure.pictures([row(i * 40.0, i, flash=255 * on) for i, on in enumerate(lit)])
    assert measure.flashes(seen).tolist() == [[120.0, 200.0]]


def test_missed_callback_splits_its_gap_and_repeated_one_is_dropped():
    seen = measure.pictures([row(0, 1), row(40, 2), row(40.5, 2), row(120, 4)])
    assert measure.gaps(seen).tolist() == [40.0, 40.0, 40.0]
    assert measure.fps(seen) == pytest.approx(25.0)


def test_drift_is_the_move_from_the_first_fifth_to_the_last():
    times = np.arange(100.0)
    assert measure.drift(times, np.full(100, 7.0)) == 0
    assert measure.drift(times, times / 10) == pytest.approx(8.0)


def test_nothing_collected_gives_nothing():
    silent = measure.sound([], True)
    assert len(measure.onsets(silent)) == 0
    empty = measure.pictures([])
    assert measure.fps(empty) == 0
    assert len(measure.flashes(empty)) == 0
    assert len(measure.gaps(empty)) == 0
