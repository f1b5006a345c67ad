"""Labelled footage -> how heads move and eyes blink (models/weights/liveliness.json).

    python -m models.train.liveliness LABELS OUT.json

Angles are in radians, relative to each clip's own mean; speeds in radians a second after a
120 ms mean, which takes most of the tracking noise away; shifts in face widths. Speaking and
silent are told apart within talking clips by their sound; `idle` are clips of a silent person.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import measures
from models.train import face

F64 = npt.NDArray[np.float64]
FPS = measures.FPS


def poses(points: F64) -> F64:
    """(T, 6) yaw, pitch, roll in radians, x, y in face widths, log size; about the clip's mean."""
    pose = measures.pose(points)
    return np.asarray(pose - pose.mean(0))


def voiced(pcm: npt.NDArray[np.int16] | None, count: int) -> npt.NDArray[np.bool_]:
    """(T,) whether a picture is within 200 ms of loud sound."""
    if pcm is None:
        return np.zeros(count, bool)
    mel = logmel.LogMel().push(np.asarray(pcm / 32768, np.float32))[: count * 4]
    level = mel[:, 8:60].mean(1).reshape(-1, 4).max(1)
    loud = level > np.quantile(level, 0.9) - 1.1
    near = np.convolve(loud, np.ones(11), "same") > 0
    return np.pad(near[:count], (0, max(0, count - len(near))))


def table(rows: F64, speeds: F64) -> dict[str, dict[str, float]]:
    """Standard deviation and speed by name."""
    names = ("yaw", "pitch", "roll", "x", "y", "log_scale")
    std, speed = rows.std(0), np.sqrt((speeds**2).mean(0))
    usual, fast = np.quantile(np.abs(speeds), [0.5, 0.9], axis=0)
    return {
        n: {
            "std": round(float(std[i]), 4),
            "speed_rms": round(float(speed[i]), 4),
            "speed_p50": round(float(usual[i]), 4),
            "speed_p90": round(float(fast[i]), 4),
        }
        for i, n in enumerate(names)
    }


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Head and eye statistics of labelled footage.")
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    rows: dict[str, list[F64]] = {"speaking": [], "silent": [], "idle": []}
    speeds: dict[str, list[F64]] = {k: [] for k in rows}
    lengths: list[int] = []
    gaps: list[int] = []
    seconds, depth = 0.0, []
    for track in face.load_tracks(args.labels / "train"):
        count = len(track.landmarks)
        if count < 10 or track.name.startswith("grid_s1"):
            continue  # one man reading three-second lines in a booth would drown the others
        points = track.landmarks.astype(np.float64)
        pose = poses(points)
        speed = np.diff(measures.smooth(pose), axis=0) * FPS
        idle = "idle" in track.name
        talk = voiced(track.pcm, count)
        for key, use in (("speaking", talk), ("silent", ~talk)):
            if track.pcm is None and not idle:
                continue
            key = "idle" if idle else key
            rows[key].append(pose[use])
            speeds[key].append(speed[use[2:-1]])
        if count >= 250:
            ratio = measures.eye_aspect(points).mean(1)
            found = measures.blinks(ratio)
            lengths += [b - a for a, b in found]
            starts = [a for a, _ in found]
            gaps += list(np.diff(starts))
            depth += [float(ratio[a:b].min() / np.quantile(ratio, 0.7)) for a, b in found]
            seconds += count / FPS
    report: dict[str, object] = {
        k: {"seconds": round(sum(map(len, v)) / FPS, 1)}
        | table(np.concatenate(v), np.concatenate(speeds[k]))
        for k, v in rows.items()
    }
    report["blink"] = {
        "seconds": round(seconds, 1),
        "count": len(lengths),
        "per_second": round(len(lengths) / seconds, 3),
        "duration_ms_p10_p50_p90": [
            round(float(q) * 40) for q in np.quantile(lengths, [0.1, 0.5, 0.9])
        ],
        "interval_s_p10_p50_p90": [
            round(float(q) / FPS, 2) for q in np.quantile(gaps, [0.1, 0.5, 0.9])
        ],
        "lid_ratio_at_shut_p50": round(float(np.median(depth)), 3),
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
