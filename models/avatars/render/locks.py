"""Sculpted hair for a cartoon: a few dozen broad locks laid round the head from a parting.

Each lock is a closed, flat tube along a curve that leaves the parting, follows the skull at a
distance and hangs down beside the face; its edge is one clean outline, as in an animated film.
"""

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from .assets import Floats
from .graph import Graph
from .people import Colour, Sculpt

STEPS, SIDES = 40, 14


@dataclass(frozen=True)
class Lock:
    """One lock: (STEPS, 3) middle line in scene metres, its outward way, width and thickness."""

    line: Floats
    out: Floats
    width: Floats
    thick: Floats


class Skull:
    """The head's surface as a distance from its middle in every direction."""

    def __init__(self, skin: Floats, middle: Floats) -> None:
        away = skin - middle
        self.middle = middle
        self._far = np.linalg.norm(away, axis=1)
        self._tree = cKDTree(away / self._far[:, None])

    def at(self, turn: float, rise: float, above_m: float) -> Floats:
        """(3,) point over the skull; radians; `turn` is 0 at the face and grows to the right."""
        way = np.asarray([np.sin(turn) * np.cos(rise), -np.cos(turn) * np.cos(rise), np.sin(rise)])
        _, near = self._tree.query(way, k=60)
        # The median leaves the ears out.
        return np.asarray(self.middle + way * (float(np.median(self._far[near])) + above_m))


def plan(skull: Skull, style: Sculpt, seed: int) -> list[Lock]:
    """The locks of both sides, the undermost first, and the fringe over them."""
    rng = np.random.default_rng(seed)
    sides = [
        _lock(skull, style, side, turn, share, rng.normal(0, 1, 5))
        for share in np.linspace(0, 1, style.layers)
        for side in (-1.0, 1.0)
        for turn in np.linspace(style.open_turn, np.pi - 0.1, style.locks)
    ]
    fringe = [
        _fringe(skull, style, share, rng.normal(0, 1, 5))
        for share in np.linspace(0, 1, style.fringe)
    ]
    return sides + fringe


def _lock(
    skull: Skull, style: Sculpt, side: float, turn: float, share: float, jitter: Floats
) -> Lock:
    """One lock towards `turn` radians from the face; `share` 1 is the outermost layer."""
    back = (turn - style.open_turn) / (np.pi - style.open_turn)
    turn = turn + 0.05 * jitter[0]
    low, high = style.over_m
    over = low + (high - low) * share + 0.0015 * jitter[4]
    # The parting runs from the forehead to the crown.
    rise = style.parting_rise
    start = skull.at(style.parting_turn * (1 - 0.6 * back), rise + 0.75 * back, 0.3 * over)
    start = start - side * np.asarray([0.002, 0.0, 0.0])
    first = skull.at(side * turn * (0.45 + 0.35 * back), rise + 0.02 + 0.25 * back, over * 1.15)
    temple = skull.at(side * (turn - 0.06 * (1 - back)), 0.22 + 0.1 * back, over)
    hang = skull.at(side * (turn + 0.05), -0.12, over * 0.9 + 0.004)
    tip = hang.copy()
    tip[2] = -style.length_m - 0.006 * jitter[1] + 0.012 * (1 - share)
    tip[2] -= 0.01 * (1 - back) * style.slope
    inward = skull.middle - tip
    inward[2] = 0.0
    inward /= np.linalg.norm(inward)
    knee = (hang + tip) / 2 - 0.004 * inward
    tip = tip + (style.curl_m + 0.003 * jitter[2]) * inward
    return _shaped(skull, style, [start, first, temple, hang, knee, tip], jitter)


def _fringe(skull: Skull, style: Sculpt, share: float, jitter: Floats) -> Lock:
    """One lock over the forehead; `share` 0 lies lowest, 1 next to the parting's other locks."""
    side, over = -float(np.sign(style.parting_turn)), style.over_m[1] * (0.55 + 0.55 * share)
    start = skull.at(style.parting_turn, style.parting_rise + 0.16 * share, 0.3 * over)
    first = skull.at(side * 0.10, style.parting_rise - 0.07 + 0.16 * share, over * 1.1)
    brow = skull.at(side * (0.62 + 0.05 * jitter[0]), 0.46 + 0.13 * share, over)
    temple = skull.at(side * (0.98 + 0.10 * share), 0.24 + 0.04 * share, over)
    tip = skull.at(side * (1.18 + 0.10 * share), -0.10 - 0.12 * share, over * 0.9)
    return _shaped(skull, style, [start, first, brow, temple, tip], jitter)


