"""Samples that the render network learns from: windows of a portrait, its guide and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.reenact.sitter import Sitter
from models import topology as topo
from models import window
from models.train.render.samples import ROOM_PX, Samples

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture to be drawn: its truth, landmarks and sound.

    Attributes:
        picture: (S, S, 3) uint8.
        points: (478, 3) pixels.
        embedding: (64,) of its sound, None where there is none.
    """

    picture: U8
    points: F64
    embedding: F32 | None = None


def cut(picture: U8, points: F64, side: int = ROOM_PX) -> tuple[U8, tuple[int, int]]:
    """The window (side, side, ...) around a mouth, and its corner (x, y)."""
    x, y = window.centre(points)
    corner = int(np.floor(x)) - side // 2, int(np.floor(y)) - side // 2
    return at(picture, corner, side), corner


def at(picture: U8, corner: tuple[int, int], side: int = ROOM_PX) -> U8:
    """The window at a corner (x, y); beyond the picture its edge goes on."""
    rows, columns = (
        np.arange(start, start + side).clip(0, length - 1)
        for start, length in zip(corner[::-1], picture.shape[:2], strict=True)
    )
    return np.ascontiguousarray(picture[rows[:, None], columns[None]])


def made(sitters: Sequence[Sitter], pairs: Sequence[tuple[int, Shot]]) -> Samples:
    """Draws every (sitter, shot)."""
    warps, inside, truths, regions, told = [], [], [], [], []
    for which, shot in pairs:
        sitter = sitters[which]
        led = sitter.lead(shot.points)
        (guided,) = led.guided
        plates = np.zeros((*sitter.picture.shape[:2], 4), np.uint8)
        for patch in sitter.plates.plates(guided):
            rows = slice(patch.y, patch.y + patch.alpha.shape[0])
            columns = slice(patch.x, patch.x + patch.alpha.shape[1])
            plates[rows, columns] = np.dstack([patch.rgb, patch.alpha])
        truth, corner = cut(shot.picture, shot.points)
        warps.append(at(sitter.compose(led), corner))
        inside.append(at(plates, corner))
        truths.append(truth)
        region = window.region(shot.points, corner, (ROOM_PX, ROOM_PX), window.FACE_PX)
        regions.append(np.round(region * 255).astype(np.uint8))
        pose = guided.drivers[:4] / np.array([[1.0], [1.0], [1.0], [window.FACE_PX]])
        told.append(window.conditions(pose, closure(shot.points, sitter.points), shot.embedding))
    return Samples(
        np.stack([cut(s.picture, s.points)[0] for s in sitters]),
        np.array([which for which, _ in pairs], np.int32),
        np.stack(warps),
        np.stack(inside),
        np.stack(truths),
        np.stack(regions),
        np.stack(told),
    )


def closure(points: F64, rest: F64) -> tuple[float, float]:
    """How far the (left, right) lid has fallen, 0 to 1, against the portrait's landmarks."""
    shares = []
    for upper, lower in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
        gap, own = ((p[lower] - p[upper])[1:-1, 1].mean() for p in (points, rest))
        shares.append(float(np.clip(1 - gap / max(own, 1.0), 0, 1)))
    return shares[0], shares[1]
