"""Pictures on their way to avatars: a few at a time, each for a quarter of an hour, in memory."""

import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.avatar import Avatar, AvatarInfo
from engine.errors import PortraitError
from engine.onboarding import faces as face_choice
from engine.onboarding.anchors import follow
from engine.onboarding.cut import Cut, cut
from engine.onboarding.faces import Face
from engine.onboarding.make import Matte, Tools, avatar_of, warnings
from engine.onboarding.photo import Photo, read
from models import facemodel
from models import topology as topo

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

MAX_DRAFTS: Final = 6
KEPT_S: Final = 15 * 60.0
MAX_BYTES: Final = 128 * 2**20
"""Of all drafts together; a picture is let go when only one face is in it."""
WHOLE_PX: Final = 960
_PLANE: Final = 1024
_MARGIN: Final = 10
_UNNAMED: Final = AvatarInfo("draft", "Draft", "private", "", "")


@dataclass(slots=True, eq=False)
class Draft:
    """One picture with what is made of it so far.

    Attributes:
        token: names it to its owner, nobody else can guess it.
        photo: the whole picture where there are several faces to choose from.
        faces: those found.
        face: the one chosen.
        square: cut around it.
        landmarks: (478, 3) pixels of the square, after anchors were dragged.
        ends: when it is forgotten, in seconds of the store's clock.
        version: counts changes.
    """

    token: str
    photo: Photo | None
    faces: list[Face]
    face: Face
    square: Cut
    landmarks: F64
    ends: float = 0.0
    version: int = 0
    _avatar: Avatar | None = field(default=None)

    @classmethod
    def of(cls, data: bytes, tools: Tools) -> "Draft":
        """Reads a picture's bytes, finds its faces and cuts around the largest; takes a second.

        Raises:
            PortraitError: it cannot be read, or no avatar can be made of any face in it.
        """
        photo = read(data)
        found = face_choice.find(photo.rgb, tools.finder)
        face = face_choice.largest(found)
        if face.refused:
            raise PortraitError(face.refused)
        square = cut(photo, face.landmarks)
        whole = photo if len(found) > 1 else None
        return cls(secrets.token_urlsafe(16), whole, found, face, square, square.landmarks)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        size = 2 * self.square.picture.nbytes
        if self.photo is not None:
            size += self.photo.rgb.nbytes
            size += self.photo.alpha.nbytes if self.photo.alpha is not None else 0
        return size

    def change(self, number: int | None, wanted: Mapping[str, tuple[float, float]]) -> None:
        """Chooses another face, drags anchors of the one chosen (in pixels of the square).

        Raises:
            PortraitError: there is no such face, it is not fit, or an anchor goes too far.
        """
        face, square, landmarks = self.face, self.square, self.landmarks
        if number is not None and number != face.number and self.photo is not None:
            face = face_choice.choose(self.faces, number)
            square = cut(self.photo, face.landmarks)
            landmarks = square.landmarks
        elif number is not None and number != face.number:
            face_choice.choose(self.faces, number)
        if wanted:
            landmarks = follow(square.landmarks, wanted)
            side = square.picture.shape[0]
            if landmarks[:, :2].min() < 0 or landmarks[:, :2].max() > side:
                raise PortraitError(f"the face was dragged out of its picture of {side} px")
        self.face, self.square, self.landmarks = face, square, landmarks
        self.version += 1
        self._avatar = None

    def avatar(self, matte: Matte, info: AvatarInfo = _UNNAMED) -> Avatar:
        """The avatar as the draft now is, made once; takes a second or two.

        Raises:
            AvatarError: its name is not valid.
        """
        if self._avatar is None:
            square = replace(self.square, landmarks=self.landmarks)
            self._avatar = avatar_of(square, _UNNAMED, matte)
        return self._avatar if info is _UNNAMED else replace(self._avatar, info=info)

    def whole(self) -> U8 | None:
        """The whole picture made small, where there are several faces."""
        return None if self.photo is None else _smaller(self.photo.rgb, WHOLE_PX)

    def warnings(self) -> list[str]:
        """What makes it a poor portrait, in sentences."""
        return warnings(self.square)


class Drafts:
    """The drafts there are, the oldest first; bounded in number, bytes and time.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, Draft] = {}

    def __len__(self) -> int:
        self.sweep()
        return len(self._kept)

    def add(self, draft: Draft) -> None:
        """Keeps one; the oldest go where there are too many."""
        self.sweep()
        self._kept[draft.token] = draft
        self._touch(draft)
        while len(self._kept) > MAX_DRAFTS or sum(d.size for d in self._kept.values()) > MAX_BYTES:
            if len(self._kept) == 1:
                break
            del self._kept[next(iter(self._kept))]

    def get(self, token: str) -> Draft | None:
        """The draft of a token; None where there is none, or none any more."""
        self.sweep()
        draft = self._kept.get(token)
        if draft is not None:
            self._touch(draft)
        return draft

    def drop(self, token: str) -> bool:
        """Forgets one; False if there was none."""
        return self._kept.pop(token, None) is not None

    def sweep(self) -> None:
        """Forgets those whose time is over."""
        now = self._clock()
        for token in [t for t, draft in self._kept.items() if draft.ends <= now]:
            del self._kept[token]

    def _touch(self, draft: Draft) -> None:
        draft.ends = self._clock() + KEPT_S
        self._kept[draft.token] = self._kept.pop(draft.token)


@cache
def mesh() -> list[tuple[int, int]]:
    """Pairs of landmarks that a drawn mesh joins: the Delaunay edges of the mean face."""
    points = facemodel.load().neutral[: topo.LANDMARKS - 10, :2].astype(np.float64)
    low, high = points.min(0), points.max(0)
    laid = _MARGIN + (points - low) / (high - low) * (_PLANE - 2 * _MARGIN)
    plane = cv2.Subdiv2D((0, 0, _PLANE, _PLANE))
    for x, y in laid:
        plane.insert((float(x), float(y)))
    ends = np.asarray(plane.getEdgeList(), np.float64).reshape(-1, 2, 2)
    # OpenCV adds three points of its own, far outside.
    ends = ends[((ends > 0) & (ends < _PLANE)).all((1, 2))]
    pairs = np.linalg.norm(laid - ends[:, :, None], axis=-1).argmin(-1)
    return sorted({(int(min(pair)), int(max(pair))) for pair in pairs if pair[0] != pair[1]})


def jpeg(picture: U8, quality: int = 90) -> bytes:
    """A picture (H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise PortraitError(f"a picture of {picture.shape} cannot be written as JPEG")
    return data.tobytes()


def _smaller(picture: U8, longest_px: int) -> U8:
    scale = longest_px / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = [math.ceil(side * scale) for side in picture.shape[1::-1]]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
