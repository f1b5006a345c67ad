"""The whole face: a linear model of identity and expression over the 478 landmarks, and its fit.

A face in a picture is, in pixels,

    scale * (rotation @ (mean + identity @ modes + expression @ modes))[:2] + shift

which is a rigid head under weak perspective. The expression is zero with a shut mouth and open
eyes. `facemodel` holds the lip basis that the engine draws from; this model measures footage.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import measures, weights
from models.topology import FACE_SIDES, LANDMARKS

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DEPTH_WEIGHT = 0.35
"""Weight of an error in depth, MediaPipe's least certain axis."""
NOISE = 0.002
"""What is left at a coordinate, in face widths; weighs the modes' usual size against the data."""
ROUNDS = 12
SWEEPS = 60


@dataclass(frozen=True, slots=True)
class FaceShape:
    """Arrays of `face_shape.npz`; lengths are face widths, y points down, z away.

    Attributes:
        mean: (478, 3), the mean face, shut mouth, open eyes.
        identity: (I, 478, 3), displacement for one standard deviation of each mode over people.
        expression: (E, 478, 3), displacement for one root mean square of each mode over footage.
        identity_bound: how many standard deviations a face may lie from the mean.
        low, high: (E,), bounds of the expression.
        stable: (S,) landmarks that hold the pose.
    """

    mean: F64
    identity: F64
    expression: F64
    identity_bound: float
    low: F64
    high: F64
    stable: npt.NDArray[np.int64]

    def face(self, identity: F64, expression: F64) -> F64:
        """Faces (..., 478, 3) of identities (..., I) and expressions (..., E)."""
        return np.asarray(
            self.mean
            + np.tensordot(identity, self.identity, 1)
            + np.tensordot(expression, self.expression, 1)
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted track.

    Attributes:
        rotation: (T, 3, 3), see `measures.rotation`; `measures.angles` gives yaw, pitch, roll.
        scale: (T,), pixels a face width of the model.
        shift: (T, 3), place of the model's origin in pixels.
        identity: (I,) where it is shared, else (T, I).
        expression: (T, E).
        residual: (T,), mean distance in the picture over the landmarks, in face widths.
        faces: (T, 478, 3), the fitted landmarks in pixels.
    """

    rotation: F64
    scale: F64
    shift: F64
    identity: F64
    expression: F64
    residual: F64
    faces: F64


def bounded(gram: F64, right: F64, low: F64, high: F64) -> F64:
    """Minimises x @ gram @ x / 2 - right @ x over low <= x <= high, for each row of `right`.

    Coordinate descent from the clipped free minimum (Hildreth 1957), on the rows that need it.

    Args:
        gram: (K, K) positive definite.
        right: (T, K).
        low, high: (K,).
    """
    out: F64 = np.asarray(np.linalg.solve(gram, right.T).T, np.float64)
    rows = np.flatnonzero(((out < low) | (out > high)).any(1))
    x, b = np.clip(out[rows], low, high), right[rows]
    scale = np.diag(gram)
    for _ in range(SWEEPS if len(rows) else 0):
        before = x.copy()
        for k in range(len(scale)):
            step = (b[:, k] - x @ gram[k]) / scale[k]
            # For one face `np.clip` alone would take half of the time.
            x[:, k] = np.minimum(np.maximum(x[:, k] + step, low[k]), high[k])
        if np.abs(x - before).max() < 1e-4:
            break
    out[rows] = x
    return out


def fit(
    points: npt.NDArray[np.floating],
    valid: Bools | None = None,
    *,
    shared: bool = True,
    model: FaceShape | None = None,
    rounds: int = ROUNDS,
) -> Fit:
    """Fits pose, identity and expression to a track by bounded least squares.

    Alternates the pose (closed form on the stable points) with the modes (a constant normal
    matrix in the head's frame). An error in depth counts `DEPTH_WEIGHT` times: the observed depth
    is replaced by a blend with the current model's, which majorises the weighted error (Hunter,
    Lange 2004). Where the identity is shared, it and the mean expression are solved on the mean
    of the frames, then each frame's expression.

    Args:
        points: (T, 478, 3) pixels, z in pixels too.
        valid: (T,) frames that may tell of the identity; all by default.
        shared: one identity for the track, else one a frame.
        model: the shipped one by default.
        rounds: of alternation.

    Raises:
        ValueError: the points have another shape, or no frame is valid.
    """
    if points.ndim != 3 or points.shape[1:] != (LANDMARKS, 3) or not len(points):
        raise ValueError(f"landmarks are {points.shape}, expected (T, {LANDMARKS}, 3), T > 0")
    good = np.ones(len(points), np.bool_) if valid is None else np.asarray(valid, np.bool_)
    if good.shape != points.shape[:1] or not good.any():
        raise ValueError(f"valid is {good.shape} with {good.sum()} frames, expected some of T")
    m = model or load()
    seen = np.asarray(points, np.float64)
    solve = _Solver(m, shared, good)
    identity = np.zeros((1 if shared else len(seen), len(m.identity)))
    expression = np.zeros((len(seen), len(m.expression)))
    placed, work = np.broadcast_to(m.mean, seen.shape), seen
    for _ in range(rounds):
        found = measures.similarity(placed, work, m.stable)
        turn, scale = found.rotation, found.scale
        shift = found.target - scale[:, None] * np.einsum("tij,tj->ti", turn, found.source)
        modelled = scale[:, None, None] * placed @ turn.swapaxes(1, 2) + shift[:, None]
        work = seen.copy()
        work[..., 2] = modelled[..., 2] + DEPTH_WEIGHT**2 * (seen[..., 2] - modelled[..., 2])
        laid = (work - shift[:, None]) @ turn / scale[:, None, None]
        identity, expression = solve((laid - m.mean).reshape(len(seen), -1))
        placed = m.face(identity, expression)
    faces = scale[:, None, None] * placed @ turn.swapaxes(1, 2) + shift[:, None]
    left, right = FACE_SIDES
    width = np.linalg.norm(faces[:, left] - faces[:, right], axis=-1)
    off = np.linalg.norm((faces - seen)[..., :2], axis=-1).mean(1) / width
    return Fit(turn, scale, shift, identity[0] if shared else identity, expression, off, faces)


class _Solver:
    """Identity and expression of displacements (T, 1434) from the mean face."""

    def __init__(self, m: FaceShape, shared: bool, good: Bools) -> None:
        self._shared, self._good, self._count = shared, good, len(m.identity)
        self._modes = np.concatenate([m.identity, m.expression]).reshape(-1, LANDMARKS * 3)
        bound = np.full(self._count, m.identity_bound)
        self._low, self._high = np.concatenate([-bound, m.low]), np.concatenate([bound, m.high])
        # Told by all frames at once, the identity's own size weighs less; each frame's expression
        # keeps its weight.
        frames = int(good.sum()) if shared else 1
        ridge = np.full(len(self._modes), NOISE**2)
        ridge[: self._count] /= frames
        self._gram = self._modes @ self._modes.T + np.diag(ridge)

    def __call__(self, moved: F64) -> tuple[F64, F64]:
        k = self._count
        right = moved @ self._modes.T
        if not self._shared:
            both = bounded(self._gram, right, self._low, self._high)
            return both[:, :k], both[:, k:]
        mean = bounded(self._gram, right[self._good].mean(0)[None], self._low, self._high)
        identity = mean[:, :k]
        left = right[:, k:] - identity @ self._gram[:k, k:]
        own = bounded(self._gram[k:, k:], left, self._low[k:], self._high[k:])
        return identity, own


def read(path: Path) -> FaceShape:
    """Reads a face shape's file.

    Raises:
        ValueError: an array is missing or has another shape than the others ask for.
    """
    names = ("mean", "identity", "expression", "identity_bound", "low", "high", "stable")
    with np.load(path, allow_pickle=False) as data:
        if missing := [n for n in names if n not in data]:
            raise ValueError(f"{path}: array {missing[0]!r} is missing")
        found = {n: data[n] for n in names}
    people, moves = len(found["identity"]), len(found["expression"])
    wanted = {
        "mean": (LANDMARKS, 3),
        "identity": (people, LANDMARKS, 3),
        "expression": (moves, LANDMARKS, 3),
        "identity_bound": (),
        "low": (moves,),
        "high": (moves,),
    }
    for name, shape in wanted.items():
        if (got := found[name].shape) != shape:
            raise ValueError(f"{path}: array {name!r} is {got}, expected {shape}")
    return FaceShape(
        mean=found["mean"].astype(np.float64),
        identity=found["identity"].astype(np.float64),
        expression=found["expression"].astype(np.float64),
        identity_bound=float(found["identity_bound"]),
        low=found["low"].astype(np.float64),
        high=found["high"].astype(np.float64),
        stable=found["stable"].astype(np.int64),
    )


@cache
def load() -> FaceShape:
    """The shipped model."""
    return read(weights.path("face_shape.npz"))
