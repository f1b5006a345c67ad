"""Pictures to bring: the built-in avatars photographed again, and a finder that knows where."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from engine.avatar import Avatar
from engine.onboarding.make import Tools

GREY = (126, 132, 138)


@dataclass(frozen=True)
class Found:
    landmarks: np.ndarray
    score: float = 0.9


class ScaledFinder:
    """Finds what it was told of, wherever the picture was scaled to: shares of its size."""

    def __init__(self, *faces: np.ndarray) -> None:
        self.faces = faces

    def find(self, picture: np.ndarray) -> list[Found]:
        high, wide = picture.shape[:2]
        size = np.array([wide, high, wide], np.float32)
        return [Found((face * size).astype(np.float32)) for face in self.faces]


def photograph(
    avatar: Avatar,
    size: tuple[int, int] = (1200, 900),
    head_px: int = 700,
    at: tuple[float, float] = (0.5, 0.5),
    tilt: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The avatar's portrait in a larger picture of (width, height): its pixels, and its landmarks
    in shares of the size, z in shares of the width."""
    wide, high = size
    side = avatar.portrait.shape[0]
    scale = head_px / side
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), -tilt, scale)
    matrix[:, 2] += np.array([wide * at[0], high * at[1]]) - side / 2
    matte = cv2.warpAffine(avatar.matte, matrix, size, flags=cv2.INTER_AREA)[..., None] / 255
    person = cv2.warpAffine(avatar.portrait, matrix, size, flags=cv2.INTER_AREA)
    picture = np.rint(person * matte + np.array(GREY) * (1 - matte)).astype(np.uint8)
    points = avatar.landmarks.astype(np.float64)
    laid = np.empty_like(points)
    laid[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    laid[:, 2] = points[:, 2] * scale
    return picture, (laid / np.array([wide, high, wide])).astype(np.float32)


def encoded(picture: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    """A picture's file."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


def plain_matte(picture: np.ndarray) -> np.ndarray:
    """Everything that is not the background of `photograph`, as well as this can be told."""
    away = np.abs(picture.astype(np.int16) - np.array(GREY)).max(-1)
    return np.asarray(np.clip(away * 12, 0, 255), np.uint8)


def tools(*faces: np.ndarray) -> Tools:
    return Tools(ScaledFinder(*faces), plain_matte)
