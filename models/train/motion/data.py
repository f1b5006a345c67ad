"""Labelled footage -> sequences of head pose and lids beside what was heard of the sound."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import activity, measures
from models.train import face, lipdata

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FPS = measures.FPS
HELD_OUT = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
TWICE = ("obama__crop450_20s.mp4", "obama__Obama_clip1.mp4")
"""Footage that lies inside another clip (crop256_47s)."""
NOISE_PICTURES = 1.0
"""Spread of the Gaussian that takes the tracker's noise out: above 5 Hz tracks are noise floor."""
LEAST_PICTURES = 12
LOOKAHEAD_MS = 60
AXES = ("yaw", "pitch", "roll", "x", "y", "size")
_QUIET_DB, _LOUD_DB = -50.0, -15.0


@dataclass(frozen=True, slots=True)
class Sequence:
    """One clip as the motion network learns it.

    Attributes:
        name, speaker: of its label file.
        pose: (T, 6) float32 yaw, pitch, roll in radians, x, y in face widths, log size, about the
            clip's mean, tracker noise taken out.
        lid: (T,) float32 closure of the lids, 0 open to 1 shut.
        onset: (T,) bool, pictures in which a blink begins.
        voice, energy: (T,) float32 in [0, 1], as the audio stage gives them.
        pcm: (T * 640,) float32 at 16 kHz, aligned to the pictures; zeros without sound.
        heard: whether the sound belongs to the picture.
    """

    name: str
    speaker: str
    pose: F32
    lid: F32
    onset: Flags
    voice: F32
    energy: F32
    pcm: F32
    heard: bool

    @property
    def idle(self) -> bool:
        """A clip of somebody who does not speak."""
        return "idle" in self.name


def denoise(x: F64, spread: float = NOISE_PICTURES) -> F64:
    """(T, N) -> (T, N) by a zero-phase Gaussian of `spread` pictures, ends reflected."""
    reach = min(int(3 * spread) + 1, len(x) - 1)
    t = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (t / spread) ** 2)
    padded = np.pad(x, ((reach, reach), (0, 0)), "reflect", reflect_type="odd")
    columns = [np.convolve(c, kernel / kernel.sum(), "valid") for c in padded.T]
    return np.stack(columns, 1)


def closure(aspect: F64) -> F32:
    """(T,) mean eye aspect -> (T,) closure: 0 at the clip's usual aspect, 1 where lids meet."""
    usual = np.quantile(aspect, 0.7)
    shut = 0.2 * usual
    return np.clip((usual - aspect) / (usual - shut), 0, 1).astype(np.float32)


def loudness(pcm: F32, count: int) -> F32:
    """(T,) the audio stage's energy before the voice gate: smoothed level, -50 dB to -15 dB."""
    hops = pcm[: len(pcm) // logmel.HOP * logmel.HOP].reshape(-1, logmel.HOP)
    db = 10 * np.log10((hops.astype(np.float64) ** 2).mean(1) + 1e-10)
    loud = np.clip((db - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0, 1)
    smooth, level = np.empty(len(loud)), 0.0
    for i, x in enumerate(loud.tolist()):
        level += 0.25 * (x - level)
        smooth[i] = level
    at = np.arange(count) * 4 + LOOKAHEAD_MS // 10 - 1
    return np.asarray(smooth[np.clip(at, 0, len(smooth) - 1)], np.float32)


def voices(pcm: F32, count: int) -> F32:
    """(T,) voice activity; near the audio stage's gate, made without it (engine is above us)."""
    still = lipdata.quiet(pcm).astype(np.float64)[:count]
    still = np.pad(still, (0, count - len(still)), "edge")
    return np.asarray(
        1 - np.convolve(np.pad(still, 1, "edge"), np.ones(3) / 3, "valid"), np.float32
    )


def _sound(track: face.Track, count: int, late: float) -> tuple[F32, bool]:
    if track.pcm is None or "idle" in track.name:
        return np.zeros(count * lipdata.CHUNK, np.float32), "idle" in track.name
    shift = round(late * lipdata.CHUNK)
    whole = track.pcm.astype(np.float32) / 32768
    pcm = np.pad(whole, (max(0, -shift), 0))[max(0, shift) :][: count * lipdata.CHUNK]
    return np.pad(pcm, (0, count * lipdata.CHUNK - len(pcm))), True


def sequence(track: face.Track, late: float) -> Sequence:
    """A labelled clip as a `Sequence`, its sound `late` by so many pictures."""
    count = len(track.landmarks)
    points = track.landmarks.astype(np.float64)
    pose = denoise(measures.pose(points))
    aspect = measures.eye_aspect(points).mean(1)
    onset = np.zeros(count, bool)
    onset[[first for first, _ in measures.blinks(aspect) if first > 0]] = True
    pcm, heard = _sound(track, count, late)
    silent = not pcm.any()
    voice = np.zeros(count, np.float32) if silent else voices(pcm, count)
    energy = np.zeros(count, np.float32) if silent else loudness(pcm, count) * voice
    return Sequence(
        track.name,
        track.speaker,
        (pose - pose.mean(0)).astype(np.float32),
        closure(aspect),
        onset,
        voice,
        energy,
        pcm,
        heard,
    )


def load(labels: Path) -> list[Sequence]:
    """Every labelled clip that is long enough and not part of another.

    Raises:
        ValueError: the folder has none.
    """
    late = lipdata.offsets(labels)
    found = [
        sequence(track, late.get(track.name, 0.0))
        for track in face.load_tracks(labels / "train")
        if len(track.landmarks) >= LEAST_PICTURES and track.name not in TWICE
    ]
    if not found:
        raise ValueError(f"{labels}/train has no clip of {LEAST_PICTURES} pictures or more")
    return found


def heard(one: Sequence, recent: float = 0.0) -> F32:
    """(T, activity.SIZE) conditions of a sequence."""
    return activity.conditions(one.voice, one.energy, recent)
