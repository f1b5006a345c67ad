"""Frame times, offsets and limits: what footage is measured by."""

from dataclasses import replace

import numpy as np
import pytest

from models.data import clips, offsets, timing
from models.data.clips import Heard, Limits, Record, Seen, Table

RNG = np.random.default_rng(3)


def movement(seconds: float, seed: int = 0) -> np.ndarray:
    """(100 a second,) a mouth's opening: syllables of irregular length."""
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.08, 0.3, int(seconds * 8)))
    value = rng.uniform(0, 1, len(knots)) * (np.arange(len(knots)) % 2)
    return np.interp(np.arange(0, seconds, 0.01), knots, value)


def filmed(rates: tuple[float, ...], rate: float, seconds: float = 20) -> tuple[np.ndarray, ...]:
    """Times a file tells, times that are true, change of picture to picture."""
    count = int(seconds * rate)
    phases = tuple(RNG.uniform(0, 1, len(rates)))
    source = timing.shown(count, rate, rates, phases)
    truth = source / rates[0]
    pace = np.interp(np.arange(0, seconds, 0.5), np.arange(0, seconds, 0.5), RNG.uniform(1, 3, 40))
    speed = np.interp(truth, np.arange(0, seconds, 0.5), pace)
    change = speed[1:] * np.diff(truth) * 100 * RNG.lognormal(0, 0.15, count - 1)
    return np.arange(count) / rate, truth, change + 0.05


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ((timing.TELEVISION,), 25.0),
        ((24.0,), 30.0),
        ((25.0,), 30.0),
        ((timing.FILM, timing.TELEVISION), 25.0),
    ],
)
def test_a_converted_frame_rate_is_undone(rates, rate):
    told, truth, change = filmed(rates, rate)
    times, fresh, found = timing.true_times(told, change)
    assert found is not None
    np.testing.assert_allclose(found.rates_hz[0], rates[0], rtol=0.002)
    error = times - truth
    assert (np.abs(error - np.median(error)) > 0.005).mean() < 0.05
    assert np.abs((told - truth) - (told - truth).mean()).max() > 0.012
    repeats = np.flatnonzero(np.diff(truth) == 0) + 1
    assert abs(int((~fresh).sum()) - len(repeats)) <= 2
    assert np.isin(np.flatnonzero(~fresh), repeats).sum() >= 0.95 * len(repeats)
    assert (np.diff(times[fresh]) > 0).all()


def test_film_that_was_never_converted_keeps_its_times():
    told = np.arange(500) / 25
    change = RNG.lognormal(0, 0.5, 499)
    times, fresh, found = timing.true_times(told, change)
    assert found is None and fresh.mean() > 0.95
    np.testing.assert_array_equal(times, told)


def test_a_single_repeat_is_taken_out_and_a_face_that_holds_still_is_not():
    change = np.full(99, 2.0)
    change[40], change[60:80] = 0.0, 0.0
    _, fresh, found = timing.true_times(np.arange(100) / 25, change)
    assert found is None
    assert np.flatnonzero(~fresh).tolist() == [41]


def test_resampling_follows_a_curve_between_pictures():
    times = np.sort(RNG.uniform(0, 2, 60))
    times[[0, -1]] = 0, 2
    grid = np.arange(0, 2, 0.04)
    wave = np.sin(2 * np.pi * 1.5 * times).astype(np.float32)
    out = timing.resample(times, np.stack([wave, times.astype(np.float32)], 1), grid)
    np.testing.assert_allclose(out[:, 1], grid, atol=1e-5)
    np.testing.assert_allclose(out[:, 0], np.sin(2 * np.pi * 1.5 * grid), atol=0.05)
    assert timing.resample(np.zeros(1), np.ones((1, 3), np.float32), grid).shape == (50, 3)


@pytest.mark.parametrize("late", [-3.4, 0.0, 2.6])
def test_an_offset_is_found_to_a_fraction_of_a_picture(late):
    mouth = movement(12)
    at = np.arange(250) * 4
    seen = mouth[at + 80] + RNG.normal(0, 0.05, 250)
    heard = mouth[np.round(at + 80 - late * 4).astype(int)] + RNG.normal(0, 0.05, 250)
    found = offsets.lags(heard, seen, np.ones(250, bool))
    alone = offsets.own(found)
    assert abs(alone.pictures - late) < 0.3
    assert alone.confidence > 6


def test_sound_of_something_else_has_little_confidence():
    def sure(a: int, b: int) -> float:
        pair = movement(11, a)[:1000:4], movement(11, b)[:1000:4]
        return offsets.own(offsets.lags(*pair, np.ones(250, bool))).confidence

    assert max(sure(a, a + 99) for a in range(20)) < 5 < 8 < min(sure(a, a) for a in range(20))


