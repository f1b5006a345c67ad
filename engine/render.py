"""What a motion makes of an avatar: where its landmarks go, where its face parts, its eyeballs.

Geometry moves what it can; `engine.paint` draws what the portrait does not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.frames import Motion
from engine.rig import STEP_PX, Rig, turns
from kernels.eyeballs import Eyeball
from kernels.guide import Line, cells_around_each, joined_flow, lattice
from models import topology as topo

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_EYE_MARGIN_PX = 4
_SHUT_LIDS_PX = 1.5
_UPPER_LIDS, _LOWER_LIDS = np.stack(topo.UPPER_LIDS), np.stack(topo.LOWER_LIDS)
_IRISES = np.stack(topo.IRISES)
_LEAST_RADIUS_PX = 1e-3
_EYE_REACHES = np.tile([(0.4, 1.0), (1.0, 1.0)], (2, 1))
"""How far around each of two eyes its window and what stretches go, over what its line fades."""


@dataclass(frozen=True, slots=True, eq=False)
class Guided:
    """One picture before it is painted.

    Attributes:
        rig: whose.
        motion: what is drawn.
        drivers: (N, 2) float32, see `Rig.coefficients`.
        landmarks: (478, 2) float32 pixels, where the motion takes them.
        lines: where the face parts, see `parting`.
        eyes: the eyeballs, to be laid over the warped portrait.
    """

    rig: Rig
    motion: Motion
    drivers: F32
    landmarks: F32
    lines: list[Line]
    eyes: list[Eyeball]


def guide(rig: Rig, motion: Motion, drivers: F32 | None = None) -> Guided:
    """What geometry alone gives.

    Args:
        rig: the avatar.
        motion: what it does.
        drivers: the motion's if not given.

    Raises:
        ValueError: the lip code has another length than the face model's.
    """
    return _guided([(rig, motion)], [rig.coefficients(motion) if drivers is None else drivers])[0]


def guides(asked: Sequence[tuple[Rig, Motion]]) -> list[Guided]:
    """`guide` for a batch: a picture of many takes a third of the time of one alone."""
    known = turns([motion for _, motion in asked])
    drivers = [
        rig.coefficients(motion, turn) for (rig, motion), turn in zip(asked, known, strict=True)
    ]
    return _guided(asked, drivers)


def _guided(asked: Sequence[tuple[Rig, Motion]], drivers: Sequence[F32]) -> list[Guided]:
    rigs = [rig for rig, _ in asked]
    landmarks = _moved(rigs, drivers)
    lines, eyes = parting(landmarks, rigs), _eyes(asked, landmarks)
    return [
        Guided(rig, motion, *rest)
        for (rig, motion), *rest in zip(asked, drivers, landmarks, lines, eyes, strict=True)
    ]


def _moved(rigs: Sequence[Rig], drivers: Sequence[F32]) -> F32:
    """Where each rig's landmarks go: (B, 478, 2) pixels."""
    landmarks = np.empty((len(rigs), topo.LANDMARKS, 2), np.float32)
    for into, rig, by in zip(landmarks, rigs, drivers, strict=True):
        np.matmul(rig.points, by, out=into)
        into += rig.landmarks[:, :2]
    return landmarks


def flow(rig: Rig, drivers: F32) -> F32:
    """Backward flow of the whole picture, (H, W, 2) float32 of its pixels."""
    (lines,) = parting(_moved([rig], [drivers]), [rig])
    nodes = lattice(rig.size_px, STEP_PX)
    return joined_flow(rig.upper, rig.lower, drivers, lines, nodes, STEP_PX)


