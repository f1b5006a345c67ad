"""From footage to training tensors: track, measure, listen, judge; each can be broken off."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

import models
from models.data import clips, footage, offsets, tensors
from models.data.clips import Heard, Limits, Record, Seen
from models.data.footage import Known, Video
from models.data.offsets import Lags, Listener, Offset
from models.data.tensors import Tensors
from models.label import track
from models.train import lipdata

MAX_S = 3600.0
"""A longer video does not fit into memory with all its landmarks."""


def tracker(mediapipe: Path | None) -> tuple[Path, str]:
    """The Python that tracks faces, and what by: this one by our own networks, or by MediaPipe
    the one given.

    Raises:
        ValueError: there is no such Python.
    """
    if mediapipe is None:
        return Path(sys.executable), "own"
    if not mediapipe.exists():
        raise ValueError(f"--mediapipe {mediapipe}: no such file")
    # Not resolved: a virtual environment's Python is a link.
    return mediapipe.absolute(), "mediapipe"


def pending(videos: list[Video], out: Path, by: str, looks: int) -> list[Video]:
    """The videos that have not been tracked in this way yet, nor failed before."""
    todo = []
    for video in videos:
        stamp = track.stamp_of(video.path, by, looks)
        target, failed = out / f"{video.name}.npz", out / f"{video.name}.failed.json"
        if target.exists():
            with np.load(target) as data:
                if "stamp" in data and str(data["stamp"]) == stamp:
                    continue
        if failed.exists() and json.loads(failed.read_text())["stamp"] == stamp:
            continue
        todo.append(video)
    return todo


def follow(
    folder: Path,
    videos: list[Video],
    labels: Path,
    mediapipe: Path | None,
    looks: int,
    workers: int,
) -> None:
    """Tracks the faces of all videos that are not tracked yet, with a bar in seconds of film.

    Raises:
        ValueError: there is nothing to track with.
        ChildProcessError: the tracker stopped.
    """
    out = labels / "train"
    out.mkdir(parents=True, exist_ok=True)
    python, by = tracker(mediapipe)
    for video in videos:
        if video.seconds > MAX_S:
            reason = f"too long ({video.seconds:.0f} s, at most {MAX_S:.0f}: cut it into pieces)"
            told = {"stamp": track.stamp_of(video.path, by, looks), "reason": reason}
            (out / f"{video.name}.failed.json").write_text(json.dumps(told))
    todo = pending(videos, out, by, looks)
    if not todo:
        return
    command = [str(python), "-m", "models.label.track", str(folder.absolute()), "--tracker", by]
    command += [str(out.absolute()), "--events", "--workers", str(workers), "--looks", str(looks)]
    # A file, since thousands of paths do not fit into a command line.
    listed = labels / "track.list"
    listed.write_text("\n".join(str(v.path.absolute()) for v in todo) + "\n", encoding="utf-8")
    command += ["--only", f"@{listed.absolute()}"]
    seconds = {v.name: v.seconds for v in todo}
    log = labels / "track.log"
    root = Path(models.__file__).parent.parent
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0
        ) as job,
    ):
        try:
            _show(job, seconds)
        except BaseException:
            os.killpg(job.pid, signal.SIGTERM)  # the tracker's own workers with it
            raise
    if job.returncode:
        last = " ".join(log.read_text().strip().splitlines()[-3:])
        raise ChildProcessError(f"the tracker stopped with {job.returncode}: {last}")


def _show(job: "subprocess.Popen[str]", seconds: dict[str, float]) -> None:
    """Follows a tracker's events with a bar, by the seconds of each video."""
    total = round(sum(seconds.values()), 1)
    done: dict[str, float] = {}
    with tqdm(total=total, unit="s", desc="faces", smoothing=0.1) as bar:
        for line in job.stdout or ():
            event = json.loads(line)
            name = event["file"]
            if "done" in event and not event["ok"]:
                bar.write(f"passed over: {name}: {event['done']}")
            now = seconds[name] if "done" in event else event["seconds"]
            done[name] = max(now, done.get(name, 0.0))
            bar.update(min(total, sum(done.values())) - bar.n)


def expected(labels: Path, clip: Tensors, listener: Listener, mark: str) -> offsets.F32:
    """(T,) the opening that a listener expects of a clip's sound, kept in LABELS/heard."""
    assert clip.pcm is not None
    folder = labels / "heard"
    folder.mkdir(exist_ok=True)
    stamp = f"{mark} {hashlib.sha256(clip.pcm.tobytes()).hexdigest()[:16]}"
    path = folder / f"{clip.name}.npz"
    if path.exists():
        with np.load(path) as data:
            if str(data["stamp"]) == stamp:
                return np.asarray(data["opening"], np.float32)
    opening = listener(clip.sound)
    part = path.with_suffix(".part.npz")
    np.savez(part, stamp=np.array(stamp), opening=opening)
    part.replace(path)
    return opening


