"""Endless training sequences out of augmented clips: mixed, masked in noise, broken by silence."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.nets.lips import HOPS
from models.train import lipdata

F32 = npt.NDArray[np.float32]
K = 6
VOICE = "voice"
"""Speakers of this prefix are heard and not seen: their sounds are known, their lips are not."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One augmented clip: mel (4 T, 80), code (T, K), mask (T,), sound class (4 T,), -1 unknown."""

    speaker: str
    mel: npt.NDArray[np.float16]
    code: npt.NDArray[np.float16]
    mask: npt.NDArray[np.float16]
    sound: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Pool:
    """Every piece by speaker, and mel energies of noises (N, 80) each."""

    pieces: dict[str, list[Piece]]
    noises: list[F32]

    @staticmethod
    def load(features: Path, labels: Path, held_out: set[str]) -> "Pool":
        """Reads what `lips prepare` and `speech write` wrote, less the held-out speakers."""
        gains = {c.name: c.gain for c in lipdata.load_clips(labels)}
        pieces: dict[str, list[Piece]] = {}
        for path in sorted(features.glob("variant_*.npz")):
            with np.load(path) as data:
                for row in json.loads(str(data["index"])):
                    name, speaker = row["name"], row["speaker"]
                    if speaker in held_out:
                        continue
                    mel, code = data[name + ".mel"], data[name + ".code"]
                    code = code * np.float16(gains.get(name, 1.0))
                    mask, sound = data[name + ".mask"], data[name + ".sound"]
                    pieces.setdefault(speaker, []).append(Piece(speaker, mel, code, mask, sound))
        if not pieces:
            raise FileNotFoundError(f"{features}: no variant_*.npz, run `prepare` first")
        return Pool(pieces, list(np.load(features / "noises.npz").values()))


@dataclass(frozen=True, slots=True)
class Batch:
    """mel (B, 4 T, 80), code (B, T, K), mask (B, T), sound (B, 4 T + 16) int64, the class at each
    10 ms from the first picture's time on, -1 where unknown."""

    mel: F32
    code: F32
    mask: F32
    sound: npt.NDArray[np.int64]


