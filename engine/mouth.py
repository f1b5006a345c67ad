"""The mouth's inside from plates: pictures of teeth and tongue that move behind the lips."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.avatar import BUILT_IN
from engine.errors import AvatarError
from engine.kept import kept_with_first
from engine.render import Guided, parted, windows_around
from engine.rig import POSE_DRIVERS, Rig
from kernels.plates import Mouth, mouth
from kernels.warp_composite import Patch
from models import topology as topo

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

PLATES = BUILT_IN / "mouth"
_BACK_TO_FRONT = (("tongue", True, 0.9), ("lower_teeth", True, 1.0), ("upper_teeth", False, 1.08))
"""Each plate's name, whether it moves with the jaw, and how much light falls on it."""
_FINE = 41
_MARGIN_PX = 3.0
_LEAST_GAP_PX = 0.3
_DEEP = 0.035
"""How far from the lips all light arrives, in face widths."""
_INNER_LIPS = np.stack([topo.UPPER_INNER_LIP, topo.LOWER_INNER_LIP])
_SWINGING = (topo.JAW, topo.LOWER_INNER_LIP[3:-3])
"""Landmarks that tell how the jaw swings."""
_LIP_SHARE = 0.5
"""Lower teeth follow the chin in part and the lower lip in part: landmarks on a chin's even skin
tell less of its fall than the lip's rim does."""


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """One part of the mouth's inside.

    Attributes:
        rgba: (h, w, 4) float32 from 0 to 255, colour multiplied by alpha.
        origin_px: the plate's (x, y) that lies in the middle of the shut mouth's line.
        mouth_px: how many of its pixels make a mouth's width.
        on_jaw: it moves with the lower jaw rather than the skull.
    """

    rgba: F32
    origin_px: tuple[float, float]
    mouth_px: float
    on_jaw: bool

    def scaled(self, factor: float) -> "Plate":
        """The same at another size, filtered."""
        size = [max(round(side * factor), 1) for side in self.rgba.shape[1::-1]]
        rgba = cv2.resize(self.rgba, size, interpolation=cv2.INTER_AREA)
        x, y = self.origin_px
        return Plate(
            np.asarray(rgba, np.float32),
            (x * factor, y * factor),
            self.mouth_px * factor,
            self.on_jaw,
        )


@cache
def load_plates(folder: Path = PLATES) -> tuple[Plate, ...]:
    """Reads the plates that `plates.json` places, from the back of the mouth to the front.

    Raises:
        AvatarError: a file is missing or damaged.
    """
    try:
        listed = json.loads((folder / "plates.json").read_text())
        mouth_px = float(listed["px_per_mouth_width"])
        plates = []
        for name, on_jaw, light in _BACK_TO_FRONT:
            entry = listed["plates"][name]
            picture: Any = cv2.imread(str(folder / entry["file"]), cv2.IMREAD_UNCHANGED)
            rgba = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA).astype(np.float32)
            rgba[..., :3] = np.minimum(rgba[..., :3] * light, 250) * (rgba[..., 3:] / 255)
            (x, y), (right, down) = entry["anchor_px"], entry["offset"]
            origin = x - right * mouth_px, y - down * mouth_px
            plates.append(Plate(rgba, origin, mouth_px, on_jaw))
    except (OSError, ValueError, KeyError, TypeError, cv2.error) as error:
        raise AvatarError(f"mouth plates in {folder} cannot be read: {error}") from error
    return tuple(plates)


@kept_with_first
def plates_of(rig: Rig) -> tuple[Plate, ...]:
    """A rig's plates, at the size of its mouth, once for all sessions."""
    corners = rig.landmarks[list(topo.OUTER_MOUTH_CORNERS), :2]
    mouth_px = float(np.linalg.norm(corners[0] - corners[1]))
    return tuple(plate.scaled(mouth_px / plate.mouth_px) for plate in load_plates())


class MouthPainter:
    """Paints what shows between the lips.

    Attributes:
        rig: whose.
        origins, on_jaw: (P, 2) and (P,) of its plates, see `Plate`.
        rests, reaches: (L, 2) pixels and (L, 4) of the landmarks that tell how the jaw swings, of
            the chin and of the lip: where they are at rest, and how the head's pose reaches them.
        light: how bright the portrait's light is, see `kernels.plates.Mouth`.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        left, right = rig.landmarks[list(topo.MOUTH_CORNERS)]
        line = rig.landmarks[topo.UPPER_INNER_LIP[3:-3]].mean(0)
        self._middle = np.array([(left[0] + right[0]) / 2, line[1]], np.float32)
        # The mouth's own reach of the pose drivers: where the skull carries the plates.
        self._reach = rig.points[topo.UPPER_INNER_LIP[3:-3]].mean(0)[:POSE_DRIVERS]
        plates = plates_of(rig)
        self.origins = np.array([plate.origin_px for plate in plates])
        self.on_jaw = np.array([plate.on_jaw for plate in plates])
        self.rests = [rig.landmarks[rows, :2] for rows in _SWINGING]
        self.reaches = [rig.points[rows, :POSE_DRIVERS] for rows in _SWINGING]
        self.light = _light(rig)

    def skull(self, pose: F32) -> F32:
        """Where a pose's drivers (4, 2) take the middle of the shut mouth: (2,) pixels."""
        return np.asarray(self._middle + self._reach @ pose, np.float32)

    def plates(self, guided: Guided) -> list[Patch]:
        """One patch where the lips part, none where they touch, on the CPU: for tools and tests."""
        (seen,) = mouths([self], [guided])
        return [] if seen is None else [mouth([p.rgba for p in plates_of(self.rig)], seen)]