def test_too_little_speech_has_no_offset():
    use = np.zeros(200, bool)
    use[:30] = True
    assert offsets.lags(movement(9)[:800:4], movement(9)[:800:4], use) is None
    assert offsets.lags(np.zeros(200), movement(9)[:800:4], ~use) is None


def short_clips(lates: list[float]) -> dict[str, offsets.Lags]:
    out = {}
    for number, late in enumerate(lates):
        mouth, at = movement(6, number), np.arange(75) * 4 + 80
        heard = mouth[np.round(at - late * 4).astype(int)] + RNG.normal(0, 0.15, 75)
        out[str(number)] = offsets.lags(heard, mouth[at], np.ones(75, bool))
    return out


def test_short_clips_that_were_cut_alike_share_their_offset_but_not_with_a_stray_one():
    found = short_clips([1.0] * 9 + [-2.0])
    usual = offsets.common(found)
    assert abs(usual - 1.0) < 0.3
    settled = offsets.settle(found, usual)
    assert sum(not o.own for o in settled.values()) >= 7
    assert settled["9"].own and abs(settled["9"].pictures + 2) < 0.8


def test_clips_that_were_cut_differently_keep_their_own_offsets():
    found = short_clips([0.0, 3.0, -3.0, 5.0, 1.0])
    assert offsets.common(found) is None
    assert all(o.own for o in offsets.settle(found, None).values())


GOOD = Seen(10.0, 1.0, 200.0, 8.0, 0.0, 0.0, 0.0, 0.97, 0.02)
HEARD = Heard(-20.0, 0.9, 1.5, 0.6, 6.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": 0.2}, "too short"),
        ({"found": 0.5}, "face seldom found"),
        ({"face_px": 40}, "face too small"),
        ({"yaw_deg": 60}, "head turned away"),
        ({"two_faces": 0.5}, "more than one face"),
        ({"repeats": 0.6}, "pictures repeat"),
        ({"dropped": 0.2}, "pictures missing"),
    ],
)
def test_a_bad_picture_teaches_nothing_and_the_reason_has_its_figures(change, reason):
    record = clips.judge("ada", replace(GOOD, **change), HEARD, Limits(), "net")
    assert not record.kept and not record.head
    ((name, value),) = change.items()
    assert record.reason.startswith(f"{reason} ({name} {value:g}, ")


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (None, "no sound"),
        (replace(HEARD, level_db=-80), "silent"),
        (replace(HEARD, voice=0.05), "no voice"),
        (replace(HEARD, confidence=1.1), "sound and lips apart"),
        (replace(HEARD, offset=None, confidence=None), "offset unknown"),
    ],
)
def test_a_bad_sound_leaves_the_head(heard, reason):
    record = clips.judge("ada", GOOD, heard, Limits(), "net")
    assert record.head and not record.kept and record.reason.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": 1.0}, "too short for lips"),
        ({"movement": 0.001}, "lips hardly move"),
        ({"agreement": 0.4}, "tracker unsure"),
    ],
)
def test_lips_that_cannot_be_learnt_from_leave_the_head(change, reason):
    record = clips.judge("ada", replace(GOOD, **change), HEARD, Limits(), "net")
    assert record.head and not record.kept and record.reason.startswith(reason)


def test_a_speakers_own_offset_needs_less_confidence_than_a_searched_one():
    unsure = replace(HEARD, confidence=1.4)
    assert not clips.judge("ada", GOOD, unsure, Limits(), "net").kept
    assert clips.judge("ada", GOOD, replace(unsure, own=False), Limits(), "net").kept


def test_the_table_comes_back_as_it_was_written_and_counts_reasons(tmp_path):
    one = clips.judge("ada", GOOD, HEARD, Limits(), "net")
    bad = clips.judge("bob", replace(GOOD, found=0.5), None, Limits(), "net")
    table = Table({"a": one, "b": bad, "c": bad, "d": Record("bob", reason="no face (in 3)")})
    table.write(tmp_path)
    assert clips.read(tmp_path) == table
    assert clips.speakers(tmp_path)["b"] == "bob"
    assert table.counts() == [("kept", 1, 10.0), ("face seldom found", 2, 20.0), ("no face", 1, 0)]
    assert clips.read(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ['{"version": 9, "clips": {}, "limits": {}}', "{}", "no json"])
def test_another_clips_json_is_refused(tmp_path, text):
    (tmp_path / clips.FILE).write_text(text)
    with pytest.raises(ValueError, match="clips.json"):
        clips.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("ada__holiday__one.mp4", "ada"),
        ("grid__s2_pwij3p.mpg", "grid_s2"),
        ("one.mp4", "one"),
        ("cleo__x.mp4", "bob"),
        ("ada__old__x.mp4", "young ada"),
    ],
)
def test_who_talks(name, speaker):
    assert clips.speaker_of(name, {"cleo": "bob", "ada/old": "young ada"}) == speaker
