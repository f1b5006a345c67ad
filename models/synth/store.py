"""The files that hold made people: one compressed npz a person, read with NumPy alone."""

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .landmarks import LANDMARKS

FORMAT = 1
Bytes = npt.NDArray[np.uint8]


class StoreError(Exception):
    """A person's file is not there or not in the form expected."""


@dataclass(frozen=True)
class Made:
    """A made person: a portrait and N shots, all square, in one light and before one camera.

    Attributes:
        seed: whom it shows.
        portrait: (H, W, 3) uint8 sRGB, the mouth shut.
        shots: (N, H, W, 3) uint8 sRGB.
        landmarks: (N + 1, 478, 3) float32 px in MediaPipe's order, the portrait's first; pixel
            centres at halves; z grows away from the camera, 0 in the plane of the eyes' middle.
        mattes: (N + 1, H, W) uint8, 255 where the person covers the pixel.
        mouths: (N + 1, H, W) uint8, 255 inside the mouth, beyond where the lips meet.
        flows: (N, H, W, 2) float16 px, from a shot's pixel to where the portrait shows the same
            point; NaN on the backdrop and where the portrait does not show it.
        about: how the person was drawn, and each picture; nothing that training needs.
    """

    seed: int
    portrait: Bytes
    shots: Bytes
    landmarks: npt.NDArray[np.float32]
    mattes: Bytes
    mouths: Bytes
    flows: npt.NDArray[np.float16]
    about: dict[str, Any]

    def __post_init__(self) -> None:
        count, side = len(self.shots), self.portrait.shape[0]
        wanted: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "portrait": ((side, side, 3), np.uint8),
            "shots": ((count, side, side, 3), np.uint8),
            "landmarks": ((count + 1, LANDMARKS, 3), np.float32),
            "mattes": ((count + 1, side, side), np.uint8),
            "mouths": ((count + 1, side, side), np.uint8),
            "flows": ((count, side, side, 2), np.float16),
        }
        for name, (shape, dtype) in wanted.items():
            cells = getattr(self, name)
            if cells.shape != shape or cells.dtype != dtype:
                raise StoreError(
                    f"{name} is {cells.dtype} {cells.shape}, expected {np.dtype(dtype)} {shape}"
                )


def path_of(folder: Path, seed: int) -> Path:
    """Where a person lies."""
    return folder / f"{seed:06d}.npz"


def people(folder: Path) -> Iterator[Path]:
    """The files of a folder's people, by seed."""
    yield from sorted(folder.glob("[0-9]" * 6 + ".npz"))


def save(folder: Path, made: Made) -> Path:
    """Writes a person's file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, made.seed)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez_compressed(
                out,
                format=np.int32(FORMAT),
                seed=np.int64(made.seed),
                portrait=made.portrait,
                shots=made.shots,
                landmarks=made.landmarks,
                mattes=made.mattes,
                mouths=made.mouths,
                flows=made.flows,
                about=np.array(json.dumps(made.about)),
            )
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def load(path: Path) -> Made:
    """Reads a person's file.

    Raises:
        StoreError: it is not there, not of this format, or holds arrays of other shapes.
    """
    try:
        with np.load(path, allow_pickle=False) as table:
            if "format" not in table or int(table["format"]) != FORMAT:
                raise StoreError(f"{path.name} is not of format {FORMAT}")
            return Made(
                int(table["seed"]),
                table["portrait"],
                table["shots"],
                table["landmarks"],
                table["mattes"],
                table["mouths"],
                table["flows"],
                json.loads(str(table["about"])),
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: {error}") from error