def mouths(
    painters: Sequence[MouthPainter],
    guided: Sequence[Guided],
    tints: Sequence[F32 | None] | None = None,
) -> list[Mouth | None]:
    """What shows in each picture where lips part, None where they touch or are off the picture.

    Args:
        painters: of each picture.
        guided: as many.
        tints: (3,) float32 of each, by which colours are divided; none if not given.
    """
    rims = _stacked([each.landmarks[_INNER_LIPS] for each in guided])
    upper, lower = (_SMOOTH @ rims[:, lip] for lip in range(2))
    gaps = (lower[..., 1] - upper[..., 1]).max(-1).tolist()
    made: list[Mouth | None] = [None] * len(guided)
    if not (chosen := [number for number, gap in enumerate(gaps) if gap >= _LEAST_GAP_PX]):
        return made
    upper, lower = parted(upper[chosen], lower[chosen])
    rims = np.concatenate([upper, lower[:, ::-1]], axis=1)
    sizes = np.array([[painters[number].rig.size_px] for number in chosen])
    windows = windows_around(rims, _MARGIN_PX, sizes).tolist()
    placements = _placements([painters[n] for n in chosen], [guided[n] for n in chosen])
    for number, rim, window, placed in zip(chosen, rims, windows, placements, strict=True):
        left, top, right, bottom = window
        if min(right - left, bottom - top) < 2:
            continue
        painter = painters[number]
        made[number] = Mouth(
            corner=(left, top),
            size=(right - left, bottom - top),
            rim=rim,
            placements=placed,
            deep_px=_DEEP * painter.rig.face_px,
            opened=0.70 + 0.30 * min(gaps[number] / (0.10 * painter.rig.face_px), 1.0),
            light=painter.light,
            tint=None if tints is None else tints[number],
        )
    return made


def _placements(painters: Sequence[MouthPainter], guided: Sequence[Guided]) -> F64:
    """Where each mouth's plates lie in its picture: (M, P, 2, 3)."""
    drivers = _stacked([each.drivers[:POSE_DRIVERS] for each in guided])
    turns = np.eye(2) + drivers[:, :2].transpose(0, 2, 1)
    skulls = _stacked([by.skull(pose) for by, pose in zip(painters, drivers, strict=True)])
    jaws = skulls + _swings(painters, guided, drivers)
    on_jaw = _stacked([painter.on_jaw for painter in painters])[..., None]
    at = np.where(on_jaw, jaws[:, None], skulls[:, None])
    origins = _stacked([painter.origins for painter in painters])
    placements = np.empty((*origins.shape, 3))
    placements[..., :2] = turns[:, None]
    placements[..., 2] = at - (turns[:, None] @ origins[..., None])[..., 0]
    return placements


def _swings(painters: Sequence[MouthPainter], guided: Sequence[Guided], drivers: F32) -> F32:
    """How far each jaw has swung, (M, 2) pixels, beside what the head's pose moves."""
    chin, lip = (
        (
            _stacked([each.landmarks[rows] for each in guided])
            - _stacked([painter.rests[which] for painter in painters])
            - _stacked([painter.reaches[which] for painter in painters]) @ drivers
        ).mean(1)
        for which, rows in enumerate(_SWINGING)
    )
    return np.asarray((1 - _LIP_SHARE) * chin + _LIP_SHARE * lip, np.float32)


def _stacked(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """What `numpy.stack` gives; of one array, as in a call alone, in a twentieth of its time."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _light(rig: Rig) -> float:
    """How bright the portrait's light is, from the skin of its cheeks; 1 is a lit light skin."""
    places = (rig.landmarks[list(topo.CHEEKS), :2] * rig.scale).astype(int)
    side = rig.source.shape[0] - 1
    skin = rig.source[places[:, 1].clip(0, side), places[:, 0].clip(0, side)]
    return float(np.clip(0.45 + 0.55 * skin.max(-1).mean() / 215, 0.4, 1.05))


def _catmull_rom(points: int, fine: int) -> F32:
    """Matrix (fine, points) that draws a Catmull-Rom spline through points in a row."""
    matrix = np.zeros((fine, points), np.float32)
    for row, at in enumerate(np.linspace(0, points - 1, fine)):
        k = min(int(at), points - 2)
        t = at - k
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        for i, weight in zip(range(k - 1, k + 3), weights, strict=True):
            if i < 0:  # past an end the row goes straight on
                matrix[row, 0] += 2 * weight
                matrix[row, 1] -= weight
            elif i >= points:
                matrix[row, -1] += 2 * weight
                matrix[row, -2] -= weight
            else:
                matrix[row, i] += weight
    return matrix


_SMOOTH = _catmull_rom(len(topo.UPPER_INNER_LIP), _FINE)
