"""Catmull-Clark subdivision of a mesh of quads, planned once and applied to many poses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """A mesh of quads over its own points, with a texture coordinate a corner.

    Attributes:
        count: how many points it has.
        quads: (Q, 4) int64 indices of points.
        uv: (Q, 4, 2) float64 in [0, 1], v upwards.
    """

    count: int
    quads: Indices
    uv: F64

    def triangles(self) -> Indices:
        """(2 Q, 3) int64: each quad's two halves, the first halves first."""
        return np.concatenate([self.quads[:, [0, 1, 2]], self.quads[:, [0, 2, 3]]])

    def triangle_uv(self) -> F64:
        """(2 Q, 3, 2) float64, in step with `triangles`."""
        return np.concatenate([self.uv[:, [0, 1, 2]], self.uv[:, [0, 2, 3]]])


@dataclass(frozen=True)
class Subdivision:
    """One step of Catmull-Clark from `coarse` to `fine`.

    Fine points are the coarse points in their order, then a point an edge, then a point a face.

    Attributes:
        edges: (E, 2) int64 coarse points of each edge.
        edge_faces: (E, 2) int64 faces beside each edge; -1 where the mesh ends.
    """

    coarse: Surface
    fine: Surface
    edges: Indices
    edge_faces: Indices

    def apply(self, points: F64) -> F64:
        """Fine points (V + E + Q, 3) of coarse points (V, 3)."""
        quads = self.coarse.quads
        faces = points[quads].mean(axis=1)
        ends = points[self.edges]
        middles = ends.mean(axis=1)
        inner = (self.edge_faces >= 0).all(axis=1)
        across = middles.copy()
        beside = self.edge_faces[inner]
        across[inner] = (ends[inner].sum(axis=1) + faces[beside].sum(axis=1)) / 4

        count = len(points)
        valence = np.bincount(self.edges.ravel(), minlength=count)[:, None]
        face_sum = _gather(quads, np.repeat(faces[:, None], 4, axis=1), count)
        edge_sum = _gather(self.edges, np.repeat(middles[:, None], 2, axis=1), count)
        n = np.maximum(valence, 1)
        smooth = (face_sum / n + 2 * edge_sum / n + (n - 3) * points) / n
        rim = self.edges[~inner]
        rim_sum = _gather(rim, np.repeat(middles[~inner][:, None], 2, axis=1), count)
        on_rim = np.zeros(count, bool)
        on_rim[rim.ravel()] = True
        smooth[on_rim] = points[on_rim] / 2 + rim_sum[on_rim] / 4
        smooth[valence[:, 0] == 0] = points[valence[:, 0] == 0]
        return np.concatenate([smooth, across, faces])


def _gather(rows: Indices, values: F64, count: int) -> F64:
    """Sums (N, K, 3) values into (count, 3) rows."""
    flat, cells = rows.ravel(), values.reshape(-1, 3)
    return np.stack([np.bincount(flat, cells[:, axis], minlength=count) for axis in range(3)], 1)


def subdivide(coarse: Surface) -> Subdivision:
    """Plans one step of subdivision."""
    quads = coarse.quads
    pairs = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, which = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    which = which.ravel()
    edge_faces = np.full((len(edges), 2), -1, np.int64)
    owner = np.repeat(np.arange(len(quads)), 4)
    order = np.argsort(which, kind="stable")
    first = np.ones(len(order), bool)
    first[1:] = which[order][1:] != which[order][:-1]
    edge_faces[which[order][first], 0] = owner[order][first]
    edge_faces[which[order][~first], 1] = owner[order][~first]

    along = coarse.count + which.reshape(-1, 4)
    centre = coarse.count + len(edges) + np.arange(len(quads))
    fine_quads = np.stack(
        [np.stack([quads[:, k], along[:, k], centre, along[:, k - 1]], axis=1) for k in range(4)],
        axis=1,
    ).reshape(-1, 4)
    uv = coarse.uv
    uv_along = (uv + np.roll(uv, -1, axis=1)) / 2
    uv_centre = uv.mean(axis=1)
    fine_uv = np.stack(
        [
            np.stack([uv[:, k], uv_along[:, k], uv_centre, uv_along[:, k - 1]], axis=1)
            for k in range(4)
        ],
        axis=1,
    ).reshape(-1, 4, 2)
    count = coarse.count + len(edges) + len(quads)
    return Subdivision(coarse, Surface(count, fine_quads, fine_uv), edges, edge_faces)


def pieces(flat: Surface) -> Indices:
    """(Q,) int64: for each face the number of faces in its connected piece."""
    label = np.arange(flat.count)
    while True:
        least = label[flat.quads].min(axis=1)
        lower = label.copy()
        np.minimum.at(lower, flat.quads.ravel(), np.repeat(least, 4))
        lower = lower[lower]
        if np.array_equal(lower, label):
            break
        label = lower
    of_face = label[flat.quads[:, 0]]
    return np.asarray(np.bincount(of_face, minlength=flat.count)[of_face], np.int64)
