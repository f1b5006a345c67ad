"""A pack of small pictures with landmarks, in one file, and how it is made from what there is."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.faces import Frame, frame_of
from models.synth import store
from models.topology import IRISES, LANDMARKS

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

HELD_OUT_CLIPS = ("aoc", "lieu", "lbax4n", "sbia1a")
"""Filmed people never trained on."""
HELD_OUT_STILLS = ("S001150", "S000510", "D000432", "V000128", "J000291", "L000582", "O000172")
"""Stills of people who are measured on elsewhere (their Congress numbers)."""
TEST_EVERY, VALID_EVERY = 10, 40
"""Every so many of the stills' people is kept for the test; of the rest, for the curve."""
FACE_PX = 150
"""Faces are shrunk to this size in the pack; no picture is enlarged."""
SPAN = 2.1
"""Side of the piece that is kept around a face, in face sizes."""
KINDS = ("still", "clip", "head", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A picture of the pack.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) float32 px; zeros where there is no face.
        kind: one of `KINDS`.
        valid: kept for the curve.
    """

    picture: U8
    landmarks: F32
    kind: str
    valid: bool = False


def eyes_px(landmarks: F32) -> float:
    """Distance of the irises' centres, px."""
    left, right = (landmarks[iris[0], :2] for iris in IRISES)
    return float(np.linalg.norm(left - right))


def cut(picture: U8, landmarks: F32, kind: str, valid: bool = False) -> Item:
    """The piece of a picture around its face, no larger than the pack needs."""
    frame = frame_of(landmarks)
    factor = min(1.0, FACE_PX / frame.size)
    reach = SPAN / 2 * frame.size
    middle = np.array([frame.x, frame.y])
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach), picture.shape[1::-1]).astype(int)
    piece = picture[low[1] : high[1], low[0] : high[0]]
    size = [max(round(side * factor), 8) for side in piece.shape[1::-1]]
    scale = np.array([*(np.array(size) / piece.shape[1::-1]), factor], np.float32)
    small = cv2.resize(piece, size, interpolation=cv2.INTER_AREA)
    moved = (landmarks - np.array([*low, 0], np.float32)) * scale
    return Item(np.asarray(small, np.uint8), moved.astype(np.float32), kind, valid)


