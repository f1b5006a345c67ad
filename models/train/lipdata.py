"""Labelled clips -> lip codes beside log-mel, and the augmentation of both."""

import math
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import facemodel
from models.data import clips as clip_table
from models.data import tensors

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
    """Speaker, codes, valid and sound of every labelled clip, made on the first call."""
    tensors.ensure(labels)
    out = {}
    for speaker, paths in tensors.by_speaker(labels).items():
        for path in paths:
            clip = tensors.read(labels, path.name.removesuffix(".npz"))
            pcm = None if clip.pcm is None else clip.sound
            out[clip.name] = (speaker, clip.code, clip.valid, pcm)
    return dict(sorted(out.items()))


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
"""Pictures by which the video of a clip runs ahead of its sound (at 25 fps), for our own footage
where no clips.json stands beside its labels. Measured by hand against networks trained without
the clip; GRID, recorded for the purpose, is the zero."""


SMALL = 0.1
"""An offset of fewer pictures is nothing that could be seen or measured."""


def offsets(labels: Path) -> dict[str, float]:
    """Pictures by which each clip's sound comes late, from LABELS/clips.json; a clip that is not
    there has none."""
    table = clip_table.read(labels)
    if table is None:
        return dict(OFFSET_FRAMES)
    return {name: record.offset for name, record in table.clips.items()}


def begins(offset: float) -> int:
    """Sample of a clip's own sound at which it begins once `offset` is taken back (`aligned`)."""
    shift = round(offset * CHUNK) if abs(offset) >= SMALL else 0
    return math.ceil(max(0, -shift) / CHUNK) * CHUNK + shift


def aligned(pcm: F32, count: int, offset: float) -> tuple[F32, int, int]:
    """A clip's sound with its lateness of `offset` pictures taken back; under SMALL it stays.

    Returns:
        sound (N * 640,), and the first and last + 1 of the `count` pictures that it belongs to.
    """
    shift = round(offset * CHUNK) if abs(offset) >= SMALL else 0
    first, last = math.ceil(max(0, -shift) / CHUNK), count - math.ceil(max(0, shift) / CHUNK)
    start = begins(offset)
    return pcm[start : start + max(0, last - first) * CHUNK], first, max(first, last)


def quiet(pcm: F32) -> npt.NDArray[np.bool_]:
    """(T,) pictures more than 200 ms from any voice: there a mouth may rest as it likes."""
    level = np.convolve(logmel.LogMel().push(pcm)[:, 4:70].mean(1), np.ones(5) / 5, "same")
    low, high = np.quantile(level, [0.05, 0.95])
    loud = (level > low + 0.4 * (high - low)).reshape(-1, 4).any(1)
    return np.asarray(np.convolve(loud, np.ones(11), "same")[: len(loud)] == 0)


def _fit(labels: Path) -> Callable[[str, bool], bool]:
    """Whether a clip, by name, is fit for lips, or (silent) for a mouth that does not speak."""
    table = clip_table.read(labels)
    if table is None:
        return lambda name, silent: silent or "idle" not in name
    records = table.clips
    return lambda name, silent: (
        name in records and (records[name].head if silent else records[name].kept)
    )


def load_clips(labels: Path, silent: bool = False) -> list[Clip]:
    """Clips with sound (or, with `silent`, those without) that clips.json keeps, offsets corrected.

    GRID's pauses are kept, for the mouth is shut in them; other speakers leave theirs ajar.
    """
    model, late, fit = facemodel.load(), offsets(labels), _fit(labels)
    clips: list[Clip] = []
    for name, (speaker, code, valid, pcm) in codes(labels).items():
        if (pcm is None) != silent or not fit(name, silent):
            continue
        sound = np.zeros(len(code) * CHUNK, np.float32) if pcm is None else pcm
        sound, first, last = aligned(sound, len(code), late.get(name, 0.0))
        talks = valid[first:last]
        if not silent and not name.startswith("grid"):
            talks = talks & ~quiet(sound)
        clips.append(Clip(name, speaker, code[first:last], talks, sound))
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