def seen(clip: Tensors) -> Seen:
    """What a clip's picture shows."""
    notes = track.Notes(**json.loads(clip.notes))
    yaw = np.degrees(np.quantile(np.abs(clip.pose[:, 0]), 0.95))
    speech = clip.valid
    if clip.pcm is not None:
        speech = speech & ~lipdata.quiet(clip.sound)[: len(speech)]
    known = clip.notes != "{}"
    return Seen(
        round(len(clip.valid) / track.FPS, 2),
        round(min(float(clip.valid.mean()), notes.found if known else 1.0), 3),
        round(clip.face_px, 1),
        round(float(yaw), 1),
        notes.two_faces if known else None,
        notes.repeats if known else None,
        notes.dropped if known else None,
        notes.agreement,
        round(float(clip.opening[speech].std()), 4) if speech.sum() > 1 else 0.0,
    )


def heard(clip: Tensors, found: Offset | None, told: float | None) -> Heard | None:
    """What a clip's sound tells; `told` is its offset where it says too little."""
    if clip.pcm is None:
        return None
    level = 10 * float(np.log10((clip.sound.astype(np.float64) ** 2).mean() + 1e-12))
    voice = 1 - float(lipdata.quiet(clip.sound).mean())
    basic = Heard(round(level, 1), round(voice, 3), told, own=told is None)
    if found is None:
        return basic
    return replace(
        basic,
        offset=found.pictures,
        correlation=found.correlation,
        confidence=found.confidence,
        own=found.own,
    )


def judge(
    labels: Path,
    told: Known,
    listener: Listener,
    mark: str,
    limits: Limits,
    only: tuple[str, ...] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> clips.Table:
    """Measures every clip's offset, applies the limits and writes clips.json.

    Args:
        labels: folder of tracked footage.
        told: what speakers.json says.
        listener: a lip network that never heard the clips.
        mark: its name, kept beside each offset.
        limits: what a clip must reach.
        only: these speakers alone; the others keep the records they have.
        tell: hears each clip's name when it has been listened to.
    """
    before = clips.read(labels)
    kept = {} if before is None or not only else dict(before.clips)
    names = {p.name.removesuffix(".npz") for p in (labels / "train").glob("*.npz")}
    speakers = {n: footage.speaker(n, told) for n in sorted(names)}
    tensors.ensure(labels, speakers)
    records: dict[str, Record] = {}
    for person in sorted(set(speakers.values())):
        if only and person not in only:
            continue
        records |= _judge_speaker(
            labels, [n for n in speakers if speakers[n] == person], person, told,
            listener, mark, limits, tell,
        )  # fmt: skip
    for path in sorted((labels / "train").glob("*.failed.json")):
        name = path.name.removesuffix(".failed.json")
        reason = json.loads(path.read_text())["reason"]
        records[name] = Record(footage.speaker(name, told), reason=reason)
    table = clips.Table({n: r for n, r in (kept | records).items() if n in names | set(records)})
    table = clips.Table(table.clips, limits)
    table.write(labels)
    return table


def _judge_speaker(
    labels: Path,
    names: list[str],
    person: str,
    told: Known,
    listener: Listener,
    mark: str,
    limits: Limits,
    tell: Callable[[str], None],
) -> dict[str, Record]:
    curves: dict[str, Lags] = {}
    shown: dict[str, Tensors] = {}
    for name in names:
        clip = tensors.read(labels, name)
        if clip.pcm is not None:
            use = clip.valid & ~lipdata.quiet(clip.sound)[: len(clip.valid)]
            opening = expected(labels, clip, listener, mark)
            if (curve := offsets.lags(opening, clip.opening, use)) is not None:
                curves[name] = curve
        shown[name] = clip
        tell(name)
    usual = offsets.common(curves)
    settled = offsets.settle(curves, usual)
    out = {}
    for name, clip in shown.items():
        fixed, found = told.offset(name), settled.get(name)
        if fixed is not None and name in curves:
            found = offsets.at(curves[name], fixed)
        sound = heard(clip, found, usual if fixed is None else fixed)
        out[name] = clips.judge(person, seen(clip), sound, limits, mark)
    return out
