"""Cuts an avatar's square out of a picture: the head upright, with hair and shoulders."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.onboarding.decode import GROUND
from engine.onboarding.photo import Photo
from models import measures
from models import topology as topo

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

LEAST_PX: Final = 256
MOST_PX: Final = 1024
STEP_PX: Final = 4
"""Sides are multiples of this."""
_WIDE: Final = 2.6
_TIGHTEST: Final = 2.0
"""Side of the square in face widths, as wished and at least."""
_TALL: Final = 1.2
"""Heights of a face in its widths: a turned one is narrower than it is large."""
_EYES: Final = 0.44
"""How far down the eyes are."""
_STRAIGHT: Final = np.radians(1.0)
"""A head tilted less is left as it is."""
_GRID: Final = 16
_ASIDE: Final = (0.0, -0.06, 0.06, -0.12, 0.12)
_DOWN: Final = (0.0, 0.03, 0.06, 0.09, 0.12, -0.03, -0.06, -0.09, -0.12)
"""Places that are tried, in sides of the square from the wished one."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A square around a head.

    Attributes:
        picture: (N, N, 3) uint8 sRGB, N from `LEAST_PX` to `MOST_PX`.
        alpha: (N, N) uint8 the picture's own, None where it is opaque.
        landmarks: (478, 3) float64 pixels of the square.
        roll: radians by which the head was turned upright, clockwise positive.
        lacking: share of the square that lay outside of the picture and was filled.
        enlarged: pixels of the square a pixel of the picture.
    """

    picture: U8
    alpha: U8 | None
    landmarks: F64
    roll: float
    lacking: float
    enlarged: float

    @property
    def face_px(self) -> float:
        """Width of the face."""
        return face_px(self.landmarks)


def face_px(points: npt.NDArray[np.floating]) -> float:
    """Width of a face of landmarks (478, 2 or 3) in the picture, in their unit."""
    return float(np.linalg.norm(np.subtract(*points[list(topo.FACE_SIDES), :2])))


def roll(points: npt.NDArray[np.floating]) -> float:
    """Tilt of a head of landmarks (478, 3), radians, clockwise positive."""
    return float(measures.pose(np.asarray(points, np.float64)[None])[0, 2])


def cut(photo: Photo, points: npt.NDArray[np.floating]) -> Cut:
    """Cuts around the face of landmarks (478, 3) in pixels of the photo.

    The square keeps to the picture where it can, by being tighter or less centred; what still
    lies outside is filled with the picture's own rim, more blurred the farther from it.
    """
    tilt = roll(points)
    tilt = tilt if abs(tilt) > _STRAIGHT else 0.0
    upright = _turn(-tilt)
    laid = points[:, :2] @ upright.T
    size = max(face_px(points), _height(laid) / _TALL)
    corner, wide, lacking = _place(laid, size, upright, photo.rgb.shape[:2])
    side = int(np.clip(wide, LEAST_PX, MOST_PX)) // STEP_PX * STEP_PX
    scale = side / wide
    # From the photo's pixels to the square's.
    matrix = np.concatenate([upright * scale, (-corner * scale)[:, None]], axis=1)
    picture = _warped(photo.rgb, matrix, side, cv2.BORDER_REPLICATE)
    inside = _warped(np.full(photo.rgb.shape[:2], 255, np.uint8), matrix, side)
    alpha = None if photo.alpha is None else _warped(photo.alpha, matrix, side)
    if alpha is not None:
        picture[inside < 255] = GROUND
    elif lacking > 0:
        picture = _filled(picture, inside)
    landmarks = np.empty((len(points), 3))
    landmarks[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    landmarks[:, 2] = points[:, 2] * scale
    return Cut(picture, alpha, landmarks, tilt, lacking, scale)


def _turn(angle: float) -> F64:
    """(2, 2) that turns points clockwise, as the picture is seen."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _height(laid: F64) -> float:
    return float(laid[topo.CHIN, 1] - laid[topo.FOREHEAD, 1])


def _place(
    laid: F64, size: float, upright: F64, shape: tuple[int, ...]
) -> tuple[F64, float, float]:
    """The best square over upright landmarks: its corner, its side, the share outside."""
    sides = laid[list(topo.FACE_SIDES)]
    middle = np.array([sides[:, 0].mean(), laid[np.concatenate(topo.IRISES), 1].mean()])
    ticks = (np.arange(_GRID) + 0.5) / _GRID
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    # Shoulders that end in the air look worse than a hat that does.
    weight = np.where(grid[..., 1] > 0.6, 3.0, 1.0)
    best: tuple[float, F64, float, float] = (np.inf, middle, size, 0.0)
    for tight in np.linspace(_WIDE, _TIGHTEST, 9):
        side = float(tight * size)
        for aside in _ASIDE:
            for down in _DOWN:
                corner = middle - side * np.array([0.5 + aside, _EYES + down])
                places = (corner + grid * side) @ upright  # the inverse of a rotation
                out = (
                    (places < 0).any(-1) | (places[..., 0] > shape[1]) | (places[..., 1] > shape[0])
                )
                cost = 12 * float((out * weight).mean())
                cost += (_WIDE - tight) + 2 * abs(aside) + 2 * abs(down)
                if cost < best[0] - 1e-9:
                    best = cost, corner, side, float(out.mean())
    return best[1:]


def _warped(picture: U8, matrix: F64, side: int, border: int = cv2.BORDER_CONSTANT) -> U8:
    """The square of a matrix (2, 3) from the picture's pixels to its own; smaller is filtered."""
    matrix = matrix.copy()
    scale = float(np.hypot(*matrix[:, 0]))
    if scale < 1:
        size = [max(round(n * scale), 1) for n in picture.shape[1::-1]]
        shrunk = np.array([size[0] / picture.shape[1], size[1] / picture.shape[0]])
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, :2] /= shrunk
    # Places are pixels' edges, OpenCV's their centres.
    matrix[:, 2] += (matrix[:, :2] @ np.full(2, 0.5)) - 0.5
    done = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=border)
    return np.asarray(done, np.uint8)


def _filled(picture: U8, inside: U8) -> U8:
    """What lies outside of a picture gets softer with distance from its rim."""
    away = cv2.distanceTransform((inside < 255).astype(np.uint8), cv2.DIST_L2, 5)
    done: Any = picture.astype(np.float32)
    side = picture.shape[0]
    for reach, sigma in ((0.02, 0.004), (0.06, 0.012), (0.14, 0.03)):
        soft = cv2.GaussianBlur(picture, (0, 0), sigma * side).astype(np.float32)
        share = np.clip(away / (reach * side), 0, 1)[..., None]
        done += (soft - done) * share
    return np.asarray(np.clip(np.rint(done), 0, 255), np.uint8)
