"""Where lids meet the eyeball, read off a picture of what is seen of the eyeballs."""

import numpy as np
import numpy.typing as npt

from models.topology import IRISES, LOWER_LIDS, UPPER_LIDS

Bytes = npt.NDArray[np.uint8]
Landmarks = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

LID_SHIFT = 0.25
"""How far a lid's rim may lie from where MediaPipe puts it, in eye widths."""
UPPER_OVERLAP, LOWER_OVERLAP = 0.05, 0.12
"""How far above and below the eyeball the lids' rims are put, in openings.

Between landmarks a blink's field falls short by as much: without it a slit of eye stays.
"""
LID_FALLOFF = 0.30
"""How far around a moved lid its skin goes with it, in eye widths."""


class LandmarkError(Exception):
    """No face was found where one must be."""


def open_lids(points: Landmarks, eyes: Bytes) -> Landmarks:
    """Lays both eyes' lids on the rims of what is seen of the eyeballs; skin nearby goes along.

    MediaPipe draws upper lids 2 to 3 px too low, and a cartoon's lower lids far too high.

    Args:
        eyes: (H, W) uint8, 255 where an eyeball is seen.

    Raises:
        LandmarkError: no eyeball is seen, or its rim is further off than `LID_SHIFT`.
    """
    moved = points.copy()
    for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
        ring = np.concatenate([upper, lower])
        left, right = points[upper[[0, -1]], 0]
        wide = float(right - left)
        goal = _rim(points, upper, lower, eyes)
        shift = goal - points[ring, :2]
        worst = float(np.linalg.norm(shift, axis=1).max())
        if worst > LID_SHIFT * wide:
            raise LandmarkError(
                f"a lid lies {worst:.1f} px from the eyeball's rim, expected {LID_SHIFT * wide:.1f}"
            )
        away = np.linalg.norm(points[:, None, :2] - points[None, ring, :2], axis=2)
        near = np.exp(-((away / (LID_FALLOFF * wide)) ** 2))
        reach = near.max(axis=1, keepdims=True)
        carried = (near @ shift) / (near.sum(axis=1, keepdims=True) + 1e-9) * reach
        carried[np.concatenate(IRISES)] = 0
        carried[ring] = shift
        moved[:, :2] += carried.astype(np.float32)
    return moved


def _rim(points: Landmarks, upper: Rows, lower: Rows, eyes: Bytes) -> npt.NDArray[np.float64]:
    """(18, 2) px: where the upper and then the lower lid's landmarks belong on the eye's rim."""
    left, right = points[upper[[0, -1]], 0]
    wide = right - left
    middle = points[[*upper, *lower], 1].mean()
    x0, x1 = round(float(left - 0.4 * wide)), round(float(right + 0.4 * wide))
    y0, y1 = round(float(middle - 0.8 * wide)), round(float(middle + 0.8 * wide))
    seen = eyes[y0:y1, x0:x1].astype(np.float64) / 255
    columns = np.flatnonzero(seen.max(axis=0) > 0.5)
    if not len(columns):
        raise LandmarkError(f"no eyeball is seen in columns {x0} to {x1}, expected one")
    inside = seen > 0.5
    top = y0 + inside.argmax(axis=0).astype(np.float64)
    bottom = y0 + inside.shape[0] - inside[::-1].argmax(axis=0).astype(np.float64)
    ends = x0 + columns[[0, -1]] + (0.0, 1.0)
    rims = []
    opening = bottom - top
    top, bottom = top - UPPER_OVERLAP * opening, bottom + LOWER_OVERLAP * opening
    for lid, line in ((upper, top), (lower, bottom)):
        share = (points[lid, 0] - left) / wide
        x = ends[0] + np.clip(share, 0, 1) * (ends[1] - ends[0])
        y = np.interp(x, x0 + columns + 0.5, line[columns])
        corner = (top + bottom)[columns[[0, -1]]] / 2
        y[0], y[-1] = corner
        rims.append(np.stack([x, y], axis=1))
    return np.concatenate(rims)
