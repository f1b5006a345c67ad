"""Figures of head motion and blinks, for footage and for drawn poses alike; NumPy only."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

FPS = 25
BANDS_HZ = (0.2, 0.5, 1.0, 2.0, 4.0, 6.0)
"""Edges of the bands that a speed spectrum is given in."""
_NEAR = 2.0
"""Pictures within which a beat of the head counts as on a beat of the sound."""


def speeds(pose: npt.NDArray[np.floating]) -> F64:
    """(T, A) -> (T, A) a second."""
    return np.asarray(np.gradient(np.asarray(pose, np.float64), axis=0) * FPS)


def turning(pose: npt.NDArray[np.floating]) -> F64:
    """(T, 6) -> (T,) speed of the head's turning in radians a second."""
    return np.asarray(np.sqrt((speeds(pose)[:, :3] ** 2).sum(1)))


def bands(pose: npt.NDArray[np.floating]) -> F64:
    """(T, A) -> (bands, A) root mean square speed a second in each of BANDS_HZ."""
    speed = speeds(pose)
    size = min(128, len(speed))
    window = np.hanning(size)[:, None]
    starts = range(0, len(speed) - size + 1, size // 4)
    power = np.mean(
        [np.abs(np.fft.rfft(speed[s : s + size] * window, axis=0)) ** 2 for s in starts], 0
    )
    power = power * 2 / (size * (window**2).sum())
    hz = np.fft.rfftfreq(size, 1 / FPS)
    rows = [power[(hz >= a) & (hz < b)].sum(0) for a, b in pairwise(BANDS_HZ)]
    return np.asarray(np.sqrt(rows))


def peaks(x: F64, above: float) -> I64:
    """Where (T,) x has a local maximum above a level."""
    inner = x[1:-1]
    return np.flatnonzero((inner > x[:-2]) & (inner >= x[2:]) & (inner > above)) + 1


def _on_beat(head: I64, sound: I64) -> float:
    apart = np.abs(head[:, None] - sound[None]).min(1)
    return float(np.exp(-(apart**2) / (2 * _NEAR**2)).mean())


def beat_align(
    pose: npt.NDArray[np.floating], energy: npt.NDArray[np.floating], turns: int = 200
) -> tuple[float, float, float]:
    """How near peaks of the head's speed are to those of loudness (after Li et al. 2021, eq. 7).

    Returns:
        The score in [0, 1], its mean with the head shifted round against the sound, and how many
        standard deviations of the latter lie between them.
    """
    speed = turning(pose)
    head = peaks(speed, float(np.median(speed)))
    sound = peaks(np.asarray(energy, np.float64), 0.1)
    if not len(head) or not len(sound):
        return 0.0, 0.0, 0.0
    count = len(speed)
    shifts = np.random.default_rng(0).integers(FPS, count - FPS, turns)
    chance = np.array([_on_beat((head + s) % count, sound) for s in shifts])
    score = _on_beat(head, sound)
    return score, float(chance.mean()), float((score - chance.mean()) / (chance.std() + 1e-9))


def correlation(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Pearson's r, 0 where either is constant."""
    a, b = np.asarray(a, np.float64) - np.mean(a), np.asarray(b, np.float64) - np.mean(b)
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 1e-12 else 0.0


def figures(pose: npt.NDArray[np.floating], energy: npt.NDArray[np.floating]) -> dict[str, float]:
    """Spread in degrees, speeds in degrees a second, jitter, and coupling with loudness."""
    speed = np.rad2deg(speeds(pose))
    turn = np.rad2deg(turning(pose))
    out = {
        f"{n}_deg": float(np.rad2deg(pose[:, i].std()))
        for i, n in enumerate(("yaw", "pitch", "roll"))
    }
    out |= {
        f"{n}_deg_s": float(np.sqrt((speed[:, i] ** 2).mean()))
        for i, n in enumerate(("yaw", "pitch", "roll"))
    }
    out["turn_p50"], out["turn_p90"], out["turn_p99"] = np.quantile(turn, [0.5, 0.9, 0.99]).tolist()
    out["jump_max_deg"] = float(np.rad2deg(np.abs(np.diff(pose[:, :3], axis=0)).max()))
    out["jerk_deg"] = float(np.rad2deg(np.sqrt((np.diff(pose[:, :3], 2, axis=0) ** 2).mean())))
    out["energy_pitch_r"] = correlation(energy, pose[:, 1])
    out["energy_turn_r"] = correlation(energy, turn)
    score, chance, sigmas = beat_align(pose, energy)
    return out | {"beat": score, "beat_chance": chance, "beat_sigmas": sigmas}
