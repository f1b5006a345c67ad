"""Writes the augmented features that lip training reads: readings of every clip, and noises."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata
from models.train.speech import phones

F32 = npt.NDArray[np.float32]


def noises(voices: list[F32], rng: np.random.Generator) -> list[F32]:
    """Mel energies (N, 80) of steady noises, hums, clatter and babble."""
    length = 8 * logmel.RATE_HZ
    sounds: list[F32] = []
    hz = np.fft.rfftfreq(length, 1 / logmel.RATE_HZ)
    for _ in range(16):
        slope = rng.uniform(0, 2.2)
        shape = np.maximum(hz, 30.0) ** (-slope / 2)
        shape *= np.exp(np.interp(hz, np.linspace(0, 8000, 7), rng.normal(0, 0.7, 7)))
        shaped = np.fft.irfft(np.fft.rfft(rng.normal(size=length)) * shape, length)
        sounds.append(np.asarray(shaped / shaped.std() * 0.1, np.float32))
    for _ in range(5):
        t = np.arange(length) / logmel.RATE_HZ
        base = rng.uniform(45, 250)
        hum = sum(np.sin(2 * np.pi * base * k * t + k) * rng.uniform(0, 1) / k for k in range(1, 9))
        sounds.append(np.asarray(hum * 0.1 + rng.normal(0, 0.003, length), np.float32))
    for _ in range(5):
        clatter = np.zeros(length)
        for at in rng.integers(0, length - 4000, rng.integers(8, 60)):
            size = int(rng.integers(100, 3000))
            burst = rng.normal(size=size) * np.exp(-np.arange(size) / (size / 5))
            clatter[at : at + size] += burst * rng.uniform(0.05, 0.5)
        sounds.append(np.asarray(clatter + rng.normal(0, 0.002, length), np.float32))
    for _ in range(10 if voices else 0):
        crowd = np.zeros(length, np.float32)
        for _ in range(int(rng.integers(3, 9))):
            voice = voices[rng.integers(len(voices))]
            start = int(rng.integers(0, len(voice)))
            taken = np.take(voice, np.arange(start, start + length), mode="wrap")
            crowd += taken / max(float(taken.std()), 1e-3) * 0.05
        sounds.append(lipdata.room(crowd, rng))
    return [10 ** (2 * logmel.LogMel().push(s) - 1) for s in sounds]


def write_sounds(labels: Path) -> None:
    """Writes LABELS/sounds.npz: the class of the sound at each 10 ms where the words are known."""
    found = {}
    for clip in lipdata.load_clips(labels):
        text = phones.text_of(clip.name)
        if text is not None:
            found[clip.name] = phones.align(clip.pcm, text)
    np.savez_compressed(labels / "sounds.npz", **found)  # type: ignore[arg-type]


def write_noises(out: Path, speech: Path | None) -> None:
    """Writes OUT/noises.npz; `speech` is a folder of WAV files that babble is made of."""
    files = sorted(speech.rglob("*.wav")) if speech else []
    made = noises([lipdata.read_wav(f) for f in files], np.random.default_rng(7))
    np.savez_compressed(out / "noises.npz", *[n.astype(np.float32) for n in made])


def _write(
    target: Path, index: list[dict[str, str]], arrays: dict[str, npt.NDArray[np.generic]]
) -> None:
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, index=np.array(json.dumps(index)), **arrays)  # type: ignore[arg-type]
    part.replace(target)


def write_variant(labels: Path, out: Path, number: int) -> None:
    """Writes OUT/variant_NN.npz: one augmented reading of every clip; number 0 is the plain one."""
    target = out / f"variant_{number:02d}.npz"
    if target.exists():
        return
    rng = np.random.default_rng(1000 + number)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    index = []
    with np.load(labels / "sounds.npz") as data:
        sounds = dict(data)
    for clip in lipdata.load_clips(labels):
        sound = sounds.get(clip.name, np.full(len(clip.code) * 4, -1, np.int8))
        if number == 0:
            mel, code, valid = logmel.LogMel().push(clip.pcm), clip.code, clip.valid
        else:
            mel, code, valid, factor = lipdata.vary(clip.pcm, clip.code, clip.valid, rng)
            at = np.round(np.arange(len(code) * 4) * factor).astype(int)
            sound = sound[np.minimum(at, len(sound) - 1)]
        arrays[clip.name + ".mel"] = mel.astype(np.float16)
        arrays[clip.name + ".code"] = code.astype(np.float16)
        arrays[clip.name + ".mask"] = valid.astype(np.float16)
        arrays[clip.name + ".sound"] = sound
        index.append({"name": clip.name, "speaker": clip.speaker})
    _write(target, index, arrays)
