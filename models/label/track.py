"""Footage -> face landmarks at 25 fps and the sound that belongs to them.

    python -m models.label.track FOLDER OUT [--tracker own|mediapipe] [--workers 2] [--looks 4]
                                            [--only FILE ...]

Every video (and picture) under FOLDER becomes OUT/<relative path with __ for />.npz with
    landmarks   (T, 478, 3) float32, square pixels, x right, y down, z in pixels too
    valid       (T,) bool, a face was found near that time
    pcm         (T * 640,) int16, 16 kHz mono; sample 0 is at landmark frame 0; absent if silent
    size        (2,) int32, width and height of the picture in square pixels
    path        str, relative to FOLDER
    notes       str, JSON of what was seen on the way (`Notes`)
    stamp       str; a file labelled from the same video in the same way is kept
Pictures that only repeat the one before are passed over, the others put at their true times
(`models.data.timing`), then resampled to 25 fps. Landmarks are the mean of several looks
(`models.label.looks`) by our own networks, or by MediaPipe (`make venv-label`). The sound is cut or
padded to the video's first picture.

A video that cannot be labelled leaves OUT/<name>.failed.json with the reason. With --events, lines
of JSON on standard output tell how far it is: {"file", "seconds"} and {"file", "done", "ok"}.
"""

import argparse
import hashlib
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from models import weights
from models.data import timing
from models.label import looks
from models.label.sound import read_sound

FPS = 25
VERSION = "2"
"""Goes into every stamp: labels made in another way are made anew."""
VIDEO_SUFFIXES = {".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".m4v", ".mts"}
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}
MAX_GAP_S = 0.15
"""Frames without a face are bridged up to this long, else marked invalid."""
FACES_EVERY = 12
"""Pictures between two counts of the faces in the picture."""
EVENT_S = 2.0

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Notes:
    """What tracking saw of a video's quality.

    Attributes:
        pictures: in the file, repeats included.
        found: share of them with a face.
        two_faces: share of those looked at with a second face of half the size or more.
        repeats: share that only repeats the one before.
        dropped: share of the time in holes between pictures.
        rates_hz: frame rates that the pictures went through before the file's own; empty if none.
        agreement: correlation of the lip gap between the first two looks; None with one look.
        broken_s: where decoding stopped at an error, None if it went to the end.
    """

    pictures: int = 0
    found: float = 0.0
    two_faces: float = 0.0
    repeats: float = 0.0
    dropped: float = 0.0
    rates_hz: list[float] = field(default_factory=list)
    agreement: float | None = None
    broken_s: float | None = None


class _Faces:
    """Counts the faces in a picture."""

    def __init__(self, tracker: str) -> None:
        if tracker == "own":
            self._finder = looks.own_finder()
            self._widths = self._ours
        else:
            import mediapipe as mp

            self._detector = mp.solutions.face_detection.FaceDetection(model_selection=1)
            self._widths = self._theirs

    def _ours(self, rgb: looks.Picture) -> list[float]:
        return [float(np.ptp(f.landmarks[:, 0])) for f in self._finder.find(rgb, 2)]

    def _theirs(self, rgb: looks.Picture) -> list[float]:
        found = self._detector.process(rgb).detections or []
        return [float(d.location_data.relative_bounding_box.width) for d in found]

    def two(self, rgb: looks.Picture) -> bool:
        """Whether there is a second face at least half as wide as the first."""
        wide = sorted(self._widths(rgb), reverse=True)
        return len(wide) > 1 and wide[1] >= 0.5 * wide[0]


@dataclass(slots=True)
class _Seen:
    """All pictures of a video; `points` and `gaps` have rows for those with a face alone."""

    times: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    faced: list[bool] = field(default_factory=list)
    points: list[F32] = field(default_factory=list)
    gaps: list[F32] = field(default_factory=list)
    two: list[bool] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    broken_s: float | None = None


