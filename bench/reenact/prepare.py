"""From labelled footage, stills and synthetic heads to samples, a file for each person or clip."""

import json
import logging
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bench.quality.made import hear
from bench.reenact import stills
from bench.reenact.footage import Film
from bench.reenact.samples import Shot, made
from bench.reenact.sitter import Frame, Sitter, gaps, portraits
from engine.config import EngineConfig
from models.data import clips
from models.synth import store
from models.train import lipdata
from models.train.render.samples import INDEX, Samples

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_LIPS, _TURN = 0.6, np.radians([9.0, 7.0, 4.0])
"""Spread of lip codes that shut mouths are given, and of turns (yaw, pitch, roll)."""
_GRIN = 0.02
"""Gap of the lips from which a still counts as open, in face widths."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One file of samples to make.

    Attributes:
        name: of the file.
        person: who is in it.
        source: video or still.
        labels: its label file.
        count: samples wanted, at most.
        portraits: pictures taken for portraits.
    """

    name: str
    person: str
    source: Path
    labels: Path
    count: int
    portraits: int = 1


def clip_jobs(videos: Path, labels: Path, each: int) -> list[Job]:
    """A job for every labelled clip; `each` samples at most for a person, shared by their clips."""
    told = clips.speakers(labels)
    found = []
    for path in sorted((labels / "train").glob("*.npz")):
        with np.load(path, allow_pickle=False) as data:
            found.append((path, videos / str(data["path"]), len(data["landmarks"])))
    people = [told.get(p.stem, clips.speaker_of(p.stem)) for p, _, _ in found]
    total: dict[str, int] = {}
    for person, (_, _, length) in zip(people, found, strict=True):
        total[person] = total.get(person, 0) + length
    jobs = []
    for person, (path, video, length) in zip(people, found, strict=True):
        count = max(2, round(each * length / total[person]))
        jobs.append(Job(path.stem, person, video, path, count, 1 + count // 80))
    return jobs


def still_jobs(pictures: Path, labels: Path, variants: int) -> list[Job]:
    """A job for every labelled still."""
    jobs = []
    for path in sorted(labels.glob("*.npz")):
        with np.load(path, allow_pickle=False) as data:
            source = pictures / str(data["path"])
        jobs.append(Job(path.stem, path.stem, source, path, variants))
    return jobs


def clip_samples(job: Job) -> Samples:
    """Samples of one clip."""
    with np.load(job.labels, allow_pickle=False) as data:
        labels, valid = data["landmarks"].astype(np.float64), data["valid"].astype(bool)
        pcm = data.get("pcm")
    film = Film.open(job.source)
    points, usable = film.points(labels), film.usable(valid)
    if not usable.any():
        raise ValueError(f"{job.name}: no picture at the times of its labels")
    heard = _heard(job, pcm, len(labels))
    chosen = sorted(portraits(points, usable, job.portraits))
    wanted = np.flatnonzero(usable)
    wanted = wanted[np.linspace(0, len(wanted) - 1, min(job.count, len(wanted))).astype(int)]
    seen = film.see({*chosen, *wanted.tolist()})
    frames = [Frame.of(points[i]) for i in chosen]
    sitters = [
        Sitter(f.picture(seen[i]), f.points(points[i])) for f, i in zip(frames, chosen, strict=True)
    ]
    dice = np.random.default_rng(len(points))
    pairs = []
    for index in wanted.tolist():
        which = int(dice.integers(len(sitters)))
        frame = frames[which]
        shot = Shot(
            frame.picture(seen[index]),
            frame.points(points[index]),
            heard.get(film.label(index)),
        )
        pairs.append((which, shot))
    return made(sitters, pairs)


def _heard(job: Job, pcm: npt.NDArray[np.int16] | None, count: int) -> dict[int, F32]:
    """Lip embeddings by label, of a clip's sound; none where it has no sound."""
    if pcm is None or len(pcm) < 10 * lipdata.CHUNK:
        return {}
    apart = lipdata.offsets(job.labels.parent.parent).get(job.labels.stem, 0.0)
    loud = pcm[: len(pcm) // lipdata.CHUNK * lipdata.CHUNK].astype(np.float32) / 32768.0
    sound, first, last = lipdata.aligned(loud, count, apart)
    frames = hear(sound, EngineConfig())
    return {first + i: f.embedding for i, f in enumerate(frames[: last - first])}


def still_samples(job: Job) -> Samples:
    """Samples of one still: what it shows, drawn from itself with the mouth shut in some ways."""
    with np.load(job.labels, allow_pickle=False) as data:
        points = data["landmarks"][0].astype(np.float64)
    found = cv2.imread(str(job.source), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError(f"{job.source}: cannot be read")
    rgb = np.ascontiguousarray(found[..., ::-1])
    frame = Frame.of(points)
    picture, points = frame.picture(np.asarray(rgb, np.uint8)), frame.points(points)
    dice = np.random.default_rng(zlib.crc32(job.name.encode()))
    count = job.count if gaps(points[None])[0] > _GRIN else max(1, job.count // 2)
    sitters = []
    for number in range(count):
        plain = number == 0 and count > 1
        lips = None if plain else dice.normal(0, _LIPS, 6)
        turn = dice.normal(0, 1, 3) * _TURN * (not plain)
        sitters.append(stills.sitter(picture, points, lips, turn))
    return made(sitters, [(i, Shot(picture, points)) for i in range(count)])


def head_jobs(heads: Path) -> list[Job]:
    """A job for every synthetic head of a folder that `models.synth` filled."""
    return [Job(f"head_{p.stem}", f"head_{p.stem}", p, p, 0) for p in store.people(heads)]


def head_samples(job: Job) -> Samples:
    """Samples of one synthetic head: all its shots, from its portrait."""
    head = store.load(job.source)
    points = head.landmarks.astype(np.float64)
    frame = Frame.of(points[0])
    sitter = Sitter(frame.picture(head.portrait), frame.points(points[0]))
    shots = [
        Shot(frame.picture(picture), frame.points(at))
        for picture, at in zip(head.shots, points[1:], strict=True)
    ]
    return made([sitter], [(0, shot) for shot in shots])


def write(
    jobs: Iterable[Job], out: Path, make: Callable[[Job], Samples], workers: int
) -> dict[str, str]:
    """Makes the files that are not there yet; returns the person of each, by name."""
    out.mkdir(parents=True, exist_ok=True)
    listed = list(jobs)
    left = [job for job in listed if not (out / f"{job.name}.npz").exists()]
    people = {job.name: job.person for job in listed}
    with ProcessPoolExecutor(workers) as pool:
        waiting = {pool.submit(partial(_one, job, out, make)): job for job in left}
        for done in tqdm(as_completed(waiting), total=len(waiting), unit="file"):
            if (fault := done.result()) is not None:
                _log.warning("%s: %s", waiting[done].name, fault)
                people.pop(waiting[done].name)
    path = out / INDEX
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted((known | people).items())), indent=0) + "\n")
    return people


def _one(job: Job, out: Path, make: Callable[[Job], Samples]) -> str | None:
    cv2.setNumThreads(1)
    try:
        make(job).save(out / f"{job.name}.npz")
    except (ValueError, av.FFmpegError, np.linalg.LinAlgError) as error:
        return str(error)
    return None
