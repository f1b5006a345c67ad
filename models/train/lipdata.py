"""Labelled clips -> lip codes beside log-mel, and the augmentation of both."""

import math
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import facemodel
from models.train import face

F32 = npt.NDArray[np.float32]
FPS = 25
CHUNK = logmel.RATE_HZ // FPS
"""Samples of one picture, 640."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A talking clip.

    Attributes:
        name: of its label file.
        speaker: who talks.
        code: (T, K) float32, the speaker's own lip codes at 25 fps.
        valid: (T,) bool, where the face was found and its lips belong to speech.
        pcm: (T * 640,) float32 in [-1, 1] at 16 kHz, aligned to the pictures.
        gain: factor that brings the speaker's opening to the mean speaker's.
    """

    name: str
    speaker: str
    code: F32
    valid: npt.NDArray[np.bool_]
    pcm: F32
    gain: float = 1.0


def codes(labels: Path) -> dict[str, tuple[str, F32, npt.NDArray[np.bool_], F32 | None]]:
    """Speaker, codes, valid and sound of every labelled clip; codes are kept beside the labels."""
    kept = labels / "codes.npz"
    model = facemodel.load()
    tracks = list(face.load_tracks(labels / "train"))
    stamp = str(model.basis.sum(dtype=np.float64))
    table: dict[str, F32] = {}
    if kept.exists():
        with np.load(kept) as data:
            if str(data["stamp"]) == stamp:
                table = {t.name: data[t.name] for t in tracks}
    if not table:
        neutral = model.neutral.astype(np.float64)
        moves, _ = face.displacements(
            tracks, neutral, model.stable.astype(np.int64), model.mirror.astype(np.int64)
        )
        share = face.falloff(neutral)[:, None]
        table = {n: model.encode((d * share).astype(np.float32)) for n, d in moves.items()}
        np.savez_compressed(kept, stamp=np.array(stamp), **table)  # type: ignore[arg-type]
    out = {}
    for t in tracks:
        pcm = None if t.pcm is None else t.pcm.astype(np.float32) / 32768.0
        out[t.name] = (t.speaker, table[t.name], t.valid, pcm)
    return out


OFFSET_FRAMES: dict[str, float] = {
    "aoc__aoc_8s.mp4": 2.7,
    "lieu__lieu_60s.mp4": 2.5,
    "obama__Obama_clip1.mp4": 3.7,
    "obama__Obama_clip2.mp4": 1.8,
    "obama__Obama_clip3.mp4": 3.9,
    "obama__addr_00.mp4": 2.7,
    "obama__addr_01.mp4": 0.8,
    "obama__addr_02.mp4": 2.3,
    "obama__addr_03.mp4": 1.0,
    "obama__addr_04.mp4": 3.0,
    "obama__addr_05.mp4": 1.9,
    "obama__addr_06.mp4": 1.1,
    "obama__addr_07.mp4": 1.7,
    "obama__addr_5s.mp4": 4.7,
    "obama__addr_long20s.mp4": 2.5,
    "obama__crop256_47s.mov": 5.6,
    "obama__crop450_20s.mp4": 5.5,
}
"""Pictures by which the video of a clip runs ahead of its sound (at 25 fps), taken back here.
Measured against networks trained without the clip; GRID, recorded for the purpose, is the zero."""


def quiet(pcm: F32) -> npt.NDArray[np.bool_]:
    """(T,) pictures more than 200 ms from any voice: there a mouth may rest as it likes."""
    level = np.convolve(logmel.LogMel().push(pcm)[:, 4:70].mean(1), np.ones(5) / 5, "same")
    low, high = np.quantile(level, [0.05, 0.95])
    loud = (level > low + 0.4 * (high - low)).reshape(-1, 4).any(1)
    return np.asarray(np.convolve(loud, np.ones(11), "same")[: len(loud)] == 0)


def load_clips(labels: Path, silent: bool = False) -> list[Clip]:
    """Clips with sound (or, with `silent`, those without), offsets corrected.

    GRID's pauses are kept, for the mouth is shut in them; other speakers leave theirs ajar.
    """
    model = facemodel.load()
    clips: list[Clip] = []
    for name, (speaker, code, valid, pcm) in codes(labels).items():
        if (pcm is None) != silent or (not silent and "idle" in name):
            continue  # the idle clips' sound is not that of their lips
        shift = OFFSET_FRAMES.get(name, 0.0)
        count = len(code) - math.ceil(shift)
        sound = np.zeros(len(code) * CHUNK, np.float32) if pcm is None else pcm
        late = sound[round(shift * CHUNK) :][: count * CHUNK]
        talks = valid[:count]
        if not silent and not name.startswith("grid"):
            talks = talks & ~quiet(late)
        clips.append(Clip(name, speaker, code[:count], talks, late))
    rms: dict[str, float] = {}
    for speaker in {c.speaker for c in clips}:
        gap = np.concatenate([c.code @ model.opening for c in clips if c.speaker == speaker])
        rms[speaker] = float(np.sqrt((gap**2).mean()))
    mean = float(np.mean(list(rms.values()))) if rms else 1.0
    return [
        Clip(
            c.name,
            c.speaker,
            c.code,
            c.valid,
            c.pcm,
            float(np.clip(mean / rms[c.speaker], 0.7, 1.4)),
        )
        for c in clips
    ]


