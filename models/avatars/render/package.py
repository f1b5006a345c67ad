"""Finds a portrait's landmarks with MediaPipe and writes the avatar file.

Needs a virtual environment with mediapipe 0.10.21 and numpy below 2, apart from Blender's:
`python -m models.avatars.render.package --rendered DIR --out models/avatars`.
"""

import argparse
import importlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.topology import LOWER_INNER_LIP, UPPER_INNER_LIP

from .lids import LandmarkError, open_lids
from .people import PEOPLE, Person

Bytes = npt.NDArray[np.uint8]
Landmarks = npt.NDArray[np.float32]

INNER_LIPS = tuple(zip(UPPER_INNER_LIP.tolist(), LOWER_INNER_LIP.tolist(), strict=True))
REACH_PX = 4.0
"""How far the lips' line may lie from where MediaPipe puts it."""
CREATED = "2026-11-27"


def _crops(size: int, count: int, seed: int) -> list[tuple[float, float, float]]:
    """(left, top, side) in px of `count` jittered square crops that hold the whole head."""
    rng = np.random.default_rng(seed)
    crops = [(0.0, 0.0, float(size))]
    while len(crops) < count:
        side = size * rng.uniform(0.72, 1.15)
        free = size - side
        crops.append(
            (
                free * 0.5 + size * rng.uniform(-0.05, 0.05),
                free * 0.35 + size * rng.uniform(-0.05, 0.05),
                side,
            )
        )
    return crops


def landmarks(picture: Bytes, count: int = 40, seed: int = 1) -> Landmarks:
    """(478, 3) float32 landmarks in px, z too, of a (H, W, 3) uint8 portrait.

    The mean over `count` jittered crops, without the quarter of them that strays most.

    Raises:
        LandmarkError: fewer than half of the crops show a face.
    """
    solutions: Any = importlib.import_module("mediapipe.python.solutions.face_mesh")
    size = picture.shape[0]
    image = Image.fromarray(picture)
    found: list[npt.NDArray[np.float64]] = []
    with solutions.FaceMesh(
        static_image_mode=True,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=0.4,
    ) as mesh:
        for left, top, side in _crops(size, count, seed):
            crop = image.transform(
                (768, 768),
                Image.Transform.EXTENT,
                (left, top, left + side, top + side),
                Image.Resampling.BICUBIC,
            )
            seen = mesh.process(np.asarray(crop))
            if not seen.multi_face_landmarks:
                continue
            points = np.asarray([(p.x, p.y, p.z) for p in seen.multi_face_landmarks[0].landmark])
            found.append(points * side + (left, top, 0.0))
    if len(found) < count // 2:
        raise LandmarkError(f"a face in {len(found)} of {count} crops, expected {count // 2}")
    stack = np.stack(found)
    middle = np.median(stack, axis=0)
    stray = np.abs(stack[..., :2] - middle[..., :2]).mean(axis=(1, 2))
    best = stack[np.argsort(stray)[: max(1, len(stack) * 3 // 4)]]
    return np.asarray(best.mean(axis=0), np.float32)


def shut_mouth(points: Landmarks) -> Landmarks:
    """Lays the upper and lower inner lip on the one line where shut lips meet."""
    shut = points.copy()
    for upper, lower in INNER_LIPS:
        shut[[upper, lower]] = (points[upper] + points[lower]) / 2
        shut[[upper, lower], 2] = points[[upper, lower], 2]
    return shut


def snap(points: Landmarks, picture: Bytes, curve: tuple[int, ...]) -> Landmarks:
    """Moves a curve of landmarks up or down by at most `REACH_PX` onto the shut lips' line.

    That is where dark turns to bright going down: the lower lip begins.
    """
    blurred = Image.fromarray(picture).convert("L").filter(ImageFilter.GaussianBlur(1.0))
    grey = np.asarray(blurred, np.float64)
    grey = np.roll(grey, 2, axis=0) - np.roll(grey, -2, axis=0)
    steps = np.arange(-REACH_PX, REACH_PX + 0.25, 0.25)
    moves = []
    for index in curve:
        x, y = points[index, :2]
        rows = y + steps
        low = np.floor(rows).astype(int)
        column = grey[:, round(float(x)) - 1 : round(float(x)) + 2].mean(axis=1)
        shade = column[low] * (1 - (rows - low)) + column[low + 1] * (rows - low)
        cost = shade / max(float(np.ptp(shade)), 8.0) + 0.15 * np.abs(steps) / REACH_PX
        moves.append(float(steps[cost.argmin()]))
    path = np.asarray(moves)
    for _ in range(2):
        padded = np.pad(path, 1, mode="edge")
        path = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    moved = points.copy()
    moved[list(curve), 1] += path.astype(np.float32)
    return moved


def _png(cells: Bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(cells).save(out, "PNG", optimize=True)
    return out.getvalue()


def write(path: Path, person: Person, picture: Bytes, matte: Bytes, points: Landmarks) -> None:
    """Writes the avatar file, with fixed times so that the same input gives the same bytes."""
    about = {
        "format": 1,
        "name": person.name,
        "title": person.title,
        "licence": "CC0-1.0",
        "author": "The Visavis authors, from MakeHuman's CC0 assets",
        "created": CREATED,
        "source": "rendered by models/avatars/render",
    }
    array = io.BytesIO()
    np.save(array, points.astype(np.float32), allow_pickle=False)
    parts = {
        "avatar.json": json.dumps(about, indent=1).encode(),
        "portrait.png": _png(picture),
        "matte.png": _png(matte),
        "landmarks.npy": array.getvalue(),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(zipfile.ZipInfo(name, (2026, 11, 27, 0, 0, 0)), content)


def main() -> None:
    """Reads the arguments and writes the avatar files wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered", type=Path, required=True, help="folder with NAME.png")
    parser.add_argument("--out", type=Path, required=True, help="where NAME.avatar goes")
    parser.add_argument("--what", nargs="+", default=list(PEOPLE), help="names")
    wanted = parser.parse_args()
    for name in wanted.what:
        with Image.open(wanted.rendered / f"{name}.png") as opened:
            picture = np.asarray(opened.convert("RGB"))
        with Image.open(wanted.rendered / f"{name}.matte.png") as opened:
            matte = np.asarray(opened.convert("L"))
        points = shut_mouth(landmarks(picture))
        with Image.open(wanted.rendered / f"{name}.eyes.png") as opened:
            eyes = np.asarray(opened.convert("L"))
        points = snap(points, picture, tuple(u for u, _ in INNER_LIPS[1:-1]))
        for upper, lower in INNER_LIPS:
            points[lower, :2] = points[upper, :2]
        points = open_lids(points, eyes)
        write(wanted.out / f"{name}.avatar", PEOPLE[name], picture, matte, points)


if __name__ == "__main__":
    main()