def _shaped(skull: Skull, style: Sculpt, through: list[Floats], jitter: Floats) -> Lock:
    """A lock along a smooth curve through the points given, swinging a little."""
    points = np.stack(through)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = np.linspace(0, 1, STEPS)
    line = CubicSpline(along / along[-1], points)(s)
    out = line - skull.middle
    out[:, 2] *= np.clip((line[:, 2] + 0.02) / 0.05, 0, 1)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    across = np.cross(np.gradient(line, axis=0), out)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    swing = style.wave_m * np.sin(2 * np.pi * (1.4 * s + 0.1 * jitter[3])) * s
    taper = np.minimum(1, 0.7 + 2.0 * s) * np.clip(1.12 * (1 - s**style.tip), 0, 1) ** 0.6
    width = (1 + 0.15 * jitter[4]) * style.width_m * taper
    return Lock(line + across * swing[:, None], out, width, style.thick_m * np.sqrt(taper))


def tube(lock: Lock) -> tuple[Floats, list[tuple[int, ...]], Floats]:
    """A lock's points, its four-cornered faces, and (corners, 2) texture: round, along."""
    way = np.gradient(lock.line, axis=0)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    across = np.cross(way, lock.out)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    normal = np.cross(across, way)
    angle = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    ring = across[:, None] * (c[None, :, None] * lock.width[:, None, None] / 2)
    ring = ring + normal[:, None] * (s[None, :, None] * lock.thick[:, None, None] / 2)
    # Flat tubes bend round the head.
    ring = ring - normal[:, None] * (c**2)[None, :, None] * (lock.width**2 / 0.7)[:, None, None]
    points = (lock.line[:, None] + ring).reshape(-1, 3)
    faces: list[tuple[int, ...]] = []
    uv: list[tuple[float, float]] = []
    for i in range(STEPS - 1):
        for k in range(SIDES):
            n = (k + 1) % SIDES
            faces.append((i * SIDES + k, i * SIDES + n, (i + 1) * SIDES + n, (i + 1) * SIDES + k))
            left, right = k / SIDES, (k + 1) / SIDES
            low, high = i / (STEPS - 1), (i + 1) / (STEPS - 1)
            uv += [(left, low), (right, low), (right, high), (left, high)]
    return points, faces, np.asarray(uv, np.float64)


def add(locks: list[Lock], material: Any) -> None:
    """Puts locks into the scene as one object each, so that each gets a shade of its own."""
    for index, lock in enumerate(locks):
        points, faces, uv = tube(lock)
        data = bpy.data.meshes.new(f"lock-{index}")
        data.from_pydata(points.tolist(), [], faces)
        layer = data.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", uv.astype(np.float32).ravel())
        data.materials.append(material)
        data.shade_smooth()
        made = bpy.data.objects.new(f"lock-{index}", data)
        bpy.context.scene.collection.objects.link(made)


def material(colour: Colour) -> Any:
    """Brushed, satin hair: fine grooves along the lock, dark at the parting, bright at the tips."""
    made = bpy.data.materials.new("locks")
    made.use_nodes = True
    g = Graph(made.node_tree)
    uv = g.node("ShaderNodeTexCoord").outputs["UV"]
    along = g.node("ShaderNodeSeparateXYZ", {0: uv}).outputs[1]
    chance = g.node("ShaderNodeObjectInfo").outputs["Random"]
    stretched = g.node("ShaderNodeMapping", {"Vector": uv, "Scale": (26.0, 1.2, 1.0)}).outputs[0]
    grooves = g.noise(stretched, 1.6, 4.0)
    value = g.math("ADD", 0.62, g.math("MULTIPLY", along, 0.45))
    value = g.math("ADD", value, g.math("MULTIPLY", chance, 0.25))
    value = g.math("ADD", value, g.math("MULTIPLY", grooves, 0.25))
    shade = g.node("ShaderNodeHueSaturation", {"Color": (*colour, 1.0), "Value": value}).outputs[0]
    bump = g.node(
        "ShaderNodeBump", {"Strength": 0.5, "Distance": 0.0012, "Height": grooves}
    ).outputs[0]
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": shade,
            "Roughness": 0.42,
            "Specular IOR Level": 0.5,
            "Subsurface Weight": 0.3,
            "Subsurface Radius": (1.0, 0.6, 0.4),
            "Subsurface Scale": 0.003,
            "Sheen Weight": 0.2,
            "Normal": bump,
        },
    )
    g.surface(shader.outputs[0])
    return made
