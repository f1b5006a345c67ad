"""Render stage: motion to a backward flow of the whole picture, and patches where a warp cannot do.

Geometry moves what it can; a painter draws what the portrait does not show (the mouth's inside).
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from engine.frames import Motion
from engine.rig import STEP_PX, Rig
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
    """One picture before it is composed.

    Attributes:
        motion: what is drawn.
        drivers: (N, 2) float32, see `Rig.coefficients`.
        landmarks: (478, 2) float32 pixels, where the motion takes them.
        flow: (H, W, 2) float32 backward flow in the picture's pixels.
        patches: windows painted over the warped portrait, in order.
    """

    motion: Motion
    drivers: F32
    landmarks: F32
    flow: F32
    patches: list[Patch]


class Painter(Protocol):
    """Draws what the warp cannot know. Keeps no state of its own: a session hands it back."""

    def start(self) -> object:
        """State of a session that has drawn nothing yet."""

    def paint(self, guided: Guided, state: object) -> tuple[list[Patch], object]:
        """Patches for one picture, and the state for the next."""


class RenderStage:
    """Motion in, guided pictures out.

    Args:
        rig: the avatar, shared between sessions.
        painter: shared too; its state is this session's.
    """

    def __init__(self, rig: Rig, painter: Painter) -> None:
        self._rig = rig
        self._painter = painter
        self._lattice = lattice(rig.size_px, STEP_PX)
        axis = np.arange(rig.size_px, dtype=np.float32)
        self._pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
        self.reset()

    def reset(self) -> None:
        """Forgets the pictures drawn so far."""
        self._state = self._painter.start()

    def flush(self) -> list[Guided]:
        """Nothing is held back."""
        return []

    def push(self, motion: Motion) -> list[Guided]:
        """One motion gives one guided picture."""
        guided = self.guide(motion, self._rig.coefficients(motion))
        painted, self._state = self._painter.paint(guided, self._state)
        guided.patches.extend(painted)
        return [guided]

    def guide(self, motion: Motion, drivers: F32) -> Guided:
        """What geometry alone gives, for drivers that need not come of the motion."""
        rig = self._rig
        landmarks = rig.landmarks[:, :2] + rig.points @ drivers
        flow = self._flow(drivers, landmarks)
        eyes = [self._eye(eye, motion, drivers, landmarks) for eye in range(2)]
        patches = [patch for patch in eyes if patch is not None]
        return Guided(motion, drivers, landmarks, flow, patches)

    def _flow(self, drivers: F32, landmarks: F32) -> F32:
        """Upper and lower field, joined along the lines where the face parts."""
        rig = self._rig
        lines = parting(landmarks, rig)
        return joined_flow(rig.upper, rig.lower, drivers, lines, self._lattice, STEP_PX)

    def _eye(self, eye: int, motion: Motion, drivers: F32, landmarks: F32) -> Patch | None:
        """The eyeball: it follows the head and its gaze, not the lids that slide over it."""
        if motion.blink[eye] == 0.0 and motion.gaze == (0.0, 0.0):
            return None
        rig = self._rig
        upper, lower = parted(landmarks[topo.UPPER_LIDS[eye]], landmarks[topo.LOWER_LIDS[eye]])
        gap_px = float((lower - upper)[:, 1].max())
        rim = np.concatenate([upper, lower[::-1]])
        window = window_around(rim, _EYE_MARGIN_PX, rig.size_px)
        if window is None or gap_px < _SHUT_LIDS_PX:
            return None
        places = self._pixels[window]
        flow = backward_flow(forward_field(rig.head, drivers[:4]), places, STEP_PX)
        iris = landmarks[topo.IRISES[eye]]
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        near = np.exp(-((places - iris[0]) ** 2).sum(-1) / (2 * (1.4 * radius) ** 2))
        width = float(np.linalg.norm(rim[0] - rim[8]))
        flow -= near[..., None] * np.asarray(motion.gaze, np.float32) * width
        fade = min((gap_px - _SHUT_LIDS_PX) / _SHUT_LIDS_PX, 1.0)
        alpha = np.asarray(cv2.convertScaleAbs(polygon_mask(rim, window), alpha=fade), np.uint8)
        scale = np.float32(rig.scale)
        rgb = warp(rig.source, flow * scale, places * scale + (scale - 1) / 2)
        return Patch(window[1].start, window[0].start, rgb, alpha)


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
    low = np.floor(points.min(0) - margin_px).astype(int).clip(0, size_px)
    high = np.ceil(points.max(0) + margin_px).astype(int).clip(0, size_px)
    if (high - low).min() < 2:
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def polygon_mask(rim: F32, window: tuple[slice, slice]) -> U8:
    """255 inside a polygon of picture pixels, smoothed over its edge: (h, w) uint8."""
    rows, columns = window
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    corner = np.array([columns.start, rows.start], np.float32)
    places = np.round((rim - corner) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [places], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(mask, (3, 3), 0.7), np.uint8)
