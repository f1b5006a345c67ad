"""What is computed once for an avatar: how every point of its picture answers to every driver.

The drivers are the head pose (three coordinates and a constant) and the expression modes (the lip
code, two eyelids, the brows). Displacements known at the landmarks spread over the picture by
radial basis functions of compact support (Wendland 1995, C2), so they vanish outside the face.
Two fields are kept for where the face parts: one follows the upper lip and lids, the other the
lower ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from engine import matting, rbf
from engine.avatar import Avatar
from engine.frames import Motion
from kernels.guide import lattice
from models import topology as topo
from models.facemodel import FaceModel
from models.measures import rotation

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

STEP_PX = 4
POSE_DRIVERS = 4
_REACH = 0.42
_SOURCE_SCALE = 3.0
"""Size of the portrait that is sampled, over the picture's: bilinear sampling softens, less so
where its pixels lie closer."""
_LID_FALL, _LID_RISE = 0.97, 0.12
"""How far a blink moves the upper and the lower lid, in openings; together they just overlap."""
_EYES_END = 0.6
"""Where what lids and brows move ends, on the way from the lower lids (0) to the upper lip (1)."""
_SMILE = (
    *((61, -0.045, -0.052), (291, 0.045, -0.052), (216, -0.034, -0.031), (436, 0.034, -0.031)),
    *((50, -0.024, -0.021), (280, 0.024, -0.021), (205, -0.027, -0.018), (425, 0.027, -0.018)),
    *((129, -0.016, -0.021), (358, 0.016, -0.021), (145, 0.0, -0.003), (374, 0.0, -0.003)),
    *((0, 0.0, -0.018), (13, 0.0, -0.012), (17, 0.0, -0.008), (152, 0.0, 0.0)),
    *((4, 0.0, 0.0), (168, 0.0, 0.0), (234, 0.0, 0.0), (454, 0.0, 0.0)),
)
"""Where a smile moves some landmarks, x and y in face widths: the mean of 292 smiling stills of
models/weights/face_shape.md against 427 with shut mouths, its lips brought together."""
_LEAST_CLEAR = 0.01
"""Share of the portrait that must be background, and person, for the two to be parted."""
_REST = np.eye(2, 3)
_PRESS = 0.012
"""How far the lips may press into each other, in face widths."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Rig:
    """An avatar made ready for one picture size. All places are pixels of that picture.

    Attributes:
        source: (H', W', 3) uint8, the portrait at `scale` times the picture's size.
        face_px: face width.
        landmarks: (478, 3) float32, at rest.
        upper, lower: (G, G, N) float32, reach of each driver, above and below where the face parts.
        head: (G, G, 4) float32, reach of the pose alone; eyeballs follow it.
        points: (478, N) float32, reach of each driver at the landmarks.
        opening: (K,) float32, what each lip mode adds to the mouth's opening, in face widths.
            N = 4 + 2 (K + 4): the pose, then lips, lids, brow and smile in x, then in y.
        alpha: (H', W') uint8 of the person; `source` then holds the person's colours alone, also
            around them. None where the portrait has no background: the whole of it moves.
        behind: (size, size, 3) uint8, the background with the person filled in; None without alpha.
    """

    source: U8
    scale: float
    size_px: int
    face_px: float
    landmarks: F32
    upper: F32
    lower: F32
    head: F32
    points: F32
    opening: F32
    alpha: U8 | None = None
    behind: U8 | None = None

    def coefficients(self, motion: Motion, turn: F64 | None = None) -> F32:
        """The drivers' values: (N, 2) float32 pixels a unit of reach, in x and y.

        Args:
            motion: what the avatar does.
            turn: (2, 3), the motion's of `turns` where that is known.

        Raises:
            ValueError: the lip code has another length than the face model's.
        """
        if motion.lip_code.shape != self.opening.shape:
            raise ValueError(f"lip code is {motion.lip_code.shape}, expected {self.opening.shape}")
        pose = motion.pose
        if turn is None:
            (turn,) = turns([motion])
        code = self._shut(motion.lip_code)
        values = np.array([*code.tolist(), *motion.blink, motion.brow, motion.smile])
        drivers = np.empty((POSE_DRIVERS + 2 * len(values), 2), np.float32)
        drivers[:3] = (turn - _REST).T
        drivers[3] = pose.x * self.face_px, pose.y * self.face_px
        middle = POSE_DRIVERS + len(values)
        drivers[POSE_DRIVERS:middle] = np.multiply.outer(values, turn[:, 0])
        drivers[middle:] = np.multiply.outer(values, turn[:, 1])
        return drivers

    def _shut(self, code: F32) -> F32:
        """The code, opened until its lips press no further than `_PRESS`."""
        lacking = -_PRESS - float(code @ self.opening)
        if lacking <= 0:
            return code
        return code + self.opening * (lacking / float(self.opening @ self.opening))


