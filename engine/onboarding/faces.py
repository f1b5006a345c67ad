"""Which face of a picture is meant, and whether an avatar can be made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from engine.closing import WIDE
from engine.errors import PortraitError
from engine.onboarding.cut import face_px
from models import measures
from models import topology as topo

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

MIN_FACE_PX: Final = 90
MAX_YAW: Final = 30.0
MAX_PITCH: Final = 25.0
"""Degrees that a head may be turned; what it hides beyond cannot be shown."""
_LEVEL_PITCH: Final = 6.0
"""Pitch of a head that looks straight ahead, against the face model's own axes."""
_ASIDE: Final = 0.4
"""A face of less than this share of the largest one's width stands in the background."""
_OUTSIDE: Final = 0.02
"""Share of a face's landmarks that may lie beyond the picture's border."""


class FoundLike(Protocol):
    """A face that a finder found; `models.faces.FoundFace` is one."""

    @property
    def landmarks(self) -> F32:
        """(478, 3) pixels of the picture, MediaPipe's order."""
        ...

    @property
    def score(self) -> float:
        """From 0 to 1."""
        ...


class Finder(Protocol):
    """Finds faces; `models.faces.FaceFinder` is one."""

    def find(self, picture: U8) -> Sequence[FoundLike]:
        """Faces of an (H, W, 3) uint8 RGB picture."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face that may be meant.

    Attributes:
        number: from 1, from left to right.
        landmarks: (478, 3) float32 pixels of the picture.
        box: x, y, width, height of the face in shares of the picture's width and height.
        refused: why no avatar can be made of it; None where one can.
    """

    number: int
    landmarks: F32
    box: tuple[float, float, float, float]
    refused: str | None

    def __str__(self) -> str:
        across = self.box[0] + self.box[2] / 2
        place = "left" if across < 0.4 else "right" if across > 0.6 else "middle"
        return f"{self.number} ({place}, {face_px(self.landmarks):.0f} px wide)"


def find(picture: U8, finder: Finder) -> list[Face]:
    """The faces of an (H, W, 3) uint8 picture from left to right, without those far behind.

    Raises:
        PortraitError: there is none.
    """
    found = list(finder.find(picture))
    if not found:
        raise PortraitError(
            "no face was found, expected one that looks at the camera and is well lit"
        )
    largest = max(face_px(face.landmarks) for face in found)
    meant = [face for face in found if face_px(face.landmarks) >= _ASIDE * largest]
    meant.sort(key=lambda face: float(face.landmarks[:, 0].mean()))
    return [_face(i, face.landmarks, picture.shape) for i, face in enumerate(meant, 1)]


def choose(faces: Sequence[Face], number: int | None = None) -> Face:
    """The face of a number; without one, the only face.

    Raises:
        PortraitError: there are several, or none of that number, or it is not fit for an avatar.
    """
    if number is None and len(faces) > 1:
        listed = ", ".join(str(face) for face in faces)
        raise PortraitError(f"{len(faces)} faces were found, choose one by its number: {listed}")
    if number is not None and not 1 <= number <= len(faces):
        raise PortraitError(f"face is {number}, expected 1 to {len(faces)}")
    face = faces[(number or 1) - 1]
    if face.refused:
        raise PortraitError(face.refused)
    return face


def largest(faces: Sequence[Face]) -> Face:
    """The largest one that an avatar can be made of, else the largest."""
    fit = [face for face in faces if not face.refused] or list(faces)
    return max(fit, key=lambda face: face_px(face.landmarks))


def _face(number: int, landmarks: F32, shape: tuple[int, ...]) -> Face:
    size = np.array(shape[1::-1], np.float64)
    low, high = landmarks[:, :2].min(0) / size, landmarks[:, :2].max(0) / size
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return Face(number, landmarks, box, _refused(landmarks, size))


def _refused(landmarks: F32, size: npt.NDArray[np.float64]) -> str | None:
    wide = max(face_px(landmarks), float(np.ptp(landmarks[:468, 0])))
    if wide < MIN_FACE_PX:
        return f"the face is {wide:.0f} px wide, expected at least {MIN_FACE_PX}"
    yaw, pitch, _ = np.degrees(measures.pose(landmarks[None].astype(np.float64))[0, :3])
    if abs(yaw) > MAX_YAW:
        return (
            f"the head is turned {abs(yaw):.0f} degrees to the side, limit {MAX_YAW:.0f}: "
            "take a picture from the front"
        )
    if abs(pitch - _LEVEL_PITCH) > MAX_PITCH:
        way = "down" if pitch > _LEVEL_PITCH else "up"
        return (
            f"the head looks {abs(pitch - _LEVEL_PITCH):.0f} degrees {way}, "
            f"limit {MAX_PITCH:.0f}: take a picture at the height of the eyes"
        )
    opened = float(measures.opening(landmarks[None].astype(np.float64))[0])
    if opened > WIDE:
        return (
            f"the mouth is open by {opened:.2f} of the face's width, limit {WIDE}: "
            "take a picture with the lips closed"
        )
    oval = landmarks[: topo.LANDMARKS - 10, :2]
    outside = float(((oval < 0) | (oval > size)).any(1).mean())
    if outside > _OUTSIDE:
        return (
            f"{outside:.0%} of the face lie beyond the picture's border, limit {_OUTSIDE:.0%}: "
            "take a picture with the whole head"
        )
    return None
