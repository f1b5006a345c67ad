"""The geometric guide: from coefficients of motion to a dense backward flow.

How a portrait's points move is linear in what drives them: a weak-perspective head pose times the
point's place and depth, plus expression modes. So one matrix product moves a whole lattice of
points, and a few fixed-point steps turn that forward field into the backward flow of a warp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

NO_MAP: Any = None
"""OpenCV's second map, which a map of two channels does without."""
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ITERATIONS = 5
"""Fixed-point steps that invert a field."""
SHORT_ITERATIONS, SHORT_RELAX = 14, 0.6
"""The same in short steps, around an eye, where a falling lid stretches the skin most."""
_COLUMNS = 64
"""Of the rows in which scattered cells are inverted together."""
EDGE_PX = 0.05
"""Softness of the edge between two fields: a mean of both samples what lies between the rims."""


LINE_POINTS = 16
"""Points of a line at most."""
Cells = tuple[int, int, int, int]
"""Cells of a lattice: left, top, right, bottom; none where right is not over left, or bottom not
over top."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Where a face parts: above it one field moves the picture, below it another.

    Attributes:
        points: (K, 2) float32 pixels, K from 2 to 16, from left to right.
        window: in which both fields are joined at full resolution.
        stretched: in which the upper field is inverted in short steps.
        fade_px: how far below the line and beyond its ends the lower field fades out; None for
            the mouth's line, under which it goes on.

    Raises:
        ValueError: the points are of another shape or dtype, or `fade_px` is not over 0.
    """

    points: F32
    window: Cells
    stretched: Cells = (0, 0, 0, 0)
    fade_px: float | None = None

    def __post_init__(self) -> None:
        points = self.points
        fits = points.shape[1:] == (2,) and 2 <= len(points) <= LINE_POINTS
        if not fits or points.dtype != np.float32:
            raise ValueError(
                f"a line's points are {points.shape} {points.dtype}, "
                f"expected (2 to {LINE_POINTS}, 2) float32"
            )
        if self.fade_px is not None and not self.fade_px > 0:
            raise ValueError(f"fade_px is {self.fade_px}, expected over 0")

    @property
    def level_px(self) -> np.float32:
        """The points' mean height."""
        return np.float32(np.add.reduce(self.points[:, 1]) / len(self.points))


def cells_around(points: F32, margin_px: tuple[float, float], step_px: int, side: int) -> Cells:
    """Cells of a lattice of `side` every `step_px` that lie around (K, 2) pixels.

    None of the outermost: an enlarged window looks at the cells beside it.
    """
    return cells_around_each(points[None], np.array(margin_px), step_px, side)[0]


def cells_around_each(
    points: npt.NDArray[np.floating],
    margins_px: F64,
    step_px: int,
    sides: int | npt.NDArray[np.int64],
) -> list[Cells]:
    """The same for (L, K, 2) pixels, margins (L, 2) or (2,) and sides (L, 1) or one for all."""
    low, high = np.minimum.reduce(points, axis=1), np.maximum.reduce(points, axis=1)
    ends = np.concatenate([low - margins_px, high + margins_px], axis=1)
    # `numpy.clip` asks for the limits of integers first, which takes longer.
    cells = np.minimum(np.maximum((ends / step_px).astype(np.int64), 1), sides - 1)
    return [(left, top, right, bottom) for left, top, right, bottom in cells.tolist()]


def empty(cells: Cells) -> bool:
    """There are none."""
    left, top, right, bottom = cells
    return right <= left or bottom <= top


