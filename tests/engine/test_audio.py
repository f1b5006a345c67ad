import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import AudioStage
from engine.config import EngineConfig
from engine.errors import BackendError, ConfigError
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, Pcm
from models import facemodel

CONFIG = EngineConfig()
AHEAD = CONFIG.lookahead_ms * SAMPLE_RATE_HZ // 1000
OPENING = facemodel.load().opening


def hear(samples: np.ndarray, cuts: list[int] | None = None) -> list[AudioFrame]:
    """Every frame of a sound that arrives cut in pieces."""
    stage, frames = AudioStage(CONFIG), []
    edges = [0, *sorted(cuts or []), len(samples)]
    for start, end in pairwise(edges):
        frames += stage.push(Pcm(start, samples[start:end]))
    return frames + stage.flush()


def opening(frames: list[AudioFrame]) -> np.ndarray:
    return np.array([f.lip_code @ OPENING for f in frames])


def same(a: list[AudioFrame], b: list[AudioFrame]) -> bool:
    return len(a) == len(b) and all(
        (x.index, x.voice, x.energy) == (y.index, y.voice, y.energy)
        and (x.lip_code == y.lip_code).all()
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture(scope="module")
def talk(speech: np.ndarray) -> np.ndarray:
    """Two seconds of speech that begins at once."""
    loud = np.flatnonzero(np.abs(speech) > 2000)[0]
    return speech[loud : loud + 2 * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def whole(talk: np.ndarray) -> list[AudioFrame]:
    return hear(talk)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * SAMPLE_RATE_HZ), max_size=30))
def test_chunks_equal_the_whole(talk: np.ndarray, whole: list[AudioFrame], cuts: list[int]) -> None:
    assert same(hear(talk, cuts), whole)


def test_every_picture_that_begins_within_the_sound_gets_a_frame(
    talk: np.ndarray, whole: list[AudioFrame]
) -> None:
    assert [f.index for f in whole] == list(range(len(talk) // FRAME_SAMPLES))
    assert len(hear(talk[: 10 * FRAME_SAMPLES + 1])) == 11
    assert hear(talk[:0]) == []


def test_a_frame_comes_out_with_its_last_sample_and_needs_none_later(
    talk: np.ndarray, whole: list[AudioFrame]
) -> None:
    stage = AudioStage(CONFIG)
    due = 7 * FRAME_SAMPLES + AHEAD
    assert stage.push(Pcm(0, talk[: due - 1]))[-1].index == 6
    frames = stage.push(Pcm(due - 1, talk[due - 1 : due]))
    assert same(frames, whole[7:8])


def test_lips_move_in_speech_and_are_shut_in_silence(speech: np.ndarray) -> None:
    frames = hear(np.concatenate([speech, np.zeros(SAMPLE_RATE_HZ, np.int16)]))
    gap, voice = opening(frames), np.array([f.voice for f in frames])
    assert gap[voice > 0.9].std() > 0.01
    assert gap[voice > 0.9].mean() > 0.02
    assert (gap[voice == 0] == 0).all()
    assert (gap[-20:] == 0).all(), "a second of silence must end with a shut mouth"
    assert 0.15 < (voice == 0).mean() < 0.6


@pytest.mark.parametrize("kind", ["white", "pink", "hum"])
def test_steady_noise_leaves_the_mouth_shut(kind: str) -> None:
    rng = np.random.default_rng(1)
    count = 8 * SAMPLE_RATE_HZ
    t = np.arange(count) / SAMPLE_RATE_HZ
    noise = rng.normal(size=count)
    if kind == "pink":
        slope = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 30) ** -0.5
        noise = np.fft.irfft(np.fft.rfft(noise) * slope, count)
    if kind == "hum":
        noise = np.sin(2 * np.pi * 100 * t) + 0.5 * np.sin(2 * np.pi * 200 * t) + 0.01 * noise
    frames = hear((noise / noise.std() * 1000).astype(np.int16))
    assert opening(frames)[100:].max() < 0.004


def test_a_soft_voice_opens_the_mouth_too(speech: np.ndarray) -> None:
    plain, soft = opening(hear(speech)), opening(hear(speech // 16))
    assert np.corrcoef(plain, soft)[0, 1] > 0.85
    assert soft.std() > 0.6 * plain.std()


def test_a_hole_is_silence_and_late_sound_is_ignored(
    talk: np.ndarray, whole: list[AudioFrame]
) -> None:
    stage = AudioStage(CONFIG)
    frames = stage.push(Pcm(0, talk[:24_000]))
    frames += stage.push(Pcm(0, talk[:12_000]))
    frames += stage.push(Pcm(12_000, talk[12_000:48_000]))
    frames += stage.push(Pcm(48_000, talk[48_000:]))
    assert same(frames + stage.flush(), whole)
    holed = talk.copy()
    holed[24_000:28_800] = 0
    stage.reset()
    frames = stage.push(Pcm(0, talk[:24_000])) + stage.push(Pcm(28_800, talk[28_800:]))
    assert same(frames + stage.flush(), hear(holed))


def test_reset_is_as_new(talk: np.ndarray, whole: list[AudioFrame]) -> None:
    stage = AudioStage(CONFIG)
    stage.push(Pcm(0, talk[:30_001]))
    stage.reset()
    assert same(stage.push(Pcm(0, talk)) + stage.flush(), whole)


def test_two_sessions_do_not_disturb_each_other(talk: np.ndarray, whole: list[AudioFrame]) -> None:
    one, other = AudioStage(CONFIG), AudioStage(CONFIG)
    frames = []
    for start in range(0, len(talk), 960):
        frames += one.push(Pcm(start, talk[start : start + 960]))
        other.push(Pcm(start, talk[::-1][start : start + 960].copy()))
    assert same(frames + one.flush(), whole)


def test_a_lookahead_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lookahead_ms is 55, expected one of \[60\]"):
        AudioStage(EngineConfig(lookahead_ms=55))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(BackendError, match="'abacus' is unknown"):
        AudioStage(EngineConfig(backend="abacus"))


def test_a_picture_costs_under_3_ms(speech: np.ndarray) -> None:
    stage, cost = AudioStage(CONFIG), []
    for start in range(0, len(speech) - FRAME_SAMPLES, FRAME_SAMPLES):
        begun = time.process_time()
        stage.push(Pcm(start, speech[start : start + FRAME_SAMPLES]))
        cost.append(1000 * (time.process_time() - begun))
    # Processor time, and the median: other work on the machine must not matter.
    assert np.median(cost) < 3.0
