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
from kernels.guide import backward_flow, enlarge, forward_field, lattice
from kernels.warp_composite import Patch, warp
from models import topology as topo

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

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
        rises, falls = (forward_field(reach, drivers) for reach in (rig.upper, rig.lower))
        upper = backward_flow(rises, self._lattice, STEP_PX)
        lower = backward_flow(falls, self._lattice, STEP_PX)
        mouth = (landmarks[topo.UPPER_INNER_LIP] + landmarks[topo.LOWER_INNER_LIP]) / 2
        below = _below(mouth, self._lattice, soft_px=STEP_PX)
        flow = enlarge(upper + (lower - upper) * below[..., None], (rig.size_px, rig.size_px))

        # The lines are as sharp as the picture in full resolution alone.
        reach = 0.5 * float(mouth[-1, 0] - mouth[0, 0])
        self._join(flow, upper, lower, mouth, (reach, 4 * STEP_PX), fade_px=None)
        for over, under in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
            eye = (landmarks[over] + landmarks[under]) / 2
            margin = 0.14 * rig.face_px
            self._settle(upper, rises, eye, margin)
            self._join(flow, upper, lower, eye, (0.4 * margin, margin), fade_px=margin)
        return flow

    def _settle(self, flow: F32, forward: F32, line: F32, margin_px: float) -> None:
        """Solves a flow anew around an eye, where a falling lid stretches the skin most."""
        low, high = self._cells(line, (margin_px, margin_px))
        if (high <= low).any():
            return
        window = slice(low[1], high[1]), slice(low[0], high[0])
        places = np.ascontiguousarray(self._lattice[window])
        flow[window] = backward_flow(forward, places, STEP_PX, iterations=14, relax=0.6)

    def _cells(self, line: F32, margin_px: tuple[float, float]) -> tuple[I64, I64]:
        """Lattice cells low to high (x, y) around a line; none where it is off the picture."""
        last = len(self._lattice) - 1
        low = ((line.min(0) - margin_px) / STEP_PX).astype(np.int64).clip(1, last)
        high = ((line.max(0) + margin_px) / STEP_PX).astype(np.int64).clip(1, last)
        return low, high

    def _join(
        self,
        flow: F32,
        upper: F32,
        lower: F32,
        line: F32,
        margin_px: tuple[float, float],
        fade_px: float | None,
    ) -> None:
        """Joins both fields along a line, in a window of a full-resolution flow, in place.

        With `fade_px` the lower field fades out that far below the line.
        """
        low, high = self._cells(line, margin_px)
        if (high <= low).any():
            return
        rows, columns = (slice(low[i] * STEP_PX, high[i] * STEP_PX) for i in (1, 0))
        over = _enlarge_window(upper, low, high)
        under = _enlarge_window(lower, low, high)
        places = self._pixels[rows, columns]
        # A hard edge: a mean of both flows would sample what lies between the rims.
        share = _below(line, places, soft_px=0.05)
        if fade_px is not None:
            share *= _fade(line, places, fade_px)
        flow[rows, columns] = over + (under - over) * share[..., None]

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


def _below(line: F32, places: F32, soft_px: float) -> F32:
    """1 below the mouth's line, 0 above, softer beyond its corners: (H, W) float32."""
    x = places[0, :, 0]
    y = np.interp(x, line[:, 0], line[:, 1]).astype(np.float32)
    beyond = np.maximum(np.maximum(line[0, 0] - x, x - line[-1, 0]), 0.0)
    soft = soft_px + 0.8 * beyond
    return np.asarray(np.clip((places[..., 1] - y) / soft + 0.5, 0.0, 1.0), np.float32)


def _fade(line: F32, places: F32, reach_px: float) -> F32:
    """1 on a line's height, falling to 0 at a reach below it and beyond its ends: (H, W)."""
    x, y = places[0, :, 0], places[:, 0, 1]
    beyond = np.maximum(np.maximum(line[0, 0] - x, x - line[-1, 0]), 0.0) / (0.4 * reach_px)
    deep = (y - line[:, 1].mean()) / reach_px
    near = np.clip(1 - beyond, 0, 1)[None, :] * np.clip(1 - deep, 0, 1)[:, None]
    return np.asarray(near * near * (3 - 2 * near), np.float32)


def _enlarge_window(field: F32, low: I64, high: I64) -> F32:
    """The cells low to high (x, y) of a lattice at full resolution, as if cut from the whole."""
    (x0, y0), (x1, y1) = low, high
    margin = field[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1]
    full = enlarge(margin, (margin.shape[1] * STEP_PX, margin.shape[0] * STEP_PX))
    return full[STEP_PX : STEP_PX * (y1 - y0 + 1), STEP_PX : STEP_PX * (x1 - x0 + 1)]


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
