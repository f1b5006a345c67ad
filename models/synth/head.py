"""A person's head as points: identity, expression, jaw, eyes and pose, without a renderer.

Inside, MakeHuman's frame and unit (decimetres, x to the picture's right, y up, z to the camera);
what comes out is in scene metres (x right, y away, z up, the eyes at 0).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.avatars.render import assets

from .kit import Kit, Part
from .mesh import F64, Indices, Subdivision, subdivide
from .traits import Angles, Shot, Traits

METRES = 0.1
UNIT = "expression/units"
LIP_REACH = 0.10
"""How far from the rim lips follow when they are closed, decimetres."""
LID_GAP = 0.004
"""Lids stay this far before the eyeball."""
SHUT_EYE = 0.98
"""Weight of MakeHuman's closure at which the lids meet."""


@dataclass(frozen=True)
class Posed:
    """One picture's points, scene metres: (N, 3) float64 by the name of the mesh."""

    points: dict[str, F64]


class Head:
    """One person's head, posed for any shot.

    Attributes:
        parts: name -> proxy mesh (eyes, brows, lashes, teeth, tongue, hair where there is any).
        still: (V, 3) the calm identity on the base mesh.
        origin: (3,) between the eyes.
    """

    def __init__(self, kit: Kit, traits: Traits) -> None:
        self.kit, self.traits = kit, traits
        self.still = kit.moved(kit.base.points, _both_sides(traits.shape))
        self.at = assets.joints(self.still, kit.base)
        self.origin = (self.at["l-eye"] + self.at["r-eye"]) / 2
        self.parts: dict[str, Part] = {
            "eyes": kit.part("eyes", "high-poly"),
            "brows": kit.part("eyebrows", traits.brows),
            "lashes": kit.part("eyelashes", traits.lashes),
            "teeth": kit.part("teeth", traits.teeth),
            "tongue": kit.part("tongue", "tongue01"),
        }
        if traits.hair:
            self.parts["hair"] = kit.part("hair", traits.hair)
        self.tongue: Subdivision = subdivide(self.parts["tongue"].surface)
        self._lower = np.isin(self.parts["teeth"].proxy.rows[:, 0], kit.rows("helper-lower-teeth"))
        self._lips = _lips(kit)
        quads = kit.steps.fine.quads
        self._inner = np.zeros(kit.steps.fine.count, bool)
        self._inner[quads[kit.cavity].ravel()] = True
        self._inner[quads[~kit.cavity].ravel()] = False
        self._pivot = self.at["neck"] * 0.4 + self.at["head"] * 0.6

    def expression(self, shot: Shot) -> F64:
        """(V, 3) base mesh points of a shot, head upright."""
        weights = shot.mouth | shot.brows
        lids = ("eye-right-closure", "eye-left-closure")
        for name, depth in zip(lids, shot.blink, strict=True):
            weights = weights | {name: depth * SHUT_EYE}
        # MakeHuman's expressions for Asian faces fold the cheeks; the Caucasian ones fit as well.
        african = self.traits.races.get("african", 0.0)
        full = {
            f"{UNIT}/{made_for}/{name}": share * weight
            for made_for, share in (("african", african), ("caucasian", 1.0 - african))
            for name, weight in weights.items()
        }
        return self._close(self.kit.moved(self.still, full), shot.shut)

    def _close(self, points: F64, shut: float) -> F64:
        """Draws the lips together by a share of their gap; lips that cross are always mended."""
        kit, out = self.kit, points.copy()
        skin = out[kit.skin]
        upper, lower = skin[kit.upper_rim], skin[kit.lower_rim]
        width = upper[-1, 0] - upper[0, 0]
        moves = np.zeros_like(skin)
        for rim, other, (rows, near, weight) in (
            (upper, lower, self._lips[0]),
            (lower, upper, self._lips[1]),
        ):
            order = np.argsort(other[:, 0])
            facing = np.stack(
                [np.interp(rim[:, 0], other[order, 0], other[order, a]) for a in range(3)], 1
            )
            gap = facing - rim
            gap[:, 0] = 0
            crossed = (gap[:, 1] > 0) if rim is upper else (gap[:, 1] < 0)
            share = np.where(crossed, 1.0, shut)
            # Corners need no closing, and their lines run steeply.
            share = share * np.clip(
                np.minimum(rim[:, 0] - rim[0, 0], rim[-1, 0] - rim[:, 0]) / (0.02 * width), 0, 1
            )
            moves[rows] += (gap * share[:, None] / 2)[near] * weight[:, None]
        out[kit.skin] = skin + moves
        return out

    def pose(self, shot: Shot) -> Posed:
        """All points of a picture, scene metres."""
        kit = self.kit
        base = self.expression(shot)
        eyes = self._eyes(shot)
        skin = self._walls(self._lids(kit.steps.apply(base[kit.skin]), eyes))
        teeth, tongue = self._mouth(base, shot)
        found = {
            "skin": skin,
            "eyes": eyes,
            "brows": self.parts["brows"].proxy.fit(base),
            "lashes": self.parts["lashes"].proxy.fit(base),
            "teeth": teeth,
            "tongue": tongue,
        }
        if "hair" in self.parts:
            found["hair"] = self.parts["hair"].proxy.fit(self.still)
        return Posed({name: self.place(points, shot.head) for name, points in found.items()})

    def place(self, points: F64, head: Angles) -> F64:
        """Turns the head on its neck and the body before the camera; scene metres."""
        nod = turn(points - self._pivot, head) + self._pivot
        rise = points - self.at["neck"]
        along = np.clip((rise[:, 1] + 0.5 * rise[:, 2]) / 0.8, 0, 1)
        share = (along * along * (3 - 2 * along))[:, None]
        moved = points + share * (nod - points) - self.origin
        turned = turn(moved, self.traits.stage.torso) * METRES
        return np.stack([turned[:, 0], -turned[:, 2], turned[:, 1]], axis=1)

    def _eyes(self, shot: Shot) -> F64:
        """Eyeballs turned by the gaze, each about its own middle."""
        points = self.parts["eyes"].proxy.fit(self.still)
        for side in (1.0, -1.0):
            rows = points[:, 0] * side > 0
            centre = (points[rows].min(axis=0) + points[rows].max(axis=0)) / 2
            # The lines of sight meet at the camera.
            inward = -side * np.degrees(
                np.arctan2(abs(centre[0]), self.traits.stage.distance_m / METRES)
            )
            yaw, pitch = shot.gaze
            points[rows] = turn(points[rows] - centre, (yaw + inward, pitch, 0.0)) + centre
        return points

    def _lids(self, skin: F64, eyes: F64) -> F64:
        """Skin pushed out of the eyeballs, which lids cut on their straight way down."""
        out, still = skin.copy(), self.kit.steps.apply(self.still[self.kit.skin])
        for side in (1.0, -1.0):
            ball = eyes[eyes[:, 0] * side > 0]
            centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
            reach = np.linalg.norm(ball - centre, axis=1)
            away = out - centre
            far = np.linalg.norm(away, axis=1)
            limit = float(np.median(reach)) + LID_GAP
            # The sockets' lining lies behind the ball and stays there.
            rest = np.minimum(np.linalg.norm(still - centre, axis=1), limit)
            inside = (far < rest) & (rest > limit - 2 * LID_GAP) & (away[:, 2] > 0.3 * limit)
            out[inside] = centre + away[inside] * (rest / far)[inside, None]
        return out

    def _walls(self, skin: F64) -> F64:
        """The mouth's side walls drawn in, else narrow cheeks let them through."""
        kit, out = self.kit, skin.copy()
        limit = 0.9 * abs(self.still[kit.skin][kit.upper_rim[0], 0])
        wide = self._inner & (np.abs(skin[:, 0]) > limit)
        over = np.abs(skin[wide, 0]) - limit
        out[wide, 0] = np.sign(skin[wide, 0]) * (limit + 0.25 * over)
        return out

    def _mouth(self, base: F64, shot: Shot) -> tuple[F64, F64]:
        """Teeth and tongue: the lower ones go with the jaw as one solid piece."""
        rows = self.kit.rows("helper-lower-teeth")
        spin, shift = rigid(self.still[rows], base[rows])
        teeth = self.parts["teeth"].proxy.fit(self.still)
        upper, lower = teeth[~self._lower], teeth[self._lower]
        meet = self._rim(self.still, self.kit.upper_rim)
        upper[:, 1] += meet - self.traits.teeth_drop - upper[_front(upper), 1].min()
        lower = lower @ spin.T + shift
        # MakeHuman's lower lip falls farther than its jaw and bares all of the lower teeth.
        over = lower[_front(lower), 1].max() - self._rim(base, self.kit.lower_rim)
        sunk = max(over - self.traits.teeth_rise, 0.0)
        lower[:, 1] -= sunk
        teeth[~self._lower], teeth[self._lower] = upper, lower
        tongue = self.parts["tongue"].proxy.fit(self.still)
        ahead = np.clip((tongue[:, 2] - tongue[:, 2].min()) / np.ptp(tongue[:, 2]), 0, 1)
        drop = -float((base[rows] - self.still[rows])[:, 1].mean())
        tongue = tongue @ spin.T + shift
        tongue[:, 1] += shot.tongue * 0.6 * max(drop, 0.0) * ahead**2 - sunk
        return teeth, self.tongue.apply(tongue)

    def _rim(self, base: F64, rim: Indices) -> float:
        """Height of a lip's rim in its middle."""
        points = base[self.kit.skin][rim]
        width = np.ptp(points[:, 0])
        return float(points[np.abs(points[:, 0]) < 0.15 * width, 1].mean())