def turns(motions: Sequence[Motion]) -> F64:
    """How poses turn and scale a head's (x, y, z) in the picture: (B, 2, 3)."""
    poses = [motion.pose for motion in motions]
    angles = np.array([(pose.yaw, pose.pitch, pose.roll) for pose in poses])
    scales = np.array([pose.scale for pose in poses])
    return np.asarray(rotation(angles)[:, :2] * scales[:, None, None])


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a rig stands on: a picture, its landmarks, and how they answer to the head's pose.

    Attributes:
        source, scale, size_px, face_px: as in `Rig`.
        points: (478, 3) float64 pixels; z grows away from the camera.
        nodes: (G, G, 2) float64, places of the lattice.
        head: (G, G, 4), reach of the pose.
        at_points: (478, 4), the same at the landmarks.
        alpha, behind: as in `Rig`.
    """

    source: U8
    scale: float
    size_px: int
    face_px: float
    points: F64
    nodes: F64
    head: F64
    at_points: F64
    alpha: U8 | None = None
    behind: U8 | None = None

    def rig(self, spread: list[F64], modes: F64, opening: F32) -> Rig:
        """The rig of some modes (M, 478, 2), spread to (G, G, M, 2) above and below the lips."""
        return Rig(
            source=self.source,
            scale=self.scale,
            size_px=self.size_px,
            face_px=self.face_px,
            landmarks=self.points.astype(np.float32),
            upper=_stack(self.head, spread[0]),
            lower=_stack(self.head, spread[1]),
            head=np.ascontiguousarray(self.head, np.float32),
            points=_stack(self.at_points, np.moveaxis(modes, 0, -2)),
            opening=opening,
            alpha=self.alpha,
            behind=self.behind,
        )


def ground(picture: U8, matte: U8, landmarks: F64, size_px: int, shut: bool = True) -> Ground:
    """Lays a picture's landmarks out for a picture size.

    Args:
        picture: (N, N, 3) uint8.
        matte: (N, N) uint8.
        landmarks: (478, 3) pixels of `picture`.
        size_px: side of the pictures to draw.
        shut: take the lips for shut: landmarks on a shut mouth's rims stand a little apart.
    """
    native = picture.shape[0]
    points = landmarks.astype(np.float64) * (size_px / native)
    if shut:
        rims = topo.UPPER_INNER_LIP, topo.LOWER_INNER_LIP
        points[rims[0]] = points[rims[1]] = (points[rims[0]] + points[rims[1]]) / 2
    face_px = float(np.linalg.norm(np.subtract(*points[list(topo.FACE_SIDES), :2])))
    nodes = lattice(size_px, STEP_PX).astype(np.float64)
    weight = _head_weight(_resize(matte, size_px), points, face_px, nodes)
    pivot = _pivot(points)
    depth = _depth(points, face_px, nodes)
    head = _pose_drivers(np.concatenate([nodes, depth[..., None]], axis=-1) - pivot, weight)
    at_points = _pose_drivers(points - pivot, np.ones(len(points)))
    source = _resize(picture, round(size_px * _SOURCE_SCALE))
    return Ground(
        source, source.shape[0] / size_px, size_px, face_px, points, nodes, head, at_points
    )


def build(avatar: Avatar, size_px: int, face: FaceModel) -> Rig:
    """Makes an avatar ready; takes about a second at 512 px."""
    base = ground(avatar.portrait, avatar.matte, avatar.landmarks.astype(np.float64), size_px)
    base = _cut_out(base, avatar)
    modes = _expression_modes(base.points, face, base.face_px)
    reach_px = _REACH * base.face_px
    spread = [
        rbf.spread(base.points[keep, :2], modes[:, keep], base.nodes, reach_px)
        for keep in (_held(topo.LOWER_RIMS), _held(topo.UPPER_RIMS))
    ]
    upper_face = near_eyes(base.points, base.nodes)
    for field in spread:
        field[..., len(face.opening) : -1, :] *= upper_face[..., None, None]
    return base.rig(spread, modes, face.opening)


def _cut_out(base: Ground, avatar: Avatar) -> Ground:
    """The person apart from the background, where the matte tells of one."""
    clear = float((avatar.matte < matting.CLEAR).mean())
    if not _LEAST_CLEAR < clear < 1 - _LEAST_CLEAR:
        return base
    alpha = _resize(avatar.matte, base.source.shape[0])
    source = matting.foreground(base.source, alpha)
    behind = matting.fill(
        _resize(avatar.portrait, base.size_px), _resize(avatar.matte, base.size_px)
    )
    return replace(base, source=source, alpha=alpha, behind=behind)


class Follower:
    """A picture driven by landmarks instead of by a motion: for self-reenactment.

    The pose is fitted to the stable points; what is left of each landmark's way becomes the one
    mode of a rig of its own, so that every landmark arrives.
    """

    def __init__(self, base: Ground, stable: I64) -> None:
        self.base = base
        self._stable = stable
        self._held = [_held(topo.LOWER_RIMS), _held(topo.UPPER_RIMS)]
        reach_px = _REACH * base.face_px
        self._carry = [
            rbf.carrier(base.points[keep, :2], base.nodes, reach_px) for keep in self._held
        ]

    def rig(self, landmarks: F64) -> tuple[Rig, F32]:
        """The rig whose `drivers` (6, 2), returned with it, take every landmark to (478, 2)."""
        pose, left = _parted(self.base, self._stable, landmarks)
        spread = [
            (carry @ left[keep]).reshape(*self.base.nodes.shape[:2], 1, 2)
            for keep, carry in zip(self._held, self._carry, strict=True)
        ]
        return _following(self.base, spread, pose, left)


def follow(base: Ground, stable: I64, landmarks: F64) -> tuple[Rig, F32]:
    """As `Follower.rig`, for one set of landmarks alone: quicker than to make a `Follower`."""
    pose, left = _parted(base, stable, landmarks)
    spread = [
        rbf.spread(base.points[keep, :2], left[None, keep], base.nodes, _REACH * base.face_px)
        for keep in (_held(topo.LOWER_RIMS), _held(topo.UPPER_RIMS))
    ]
    return _following(base, spread, pose, left)


def _parted(base: Ground, stable: I64, landmarks: F64) -> tuple[F64, F64]:
    """The ways of landmarks (478, 2) as the head's pose (4, 2), and what is left (478, 2)."""
    way = landmarks - base.points[:, :2]
    pose = np.asarray(np.linalg.lstsq(base.at_points[stable], way[stable], rcond=None)[0])
    return pose, way - base.at_points @ pose


