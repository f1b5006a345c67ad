"""What `bench quality` measures on: talking clips, labelled, and what is spoken in them when."""

import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from kernels import logmel
from models.topology import LANDMARKS
from models.train import lipdata

F64 = npt.NDArray[np.float64]

FPS = 25
CHUNK = logmel.RATE_HZ // FPS
"""Samples of one picture, 640."""
LEAST_PICTURES = FPS
VIDEOS = {".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".m4v", ".mts"}
HOW_TO_LABEL = "visavis train data prepare {} LABELS"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Talk:
    """A labelled clip of somebody talking, its sound in time with its pictures.

    Attributes:
        name: short, for tables.
        file: name of the footage, as in `lipdata.OFFSET_FRAMES`.
        points: (T, 478, 3) float64, landmarks at 25 pictures a second, in square pixels.
        valid: (T,) bool, a face was found.
        pcm: (T * 640,) float32 in [-1, 1] at 16 kHz.
        labels: folder of its label file.
        start_s: where in the footage's sound this one begins: what video and sound were apart is
            taken back (`models.data` measures it).
        first: number of the label that its first picture has.
    """

    name: str
    file: str
    points: F64
    valid: npt.NDArray[np.bool_]
    pcm: npt.NDArray[np.float32]
    labels: Path
    start_s: float = 0.0
    first: int = 0

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.points) / FPS


def find(folder: Path, labels: Path | None = None, only: Sequence[str] = ()) -> list[Talk]:
    """Reads every labelled clip of a folder.

    Args:
        folder: videos, or label files (`models.label.track` writes them).
        labels: where the labels of the folder's videos are; the folder itself if None.
        only: keep files with one of these words in their names.

    Raises:
        MediaError: a folder is missing or holds nothing to measure, a video has no labels, or a
            label file is damaged, too short, or without sound.
    """
    for place in (folder, *((labels,) if labels else ())):
        if not place.is_dir():
            raise MediaError(f"{place} is not a folder")
    videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS)
    known = {p.name: p for p in sorted((labels or folder).rglob("*.npz"))}
    if not videos and not known:
        raise MediaError(f"{folder} holds no clips: expected videos or label files (.npz)")
    how = HOW_TO_LABEL.format(folder)
    if videos and not known:
        raise MediaError(f"{folder} holds {len(videos)} videos and no labels; make them: {how}")
    wanted = [str(v.relative_to(folder)).replace("/", "__") + ".npz" for v in videos] or list(known)
    if only:
        wanted = [name for name in wanted if any(word in name for word in only)]
        if not wanted:
            raise MediaError(f"{folder} holds no clip named like {' or '.join(only)}")
    # The labels may have been made of a folder further up: then their names begin with more.
    known |= {
        n.split("__", k)[-1]: p for n, p in known.items() for k in range(1, n.count("__") + 1)
    }
    if missing := [name for name in wanted if name not in known]:
        clip, place = missing[0].removesuffix(".npz"), labels or folder
        if refused := sorted(place.rglob(f"{clip}.failed.json")):
            reason = json.loads(refused[0].read_text()).get("reason", "no reason given")
            raise MediaError(f"{clip} could not be labelled: {reason}; --only leaves it out")
        raise MediaError(
            f"{clip} has no labels, expected {missing[0]} in {place}; make them: {how}"
        )
    return [read(known[name]) for name in wanted]


def video_of(talk: Talk, folder: Path) -> Path:
    """The video of a folder that a clip is labelled from.

    Raises:
        MediaError: it is not there.
    """
    for path in sorted(folder.rglob("*")):
        name = "__".join(path.relative_to(folder).parts)
        if path.is_file() and (talk.file == name or talk.file.endswith(f"__{name}")):
            return path
    raise MediaError(f"{folder} does not hold the video of {talk.file}: --render needs it")


def read(path: Path) -> Talk:
    """Reads one label file, as `models.label.track` describes it.

    Raises:
        MediaError: it is damaged, shorter than a second, or without sound.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {n: data[n] for n in ("landmarks", "valid", "pcm") if n in data}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MediaError(f"{path} is damaged or no label file: {error}") from error
    if missing := [n for n in ("landmarks", "valid") if n not in arrays]:
        raise MediaError(f"{path} is no label file: array {missing[0]!r} is missing")
    if "pcm" not in arrays:
        raise MediaError(f"{path} holds no sound: expected a clip of somebody talking")
    points, valid, pcm = arrays["landmarks"], arrays["valid"].astype(bool), arrays["pcm"]
    if points.ndim != 3 or points.shape[1:] != (LANDMARKS, 3) or len(valid) != len(points):
        raise MediaError(
            f"{path}: landmarks are {points.shape} with {len(valid)} marks of validity, "
            f"expected (T, {LANDMARKS}, 3) and T"
        )
    file = path.name.removesuffix(".npz")
    pcm = pcm[: len(pcm) // CHUNK * CHUNK].astype(np.float32) / 32768.0
    apart = lipdata.offsets(root(path.parent)).get(file, 0.0)
    sound, first, last = lipdata.aligned(pcm, len(points), apart)
    last = min(last, first + len(sound) // CHUNK)
    found = int(valid[first:last].sum())
    if found < LEAST_PICTURES:
        raise MediaError(
            f"{path} has a face and sound in {found} pictures, expected at least {LEAST_PICTURES}"
        )
    sound = sound[: (last - first) * CHUNK]
    if not sound.any():
        raise MediaError(f"{path} holds no sound: all of its {len(sound)} samples are zero")
    name = Path(file).stem.split("__")[-1]
    points, start_s = points[first:last].astype(np.float64), lipdata.begins(apart) / logmel.RATE_HZ
    return Talk(name, file, points, valid[first:last], sound, path.parent, start_s, first)


def root(folder: Path) -> Path:
    """The folder that LABELS is for our trainings: label files stand in its folder `train`."""
    return folder.parent if folder.name == "train" else folder
