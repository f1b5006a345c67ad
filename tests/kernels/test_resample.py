import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.resample import DELAY, Decimator

SOUND = np.random.default_rng(4).normal(0, 0.1, 5000).astype(np.float32)


def tone(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(9600) / 48_000).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(SOUND)), max_size=20))
def test_chunks_equal_the_whole(cuts: list[int]) -> None:
    whole, stream = Decimator().push(SOUND), Decimator()
    chunks = np.concatenate([stream.push(c) for c in np.split(SOUND, sorted(cuts))])
    np.testing.assert_allclose(chunks, whole, atol=1e-6)


def test_a_block_of_10_ms_gives_10_ms() -> None:
    stream = Decimator()
    assert [len(stream.push(b)) for b in SOUND[:4800].reshape(10, 480)] == [160] * 10


def test_the_delay_is_known_and_below_a_millisecond() -> None:
    found = Decimator().push(tone(440))[200:]
    n = np.arange(200, 200 + len(found))
    expected = np.sin(2 * np.pi * 440 * (3 * n - DELAY) / 48_000)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert DELAY / 48 < 1.0


def test_speech_passes_and_what_would_fold_does_not() -> None:
    assert abs(np.abs(Decimator().push(tone(5000))[100:]).max() - 1) < 0.05
    assert np.abs(Decimator().push(tone(10_000))[100:]).max() < 0.003


def test_reset_is_as_new() -> None:
    stream = Decimator()
    stream.push(SOUND[:777])
    stream.reset()
    assert (stream.push(SOUND) == Decimator().push(SOUND)).all()