def background(picture: U8) -> Item:
    """A picture without a face."""
    factor = min(1.0, 2.6 * FACE_PX / min(picture.shape[:2]), 4 * FACE_PX / max(picture.shape[:2]))
    size = [max(round(side * factor), 8) for side in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return Item(np.asarray(small, np.uint8), np.zeros((LANDMARKS, 3), np.float32), "none")


def behind(picture: U8, matte: U8, scenes: list[U8], rng: np.random.Generator) -> U8:
    """A synthetic head before a random piece of another picture."""
    scene = scenes[int(rng.integers(len(scenes)))]
    side = int(min(scene.shape[:2]) * rng.uniform(0.4, 1))
    top, left = (int(rng.integers(s - side + 1)) for s in scene.shape[:2])
    piece = scene[top : top + side, left : left + side]
    there = cv2.resize(piece, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    share = matte[..., None] / np.float32(255)
    return np.asarray(there + share * (picture - there.astype(np.float32)) + 0.5, np.uint8)


def write(path: Path, items: list[Item], quality: int) -> int:
    """Writes a pack, pictures as WebP, and returns its bytes.

    Landmarks are kept as eighths of a percent of the face's size, aligned to the mean.
    """
    blobs, labels = [], []
    for item in items:
        bgr = np.ascontiguousarray(item.picture[..., ::-1])
        done, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if not done:
            raise ValueError(f"a picture of shape {bgr.shape} cannot be written as WebP")
        blobs.append(np.asarray(data, np.uint8).ravel())
        labels.append(item.landmarks)
    found = np.stack(labels)
    frames = np.array([f if f else (0, 0, 1, 0) for f in map(_frame, found)], np.float32)
    laid = np.stack([_lay(p, Frame(*f)) for p, f in zip(found, frames, strict=True)])
    faced = np.array([bool(p.any()) for p in found])
    laid[~faced] = 0
    mean = laid[faced].mean(0)
    rest = np.where(faced[:, None, None], laid - mean, 0)
    steps = np.maximum(np.abs(rest).max((1, 2), keepdims=True) / 127, 1e-6).astype(np.float32)
    np.savez_compressed(
        path,
        blobs=np.concatenate(blobs),
        lengths=np.array([len(b) for b in blobs], np.int32),
        frames=frames,
        mean=mean.astype(np.float32),
        steps=steps,
        rest=np.round(rest / steps).astype(np.int8),
        faced=faced,
        kinds=np.array([KINDS.index(i.kind) for i in items], np.int8),
        valid=np.array([i.valid for i in items]),
    )
    return path.stat().st_size


def read(path: Path) -> list[Item]:
    """The items of a pack.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    items, at = [], 0
    for i, length in enumerate(arrays["lengths"]):
        blob = arrays["blobs"][at : at + length]
        at += length
        picture = np.asarray(cv2.imdecode(blob, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
        points = np.zeros((LANDMARKS, 3), np.float32)
        if arrays["faced"][i]:
            laid = arrays["mean"] + arrays["rest"][i] * arrays["steps"][i]
            points = Frame(*map(float, arrays["frames"][i])).out(laid)
        kind = KINDS[arrays["kinds"][i]]
        items.append(Item(np.ascontiguousarray(picture), points, kind, bool(arrays["valid"][i])))
    return items


def _frame(points: F32) -> tuple[float, float, float, float] | None:
    if not points.any():
        return None
    frame = frame_of(points)
    return frame.x, frame.y, frame.size, frame.roll


def _lay(points: F32, frame: Frame) -> F32:
    return frame.into(points)


def stills(folder: Path, labels: Path, test: bool = False) -> Iterator[tuple[str, U8, F32]]:
    """Labelled stills (name, picture, landmarks): those for training, or for the test."""
    manifest = (folder / "manifest.jsonl").read_text().splitlines()
    people = {row["path"]: row["identity"] for row in map(json.loads, manifest)}
    order = {who: at for at, who in enumerate(sorted(set(people.values())))}
    for name, who in sorted(people.items()):
        kept = order[who] % TEST_EVERY == 0
        listed = any(number in name for number in HELD_OUT_STILLS)
        path = labels / (name.replace("/", "__") + ".npz")
        if kept != test or (listed and not test) or not path.exists():
            continue
        with np.load(path) as data:
            points = np.asarray(data["landmarks"][0], np.float32)
        yield name, _rgb(folder / name), points


def clips(folder: Path, labels: Path, per_person: int) -> Iterator[tuple[str, U8, F32]]:
    """Frames of labelled footage, those of each clip that differ most; no one held out."""
    import av

    known = Counter(path.name.split("__")[0] for path in labels.glob("*.npz"))

    for path in sorted(labels.glob("*.npz")):
        with np.load(path) as data:
            name, tracks, valid = str(data["path"]), data["landmarks"], data["valid"]
            width = int(data["size"][0])
        if any(part in name for part in HELD_OUT_CLIPS):
            continue
        rows = spread(tracks, valid, max(1, per_person // known[path.name.split("__")[0]]))
        with av.open(str(folder / name)) as container:
            if abs(float(container.streams.video[0].average_rate or 0) - 25) > 0.01:
                continue
            for at, frame in enumerate(container.decode(video=0)):
                if at in rows:
                    rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    rgb = np.asarray(cv2.resize(rgb, (width, rgb.shape[0])), np.uint8)
                    yield f"{name}:{at}", rgb, np.asarray(tracks[at], np.float32)


def spread(tracks: F32, valid: npt.NDArray[np.bool_], count: int) -> set[int]:
    """Frames that are farthest from each other, greedily."""
    known = np.flatnonzero(valid)
    shapes = np.stack([frame_of(tracks[i]).into(tracks[i])[::6].ravel() for i in known])
    chosen = [0]
    far = np.abs(shapes - shapes[0]).mean(1)
    while len(chosen) < min(count, len(known)):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, np.abs(shapes - shapes[chosen[-1]]).mean(1))
    return {int(known[i]) for i in chosen}


def heads(
    folder: Path, seen: Path, per_head: int, rng: np.random.Generator
) -> Iterator[tuple[str, U8, F32, U8]]:
    """Synthetic heads (name, picture, landmarks, matte), laid over MediaPipe's by the median
    difference that `offset` finds."""
    shift = offset(folder, seen)
    for path in store.people(folder):
        made = store.load(path)
        pictures = np.concatenate([made.portrait[None], made.shots])
        for at in sorted(rng.choice(len(pictures), per_head, replace=False)):
            points = made.landmarks[at]
            upright = Upright.of(points)
            yield f"{path.stem}_{at}", pictures[at], upright.shifted(points, shift), made.mattes[at]


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """Turns the eyes' line level and makes it one long."""

    turn: F32
    eyes_px: float

    @staticmethod
    def of(points: F32) -> "Upright":
        """For a face (478, 3)."""
        across = points[IRISES[1][0], :2] - points[IRISES[0][0], :2]
        length = float(np.hypot(*across))
        cos, sin = across / length
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
        return Upright(turn, length)

    def shifted(self, points: F32, shift: F32) -> F32:
        """Points moved by what is given in the upright face's eye distances."""
        return np.asarray(points + shift @ self.turn * self.eyes_px, np.float32)


def offset(folder: Path, seen: Path) -> F32:
    """(478, 3) median of what MediaPipe says of synthetic heads less what they are, upright, in
    eye distances, the same on both sides of the face.

    Args:
        folder: of the heads.
        seen: npz with MediaPipe's landmarks of their pictures by name, `<person>_<picture>`.
    """
    from models import facemodel

    found = []
    with np.load(seen) as labels:
        known = {name: labels[name] for name in labels.files}
    for path in store.people(folder):
        made = store.load(path)
        for at, points in enumerate(made.landmarks):
            if (said := known.get(f"{path.stem}_{at}")) is not None:
                upright = Upright.of(points)
                found.append((said - points) @ upright.turn.T / upright.eyes_px)
    middle = np.median(np.stack(found), 0)
    mirrored = middle[facemodel.load().mirror] * (-1, 1, 1)
    return np.asarray((middle + mirrored) / 2, np.float32)


def _rgb(path: Path) -> U8:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path}: no picture that can be read")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)
