"""The few points of a face that a person may drag; all landmarks follow them smoothly."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.errors import PortraitError
from engine.onboarding.cut import face_px
from engine.rbf import spread
from models import topology as topo

F64 = npt.NDArray[np.float64]

ANCHORS: Final[dict[str, tuple[int, ...]]] = {
    "left_eye": (468, 33, 133),
    "right_eye": (473, 362, 263),
    "left_mouth": (topo.OUTER_MOUTH_CORNERS[0], topo.MOUTH_CORNERS[0]),
    "right_mouth": (topo.OUTER_MOUTH_CORNERS[1], topo.MOUTH_CORNERS[1]),
    "chin": (topo.CHIN, 148, 377),
}
"""Landmarks that go exactly where each anchor goes; the first is where it is shown. Left and right
are the picture's."""
MOST: Final = 0.5
"""How far an anchor may be dragged, in face widths."""
_REACH: Final = 0.5
_EXACT: Final = 1e-6
_ROUNDS: Final = 30


def anchors(points: F64) -> dict[str, tuple[float, float]]:
    """Where the anchors of landmarks (478, 2 or 3) are, x and y in the same pixels."""
    return {name: (float(points[i, 0]), float(points[i, 1])) for name, (i, *_) in ANCHORS.items()}


def follow(points: F64, wanted: Mapping[str, tuple[float, float]]) -> F64:
    """Landmarks (478, 3) after some anchors were dragged; those not named stay.

    What most anchors agree on (a shift, a turn, a size) moves the whole face; what is left at each
    anchor spreads by radial basis functions (Wendland 1995, C2) and vanishes beyond their reach.

    Raises:
        PortraitError: an anchor is unknown, or dragged too far.
    """
    if unknown := sorted(set(wanted) - set(ANCHORS)):
        raise PortraitError(f"anchor {unknown[0][:40]!r} is unknown, expected {', '.join(ANCHORS)}")
    wide = face_px(points)
    ways = {}
    for name, (at, *_) in ANCHORS.items():
        way = np.subtract(wanted.get(name, points[at, :2]), points[at, :2])
        far = float(np.hypot(*way)) / wide
        if not far <= MOST:
            raise PortraitError(f"anchor {name} was dragged by {far:.2f} face widths, limit {MOST}")
        ways[name] = way
    held = np.array([at for group in ANCHORS.values() for at in group])
    moved = np.array([ways[name] for name, group in ANCHORS.items() for _ in group])
    turn, shift = _agreed(points[held, :2], points[held, :2] + moved)
    out = points.copy()
    out[:, :2] = points[:, :2] @ turn.T + shift
    out[:, 2] *= float(np.hypot(*turn[:, 0]))
    left = points[held, :2] + moved - out[held, :2]
    reach_px = _REACH * wide
    places = out[None, :, :2].copy()
    out[:, :2] += spread(out[held, :2], left[None], places, reach_px, _EXACT)[0, :, 0]
    return out


def _agreed(source: F64, target: F64) -> tuple[F64, F64]:
    """The similarity (2, 2), (2,) that most points follow: least distances, not least squares.

    Iteratively reweighted (Weiszfeld 1937): where more than half of the points stay, all stays.
    """
    weight = np.ones(len(source))
    turn, shift = np.eye(2), np.zeros(2)
    scale = float(np.ptp(source)) or 1.0
    for _ in range(_ROUNDS):
        share = (weight / weight.sum())[:, None]
        middle, goal = (share * source).sum(0), (share * target).sum(0)
        a, b = source - middle, target - goal
        size = float((share * a * a).sum())
        cos = float((share * a * b).sum()) / size
        sin = float((share[:, 0] * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum()) / size
        turn = np.array([[cos, -sin], [sin, cos]])
        shift = goal - turn @ middle
        off = np.linalg.norm(source @ turn.T + shift - target, axis=1)
        weight = 1 / np.maximum(off, 1e-6 * scale)
    return turn, shift