def _watch(path: Path, tracker: str, count: int, tell: Any) -> _Seen:
    seen, before, told = _Seen(), np.empty((0, 0), np.int16), time.monotonic()
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("no picture in it")
        look, faces = looks.Looks(count, tracker), _Faces(tracker)
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        sar = stream.sample_aspect_ratio
        aspect = float(sar) if sar else 1.0
        try:
            for frame in container.decode(stream):
                if frame.time is None or (seen.times and frame.time <= seen.times[-1]):
                    continue
                rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                rgb = np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
                seen.size = (round(rgb.shape[1] * aspect), rgb.shape[0])
                thin = max(1, min(rgb.shape[:2]) // 256)
                small = rgb[::thin, ::thin, 1].astype(np.int16)
                if seen.times:
                    same = small.shape == before.shape
                    seen.change.append(float(np.abs(small - before).mean()) if same else 255.0)
                before = small
                seen.times.append(frame.time)
                if len(seen.times) % FACES_EVERY == 1:
                    seen.two.append(faces.two(rgb))
                sight = look.see(rgb)
                seen.faced.append(sight is not None)
                if sight is not None:
                    seen.points.append(sight.points * np.array([aspect, 1, aspect], np.float32))
                    seen.gaps.append(sight.gaps)
                if time.monotonic() - told > EVENT_S:
                    told = time.monotonic()
                    tell(frame.time - seen.times[0])
        except av.FFmpegError:
            if not seen.times:
                raise
            seen.broken_s = round(seen.times[-1] - seen.times[0], 2)
    look.close()
    return seen


@dataclass(frozen=True, slots=True)
class Labels:
    """A video's labels at 25 fps.

    Attributes:
        landmarks: (T, 478, 3) px.
        valid: (T,) whether a face was found near.
        start_s: the file's time of landmark frame 0.
        first_s: the file's time of its first picture.
        size: of the picture in square pixels.
        notes: on quality.
    """

    landmarks: F32
    valid: Bools
    start_s: float
    first_s: float
    size: tuple[int, int]
    notes: Notes


def track_video(
    path: Path, tracker: str = "own", count: int = 4, tell: Any = lambda _: None
) -> Labels:
    """Follows the face through a video with `count` looks a picture; `tell` hears the seconds done.

    Raises:
        ValueError: no picture or no face in it.
        av.FFmpegError: it cannot be read at all.
    """
    seen = _watch(path, tracker, count, tell)
    if not seen.points:
        raise ValueError(f"no face (in {len(seen.times)} pictures)")
    filed = np.array(seen.times)
    times, fresh, found = timing.true_times(filed, np.array(seen.change))
    faced = np.array(seen.faced)
    start, length = float(times[0]), filed[-1] - filed[0]
    grid = start + np.arange(max(1, round(length * FPS) + 1)) / FPS
    rows = np.flatnonzero(fresh[faced])
    known = times[faced & fresh]
    landmarks = timing.resample(known, np.stack([seen.points[i] for i in rows]), grid)
    steps, gaps = np.diff(filed), np.stack(seen.gaps)
    holes = float((steps[steps > 1.8 * np.median(steps)]).sum()) if len(steps) else 0.0
    notes = Notes(
        len(filed),
        round(float(faced.mean()), 4),
        round(float(np.mean(seen.two)), 4),
        round(float(1 - fresh.mean()), 4),
        round(holes / length, 4) if length > 0 else 0.0,
        [] if found is None else [round(r, 3) for r in found.rates_hz],
        broken_s=seen.broken_s,
    )
    if gaps.shape[1] > 1 and len(gaps) > 10 and (gaps[:, :2].std(0) > 0).all():
        notes.agreement = round(float(np.corrcoef(gaps[:, 0], gaps[:, 1])[0, 1]), 4)
    valid = _near(known, times[faced], grid)
    return Labels(landmarks, valid, start, float(filed[0]), seen.size, notes)


def _near(known: F64, faced: F64, grid: F64) -> Bools:
    """(T,) whether the pictures with a face around each time are no more than MAX_GAP_S apart."""
    if len(known) == 1:
        return np.abs(grid - known[0]) <= MAX_GAP_S
    right = np.clip(np.searchsorted(faced, grid), 1, len(faced) - 1)
    off = np.minimum(np.abs(grid - faced[right - 1]), np.abs(grid - faced[right]))
    return np.asarray((faced[right] - faced[right - 1] <= MAX_GAP_S) & (off <= MAX_GAP_S))


def _picture(path: Path, tracker: str) -> dict[str, Any]:
    with av.open(str(path)) as container:
        rgb = np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)
    look = looks.look(tracker, video=False)
    found = look.see(looks.squared(rgb))
    look.close()
    if found is None:
        raise ValueError("no face (in 1 picture)")
    landmarks = (found * np.float32(max(rgb.shape[:2])))[None]
    size = np.array(rgb.shape[1::-1], np.int32)
    return {"landmarks": landmarks, "valid": np.ones(1, bool), "size": size}


