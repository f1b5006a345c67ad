"""Stills as pairs: the same picture with its mouth shut, and as it was taken."""

import cv2
import numpy as np
import numpy.typing as npt

from bench.reenact.sitter import SIDE_PX, Sitter
from kernels.guide import NO_MAP
from models import expression, faceshape, measures
from models import topology as topo

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]


def posed(points: F64, lips: F64 | None, turn: F64) -> F64:
    """Landmarks (478, 3) of the same face with other lips and another pose.

    Args:
        points: (478, 3) pixels.
        lips: lip code of `models.expression`; that of the mean shut mouth by default.
        turn: (3,) yaw, pitch and roll, radians.
    """
    shape, split = faceshape.load(), expression.load()
    fitted = faceshape.fit(points[None], model=shape)
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


def shut(picture: U8, points: F64, lips: F64 | None, turn: F64) -> tuple[U8, F64]:
    """The picture (SIDE_PX, SIDE_PX, 3) with its mouth shut, and where its landmarks went.

    The cubic sampling keeps the grain of the picture: what is made of this one is sampled again.
    """
    wanted = met(posed(points, lips, turn))
    flow = Sitter(picture, points, shut=False).lead(wanted).flow
    axis = np.arange(SIDE_PX, dtype=np.float32)
    places = flow + np.stack(np.meshgrid(axis, axis), axis=-1)
    closed = cv2.remap(picture, places, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(closed, np.uint8), wanted


def sitter(picture: U8, points: F64, lips: F64 | None, turn: F64) -> Sitter:
    """A sitter whose portrait is the picture with its mouth shut and its head turned."""
    closed, wanted = shut(picture, points, lips, turn)
    return Sitter(closed, wanted)
