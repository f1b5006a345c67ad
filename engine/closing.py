"""A portrait's mouth closed: where its landmarks go, and the picture warped after them."""

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.render import flow
from engine.rig import follow, ground, near_eyes
from kernels.guide import NO_MAP
from models import expression, facemodel, faceshape, measures
from models import topology as topo

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

LATTICE_PX: Final = 4
OPEN: Final = 0.012
"""A mouth open less, in face widths, is shut: the rig lets its lips meet by itself."""
WIDE: Final = 0.15
"""A mouth open more shows too much of its inside to be closed."""
_SMILE_KEPT: Final = 0.5
"""Share of a smile that is left when the lips meet: without any, a merry face turns stern."""
_STEP: Final = 0.08
"""How far a mouth is closed at a time, in face widths."""
_WINDOW: Final = 1.7
"""Side of the square around the mouth that is warped, in face widths: nothing moves outside."""


def posed(points: F64, lips: F64 | None, turn: F64, fitted: faceshape.Fit | None = None) -> F64:
    """Landmarks (478, 3) of the same face with other lips and another pose.

    Args:
        points: (478, 3) pixels.
        lips: lip code of `models.expression`; that of the mean shut mouth by default.
        turn: (3,) yaw, pitch and roll, radians.
        fitted: `faceshape.fit` of these points, where it has been made.
    """
    shape, split = faceshape.load(), expression.load()
    fitted = fitted or faceshape.fit(points[None], model=shape)
    codes = split.split(fitted.expression)
    wanted = np.zeros_like(codes.lip) if lips is None else lips[None]
    changed = split.join(codes._replace(lip=wanted)) - split.join(codes)
    moved = np.tensordot(changed[0], shape.expression, 1)
    other = points + fitted.scale[0] * moved @ fitted.rotation[0].T
    middle = points[list(topo.FACE_SIDES)].mean(0)
    return np.asarray((other - middle) @ measures.rotation(turn).T + middle)


def met(points: F64) -> F64:
    """The same with inner lips that just meet; the rest of the lips comes along."""
    out = points.copy()
    apart = points[topo.LOWER_INNER_LIP] - points[topo.UPPER_INNER_LIP]
    for lip, inner, way in (
        (topo.UPPER_LIP, topo.UPPER_INNER_LIP, 0.5),
        (topo.LOWER_LIP, topo.LOWER_INNER_LIP, -0.5),
    ):
        rows = lip.reshape(4, 9)
        out[rows] += way * apart[1:-1]
        out[inner[[0, -1]]] += way * apart[[0, -1]]
    return out


def led(picture: U8, points: F64, wanted: F64) -> U8:
    """The picture warped so that its landmarks arrive elsewhere; where lips meet nothing shows.

    The cubic sampling keeps the grain of the picture: what is made of this one is sampled again.

    Args:
        picture: (N, N, 3) uint8, N a multiple of `LATTICE_PX`.
        points: (478, 3) its landmarks; those outside of it steer nothing inside.
        wanted: (478, 2 or 3) where they go.
    """
    side = picture.shape[0]
    base = ground(picture, np.full((side, side), 255, np.uint8), points, side, shut=False)
    stable = facemodel.load().stable.astype(np.int64)
    rig, drivers = follow(base, stable, wanted[:, :2])
    axis = np.arange(side, dtype=np.float32)
    places = flow(rig, drivers) + np.stack(np.meshgrid(axis, axis), axis=-1)
    done = cv2.remap(picture, places, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(done, np.uint8)


def closed(picture: U8, points: F64) -> tuple[U8, F64]:
    """A portrait whose mouth is shut, and its landmarks; as it was where the mouth is shut already.

    Lips are brought together, the jaw with them; of a smile the half is left.

    Args:
        picture: (N, N, 3) uint8.
        points: (478, 3) its landmarks.
    """
    if measures.opening(points[None])[0] < OPEN:
        return picture, points
    fitted = faceshape.fit(points[None])
    lips = expression.load().split(fitted.expression).lip[0] * _SMILE_KEPT
    lips[0] = 0.0
    wanted = met(posed(points, lips, np.zeros(3), fitted))
    # What the codes change around the eyes is theirs alone.
    wanted = points + (wanted - points) * (1 - near_eyes(points, points[:, :2]))[:, None]
    # In whole pixels: all but the window stays as it was.
    width_px = float(np.linalg.norm(np.subtract(*points[list(topo.FACE_SIDES), :2])))
    half = LATTICE_PX * int(np.ceil(_WINDOW * width_px / 2 / LATTICE_PX))
    low = np.rint(points[list(topo.MOUTH_CORNERS), :2].mean(0)).astype(int) - half
    around = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_REPLICATE)
    rows, columns = (slice(at + half, at + 3 * half) for at in low[::-1])
    corner = np.append(low, 0).astype(np.float64)
    window = np.ascontiguousarray(around[rows, columns], np.uint8)
    # A wide mouth is closed in steps: in one, the flow's inverse would not be found.
    opened = float(measures.opening(points[None])[0])
    ways = np.linspace(points - corner, wanted - corner, 1 + int(np.ceil(opened / _STEP)))
    for before, after in pairwise(ways):
        window = led(window, before, after)
    around[rows, columns] = window
    return np.ascontiguousarray(around[half:-half, half:-half], np.uint8), wanted
