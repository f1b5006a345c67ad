"""Which triangle each pixel sees, in NumPy: what masks and exact flow are computed from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .mesh import F64, Indices

Bools = npt.NDArray[np.bool_]
SIZES_PX = (1, 2, 3, 4, 5, 6, 8, 11, 16, 24, 32, 64, 128, 256, 512)
"""Boxes that triangles are sorted into by their span; larger ones, beside the camera, are lost."""


@dataclass(frozen=True)
class Layer:
    """Triangles that hide what is behind them.

    Attributes:
        name: what they are.
        points: (N, 3) pixels x, y and depth in metres from the camera.
        triangles: (T, 3) indices of points.
        one_sided: back faces are not seen.
        uv: (T, 3, 2) texture coordinates and
        cover: (H, W) bool picture, rows downwards, False where it is see-through; both or none.
    """

    name: str
    points: F64
    triangles: Indices
    one_sided: bool = True
    uv: F64 | None = None
    cover: Bools | None = None


@dataclass(frozen=True)
class Seen:
    """What a square picture sees.

    Attributes:
        layer: (H, W) int64 index of the layer, -1 for none.
        triangle: (H, W) int64 within the layer.
        share: (H, W, 3) float64 of each corner, exact under perspective.
        depth: (H, W) float64 metres, infinite where nothing is.
    """

    layer: Indices
    triangle: Indices
    share: F64
    depth: F64


def see(layers: list[Layer], px: int) -> Seen:
    """Draws the layers into a picture of side `px`; pixel centres lie at halves."""
    cells = px * px
    best_layer = np.full(cells, -1, np.int64)
    best_triangle = np.full(cells, -1, np.int64)
    best_share = np.zeros((cells, 3))
    best_depth = np.full(cells, np.inf)
    for number, layer in enumerate(layers):
        pixel, triangle, share, depth = _hits(layer, px)
        order = np.lexsort((depth, pixel))
        first = np.ones(len(order), bool)
        first[1:] = pixel[order][1:] != pixel[order][:-1]
        top = order[first]
        top = top[depth[top] < best_depth[pixel[top]]]
        at = pixel[top]
        best_layer[at], best_triangle[at] = number, triangle[top]
        best_share[at], best_depth[at] = share[top], depth[top]
    return Seen(
        best_layer.reshape(px, px),
        best_triangle.reshape(px, px),
        best_share.reshape(px, px, 3),
        best_depth.reshape(px, px),
    )


def _hits(layer: Layer, px: int) -> tuple[Indices, Indices, F64, F64]:
    """All (pixel, triangle) pairs of a layer that meet, with corner shares and depths."""
    corners = layer.points[layer.triangles]
    flat, depth = corners[..., :2], corners[..., 2]
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    # Counter-clockwise from outside turns clockwise where y points down.
    facing = area < -1e-9 if layer.one_sided else np.abs(area) > 1e-9
    low = np.ceil(flat.min(axis=1) - 0.5).astype(np.int64)
    high = np.floor(flat.max(axis=1) - 0.5).astype(np.int64)
    span = (high - low + 1).max(axis=1)
    inside = (high >= 0).all(axis=1) & (low < px).all(axis=1) & (span > 0)
    keep = facing & inside & (depth > 0.02).all(axis=1) & (span <= SIZES_PX[-1])
    found = []
    least = 0
    for size in SIZES_PX:
        rows = np.flatnonzero(keep & (span <= size) & (span > least))
        for start in range(0, len(rows), max(1, 2_000_000 // size**2)):
            part = rows[start : start + max(1, 2_000_000 // size**2)]
            found.append(_cover(layer, part, flat, depth, area, low, size, px))
        least = size
    pixel, triangle, share, deep = (
        np.concatenate([f[k] for f in found]) if found else np.zeros(0) for k in range(4)
    )
    return (pixel.astype(np.int64), triangle.astype(np.int64), share.reshape(-1, 3), deep)


def _cover(
    layer: Layer,
    rows: Indices,
    flat: F64,
    depth: F64,
    area: F64,
    low: Indices,
    size: int,
    px: int,
) -> tuple[Indices, Indices, F64, F64]:
    """Pairs for triangles `rows` whose boxes fit into `size` pixels."""
    steps = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    at = low[rows][:, None] + steps[None]
    inside = ((at >= 0) & (at < px)).all(axis=2)
    centre = at + 0.5
    a, b, c = (flat[rows, k][:, None] for k in range(3))
    whole = area[rows][:, None]
    of_b = _cross(centre - a, c - a) / whole
    of_c = _cross(b - a, centre - a) / whole
    of_a = 1 - of_b - of_c
    hit = inside & (of_a >= -1e-9) & (of_b >= -1e-9) & (of_c >= -1e-9)
    which, step = np.nonzero(hit)
    share = np.stack([of_a[hit], of_b[hit], of_c[hit]], axis=1) / depth[rows[which]]
    deep = 1 / share.sum(axis=1)
    share = share * deep[:, None]
    triangle = rows[which]
    if layer.cover is not None and layer.uv is not None:
        uv = np.einsum("nk,nkd->nd", share, layer.uv[triangle])
        high, wide = layer.cover.shape
        column = np.clip((uv[:, 0] * wide).astype(np.int64), 0, wide - 1)
        row = np.clip(((1 - uv[:, 1]) * high).astype(np.int64), 0, high - 1)
        solid = layer.cover[row, column]
        which, step, triangle = which[solid], step[solid], triangle[solid]
        share, deep = share[solid], deep[solid]
    place = at[which, step]
    return place[:, 1] * px + place[:, 0], triangle, share, deep


def _cross(one: F64, two: F64) -> F64:
    return np.asarray(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0])


def flow(
    shot: Seen, portrait: Seen, goal: list[Layer], slack_m: float = 0.003
) -> npt.NDArray[np.float16]:
    """(H, W, 2) float16: from each pixel of the shot to where the portrait shows the same point.

    Args:
        shot: what the shot sees.
        portrait: what the portrait sees.
        goal: the portrait's layers, in the order of the shot's.
        slack_m: how far behind the portrait's surface a point still counts as seen.

    NaN where the shot sees nothing, or a point that the portrait hides or leaves out.
    """
    px = shot.layer.shape[0]
    out, far = np.full((px, px, 2), np.nan), _far(portrait.depth)
    for number, layer in enumerate(goal):
        rows, columns = np.nonzero(shot.layer == number)
        triangle = layer.triangles[shot.triangle[rows, columns]]
        share, corners = shot.share[rows, columns], layer.points[triangle]
        # Shares hold in space; in the picture a corner counts by its depth as well.
        depth = (share * corners[..., 2]).sum(axis=1)
        place = np.einsum("nk,nkd->nd", share * corners[..., 2], corners[..., :2]) / depth[:, None]
        cell = np.floor(place).astype(np.int64)
        inside = ((cell >= 0) & (cell < px)).all(axis=1)
        cell = np.clip(cell, 0, px - 1)
        seen = inside & (depth < far[cell[:, 1], cell[:, 0]] + slack_m)
        there = np.stack([columns, rows], axis=1) + 0.5
        out[rows[seen], columns[seen]] = (place - there)[seen]
    return out.astype(np.float16)


def _far(depth: F64) -> F64:
    """The greatest finite depth among each pixel and its four neighbours."""
    known = np.where(np.isfinite(depth), depth, -np.inf)
    padded = np.pad(known, 1, constant_values=-np.inf)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.maximum.reduce([known, *around]))
