"""What a motion makes of an avatar: where its landmarks go, where its face parts, its eyeballs.

Geometry moves what it can; `engine.paint` draws what the portrait does not show.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.frames import Motion
from engine.rig import POSE_DRIVERS, STEP_PX, Rig
from kernels.guide import (
    Line,
    backward_flow,
    cells_around,
    forward_field,
    joined_flow,
    lattice,
)
from kernels.warp_composite import Patch, warp
from models import topology as topo

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_EYE_MARGIN_PX = 4
_SHUT_LIDS_PX = 1.5
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Guided:
    """One picture before it is painted.

    Attributes:
        rig: whose.
        motion: what is drawn.
        drivers: (N, 2) float32, see `Rig.coefficients`.
        landmarks: (478, 2) float32 pixels, where the motion takes them.
        lines: where the face parts, see `parting`.
        eyes: the eyeballs, laid over the warped portrait.
    """

    rig: Rig
    motion: Motion
    drivers: F32
    landmarks: F32
    lines: list[Line]
    eyes: list[Patch]


def guide(rig: Rig, motion: Motion, drivers: F32 | None = None) -> Guided:
    """What geometry alone gives.

    Args:
        rig: the avatar.
        motion: what it does.
        drivers: the motion's if not given.

    Raises:
        ValueError: the lip code has another length than the face model's.
    """
    drivers = rig.coefficients(motion) if drivers is None else drivers
    landmarks = rig.landmarks[:, :2] + rig.points @ drivers
    eyes = _eyes(rig, motion, drivers, landmarks)
    return Guided(rig, motion, drivers, landmarks, parting(landmarks, rig), eyes)


def flow(rig: Rig, drivers: F32) -> F32:
    """Backward flow of the whole picture, (H, W, 2) float32 of its pixels."""
    lines = parting(rig.landmarks[:, :2] + rig.points @ drivers, rig)
    nodes = lattice(rig.size_px, STEP_PX)
    return joined_flow(rig.upper, rig.lower, drivers, lines, nodes, STEP_PX)


def _eyes(rig: Rig, motion: Motion, drivers: F32, landmarks: F32) -> list[Patch]:
    """The eyeballs: they follow the head and their gaze, not the lids that slide over them."""
    seen = []
    for eye in range(2):
        if motion.blink[eye] == 0.0 and motion.gaze == (0.0, 0.0):
            continue
        upper, lower = parted(landmarks[topo.UPPER_LIDS[eye]], landmarks[topo.LOWER_LIDS[eye]])
        gap_px = float((lower - upper)[:, 1].max())
        rim = np.concatenate([upper, lower[::-1]])
        window = window_around(rim, _EYE_MARGIN_PX, rig.size_px)
        if window is not None and gap_px >= _SHUT_LIDS_PX:
            seen.append((eye, gap_px, rim, window))
    if not seen:
        return []
    head = forward_field(rig.head, drivers[:POSE_DRIVERS])
    made = []
    for eye, gap_px, rim, window in seen:
        iris = landmarks[topo.IRISES[eye]]
        rgb = _eyeball(rig, head, window, iris, _gaze_px(motion, rim))
        fade = min((gap_px - _SHUT_LIDS_PX) / _SHUT_LIDS_PX, 1.0)
        alpha = np.asarray(cv2.convertScaleAbs(polygon_mask(rim, window), alpha=fade), np.uint8)
        made.append(Patch(window[1].start, window[0].start, rgb, alpha))
    return made


def _gaze_px(motion: Motion, rim: F32) -> F32:
    """How far a gaze turns an eyeball: (2,) pixels."""
    width = float(np.linalg.norm(rim[0] - rim[8]))
    return np.asarray(motion.gaze, np.float32) * width


def _eyeball(rig: Rig, head: F32, window: tuple[slice, slice], iris: F32, gaze_px: F32) -> U8:
    """A window of the portrait as the head alone moves it, turned around an iris."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float32) for part in window)
    places = np.empty((len(rows), len(columns), 2), np.float32)
    places[..., 0], places[..., 1] = columns, rows[:, None]
    way = backward_flow(head, places, STEP_PX)
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    aside, below = (columns - iris[0, 0]) ** 2, (rows[:, None] - iris[0, 1]) ** 2
    near = np.exp(-(aside + below) / (2 * (1.4 * radius) ** 2))
    for axis in range(2):  # an axis at a time: NumPy is slow where the last one is short
        way[..., axis] -= near * gaze_px[axis]
    scale = np.float32(rig.scale)
    return warp(rig.source, way * scale, places * scale + (scale - 1) / 2)


def parting(landmarks: F32, rig: Rig) -> list[Line]:
    """Lines along which the face parts, the mouth's first, then each eye's.

    Args:
        landmarks: (478, 2) float32 pixels, where the motion takes them.
        rig: the avatar.
    """
    side = rig.size_px // STEP_PX
    mouth = (landmarks[topo.UPPER_INNER_LIP] + landmarks[topo.LOWER_INNER_LIP]) / 2
    reach = 0.5 * float(mouth[-1, 0] - mouth[0, 0])
    lines = [Line(mouth, cells_around(mouth, (reach, 4 * STEP_PX), STEP_PX, side))]
    margin = 0.14 * rig.face_px
    for over, under in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
        eye = (landmarks[over] + landmarks[under]) / 2
        window, stretched = (
            cells_around(eye, (beside, margin), STEP_PX, side) for beside in (0.4 * margin, margin)
        )
        lines.append(Line(eye, window, stretched, fade_px=margin))
    return lines


def parted(upper: F32, lower: F32) -> tuple[F32, F32]:
    """Two rims of an opening, (N, 2) pixels each, meeting in the middle where they would cross."""
    crossed = np.minimum(lower[:, 1] - upper[:, 1], 0.0) / 2
    shift = np.stack([np.zeros_like(crossed), crossed], axis=-1)
    return upper + shift, lower - shift


def window_around(points: F32, margin_px: float, size_px: int) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels around some points; None where they lie off the picture."""
    low, high = np.floor(points.min(0) - margin_px), np.ceil(points.max(0) + margin_px)
    ends = np.concatenate([low, high]).astype(int).tolist()
    left, top, right, bottom = (min(max(end, 0), size_px) for end in ends)
    if min(right - left, bottom - top) < 2:
        return None
    return slice(top, bottom), slice(left, right)


def polygon_mask(rim: F32, window: tuple[slice, slice]) -> U8:
    """255 inside a polygon of picture pixels, smoothed over its edge: (h, w) uint8."""
    rows, columns = window
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    corner = np.array([columns.start, rows.start], np.float32)
    places = np.round((rim - corner) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [places], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(mask, (3, 3), 0.7), np.uint8)