def _following(base: Ground, spread: list[F64], pose: F64, left: F64) -> tuple[Rig, F32]:
    drivers = np.concatenate([pose, np.eye(2)]).astype(np.float32)
    return base.rig(spread, left[None], np.zeros(0, np.float32)), drivers


def _resize(picture: U8, side: int) -> U8:
    if picture.shape[0] == side:
        return picture
    way = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)


def _expression_modes(points: F64, face: FaceModel, face_px: float) -> F64:
    """Displacements at the landmarks, one a unit of each mode: (K + 4, 478, 2) pixels."""
    turn, size = _align(points, face)
    lips = (face.basis.astype(np.float64) @ turn.T)[..., :2] * size
    lips[:, np.concatenate([*topo.IRISES])] = 0.0
    blinks = np.zeros((2, len(points), 2))
    for eye in range(2):
        upper, lower = topo.UPPER_LIDS[eye], topo.LOWER_LIDS[eye]
        opening = points[lower, :2] - points[upper, :2]
        blinks[eye, upper] = _LID_FALL * opening
        blinks[eye, lower] = -_LID_RISE * opening
        folds = topo.LID_FOLDS[eye]
        lid, fall = _row(points, upper, folds, opening[:, 1])
        brow_y, _ = _row(points, topo.BROW_RIMS[eye], folds)
        share = np.clip((points[folds, 1] - brow_y) / np.maximum(lid - brow_y, 1.0), 0, 1)
        blinks[eye, folds, 1] = _LID_FALL * fall * share
    brow = np.zeros((1, len(points), 2))
    brow[0, topo.BROWS, 1] = -face_px
    return np.concatenate([lips, blinks, brow, _smile(points, face_px)[None]])


def _smile(points: F64, face_px: float) -> F64:
    """(478, 2) pixels that a broad smile moves the landmarks by; lips that touch go on touching."""
    at = np.array([index for index, *_ in _SMILE])
    way = np.array([(x, y) for _, x, y in _SMILE]) * face_px
    reach_px = _REACH * face_px
    moved = rbf.spread(points[at, :2], way[None], points[None, :, :2], reach_px)[0, :, 0]
    moved[np.concatenate([*topo.IRISES])] = 0.0
    return np.asarray(moved)


def _row(points: F64, row: I64, under: I64, values: F64 | None = None) -> tuple[F64, F64]:
    """Height of a row of landmarks over others' columns, and values carried along it."""
    x = points[row, 0]
    at = points[under, 0]
    carried = np.zeros_like(at) if values is None else np.interp(at, x, values)
    return np.interp(at, x, points[row, 1]), carried


