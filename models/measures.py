"""What is read off landmark tracks: head pose, opening of the mouth, eye aspect, blinks.

Tracks are (T, 478, 3) landmarks in pixels, x right, y down, z away, in MediaPipe's topology.
Lengths that come out are face widths; angles are radians with the signs of `rotation`, which are
those of the engine: yaw turns the nose to the picture's right, pitch downward is positive, roll
clockwise is positive.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models import facemodel
from models.topology import CHIN, FACE_SIDES, LOWER_INNER_LIP, UPPER_INNER_LIP

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

FPS = 25
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
"""Corner, two upper, corner, two lower points of each eye, the picture's left eye first."""
BLINK_DEPTH = 0.6
"""An eye counts as shut below this share of the clip's usual aspect ratio."""
BLINK_PICTURES = 15
"""A lid that stays down longer has not blinked."""
MIDDLE = slice(4, 7)
"""The three middle pairs of the inner lips, whose mean gap is called the opening."""


class Similarity(NamedTuple):
    """Lays one shape over another: `scale * rotation @ (point - source) + target`.

    Attributes:
        rotation: (T, 3, 3).
        scale: (T,).
        source: (T, 3), centre of what is moved.
        target: (T, 3) or (3,), centre of what it is laid over.
    """

    rotation: F64
    scale: F64
    source: F64
    target: F64


def similarity(points: F64, target: F64, index: I64) -> Similarity:
    """The best similarity that lays faces (T, N, 3) over targets (T, N, 3), or over one (N, 3),
    on the points `index` (Umeyama 1991, eq. 34 to 43)."""
    src, dst = points[:, index], target[..., index, :]
    src_mean, dst_mean = src.mean(1), dst.mean(-2)
    src0, dst0 = src - src_mean[:, None], dst - dst_mean[..., None, :]
    u, s, vt = np.linalg.svd(np.swapaxes(dst0, -1, -2) @ src0)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    turn = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (src0**2).sum((1, 2))
    return Similarity(turn, scale, src_mean, dst_mean)


def align(points: F64, target: F64, index: I64) -> F64:
    """Lays faces (T, 478, 3) over a target (478, 3) by the best similarity on `index`."""
    found = similarity(points, target, index)
    moved = (points - found.source[:, None]) @ np.swapaxes(found.rotation, 1, 2)
    return np.asarray(found.scale[:, None, None] * moved + found.target)


def rotation(radians: F64) -> F64:
    """(..., 3) yaw, pitch, roll -> (..., 3, 3): roll after yaw after pitch."""
    c, s = np.cos(radians), np.sin(radians)
    cy, cp, cr = c[..., 0], c[..., 1], c[..., 2]
    sy, sp, sr = s[..., 0], s[..., 1], s[..., 2]
    made = np.empty((*radians.shape[:-1], 3, 3))
    made[..., 0, 0], made[..., 1, 0], made[..., 2, 0] = cr * cy, sr * cy, sy
    made[..., 0, 1], made[..., 0, 2] = -sr * cp - cr * sy * sp, sr * sp - cr * sy * cp
    made[..., 1, 1], made[..., 1, 2] = cr * cp - sr * sy * sp, -cr * sp - sr * sy * cp
    made[..., 2, 1], made[..., 2, 2] = cy * sp, cy * cp
    return made


def angles(turn: F64) -> F64:
    """(..., 3, 3) -> (..., 3) yaw, pitch, roll; the inverse of `rotation` for |yaw| < pi / 2."""
    yaw = np.arcsin(np.clip(turn[..., 2, 0], -1, 1))
    pitch = np.arctan2(turn[..., 2, 1], turn[..., 2, 2])
    roll = np.arctan2(turn[..., 1, 0], turn[..., 0, 0])
    return np.stack([yaw, pitch, roll], -1)


def pivot(face: F64) -> F64:
    """(3,) where a head (478, 3) turns: between the jaw's angles, as in the engine."""
    sides = face[list(FACE_SIDES)].mean(0)
    return np.array([(sides[0] + face[CHIN, 0]) / 2, (sides[1] + face[CHIN, 1]) / 2, sides[2]])


def pose(points: F64) -> F64:
    """(T, 6) yaw, pitch, roll, then x, y of the head's pivot in face widths of the clip's median
    size, then the log of the face width in pixels; all absolute: take off a clip's own mean."""
    model = facemodel.load()
    neutral = model.neutral.astype(np.float64)
    found = similarity(np.asarray(points, np.float64), neutral, model.stable.astype(np.int64))
    turn, size = np.swapaxes(found.rotation, 1, 2), 1 / found.scale
    arm = np.einsum("tij,j->ti", turn, pivot(neutral) - found.target)
    place = found.source + size[:, None] * arm
    return np.column_stack([angles(turn), place[:, :2] / np.median(size), np.log(size)])


def inner_gap(face: F64) -> F64:
    """(..., 478, 3) faces laid upright -> (...) mean vertical gap of the inner lips' middle."""
    upper, lower = UPPER_INNER_LIP[MIDDLE], LOWER_INNER_LIP[MIDDLE]
    return np.asarray((face[..., lower, 1] - face[..., upper, 1]).mean(-1))


def opening(points: F64) -> F64:
    """(T,) opening of the inner lips in face widths, with the head's pose taken off."""
    model = facemodel.load()
    neutral = model.neutral.astype(np.float64)
    laid = align(np.asarray(points, np.float64), neutral, model.stable.astype(np.int64))
    return inner_gap(laid)


def eye_aspect(points: F64) -> F64:
    """(T, 2) height over width of each eye, the picture's left first (Soukupova, Cech 2016)."""
    p = np.asarray(points)[:, np.array(EYES), :2]
    tall = np.linalg.norm(p[:, :, 1] - p[:, :, 5], axis=-1)
    tall = tall + np.linalg.norm(p[:, :, 2] - p[:, :, 4], axis=-1)
    return np.asarray(tall / (2 * np.linalg.norm(p[:, :, 0] - p[:, :, 3], axis=-1)), np.float64)


def blinks(aspect: F64) -> list[tuple[int, int]]:
    """(first, last + 1) pictures of each blink of a mean eye aspect (T,), widened to where the
    lid starts to fall and has risen."""
    usual = np.quantile(aspect, 0.7)
    shut = aspect < BLINK_DEPTH * usual
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shut.astype(int), [0]])))
    found: list[tuple[int, int]] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        while first > 0 and aspect[first - 1] < 0.9 * usual:
            first -= 1
        while last < len(aspect) and aspect[last] < 0.9 * usual:
            last += 1
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return [(int(a), int(b)) for a, b in found if b - a <= BLINK_PICTURES]


def smooth(x: F64) -> F64:
    """(T, ...) -> (T - 2, ...) mean over three pictures."""
    return np.asarray((x[:-2] + x[1:-1] + x[2:]) / 3)
