"""Several looks at each picture of a face, whose mean is less noisy than one.

Every look is a tracker of its own: the whole picture, the face mirrored, and the face squeezed in
width or (mirrored) in height. Their errors are nearly independent, their mistakes in size cancel.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from models import facemodel
from models.faces import FaceFinder

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

SQUEEZES = ((1.0, 1.0), (1.0, 1.0), (1.12, 1.0), (1.0, 1.12))
"""How much wider and taller the piece of picture is that each look squeezes into a square; every
second look is mirrored."""
SIDE_PX = 320
ROOM = 1.5
"""Side of the piece, in face sizes."""


TRACKERS = ("own", "mediapipe")
"""Our own networks (`models/weights/faces.md`), or MediaPipe in an environment of its own."""


class Look(Protocol):
    """Finds the face in a square picture, or follows it from one to the next."""

    def see(self, square: Picture) -> F32 | None:
        """(478, 3) landmarks as shares of the picture's side, or None where there is no face."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class _Own:
    def __init__(self, video: bool) -> None:
        self._finder, self._video = own_finder(), video
        self._before: F32 | None = None

    def see(self, square: Picture) -> F32 | None:
        face = None
        if self._before is not None:
            face = self._finder.follow(square, self._before)
        if face is None:
            face = next(iter(self._finder.find(square, 1)), None)
        if self._video:
            self._before = None if face is None else face.landmarks
        return None if face is None else face.landmarks / np.float32(len(square))

    def close(self) -> None:
        pass


class _MediaPipe:
    """MediaPipe's face mesh with refined lips and irises."""

    def __init__(self, video: bool) -> None:
        import mediapipe as mp

        self._mesh: Any = mp.solutions.face_mesh.FaceMesh(
            static_image_mode=not video,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=0.5,
            min_tracking_confidence=0.5,
        )

    def see(self, square: Picture) -> F32 | None:
        found = self._mesh.process(square)
        if not found.multi_face_landmarks:
            return None
        points = found.multi_face_landmarks[0].landmark
        return np.array([(p.x, p.y, p.z) for p in points], np.float32)

    def close(self) -> None:
        self._mesh.close()


def own_finder() -> FaceFinder:
    """The shipped finder, on OpenCV."""
    from models import opencv

    return opencv.open_finder()


def look(tracker: str, video: bool) -> Look:
    """A look by one of `TRACKERS`; `video` follows the face.

    Raises:
        ValueError: no such tracker.
    """
    if tracker not in TRACKERS:
        raise ValueError(f"tracker {tracker!r} is unknown, expected one of {TRACKERS}")
    return _Own(video) if tracker == "own" else _MediaPipe(video)


def squared(rgb: Picture) -> Picture:
    """A picture (H, W, 3) with black added right or below: MediaPipe's projection is exact on
    square pictures alone."""
    height, width = rgb.shape[:2]
    side = max(height, width)
    return np.pad(rgb, ((0, side - height), (0, side - width), (0, 0)))


def gap(points: F32) -> float:
    """Opening of the inner lips over the face's width, in the picture's plane."""
    lips = np.linalg.norm(points[13, :2] - points[14, :2])
    return float(lips / np.linalg.norm(points[234, :2] - points[454, :2]))


@dataclass(frozen=True, slots=True)
class Sight:
    """What the looks saw in one picture: mean landmarks (478, 3) px, each look's lip gap."""

    points: F32
    gaps: F32


class Looks:
    """Follows one face through a video with one to four trackers.

    Raises:
        ValueError: another number of looks.
    """

    def __init__(self, count: int, tracker: str = "own") -> None:
        if not 1 <= count <= len(SQUEEZES):
            raise ValueError(f"looks is {count}, expected 1 to {len(SQUEEZES)}")
        self._looks = [look(tracker, video=True) for _ in range(count)]
        self._mirror = facemodel.load().mirror
        self._box: F64 | None = None

    def close(self) -> None:
        """Frees the trackers."""
        for each in self._looks:
            each.close()

    def see(self, rgb: Picture) -> Sight | None:
        """Landmarks of the face in a picture (H, W, 3), or None."""
        found = self._looks[0].see(squared(rgb))
        if found is None:
            return None
        whole = found * np.float32(max(rgb.shape[:2]))
        box = self._follow(whole)
        seen = [whole]
        for number in range(1, len(self._looks)):
            piece = self._piece(number, rgb, box)
            seen.append(whole if piece is None else piece)
        gaps = np.array([gap(p) for p in seen], np.float32)
        return Sight(np.asarray(np.stack(seen).mean(0), np.float32), gaps)

    def _follow(self, points: F32) -> F64:
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        box = np.array([*((low + high) / 2), (high - low).max()], np.float64)
        # A slow box keeps its own noise out of the looks; a cut moves it at once.
        if self._box is not None and np.abs(box - self._box).max() < 0.25 * self._box[2]:
            box = self._box + 0.2 * (box - self._box)
        self._box = box
        return box

    def _piece(self, number: int, rgb: Picture, box: F64) -> F32 | None:
        flip = -1.0 if number % 2 else 1.0
        size = box[2] * ROOM * np.array(SQUEEZES[number])
        scale = SIDE_PX / size
        middle = SIDE_PX / 2
        matrix = np.array(
            [
                [flip * scale[0], 0, middle - flip * scale[0] * box[0]],
                [0, scale[1], middle - scale[1] * box[1]],
            ],
            np.float32,
        )
        piece = cv2.warpAffine(
            rgb, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        found = self._looks[number].see(np.asarray(piece, np.uint8))
        if found is None:
            return None
        away = (found[:, :2] - 0.5) * size * (flip, 1.0) + box[:2]
        out = np.column_stack([away, found[:, 2] * size[0]]).astype(np.float32)
        return out[self._mirror] if flip < 0 else out
