"""Footage -> face landmarks at 25 fps and the sound that belongs to them.

    python -m models.label.track FOLDER OUT [--workers 2]

Every video (and picture) under FOLDER becomes OUT/<relative path with dots>.npz with
    landmarks   (T, 478, 3) float32, square pixels, x right, y down, z in pixels too
    valid       (T,) bool, a face was found near that time
    pcm         (T * 640,) int16, 16 kHz mono; sample 0 is at landmark frame 0; absent if silent
    size        (2,) int32, width and height of the picture in square pixels
    path        str, relative to FOLDER
Frames are resampled to 25 fps by their pts, the sound is cut or padded to the video's first pts.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

FPS = 25
PCM_RATE_HZ = 16_000
VIDEO_SUFFIXES = {".mp4", ".mov", ".mpg", ".avi", ".mkv", ".webm"}
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}
MAX_GAP_S = 0.15
"""Frames without a face are bridged up to this long, else marked invalid."""

F32 = npt.NDArray[np.float32]


def _mesh(video: bool) -> Any:
    import mediapipe as mp

    return mp.solutions.face_mesh.FaceMesh(
        static_image_mode=not video,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=0.5,
        min_tracking_confidence=0.5,
    )


def _points(mesh: Any, rgb: npt.NDArray[np.uint8], aspect: float) -> F32 | None:
    """(478, 3) landmarks in square pixels, or None where no face was found."""
    height, width = rgb.shape[:2]
    side = max(height, width)  # the mesh's projection is exact on square pictures alone
    found = mesh.process(np.pad(rgb, ((0, side - height), (0, side - width), (0, 0))))
    if not found.multi_face_landmarks:
        return None
    points = found.multi_face_landmarks[0].landmark
    raw = np.array([(p.x, p.y, p.z) for p in points], np.float32)
    return raw * np.array([side * aspect, side, side * aspect], np.float32)


def track_video(path: Path) -> tuple[F32, npt.NDArray[np.bool_], float, tuple[int, int]]:
    """Landmarks (T, 478, 3) at 25 fps, valid (T,), time of frame 0 in seconds, picture size."""
    times: list[float] = []
    points: list[F32] = []
    seen: list[float] = []
    size = (0, 0)
    with av.open(str(path)) as container, _mesh(video=True) as mesh:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        sar = stream.sample_aspect_ratio
        aspect = float(sar) if sar else 1.0
        for frame in container.decode(stream):
            if frame.time is None:
                continue
            seen.append(frame.time)
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            size = (round(rgb.shape[1] * aspect), rgb.shape[0])
            found = _points(mesh, rgb, aspect)
            if found is not None:
                times.append(frame.time)
                points.append(found)
    if not points:
        raise ValueError(f"{path}: no face in {len(seen)} frames")
    start, count = seen[0], max(1, round((seen[-1] - seen[0]) * FPS) + 1)
    grid = start + np.arange(count) / FPS
    known = np.array(times)
    right = np.clip(np.searchsorted(known, grid), 1, max(1, len(known) - 1))
    if len(known) == 1:
        return np.repeat(points[0][None], count, 0), np.ones(count, bool), start, size
    left = right - 1
    gap = known[right] - known[left]
    share = np.clip((grid - known[left]) / gap, 0.0, 1.0).astype(np.float32)[:, None, None]
    stack = np.stack(points)
    out = stack[left] * (1 - share) + stack[right] * share
    off = np.minimum(np.abs(grid - known[left]), np.abs(grid - known[right]))
    return out, (gap <= MAX_GAP_S) & (off <= MAX_GAP_S), start, size


def read_sound(path: Path, start_s: float, frames: int) -> npt.NDArray[np.int16] | None:
    """(frames * 640,) int16 at 16 kHz whose sample 0 is at `start_s`; None if there is no sound."""
    total = frames * PCM_RATE_HZ // FPS
    out = np.zeros(total, np.int16)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=PCM_RATE_HZ)
        first: float | None = None
        parts: list[npt.NDArray[np.int16]] = []
        for frame in container.decode(audio=0):
            if first is None:
                first = frame.time or 0.0
            frame.pts = None
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
        parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    if not parts or first is None:
        return None
    sound = np.concatenate(parts)
    skip = round((start_s - first) * PCM_RATE_HZ)
    sound = sound[skip:] if skip >= 0 else np.concatenate([np.zeros(-skip, np.int16), sound])
    got = min(total, len(sound))
    out[:got] = sound[:got]
    return out


def label(root: Path, path: Path, out: Path) -> str:
    """Labels one file; returns a line for the log."""
    relative = path.relative_to(root)
    target = out / (str(relative).replace("/", "__") + ".npz")
    if target.exists():
        return f"{relative}: kept"
    arrays: dict[str, Any] = {"path": str(relative)}
    if path.suffix.lower() in PICTURE_SUFFIXES:
        with av.open(str(path)) as container, _mesh(video=False) as mesh:
            picture = next(container.decode(video=0))
            rgb = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            found = _points(mesh, rgb, 1.0)
        if found is None:
            return f"{relative}: no face"
        arrays |= {"landmarks": found[None], "valid": np.ones(1, bool)}
        arrays["size"] = np.array(rgb.shape[1::-1], np.int32)
    else:
        try:
            landmarks, valid, start, size = track_video(path)
        except ValueError as error:
            return str(error)
        arrays |= {"landmarks": landmarks, "valid": valid, "size": np.array(size, np.int32)}
        beside = path.with_suffix(".wav")
        pcm = (
            read_sound(beside, 0.0, len(landmarks))
            if beside.exists()
            else read_sound(path, start, len(landmarks))
        )
        if pcm is not None:
            arrays["pcm"] = pcm
    part = target.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(target)
    return f"{relative}: {len(arrays['landmarks'])} frames, {arrays['valid'].mean():.0%} found"


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    suffixes = VIDEO_SUFFIXES | PICTURE_SUFFIXES
    files = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in suffixes)
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = [pool.submit(label, args.folder, p, args.out) for p in files]
        for job in jobs:
            sys.stdout.write(job.result() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
