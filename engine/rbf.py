"""Radial basis functions of compact support: from landmarks to every point around them.

Wendland's C2 function (1995) vanishes beyond its reach, so what is far from a face stays.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

RIDGE: Final = 1e-3


def _wendland(distance: Any, reach: float) -> Any:
    r = np.minimum(distance / reach, 1.0)
    near = (1 - r) ** 2
    return near * near * (4 * r + 1)


def _distances(a: F64, b: F64) -> F64:
    gap = (a**2).sum(-1)[:, None] + (b**2).sum(-1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(gap, 0.0)))


def spread(points: F64, modes: F64, nodes: F64, reach_px: float, ridge: float = RIDGE) -> F64:
    """Carries values from landmarks to other places.

    Args:
        points: (P, 2) pixels, where values are known.
        modes: (M, P, C) values.
        nodes: (H, W, 2) pixels, places.
        reach_px: beyond it a landmark tells nothing.
        ridge: how little the values have to be met exactly.

    Returns:
        (H, W, M, C).
    """
    count, _, channels = modes.shape
    system = _wendland(_distances(points, points), reach_px)
    system[np.diag_indices_from(system)] += ridge
    weights = np.linalg.solve(system, np.moveaxis(modes, 1, 0).reshape(len(points), -1))
    small = weights.astype(np.float32)
    # Row by row: the whole kernel of a large lattice takes hundreds of megabytes.
    rows = [_wendland(_distances(r, points).astype(np.float32), reach_px) @ small for r in nodes]
    return np.asarray(np.stack(rows).reshape(*nodes.shape[:2], count, channels))


def carrier(points: F64, nodes: F64, reach_px: float) -> F32:
    """The matrix (H * W, P) of `spread` from landmarks (P, 2) to places (H, W, 2)."""
    system = _wendland(_distances(points, points), reach_px)
    system[np.diag_indices_from(system)] += RIDGE
    kernel = _wendland(_distances(nodes.reshape(-1, 2), points).astype(np.float32), reach_px)
    return np.asarray(kernel @ np.linalg.inv(system).astype(np.float32), np.float32)
