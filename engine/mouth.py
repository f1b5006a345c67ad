"""The mouth's inside from plates: pictures of teeth and tongue that move behind the lips."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.avatar import BUILT_IN
from engine.errors import AvatarError
from engine.render import Guided, parted, polygon_mask, window_around
from engine.rig import POSE_DRIVERS, Rig
from kernels.warp_composite import Patch
from models import topology as topo

F32 = npt.NDArray[np.float32]

PLATES = BUILT_IN / "mouth"
_BACK_TO_FRONT = (("tongue", True, 0.9), ("lower_teeth", True, 1.0), ("upper_teeth", False, 1.08))
"""Each plate's name, whether it moves with the jaw, and how much light falls on it."""
_FINE = 41
_MARGIN_PX = 3.0
_CAVITY = np.array([46.0, 17.0, 16.0], np.float32)[:, None, None]
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


class MouthPainter:
    """Paints what shows between the lips."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._smooth = _catmull_rom(len(topo.UPPER_INNER_LIP), _FINE)
        left, right = rig.landmarks[list(topo.MOUTH_CORNERS)]
        line = rig.landmarks[topo.UPPER_INNER_LIP[3:-3]].mean(0)
        self._middle = np.array([(left[0] + right[0]) / 2, line[1]], np.float32)
        # The mouth's own reach of the pose drivers: where the skull carries the plates.
        self._reach = rig.points[topo.UPPER_INNER_LIP[3:-3]].mean(0)[:POSE_DRIVERS]
        corners = rig.landmarks[list(topo.OUTER_MOUTH_CORNERS), :2]
        mouth_px = float(np.linalg.norm(corners[0] - corners[1]))
        self._plates = [p.scaled(mouth_px / p.mouth_px) for p in load_plates()]
        self._light = _light(rig)

    def plates(self, guided: Guided) -> list[Patch]:
        """One patch where the lips part, none where they touch."""
        upper = self._smooth @ guided.landmarks[topo.UPPER_INNER_LIP]
        lower = self._smooth @ guided.landmarks[topo.LOWER_INNER_LIP]
        gap = lower[:, 1] - upper[:, 1]
        if gap.max() < 0.3:
            return []
        upper, lower = parted(upper, lower)
        rim = np.concatenate([upper, lower[::-1]])
        window = window_around(rim, _MARGIN_PX, self._rig.size_px)
        if window is None:
            return []
        alpha = polygon_mask(rim, window)
        rgb = self._inside(guided, window)
        shade = self._shade(alpha, float(gap.max()))
        lit = np.clip(_CAVITY + (rgb - _CAVITY) * shade, 0, 255).astype(np.uint8)
        done = np.ascontiguousarray(lit.transpose(1, 2, 0))
        return [Patch(window[1].start, window[0].start, done, alpha)]

    def _inside(self, guided: Guided, window: tuple[slice, slice]) -> F32:
        """Cavity and plates in the window: (3, h, w) float32, in planes, which is quicker."""
        rows, columns = window
        size = (columns.stop - columns.start, rows.stop - rows.start)
        rgb = np.empty((3, size[1], size[0]), np.float32)
        rgb[:] = _CAVITY
        drivers = guided.drivers
        turn = np.eye(2) + drivers[:2].T
        skull = self._middle + self._reach @ drivers[:POSE_DRIVERS]
        swing = self._swing(guided)
        for plate in self._plates:
            at = skull + swing if plate.on_jaw else skull
            shift = at - turn @ plate.origin_px - (columns.start, rows.start)
            place = np.concatenate([turn, shift[:, None]], axis=1)
            drawn = cv2.warpAffine(plate.rgba, place, size, flags=cv2.INTER_LINEAR)
            red, green, blue, alpha = cv2.split(drawn)
            share = alpha / 255
            for plane, over in zip(rgb, (red, green, blue), strict=True):
                plane += over - plane * share
        return rgb

    def _swing(self, guided: Guided) -> F32:
        """How far the jaw has swung, (2,) pixels, beside what the head's pose moves."""
        rig = self._rig

        def moved(rows: npt.NDArray[np.int64]) -> F32:
            posed = rig.points[rows, :POSE_DRIVERS] @ guided.drivers[:POSE_DRIVERS]
            way = guided.landmarks[rows] - rig.landmarks[rows, :2] - posed
            return np.asarray(way.mean(0), np.float32)

        lip = moved(topo.LOWER_INNER_LIP[3:-3])
        return (1 - _LIP_SHARE) * moved(topo.JAW) + _LIP_SHARE * lip

    def _shade(self, alpha: npt.NDArray[np.uint8], gap_px: float) -> F32:
        """Light that reaches the inside: less near the lips, and less the less they part."""
        face_px = self._rig.face_px
        inside = cv2.distanceTransform((alpha > 100).astype(np.uint8), cv2.DIST_L2, 3)
        near = np.clip(inside / (0.035 * face_px), 0.0, 1.0)
        open_share = min(gap_px / (0.10 * face_px), 1.0)
        shade = (0.45 + 0.55 * near) * (0.70 + 0.30 * open_share) * self._light
        return np.asarray(cv2.GaussianBlur(shade, (5, 5), 1.2), np.float32)


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