def _front(teeth: F64) -> npt.NDArray[np.bool_]:
    """Which points of one row of teeth are incisors."""
    return np.asarray(np.abs(teeth[:, 0]) < 0.25 * np.abs(teeth[:, 0]).max())


def turn(points: F64, angles: Angles) -> F64:
    """(N, 3) points turned about 0 by roll, then pitch, then yaw, degrees (see `Angles`)."""
    yaw, pitch, roll = np.radians(angles)
    c, s = np.cos(roll), np.sin(roll)
    by_roll = np.asarray([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    c, s = np.cos(pitch), np.sin(pitch)
    by_pitch = np.asarray([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(yaw), np.sin(yaw)
    by_yaw = np.asarray([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.asarray(points @ (by_yaw @ by_pitch @ by_roll).T)


def rigid(before: F64, after: F64) -> tuple[F64, F64]:
    """Rotation (3, 3) and shift (3,) that take points (N, 3) nearest to others (Kabsch 1976)."""
    middle, goal = before.mean(axis=0), after.mean(axis=0)
    u, _, vt = np.linalg.svd((before - middle).T @ (after - goal))
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    spin = vt.T @ sign @ u.T
    return spin, goal - spin @ middle


def _both_sides(shape: dict[str, float]) -> dict[str, float]:
    """Weights with `*` spelt out for the left and the right side."""
    return {
        name.replace("*", side): weight
        for name, weight in shape.items()
        for side in (("l", "r") if "*" in name else ("",))
    }


def _lips(kit: Kit) -> list[tuple[Indices, Indices, F64]]:
    """For the upper and the lower lip: skin points, the rim point each follows, and how much."""
    skin = kit.base.points[kit.skin]
    upper, lower = skin[kit.upper_rim], skin[kit.lower_rim]
    rows, moves = kit.targets[f"{UNIT}/caucasian/mouth-open"]
    drop = np.zeros(len(kit.base.points))
    drop[rows] = -moves[:, 1]
    fall = drop[kit.skin]
    found = []
    for rim, own in ((upper, kit.upper_rim), (lower, kit.lower_rim)):
        apart = np.linalg.norm(skin[:, None] - rim[None], axis=2)
        near = apart.argmin(axis=1)
        weight = np.exp(-((apart.min(axis=1) / LIP_REACH) ** 2))
        # Lips touch at rest: only the jaw tells to which one a point belongs.
        facing = fall[own][near]
        middle = (fall[kit.upper_rim].mean() + fall[kit.lower_rim].mean()) / 2
        mine = (fall < middle) == (own is kit.upper_rim)
        corner = np.abs(facing - middle) < 0.06
        weight = np.where(mine | corner, weight, 0.0)
        rows_near = np.flatnonzero(weight > 0.01)
        found.append((rows_near, near[rows_near], weight[rows_near]))
    return found
