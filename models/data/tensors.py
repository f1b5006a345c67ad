"""Labels -> what networks learn from: lip codes, head pose, eyes and sound of each clip.

LABELS/tensors/NAME.npz is made from LABELS/train/NAME.npz and holds
    code     (T, K) float32, the speaker's own lip codes (`models.facemodel`)
    opening  (T,) float32, gap of the inner lips in face widths
    pose     (T, 6) float32, `models.measures.pose`
    eye      (T, 2) float32, `models.measures.eye_aspect`
    valid    (T,) bool
    pcm      (T * 640,) int16 at 16 kHz as the file has it, its offset not taken back; or absent
    face_px  () float32, median width of the face
    notes    str, JSON of what the tracker noted; "{}" if it noted nothing
A clip's codes are relative to its speaker's shut mouth, so a speaker's clips are made together
and made anew when one of them changes.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import facemodel, measures
from models.data import clips
from models.train import face

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

VERSION = "1"
MOST = 20_000
"""Pictures that a speaker's shut mouth is looked for in."""
PIECE = 5_000
"""Pictures worked on at a time."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """One clip; the fields are those of the module's first lines."""

    name: str
    code: F32
    opening: F32
    pose: F32
    eye: F32
    valid: Bools
    pcm: npt.NDArray[np.int16] | None
    face_px: float
    notes: str

    @property
    def sound(self) -> F32:
        """(T * 640,) float32 in [-1, 1]; empty where there is none."""
        pcm = np.empty(0, np.int16) if self.pcm is None else self.pcm
        return np.asarray(pcm / 32768.0, np.float32)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The shipped face model as displacements need it."""

    model: facemodel.FaceModel
    neutral: F64
    stable: I64
    mirror: I64
    share: F64

    @staticmethod
    def load() -> "_Frame":
        model = facemodel.load()
        neutral = model.neutral.astype(np.float64)
        stable, mirror = model.stable.astype(np.int64), model.mirror.astype(np.int64)
        return _Frame(model, neutral, stable, mirror, face.falloff(neutral)[:, None])

    def codes(self, laid: F64, base: F64) -> F32:
        """(T, K) codes of faces laid over the neutral one, from a shut mouth (478, 3)."""
        delta = face.align(laid, base, self.stable) - base
        delta = (delta + delta[:, self.mirror] * (-1.0, 1.0, 1.0)) / 2
        return self.model.encode((delta * self.share).astype(np.float32))


def _stamp(paths: list[Path], speaker: str) -> str:
    digest = hashlib.sha256(f"{VERSION} {speaker}".encode())
    digest.update(str(facemodel.load().basis.sum(dtype=np.float64)).encode())
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _has(path: Path, stamp: str) -> bool:
    if not path.exists():
        return False
    with np.load(path) as data:
        return "stamp" in data and str(data["stamp"]) == stamp


def by_speaker(labels: Path, named: Mapping[str, str] | None = None) -> dict[str, list[Path]]:
    """Label files of each speaker.

    Args:
        labels: folder whose train/ `models.label.track` filled.
        named: speakers by label file; what is not in it goes by clips.json, then by its name.

    Raises:
        FileNotFoundError: there are no label files.
    """
    known = clips.speakers(labels) | dict(named or {})
    out: dict[str, list[Path]] = {}
    for path in sorted((labels / "train").glob("*.npz")):
        if path.name.endswith(".part.npz"):
            continue
        name = path.name.removesuffix(".npz")
        out.setdefault(known.get(name) or clips.speaker_of(name), []).append(path)
    if not out:
        raise FileNotFoundError(f"{labels / 'train'}: no label files (*.npz)")
    return out


def ensure(
    labels: Path,
    named: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Brings LABELS/tensors up to date; returns the clips' names. `tell` hears each name made."""
    folder = labels / "tensors"
    folder.mkdir(exist_ok=True)
    frame = _Frame.load()
    names = []
    for speaker, paths in by_speaker(labels, named).items():
        stamp = _stamp(paths, speaker)
        names += [p.name.removesuffix(".npz") for p in paths]
        missing = [p for p in paths if not _has(folder / p.name, stamp)]
        if not missing:
            continue
        own = _shut(paths, frame)
        for path in missing:
            part = folder / f"{path.name}.{os.getpid()}.part"
            with part.open("wb") as file:
                np.savez_compressed(file, stamp=np.array(stamp), **_clip(path, frame, own))
            part.replace(folder / path.name)
            tell(path.name.removesuffix(".npz"))
    return sorted(names)


def _pieces(landmarks: F32, frame: _Frame, step: int = 1) -> Iterator[F64]:
    for first in range(0, len(landmarks), PIECE * step):
        piece = landmarks[first : first + PIECE * step : step].astype(np.float64)
        yield face.align(piece, frame.neutral, frame.stable)


def _shut(paths: list[Path], frame: _Frame) -> F64:
    """(478, 3) a speaker's face with a shut mouth."""
    counts = []
    for path in paths:
        with np.load(path) as data:
            counts.append(len(data["valid"]))
    step = max(1, round(sum(counts) / MOST))
    found = []
    for path in paths:
        with np.load(path) as data:
            valid = data["valid"][::step]
            laid = list(_pieces(data["landmarks"], frame, step))
        found.append(np.concatenate(laid)[: len(valid)][valid])
    return face.shut_face(np.concatenate(found))


def _clip(path: Path, frame: _Frame, own: F64) -> dict[str, Any]:
    with np.load(path) as data:
        landmarks, valid = data["landmarks"], data["valid"]
        pcm = data.get("pcm", None)
        notes = str(data["notes"]) if "notes" in data else "{}"
    laid = np.concatenate(list(_pieces(landmarks, frame)))
    mouth = measures.inner_gap(laid)
    shut = np.flatnonzero(
        valid & (measures.inner_gap(face.align(laid, own, frame.stable)) <= face.SHUT)
    )
    base = own
    if len(shut) >= 6:
        step = max(1, len(shut) // MOST)
        base = np.median(face.align(laid[shut[::step]], own, frame.stable), 0)
    code = [
        frame.codes(face.align(laid[i : i + PIECE], own, frame.stable), base)
        for i in range(0, len(laid), PIECE)
    ]
    pose = measures.pose(landmarks)
    out = {
        "code": np.concatenate(code),
        "opening": mouth.astype(np.float32),
        "pose": pose.astype(np.float32),
        "eye": measures.eye_aspect(landmarks).astype(np.float32),
        "valid": valid,
        "face_px": np.array(np.median(np.exp(pose[:, 5])), np.float32),
        "notes": np.array(notes),
    }
    return out if pcm is None else out | {"pcm": pcm}


def read(labels: Path, name: str) -> Tensors:
    """One clip's tensors.

    Raises:
        FileNotFoundError: `ensure` has not made them.
    """
    with np.load(labels / "tensors" / f"{name}.npz") as data:
        return Tensors(
            name,
            data["code"],
            data["opening"],
            data["pose"],
            data["eye"],
            data["valid"],
            data.get("pcm", None),
            float(data["face_px"]),
            str(data["notes"]),
        )