def shift_pitch(pcm: F32, factor: float) -> F32:
    """Speeds a sound up by `factor`, then stretches it back by overlap-add of similar waveforms
    (WSOLA, Verhelst and Roelands 1993): pitch and formants move, times stay."""
    count = round(len(pcm) / factor)
    fast = np.interp(np.arange(count) * factor, np.arange(len(pcm)), pcm).astype(np.float32)
    hop, reach = 240, 120
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    source = np.pad(fast, (hop + reach, 4 * hop + reach))
    out = np.zeros(len(pcm) + 4 * hop, np.float32)
    wanted = source[hop + reach :][: 2 * hop]
    for start in range(0, len(pcm) + hop, hop):
        centre = min(round((start + hop) / factor), count)
        region = source[centre : centre + 2 * reach + 2 * hop]
        energy = np.cumsum(np.concatenate([[0.0], region.astype(np.float64) ** 2]))
        loud = energy[2 * hop :] - energy[: -2 * hop]
        match = np.correlate(region, wanted, "valid") / np.sqrt(loud + 1e-6)
        best = centre + int(match.argmax())
        out[start : start + 2 * hop] += source[best : best + 2 * hop] * window
        wanted = source[best + hop : best + 3 * hop]
        if len(wanted) < 2 * hop:
            wanted = np.pad(wanted, (0, 2 * hop - len(wanted)))
    return out[: len(pcm)]


def resample(pcm: F32, factor: float) -> tuple[F32, float]:
    """Speeds a sound up by about `factor`, band-limited where it gets shorter; the result is a
    whole number of pictures long, so the exact factor comes back with it."""
    count = max(1, round(len(pcm) / factor / CHUNK)) * CHUNK
    spectrum = np.fft.rfft(pcm)
    keep = count // 2 + 1
    bent = spectrum[:keep] if keep <= len(spectrum) else np.pad(spectrum, (0, keep - len(spectrum)))
    out = np.fft.irfft(bent, count) * (count / len(pcm))
    return np.asarray(out, np.float32), len(pcm) / count


def room(pcm: F32, rng: np.random.Generator) -> F32:
    """A small room: a direct path and an exponentially fading tail of noise."""
    decay_s, level = rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.6)
    t = np.arange(int(0.3 * logmel.RATE_HZ)) / logmel.RATE_HZ
    tail = rng.normal(size=len(t)) * np.exp(-t / decay_s)
    tail *= level / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = 1 << (len(pcm) + len(t)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[: len(pcm)], np.float32)


def vary(
    pcm: F32, code: F32, valid: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[F32, F32, npt.NDArray[np.bool_], float]:
    """One augmented reading of a clip: log-mel (4 T, 80), code (T, K), valid (T,), speed-up."""
    factor = 1.0
    if rng.random() < 0.7:
        pcm = shift_pitch(pcm, float(np.exp(rng.uniform(-0.28, 0.35))))
    if rng.random() < 0.6:
        pcm, factor = resample(pcm, float(np.exp(rng.uniform(-0.18, 0.18))))
        times = np.arange(len(pcm) // CHUNK) * factor
        grid = np.arange(len(code))
        code = np.stack([np.interp(times, grid, c) for c in code.T], 1).astype(np.float32)
        valid = valid[np.clip(np.round(times).astype(int), 0, len(valid) - 1)]
    if rng.random() < 0.4:
        pcm = room(pcm, rng)
    count = min(len(code), len(pcm) // CHUNK)
    mel = logmel.LogMel().push(pcm[: count * CHUNK])
    return mel, code[:count], valid[:count], factor


def read_wav(path: Path) -> F32:
    """A mono WAV as float32 at 16 kHz, by band-limited resampling."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    pcm = np.asarray(raw / 32768, np.float32)
    return pcm if rate == logmel.RATE_HZ else resample(pcm, rate / logmel.RATE_HZ)[0]
