import numpy as np
import pytest

from engine.gate import VoiceGate
from kernels.logmel import HOP, RATE_HZ, LogMel

RNG = np.random.default_rng(2)


def activity(samples: np.ndarray) -> np.ndarray:
    """Voice activity at each 10 ms of a sound, (N,) float in [-1, 1] at 16 kHz."""
    gate, mel = VoiceGate(), LogMel()
    hops = samples[: len(samples) // HOP * HOP].astype(np.float32).reshape(-1, HOP)
    return np.array([gate.push((h * 32767).astype(np.int16), mel.push(h)[0]) for h in hops])


@pytest.fixture(scope="module")
def voice(speech: np.ndarray) -> np.ndarray:
    """Most of a second of speech at 16 kHz, from its first to its last loud sample."""
    part = speech[np.flatnonzero(np.abs(speech) > 2000)[0] :][: 3 * RATE_HZ]
    return part[: np.flatnonzero(np.abs(part) > 1000)[-1] : 3] / 32768


def silence(seconds: float) -> np.ndarray:
    return RNG.normal(0, 1e-4, int(seconds * RATE_HZ))


def test_opens_before_the_lookahead_is_over(voice: np.ndarray) -> None:
    found = activity(np.concatenate([silence(1), voice]))
    assert found[:100].max() == 0
    # The sound begins at hop 100: pictures see 60 ms ahead, so an onset is not cut.
    assert found[106] > 0.9


def test_stays_through_the_gap_of_a_plosive(voice: np.ndarray) -> None:
    found = activity(np.concatenate([silence(1), voice, silence(0.08), voice]))
    gap = 100 + len(voice) // HOP
    assert found[gap - 10 : gap + 15].min() > 0.9


def test_closes_soon_after_speech(voice: np.ndarray) -> None:
    found = activity(np.concatenate([silence(1), voice, silence(1)]))
    end = 100 + len(voice) // HOP
    assert found[end] > 0.9
    assert found[end + 40 :].max() == 0


@pytest.mark.parametrize("level", [0.003, 0.03, 0.2])
@pytest.mark.parametrize("colour", [0.0, 1.0, 2.0])
def test_steady_noise_is_no_voice(level: float, colour: float) -> None:
    count = 8 * RATE_HZ
    shape = np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 30) ** (-colour / 2)
    noise = np.fft.irfft(np.fft.rfft(RNG.normal(size=count)) * shape, count)
    found = activity(np.clip(noise / noise.std() * level, -1, 1))
    assert found[400:].mean() < 0.03


def test_a_hum_is_no_voice() -> None:
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    hum = 0.05 * np.sin(2 * np.pi * 100 * t) + 0.03 * np.sin(2 * np.pi * 200 * t)
    assert activity(hum)[400:].max() == 0


def test_speech_over_noise_is_voice(voice: np.ndarray) -> None:
    noise = RNG.normal(0, 0.003, 4 * RATE_HZ)
    noise[2 * RATE_HZ : 2 * RATE_HZ + len(voice)] += voice
    found = activity(noise)
    assert found[206 : 200 + len(voice) // HOP].mean() > 0.8
    assert found[50:195].mean() < 0.05


def test_reset_is_as_new(voice: np.ndarray) -> None:
    gate, mel = VoiceGate(), LogMel()
    frame = mel.push(voice[:HOP].astype(np.float32))[0]
    pcm = (voice[:HOP] * 32767).astype(np.int16)
    first = [gate.push(pcm, frame) for _ in range(30)]
    gate.reset()
    assert [gate.push(pcm, frame) for _ in range(30)] == first