class Mixer:
    """Draws batches from a pool, a share `spoken` of them from synthetic speech."""

    def __init__(
        self, pool: Pool, lookahead_ms: int, spoken: float, rng: np.random.Generator
    ) -> None:
        self.pool, self.rng = pool, rng
        self.ahead = lookahead_ms // 10
        names = sorted(pool.pieces)
        # Between one share a speaker and one share a second: few seconds must not repeat too often.
        seconds = np.array([sum(len(p.code) for p in pool.pieces[n]) for n in names], np.float64)
        share = seconds**0.5
        synthetic = np.array([n.startswith(VOICE) for n in names])
        for group, part in ((synthetic, spoken), (~synthetic, 1 - spoken)):
            if group.any():
                share[group] *= part / share[group].sum()
        self.speakers, self.share = names, share / share.sum()
        # Every second of a speaker is as likely as any other, however its clips were cut.
        self.edges = {n: np.cumsum([len(p.code) for p in pool.pieces[n]]) for n in names}

    def batch(self, count: int, chunks: int) -> Batch:
        """`count` sequences of `chunks` pictures."""
        rows = [self.sequence(chunks) for _ in range(count)]
        mel, code, mask, sound = (np.stack(x) for x in zip(*rows, strict=True))
        return Batch(mel, code, mask, sound)

    def sequence(self, chunks: int) -> tuple[F32, F32, F32, npt.NDArray[np.int64]]:
        """One sequence: pieces and silences end to end, then everything a microphone adds."""
        rng, need = self.rng, chunks + 4
        mel = np.tile(logmel.SILENCE, (need * HOPS, 1))
        code, mask = np.zeros((need, K), np.float32), np.ones(need, np.float32)
        sound = np.zeros(need * HOPS, np.int64)
        at = int(rng.integers(0, 30)) if rng.random() < 0.3 else 0
        if rng.random() < 0.06:
            at = need  # nothing but noise: the mouth stays shut
        speaker = self.speakers[rng.choice(len(self.speakers), p=self.share)]
        while at < need:
            if rng.random() < 0.25:
                speaker = self.speakers[rng.choice(len(self.speakers), p=self.share)]
            edges = self.edges[speaker]
            drawn = int(np.searchsorted(edges, rng.random() * edges[-1], "right"))
            piece = self.pool.pieces[speaker][drawn]
            total = len(piece.code)
            start = int(rng.integers(0, max(1, total - 40)))
            size = min(total - start, need - at, int(rng.integers(40, 200)))
            cut = slice(start, start + size)
            heard = self.voice(piece.mel[start * HOPS : (start + size) * HOPS].astype(np.float32))
            mel[at * HOPS : (at + size) * HOPS] = heard
            code[at : at + size], mask[at : at + size] = piece.code[cut], piece.mask[cut]
            hops = slice(start * HOPS, (start + size) * HOPS)
            sound[at * HOPS : (at + size) * HOPS] = piece.sound[hops]
            # A cut within speech has no true past: its first pictures carry no loss.
            if start > 0:
                mask[at : at + 3] = 0
            at += size
            mask[max(0, at - 2) : at] = 0
            if rng.random() < 0.35:
                at += int(rng.integers(5, 35))
        mel = self.channel(mel)
        first = self.ahead  # chunk i holds frames up to 4 i + ahead
        lead = np.tile(mel[:1], (max(0, HOPS - first), 1))
        shifted = np.concatenate([lead, mel])[max(0, first - HOPS) :][: chunks * HOPS]
        return shifted, code[:chunks], mask[:chunks], sound

    def voice(self, mel: F32) -> F32:
        """Another vocal tract and distance: bands warped along frequency, gain, a spectral tilt."""
        rng = self.rng
        if rng.random() < 0.6:
            grid = np.arange(logmel.BANDS)
            factor = np.exp(rng.uniform(-0.12, 0.12))
            source = np.clip(grid * factor, 0, logmel.BANDS - 1)
            low = np.minimum(source.astype(int), logmel.BANDS - 2)
            part = (source - low).astype(np.float32)
            mel = mel[:, low] * (1 - part) + mel[:, low + 1] * part
        # 20 dB are one unit of feature.
        gain = rng.uniform(-1.2, 0.5)
        knots = np.cumsum(rng.normal(0, 0.12, 6))
        tilt = np.interp(np.arange(logmel.BANDS), np.linspace(0, logmel.BANDS - 1, 6), knots)
        quiet = logmel.SILENCE[0]
        return np.maximum(mel + np.float32(gain) + (tilt - tilt.mean()).astype(np.float32), quiet)

    def channel(self, mel: F32) -> F32:
        """Noise under the voice, and the losses of a microphone."""
        rng = self.rng
        if rng.random() < 0.75:
            noise = self.pool.noises[rng.integers(len(self.pool.noises))]
            start = int(rng.integers(0, len(noise)))
            energy = np.take(noise, np.arange(start, start + len(mel)), 0, mode="wrap")
            speech = 10 ** (2 * mel - 1)
            loud = np.quantile(speech.mean(1), 0.9)
            db = rng.uniform(3, 45) if loud > 1e-4 else rng.uniform(-40, 0)
            level = max(loud, 1e-4) if loud > 1e-4 else 10.0
            scale = level * 10 ** (-abs(db) / 10) / max(float(energy.mean()), 1e-9)
            mel = logmel.scale((speech + scale * energy).astype(np.float32))
        if rng.random() < 0.25:
            top = int(rng.integers(45, logmel.BANDS))
            mel[:, top:] = logmel.SILENCE[0]
        if rng.random() < 0.3:
            low = int(rng.integers(0, logmel.BANDS - 10))
            mel[:, low : low + int(rng.integers(2, 10))] = logmel.SILENCE[0]
        return np.asarray(mel + rng.normal(0, 0.02, mel.shape), np.float32)