def lattice(size_px: int, step_px: int) -> F32:
    """Centres of the cells of a square lattice: (G, G, 2) float32 pixels, G = size / step.

    The centres lie where `cv2.resize` assumes them, so a field on the lattice scales up in place.
    """
    if size_px % step_px:
        raise ValueError(f"size_px is {size_px}, expected a multiple of step_px, {step_px}")
    axis = (np.arange(size_px // step_px, dtype=np.float32) + 0.5) * step_px - 0.5
    return np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)


def forward_field(fields: F32, coefficients: F32) -> F32:
    """Displacement of each lattice point.

    Args:
        fields: (G, G, N) float32, how far each driver reaches.
        coefficients: (N, 2) float32, pixels a unit of the driver, in x and y.

    Returns:
        (G, G, 2) float32 pixels.
    """
    side = fields.shape[0]
    flat = fields.reshape(side * fields.shape[1], -1) @ coefficients
    return np.ascontiguousarray(flat.reshape(side, -1, 2), np.float32)


def backward_flow(
    forward: F32, points: F32, step_px: int, iterations: int = ITERATIONS, relax: float = 1.0
) -> F32:
    """Inverts a forward field at some points by relaxed fixed-point iteration.

    Solves s + D(s) = p for each p. A step leaves the share |1 - relax (1 + D')| of the error, so
    `relax` 1 is quick where D changes by less than a pixel a pixel, and 0.6 still converges where
    skin is stretched threefold.

    Args:
        forward: (G, G, 2) float32 pixels, D on the lattice.
        points: (H, W, 2) float32 pixels, p.
        step_px: the lattice's step.
        iterations: each costs one sampling of the lattice.
        relax: share of each step that is taken, over 0 to 1.

    Returns:
        (H, W, 2) float32 pixels, s - p: where each point comes from, relative to itself.
    """
    to_lattice = np.float32(1.0 / step_px)
    shift = np.float32(0.5 * to_lattice - 0.5)
    start = points * to_lattice
    start += shift
    back = forward * -to_lattice
    # Written to by turns: to ask for memory of this size takes as long as to fill it.
    at, step, spare = start, np.empty_like(start), np.empty_like(start)
    for _ in range(iterations):
        cv2.remap(back, at, NO_MAP, cv2.INTER_LINEAR, step, cv2.BORDER_REPLICATE)
        step += start
        if relax < 1:
            cv2.addWeighted(at, 1 - relax, step, relax, 0.0, dst=step)
        at, step = step, spare if at is start else at
    made: F32 = np.subtract(at, start, out=step)
    made *= np.float32(step_px)
    return made


def enlarge(flow: F32, size_px: tuple[int, int]) -> F32:
    """Scales a field up to (width, height) pixels, values unchanged: (H, W, 2) float32."""
    return np.asarray(cv2.resize(flow, size_px, interpolation=cv2.INTER_LINEAR), np.float32)


def joined_flow(
    upper: F32, lower: F32, drivers: F32, lines: Sequence[Line], nodes: F32, step_px: int
) -> F32:
    """Backward flow of the whole picture from two fields, joined along lines.

    On the lattice they are joined along the first line, softly; in the window of each line at full
    resolution, sharply, since the lines are as sharp as the picture there alone.

    Args:
        upper, lower: (G, G, N) float32, reach of each driver above and below the lines.
        drivers: (N, 2) float32, see `forward_field`.
        lines: the mouth's, then the eyes'; none where nothing parts.
        nodes: (G, G, 2) float32, `lattice`.
        step_px: the lattice's.

    Returns:
        (H, W, 2) float32 pixels, H = W = G * step_px.
    """
    rises, falls = (forward_field(reach, drivers) for reach in (upper, lower))
    over, under = (backward_flow(field, nodes, step_px) for field in (rises, falls))
    size_px = len(nodes) * step_px
    if not lines:
        return enlarge(over, (size_px, size_px))
    x, y = nodes[0, :, 0], nodes[:, 0, 1]
    soft = over + (under - over) * _below(lines[0], x, y, soft_px=step_px)[..., None]
    flow = enlarge(soft, (size_px, size_px))
    stretched = iter(_in_short_steps(rises, nodes, lines, step_px))
    for line in lines:
        if not empty(line.stretched):
            left, top, right, bottom = line.stretched
            over[top:bottom, left:right] = next(stretched)
        if empty(line.window):
            continue
        left, top, right, bottom = line.window
        rows, columns = (slice(a * step_px, b * step_px) for a, b in ((top, bottom), (left, right)))
        x, y = (np.arange(part.start, part.stop, dtype=np.float32) for part in (columns, rows))
        share = _below(line, x, y, EDGE_PX)
        if line.fade_px is not None:
            share *= _fade(line, x, y, line.fade_px)
        above, below = (_enlarge_window(field, line.window, step_px) for field in (over, under))
        flow[rows, columns] = above + (below - above) * share[..., None]
    return flow


def _in_short_steps(forward: F32, nodes: F32, lines: Sequence[Line], step_px: int) -> list[F32]:
    """The field inverted in the cells that lines stretch, of those that stretch any.

    All at once: OpenCV lets go of Python's lock at each call, and waits for it again.
    """
    windows = [line.stretched for line in lines if not empty(line.stretched)]
    cut = [nodes[top:bottom, left:right] for left, top, right, bottom in windows]
    if not cut:
        return []
    places = np.concatenate([each.reshape(-1, 2) for each in cut])
    # In rows, of which OpenCV takes 32767 as of columns.
    places = np.resize(places, (-(-len(places) // _COLUMNS), _COLUMNS, 2))
    found = backward_flow(forward, places, step_px, SHORT_ITERATIONS, SHORT_RELAX).reshape(-1, 2)
    made, begin = [], 0
    for each in cut:
        end = begin + each.shape[0] * each.shape[1]
        made.append(found[begin:end].reshape(each.shape))
        begin = end
    return made


def _below(line: Line, x: F32, y: F32, soft_px: float) -> F32:
    """1 below a line, 0 above, softer beyond its ends, at columns x and rows y: (H, W)."""
    points = line.points
    height = np.interp(x, points[:, 0], points[:, 1]).astype(np.float32)
    beyond = np.maximum(np.maximum(points[0, 0] - x, x - points[-1, 0]), 0.0)
    soft = soft_px + 0.8 * beyond
    return np.asarray(np.clip((y[:, None] - height) / soft + 0.5, 0.0, 1.0), np.float32)


def _fade(line: Line, x: F32, y: F32, reach_px: float) -> F32:
    """1 on a line's height, falling to 0 at a reach below it and beyond its ends: (H, W)."""
    points = line.points
    beyond = np.maximum(np.maximum(points[0, 0] - x, x - points[-1, 0]), 0.0) / (0.4 * reach_px)
    deep = (y - line.level_px) / reach_px
    near = np.clip(1 - beyond, 0, 1)[None, :] * np.clip(1 - deep, 0, 1)[:, None]
    return np.asarray(near * near * (3 - 2 * near), np.float32)


def _enlarge_window(field: F32, window: Cells, step_px: int) -> F32:
    """A lattice's cells (left, top, right, bottom) at full resolution, as if cut from the whole."""
    left, top, right, bottom = window
    margin = field[top - 1 : bottom + 1, left - 1 : right + 1]
    full = enlarge(margin, (margin.shape[1] * step_px, margin.shape[0] * step_px))
    return full[step_px : step_px * (bottom - top + 1), step_px : step_px * (right - left + 1)]