def _video(path: Path, tracker: str, count: int, tell: Any) -> dict[str, Any]:
    labels = track_video(path, tracker, count, tell)
    frames = len(labels.landmarks)
    beside = path.with_suffix(".wav")
    # A sound in a file of its own begins with the first picture.
    pcm = (
        read_sound(beside, labels.start_s - labels.first_s, frames)
        if beside.exists()
        else read_sound(path, labels.start_s, frames)
    )
    arrays: dict[str, Any] = {"landmarks": labels.landmarks, "valid": labels.valid}
    arrays |= {"size": np.array(labels.size, np.int32), "notes": json.dumps(asdict(labels.notes))}
    return arrays if pcm is None else arrays | {"pcm": pcm}


def name_of(root: Path, path: Path) -> str:
    """Name of a file's labels: its path below `root` with __ for /."""
    return "__".join(path.relative_to(root).parts)


@cache
def _own_mark() -> str:
    """Changes with our own networks."""
    files = [weights.path(name) for name in (weights.FACE_DETECTOR, weights.FACE_LANDMARKS)]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:8]


def stamp_of(path: Path, tracker: str, count: int) -> str:
    """Changes when the file, or the way it is labelled, does."""
    way = VERSION if tracker == "mediapipe" else f"{VERSION} {_own_mark()}"
    return f"{way} {count} {path.stat().st_size}"


def label(
    root: Path, out: Path, tracker: str, count: int, events: bool, path: Path
) -> tuple[bool, str]:
    """Labels one file; returns whether it could be, and a line for the log."""
    cv2.setNumThreads(1)
    name, stamp = name_of(root, path), stamp_of(path, tracker, count)
    target, failed = out / f"{name}.npz", out / f"{name}.failed.json"
    if target.exists():
        with np.load(target) as data:
            if "stamp" in data and str(data["stamp"]) == stamp:
                return True, "kept"
    if failed.exists() and (kept := json.loads(failed.read_text()))["stamp"] == stamp:
        return False, str(kept["reason"])

    def tell(seconds: float) -> None:
        if events:
            _say({"file": name, "seconds": round(seconds, 2)})

    try:
        still = path.suffix.lower() in PICTURE_SUFFIXES
        arrays = _picture(path, tracker) if still else _video(path, tracker, count, tell)
    except (ValueError, av.FFmpegError) as error:
        reason = str(error)
        if isinstance(error, av.FFmpegError):
            reason = f"cannot be read ({error.strerror})"
        failed.write_text(json.dumps({"stamp": stamp, "reason": reason}))
        return False, reason
    arrays |= {"path": str(path.relative_to(root)), "stamp": stamp}
    part = target.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(target)
    failed.unlink(missing_ok=True)
    return True, f"{len(arrays['landmarks'])} frames, {arrays['valid'].mean():.0%} with a face"


def _say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else "", fromfile_prefix_chars="@"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2, help="videos at a time")
    parser.add_argument("--tracker", default="own", choices=looks.TRACKERS)
    parser.add_argument("--looks", type=int, default=4, help="trackers a picture, 1 to 4")
    parser.add_argument(
        "--only",
        type=Path,
        nargs="+",
        help="these files of FOLDER alone, or @FILE with a path a line",
    )
    parser.add_argument("--events", action="store_true", help="report in lines of JSON")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    suffixes = VIDEO_SUFFIXES | PICTURE_SUFFIXES
    files = args.only or sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in suffixes)
    work = partial(label, args.folder, args.out, args.tracker, args.looks, args.events)
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = {pool.submit(work, p): name_of(args.folder, p) for p in files}
        for job in as_completed(jobs):
            ok, line = job.result()
            if args.events:
                _say({"file": jobs[job], "done": line, "ok": ok})
            else:
                sys.stdout.write(f"{jobs[job]}: {line}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
