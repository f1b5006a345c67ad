"""What the fake microphone says: bursts of speech or beeps, at times known to the sample."""

import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.frames import SAMPLE_RATE_HZ
from engine.media import decode

SYLLABLES = Path(__file__).parent / "data" / "syllables.flac"
SYLLABLE_S = 0.4
BEEP_HZ = 1000.0
BEEP_S = 0.18
"""Four and a half pictures: where one edge of a flash is rounded early, the other is late."""
LEAD_S = 3.0
"""Silence before the first sound: connecting, and the idle noise floor."""
REST_EVERY = 8
REST_S = 3.0
_PEAK = 12_000
_RAMP_S = 0.002

Samples = npt.NDArray[np.int16]


def bursts(seconds: float, seed: int = 0) -> Samples:
    """(N,) int16 at 48 kHz: a syllable every 1.3 to 1.7 s, a rest after every eighth.

    The distances are drawn by `seed`, so that onsets fall on every phase of the media clock.
    """
    voices = _syllables()
    return _laid_out(seconds, list(voices), 1.3, 1.7, seed)


def beeps(seconds: float, seed: int = 0) -> Samples:
    """(N,) int16 at 48 kHz: a beep of 180 ms at 1 kHz every 0.8 to 1.2 s, the same rests."""
    time_s = np.arange(int(BEEP_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    ramp = np.clip(np.minimum(time_s, BEEP_S - time_s) / _RAMP_S, 0, 1)
    beep = (_PEAK * ramp * np.sin(2 * np.pi * BEEP_HZ * time_s)).astype(np.int16)
    return _laid_out(seconds, [beep], 0.8, 1.2, seed)


def write_wav(path: Path, samples: Samples) -> Path:
    """Writes (N,) int16 at 48 kHz as a mono WAV."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(samples.tobytes())
    return path


def _laid_out(
    seconds: float, sounds: list[Samples], least_s: float, most_s: float, seed: int
) -> Samples:
    random = np.random.default_rng(seed)
    track = np.zeros(int(seconds * SAMPLE_RATE_HZ), np.int16)
    at_s = LEAD_S
    count = 0
    while at_s + most_s < seconds:
        sound = sounds[count % len(sounds)]
        start = int(at_s * SAMPLE_RATE_HZ)
        track[start : start + len(sound)] = sound[: len(track) - start]
        count += 1
        at_s += random.uniform(least_s, most_s) + (REST_S if count % REST_EVERY == 0 else 0.0)
    return track


@lru_cache(maxsize=1)
def _syllables() -> tuple[Samples, ...]:
    speech = np.concatenate([pcm.samples for pcm in decode(SYLLABLES)])
    length = int(SYLLABLE_S * SAMPLE_RATE_HZ)
    found = []
    for start in range(0, len(speech) - length + 1, length):
        one = speech[start : start + length].astype(np.float32)
        found.append((one * (_PEAK / np.abs(one).max())).astype(np.int16))
    return tuple(found)
