"""A person's one picture made ready to follow the landmarks of others, all at one size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.composite import Batch
from engine.frames import Motion
from engine.mouth import MouthPainter
from engine.render import guide
from engine.rig import Follower, ground
from kernels import dispatch
from kernels.dispatch import Overlay
from models import facemodel, measures
from models import topology as topo
from models.window import FACE_PX

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

SIDE_PX = 320
"""Side of the square that a face of `FACE_PX` is laid in."""
_MIDDLE = (0.5, 0.52)
"""Where in it the middle between forehead and chin lies."""
_NO_CODE = np.zeros(0, np.float32)
_NO_MODES = np.zeros((0, topo.LANDMARKS, 2))
_STILL = Motion(0, _NO_CODE)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The place of a face in footage: a scaling and a shift.

    Attributes:
        scale: pixels of the square a pixel of the footage.
        shift: (2,) pixels of the square.
    """

    scale: float
    shift: F64

    @staticmethod
    def of(points: F64) -> "Frame":
        """The one that lays landmarks (478, 3) into the middle."""
        scale = FACE_PX / width(points)
        middle = (points[topo.FOREHEAD, :2] + points[topo.CHIN, :2]) / 2
        return Frame(scale, np.array(_MIDDLE) * SIDE_PX - scale * middle)

    def points(self, points: F64) -> F64:
        """Landmarks (..., 478, 3) in pixels of the square."""
        return np.asarray(points * self.scale + np.append(self.shift, 0.0))

    def picture(self, rgb: U8) -> U8:
        """(SIDE_PX, SIDE_PX, 3) uint8 of a picture of the footage (H, W, 3)."""
        scale = self.scale
        if scale < 1:
            size = [round(side * scale) for side in rgb.shape[1::-1]]
            exact = size[0] / rgb.shape[1]
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
            scale = scale / exact
        matrix = np.array([[scale, 0, self.shift[0]], [0, scale, self.shift[1]]])
        matrix[:, 2] += (scale - 1) / 2
        return np.asarray(
            cv2.warpAffine(
                rgb,
                matrix,
                (SIDE_PX, SIDE_PX),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )


class Sitter:
    """One picture of a person that follows landmarks.

    Args:
        picture: (N, N, 3) uint8.
        points: (478, 3) float64 its landmarks.
        shut: as in `engine.rig.ground`.
        side_px: of the pictures to draw.

    Attributes:
        picture, points: at that size.
    """

    def __init__(self, picture: U8, points: F64, shut: bool = True, side_px: int = SIDE_PX) -> None:
        matte = np.full(picture.shape[:2], 255, np.uint8)
        base = ground(picture, matte, points, side_px, shut)
        self.picture, self.points = sized(picture, side_px), base.points
        self.rig = base.rig([np.zeros((*base.nodes.shape[:2], 0, 2))] * 2, _NO_MODES, _NO_CODE)
        self.plates = MouthPainter(self.rig)
        self._follower = Follower(base, facemodel.load().stable.astype(np.int64))

    def lead(self, points: F64, motion: Motion = _STILL) -> Batch:
        """One picture guided by landmarks (478, 2 or 3); the network is told of the motion."""
        rig, drivers = self._follower.rig(points[:, :2])
        guided = guide(rig, _STILL, drivers)
        return Batch(dispatch.load("cpu"), [replace(guided, motion=motion)])

    def compose(self, led: Batch, patches: Sequence[Overlay] = ()) -> U8:
        """What was led, with patches over it: (side_px, side_px, 3) uint8."""
        (picture,) = led.pictures([patches], ["still"])
        return picture

    def follow(self, points: F64) -> U8:
        """The picture that the engine draws without a render network: warp, teeth and tongue."""
        led = self.lead(points)
        return self.compose(led, self.plates.plates(led.guided[0]))


def sized(picture: U8, side_px: int) -> U8:
    """A square picture at another size."""
    way = cv2.INTER_AREA if picture.shape[0] > side_px else cv2.INTER_CUBIC
    if picture.shape[0] == side_px:
        return picture
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=way), np.uint8)


def width(points: F64) -> float:
    """Distance of the face's sides in the picture."""
    left, right = points[list(topo.FACE_SIDES), :2]
    return float(np.linalg.norm(left - right))


def gaps(points: F64) -> F64:
    """(T,) mean gap of the inner lips of landmarks (T, 478, 3), in face widths."""
    sides = points[:, list(topo.FACE_SIDES), :2]
    return np.asarray(
        measures.inner_gap(points) / np.linalg.norm(sides[:, 0] - sides[:, 1], axis=1)
    )


def portraits(points: F64, valid: npt.NDArray[np.bool_], count: int) -> list[int]:
    """Pictures fit for portraits: mouth shut, head as it usually is; the best first."""
    pose = measures.angles(_turns(points))
    away = np.degrees(np.abs(pose - np.median(pose[valid], 0))).sum(1)
    cost = np.abs(gaps(points)) / 0.01 + away / 8 + np.where(valid, 0.0, 1e3)
    chosen: list[int] = []
    for index in np.argsort(cost):
        if all(abs(index - c) >= len(points) // (2 * count) for c in chosen):
            chosen.append(int(index))
        if len(chosen) == count:
            break
    return chosen


def _turns(points: F64) -> F64:
    face = facemodel.load()
    neutral = np.broadcast_to(face.neutral.astype(np.float64), points.shape)
    return measures.similarity(neutral, points, face.stable.astype(np.int64)).rotation