def _eyes(asked: Sequence[tuple[Rig, Motion]], landmarks: F32) -> list[list[Eyeball]]:
    """The eyeballs: they follow the head and their gaze, not the lids that slide over them."""
    if all(motion.blink == (0.0, 0.0) and motion.gaze == (0.0, 0.0) for _, motion in asked):
        return [[] for _ in asked]
    upper, lower = parted(landmarks[:, _UPPER_LIDS], landmarks[:, _LOWER_LIDS])
    rims = np.concatenate([upper, lower[..., ::-1, :]], axis=2)
    sizes = np.array([rig.size_px for rig, _ in asked])[:, None, None]
    windows = windows_around(rims, _EYE_MARGIN_PX, sizes).tolist()
    gaps = (lower - upper)[..., 1].max(-1).tolist()
    across = rims[:, :, 0] - rims[:, :, 8]
    widths = np.sqrt(across[..., 0] * across[..., 0] + across[..., 1] * across[..., 1])
    turns = np.array([motion.gaze for _, motion in asked], np.float32)
    gazes = (turns[:, None] * widths[..., None]).tolist()
    irises = landmarks[:, _IRISES]
    radii = np.linalg.norm(irises[:, :, 1:] - irises[:, :, :1], axis=-1).mean(-1).tolist()
    middles = irises[:, :, 0].tolist()
    made: list[list[Eyeball]] = [[] for _ in asked]
    for number, (_, motion) in enumerate(asked):
        for eye in range(2):
            if motion.blink[eye] == 0.0 and motion.gaze == (0.0, 0.0):
                continue
            left, top, right, bottom = windows[number][eye]
            gap_px = gaps[number][eye]
            if min(right - left, bottom - top) < 2 or not gap_px >= _SHUT_LIDS_PX:
                continue
            made[number].append(
                Eyeball(
                    corner=(left, top),
                    size=(right - left, bottom - top),
                    rim=rims[number, eye],
                    iris=tuple(middles[number][eye]),
                    radius_px=max(radii[number][eye], _LEAST_RADIUS_PX),
                    gaze_px=tuple(gazes[number][eye]),
                    fade=min((gap_px - _SHUT_LIDS_PX) / _SHUT_LIDS_PX, 1.0),
                )
            )
    return made


def parting(landmarks: F32, rigs: Sequence[Rig]) -> list[list[Line]]:
    """Lines along which each face parts, the mouth's first, then each eye's.

    Args:
        landmarks: (B, 478, 2) float32 pixels, where the motions take them.
        rigs: the avatars.
    """
    sides = np.array([[rig.size_px // STEP_PX] for rig in rigs])
    mouths = (landmarks[:, topo.UPPER_INNER_LIP] + landmarks[:, topo.LOWER_INNER_LIP]) / 2
    margins = np.full((len(rigs), 2), 4.0 * STEP_PX)
    margins[:, 0] = 0.5 * (mouths[:, -1, 0] - mouths[:, 0, 0]).astype(np.float64)
    cells = cells_around_each(mouths, margins, STEP_PX, sides)
    lines = [[Line(mouth, window)] for mouth, window in zip(mouths, cells, strict=True)]
    eyes = (landmarks[:, _UPPER_LIDS] + landmarks[:, _LOWER_LIDS]) / 2
    fades = [0.14 * rig.face_px for rig in rigs]
    # Each eye twice: once for its window, once for what stretches.
    rims = eyes.repeat(2, axis=1).reshape(-1, *eyes.shape[2:])
    margins = (np.array(fades)[:, None, None] * _EYE_REACHES).reshape(-1, 2)
    cells = cells_around_each(rims, margins, STEP_PX, sides.repeat(4, axis=0))
    for number, eye in enumerate(zip(rims[::2], cells[::2], cells[1::2], strict=True)):
        lines[number // 2].append(Line(*eye, fade_px=fades[number // 2]))
    return lines


def parted(upper: F32, lower: F32) -> tuple[F32, F32]:
    """Two rims of openings, (..., N, 2) pixels each, meeting in the middle where they would
    cross."""
    crossed = np.minimum(lower[..., 1] - upper[..., 1], 0.0) / 2
    upper, lower = upper.copy(), lower.copy()
    upper[..., 1] += crossed
    lower[..., 1] -= crossed
    return upper, lower


def windows_around(points: F32, margin_px: float, sizes_px: I64) -> I64:
    """Left, top, right, bottom (..., 4) of the pixels around points (..., N, 2) in pictures of
    sizes (..., 1); of no width or height where they lie off the picture."""
    low = np.floor(np.minimum.reduce(points, axis=-2) - margin_px)
    high = np.ceil(np.maximum.reduce(points, axis=-2) + margin_px)
    ends = np.concatenate([low, high], axis=-1).astype(np.int64)
    return np.minimum(np.maximum(ends, 0), sizes_px)
