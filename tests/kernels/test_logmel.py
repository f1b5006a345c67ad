import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.logmel import BANDS, HOP, RATE_HZ, SILENCE, LogMel, filters

SOUND = np.random.default_rng(3).normal(0, 0.1, 8123).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(SOUND)), max_size=20))
def test_chunks_equal_the_whole(cuts: list[int]) -> None:
    whole, stream = LogMel().push(SOUND), LogMel()
    chunks = np.concatenate([stream.push(c) for c in np.split(SOUND, sorted(cuts))])
    np.testing.assert_allclose(chunks, whole, atol=1e-5)
    assert len(whole) == len(SOUND) // HOP


def test_a_frame_comes_out_with_its_last_sample_and_needs_none_later() -> None:
    stream = LogMel()
    assert len(stream.push(SOUND[: HOP - 1])) == 0
    (early,) = stream.push(SOUND[HOP - 1 : HOP])
    later = SOUND.copy()
    later[HOP:] = 0
    np.testing.assert_allclose(LogMel().push(later)[0], early, atol=1e-5)


def test_silence_is_the_floor() -> None:
    quiet = LogMel().push(np.zeros(HOP * 4, np.float32))
    np.testing.assert_allclose(quiet, np.tile(SILENCE, (4, 1)), atol=1e-6)


def test_a_tone_lights_its_own_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ // 10) / RATE_HZ).astype(np.float32)
    band = LogMel().push(tone)[-1].argmax()
    centres = filters()[:, band] @ np.arange(257) / filters()[:, band].sum() * RATE_HZ / 512
    assert abs(centres - 1000) < 40


def test_no_band_is_deaf() -> None:
    assert filters().shape == (257, BANDS)
    assert (filters().sum(0) > 0).all()


def test_flush_completes_the_last_frame_and_reset_is_as_new() -> None:
    stream = LogMel()
    stream.push(SOUND[: HOP + 7])
    assert len(stream.flush()) == 1
    assert len(stream.flush()) == 0
    stream.reset()
    assert (stream.push(SOUND) == LogMel().push(SOUND)).all()
