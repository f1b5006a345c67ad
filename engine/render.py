"""Render stage: motion to a backward flow of the whole picture, and patches where a warp cannot do.

Geometry moves what it can; a painter draws what the portrait does not show (the mouth's inside).
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from engine import topology as topo
from engine.frames import Motion
from engine.rig import STEP_PX, Rig
from kernels.guide import backward_flow, enlarge, forward_field, lattice
from kernels.warp_composite import Patch, warp

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_EYE_MARGIN_PX = 4
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Guided:
    """One picture before it is composed.

    Attributes:
        motion: what is drawn.
        landmarks: (478, 2) float32 pixels, where the motion takes them.
        flow: (H, W, 2) float32 backward flow in the picture's pixels.
        patches: windows painted over the warped portrait, in order.
    """

    motion: Motion
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
        rig = self._rig
        drivers = rig.coefficients(motion)
        landmarks = rig.landmarks[:, :2] + rig.points @ drivers
        flow = self._flow(drivers, landmarks)
        eyes = [self._eye(eye, motion, drivers, landmarks) for eye in range(2)]
        guided = Guided(motion, landmarks, flow, [patch for patch in eyes if patch is not None])
        painted, self._state = self._painter.paint(guided, self._state)
        guided.patches.extend(painted)
        return [guided]

    def _flow(self, drivers: F32, landmarks: F32) -> F32:
        """Upper and lower field, joined along the line between the lips."""
        rig = self._rig
        upper_lip, lower_lip = landmarks[topo.UPPER_INNER_LIP], landmarks[topo.LOWER_INNER_LIP]
        line = (upper_lip + lower_lip) / 2
        first = max(int(line[:, 1].min() / STEP_PX) - 4, 0)
        upper = backward_flow(forward_field(rig.upper, drivers), self._lattice, STEP_PX)
        lower = backward_flow(
            forward_field(rig.lower, drivers), self._lattice[first:], STEP_PX
        )
        below = _below(line, self._lattice[first:], soft_px=STEP_PX)
        coarse = upper.copy()
        coarse[first:] += (lower - upper[first:]) * below[..., None]
        flow = enlarge(coarse, (rig.size_px, rig.size_px))

        # The line is as sharp as the picture only in full resolution.
        reach = 0.5 * (line[-1, 0] - line[0, 0])
        cells = rig.size_px // STEP_PX
        x0 = max(int((line[0, 0] - reach) / STEP_PX), 1)
        x1 = min(int((line[-1, 0] + reach) / STEP_PX) + 1, cells - 1)
        y0 = max(first, 1)
        y1 = min(int(line[:, 1].max() / STEP_PX) + 5, cells - 1)
        window = (slice(y0 * STEP_PX, y1 * STEP_PX), slice(x0 * STEP_PX, x1 * STEP_PX))
        over = _enlarge_window(upper, y0, y1, x0, x1)
        under = _enlarge_window(lower, y0 - first, y1 - first, x0, x1)
        below = _below(line, self._pixels[window], soft_px=1.0)
        flow[window] = over + (under - over) * below[..., None]
        return flow

    def _eye(self, eye: int, motion: Motion, drivers: F32, landmarks: F32) -> Patch | None:
        """The eyeball: it follows the head and its gaze, not the lids that slide over it."""
        if motion.blink[eye] == 0.0 and motion.gaze == (0.0, 0.0):
            return None
        rig = self._rig
        rim = np.concatenate(
            [landmarks[topo.UPPER_LIDS[eye]], landmarks[topo.LOWER_LIDS[eye]][::-1]]
        )
        window = window_around(rim, _EYE_MARGIN_PX, rig.size_px)
        if window is None:
            return None
        places = self._pixels[window]
        flow = backward_flow(forward_field(rig.head, drivers[:4]), places, STEP_PX)
        iris = landmarks[topo.IRISES[eye]]
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        near = np.exp(-((places - iris[0]) ** 2).sum(-1) / (2 * (1.4 * radius) ** 2))
        width = float(np.linalg.norm(rim[0] - rim[8]))
        flow -= near[..., None] * np.asarray(motion.gaze, np.float32) * width
        alpha = polygon_mask(rim, window)
        scale = np.float32(rig.scale)
        rgb = warp(rig.source, flow * scale, places * scale + (scale - 1) / 2)
        return Patch(window[1].start, window[0].start, rgb, alpha)


def _below(line: F32, places: F32, soft_px: float) -> F32:
    """1 below a line of the mouth, 0 above; softer the farther beyond the corners. (H, W) float32."""
    x = places[0, :, 0]
    y = np.interp(x, line[:, 0], line[:, 1]).astype(np.float32)
    beyond = np.maximum(np.maximum(line[0, 0] - x, x - line[-1, 0]), 0.0)
    soft = soft_px + 0.8 * beyond
    return np.asarray(np.clip((places[..., 1] - y) / soft + 0.5, 0.0, 1.0), np.float32)


def _enlarge_window(field: F32, y0: int, y1: int, x0: int, x1: int) -> F32:
    """A window of cells of a lattice at full resolution, as if cut from the whole enlarged."""
    margin = field[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1]
    full = enlarge(margin, (margin.shape[1] * STEP_PX, margin.shape[0] * STEP_PX))
    top, left = min(y0, 1) * STEP_PX, min(x0, 1) * STEP_PX
    return full[top : top + (y1 - y0) * STEP_PX, left : left + (x1 - x0) * STEP_PX]


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