def _align(points: F64, face: FaceModel) -> tuple[F64, float]:
    """Rotation (3, 3) and size that lay the face model over a portrait (Kabsch 1976)."""
    model = face.neutral[face.stable].astype(np.float64)
    there = points[face.stable]
    model, there = model - model.mean(0), there - there.mean(0)
    left, sizes, right = np.linalg.svd(there.T @ model)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return (left * sign) @ right, float((sizes * sign).sum() / (model**2).sum())


def _held(parted: I64) -> I64:
    """Landmarks that steer a field: all but the other rims and the irises."""
    free = np.concatenate([parted, *topo.IRISES])
    return np.setdiff1d(np.arange(topo.LANDMARKS), free)


def _smoothstep(x: F64) -> F64:
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x))


def _head_weight(matte: U8, points: F64, face_px: float, nodes: F64) -> F64:
    """1 on the head and its hair, falling to 0 down the neck, over the shoulders and outside."""
    outside = cv2.distanceTransform((matte < 128).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.resize(outside, nodes.shape[1::-1], interpolation=cv2.INTER_AREA)
    near = 1 - _smoothstep(outside.astype(np.float64) / (0.45 * face_px))
    chin = points[topo.CHIN, 1]
    neck = 1 - _smoothstep((nodes[..., 1] - chin + 0.05 * face_px) / (0.75 * face_px))
    aside = np.abs(nodes[..., 0] - points[topo.CHIN, 0]) / face_px
    below = _smoothstep((nodes[..., 1] - chin) / face_px / 0.35 + 0.5)
    shoulders = below * _smoothstep((aside - 0.35) / 0.4)
    weight = near * neck * (1 - shoulders)
    margin = 0.5 * nodes[0, 0, 0] + 0.16 * face_px
    frame = np.minimum(nodes, nodes[-1, -1, 0] - nodes).min(-1)
    return np.asarray(weight * _smoothstep(frame / margin))


def near_eyes(points: F64, nodes: F64) -> F64:
    """1 around eyes and brows, 0 from the nose's tip down: a blink must not reach the mouth."""
    down = points[topo.CHIN, :2] - points[topo.FOREHEAD, :2]
    down = down / np.linalg.norm(down)
    lids = (points[np.concatenate(topo.LOWER_LIDS), :2] @ down).max()
    lips = (points[topo.UPPER_LIP, :2] @ down).min()
    return 1 - _smoothstep((nodes @ down - lids) / (_EYES_END * max(lips - lids, 1.0)))


def _pivot(points: F64) -> F64:
    """Where the head turns: between the jaw's angles, under the ears."""
    sides = points[list(topo.FACE_SIDES)].mean(0)
    chin = points[topo.CHIN]
    return np.array([(sides[0] + chin[0]) / 2, 0.5 * (sides[1] + chin[1]), sides[2]])


def _depth(points: F64, face_px: float, nodes: F64) -> F64:
    """Depth of each lattice point: an ellipsoid of a head, corrected to the landmarks."""
    brow, chin = points[topo.FOREHEAD], points[topo.CHIN]
    sides = points[list(topo.FACE_SIDES)]
    centre = np.array([sides[:, 0].mean(), 0.6 * brow[1] + 0.4 * chin[1]])
    radii = np.array([0.60, 0.85]) * face_px
    back = float(sides[:, 2].mean())

    def ellipsoid(at: F64) -> F64:
        inside = 1 - (((at - centre) / radii) ** 2).sum(-1)
        return np.asarray(back - 0.5 * face_px * np.sqrt(np.maximum(inside, 0.0)))

    keep = np.arange(468)
    residual = (points[keep, 2] - ellipsoid(points[keep, :2]))[None, :, None]
    spread = rbf.spread(points[keep, :2], residual, nodes, 0.5 * face_px, ridge=3.0)[..., 0, 0]
    return np.asarray(ellipsoid(nodes) + spread)


def _pose_drivers(places: F64, weight: F64) -> F64:
    """(..., 3) places from the pivot and their weight -> (..., 4) reach of x, y, z and shift."""
    ones = np.ones((*places.shape[:-1], 1))
    return np.asarray(np.concatenate([places, ones], axis=-1) * weight[..., None])


def _stack(head: F64, modes: F64) -> F32:
    """(..., 4) and (..., M, 2) -> (..., 4 + 2 M): the pose, the modes' x, the modes' y."""
    parts = [head, modes[..., 0], modes[..., 1]]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1), np.float32)
