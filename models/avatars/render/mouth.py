"""Plates of the mouth's inside: upper teeth, lower teeth and tongue, each on its own."""

import json
import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from . import assets, materials, scene
from .assets import Floats, Mesh

SIDE_PX = 640
FIELD_M = 0.066
"""Side of the square that the camera sees."""
SHAPE = {
    "macrodetails/caucasian-female-young": 0.4,
    "macrodetails/caucasian-male-young": 0.4,
    "macrodetails/asian-female-young": 0.2,
}
CORNER_TARGET = "mouth/mouth-scale-horiz-incr"
"""The target that moves the mouth's corners most: it tells which vertices they are."""
OPEN_RAD = math.radians(14.0)
"""How far the jaw is turned down, for the lower teeth and the tongue."""
STRETCH = {"upper_teeth": 1.3, "lower_teeth": 1.1, "tongue": 1.0}
"""How much taller than modelled: MakeHuman's incisors are broader than they are long."""
REACH_PX = {"upper_teeth": (150, 40), "lower_teeth": (200, 170), "tongue": (400, 120)}
"""How much of each plate is kept above and below its anchor, fading over `FADE_PX`."""
FADE_PX = 30.0
GAP_DM = 0.0028
"""How far each half of a row is moved inwards: the middle incisors stand apart otherwise."""
OFFSETS = {"upper_teeth": (0.0, 0.045), "lower_teeth": (0.0, 0.02), "tongue": (0.0, 0.15)}
"""Where each plate's anchor lies when the mouth is shut, from the mouth's centre, in mouth widths
(x right, y down): the upper incisors end a little below the lips' line and cover the lower."""


def _mouth_width(points: Floats, targets: Path) -> float:
    """Distance of the mouth's corners, decimetres."""
    rows, moves = assets.read_target(targets / f"{CORNER_TARGET}.target")
    front = points[rows, 2] > 1.2
    left = rows[front][np.argmax(moves[front, 0])]
    right = rows[front][np.argmin(moves[front, 0])]
    return float(points[left, 0] - points[right, 0])


def _turn(points: Floats, about: Floats, angle: float) -> Floats:
    """Turns (N, 3) points about the x axis through `about`, front downwards."""
    c, s = math.cos(angle), math.sin(angle)
    moved = points - about
    out = moved.copy()
    out[:, 1] = c * moved[:, 1] - s * moved[:, 2]
    out[:, 2] = s * moved[:, 1] + c * moved[:, 2]
    return np.asarray(out + about)


def _halves(teeth: Mesh, proxy: assets.Proxy, base: Mesh) -> tuple[Mesh, Mesh]:
    """The upper and the lower row with their gums."""
    above = {v for face in base.group("helper-upper-teeth").faces for v in face}
    upper = np.isin(proxy.rows[:, 0], list(above))
    keep = [bool(upper[list(face)].all()) for face in teeth.faces]
    drop = [bool((~upper[list(face)]).all()) for face in teeth.faces]
    return teeth.only(keep), teeth.only(drop)


def _is_gum(mesh: Mesh) -> list[bool]:
    """Which faces belong to the big connected piece (gums), not to a single tooth."""
    parent = list(range(len(mesh.points)))

    def root(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    for face in mesh.faces:
        for v in face[1:]:
            parent[root(v)] = root(face[0])
    size: dict[int, int] = {}
    for face in mesh.faces:
        size[root(face[0])] = size.get(root(face[0]), 0) + 1
    return [size[root(face[0])] > 200 for face in mesh.faces]


def _stage() -> None:
    """Camera straight ahead without perspective; soft light from the front, dim from above."""
    data = bpy.data.cameras.new("camera")
    data.type = "ORTHO"
    data.ortho_scale = FIELD_M
    camera = bpy.data.objects.new("camera", data)
    camera.location = (0.0, -0.5, 0.0)
    camera.rotation_euler = (math.pi / 2, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    scene.add_light("key", np.asarray([-0.22, -0.6, 0.22]), 0.35, 4.6, (1.0, 0.96, 0.9))
    scene.add_light("fill", np.asarray([0.3, -0.6, -0.05]), 0.4, 2.2, (0.95, 0.97, 1.0))
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1.0, 0.9, 0.85, 1.0)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.12
    bpy.context.scene.world = world


def _darken(picture: Any, front_px: float, side_px: float) -> Any:
    """Cheeks shade the back teeth: light falls off towards both ends. (H, W, 4) in [0, 1]."""
    across = np.abs(np.arange(picture.shape[1]) - front_px) / side_px
    shade = 1.0 - 0.75 * np.clip((across - 0.35) / 0.65, 0, 1) ** 1.3
    picture[..., :3] *= shade[None, :, None].astype(np.float32)
    return picture


def _trim(
    path: Path, anchor: tuple[float, float], reach_px: tuple[int, int], sides: bool
) -> tuple[Any, list[float]]:
    """The plate without its empty rim and what is farther than `reach_px` above or below.

    Teeth grow dim towards both `sides`, the tongue towards the throat.
    """
    with Image.open(path) as opened:
        cells = np.array(opened.convert("RGBA"), np.float32) / np.float32(255)
    from_edge = np.arange(len(cells)) - anchor[1]
    near = np.clip((reach_px[0] + from_edge) / FADE_PX, 0, 1)
    near *= np.clip((reach_px[1] - from_edge) / FADE_PX, 0, 1)
    cells[..., 3] *= near[:, None].astype(np.float32)
    if not sides:
        deep = np.clip((-from_edge - 20) / 200, 0, 1)
        dim = deep[:, None] ** 0.8 * np.asarray([0.58, 0.76, 0.76])
        cells[..., :3] *= (1 - dim)[:, None, :].astype(np.float32)
    rows, columns = np.nonzero(cells[..., 3] > 0.02)
    left, right = int(columns.min()), int(columns.max()) + 1
    top, bottom = int(rows.min()), int(rows.max()) + 1
    if sides:
        cells = _darken(cells, anchor[0], max(anchor[0] - left, right - anchor[0]))
    cut = np.rint(cells[top:bottom, left:right] * 255).astype(np.uint8)
    return cut, [round(anchor[0] - left, 2), round(anchor[1] - top, 2)]


def render_plates(assets_dir: Path, targets: Path, out: Path, samples: int, threads: int) -> None:
    """Writes upper_teeth.png, lower_teeth.png, tongue.png and plates.json into `out`."""
    base = assets.read_obj(assets_dir / "base.obj")
    points = assets.shape(base, targets, SHAPE)
    base.points = points
    teeth = assets.fitted(assets_dir / "teeth", "teeth_shape01", points)
    proxy = assets.read_proxy(assets_dir / "teeth" / "teeth_shape01" / "teeth_shape01.mhclo")
    tongue = assets.fitted(assets_dir / "tongue", "tongue01", points)
    upper, lower = _halves(teeth, proxy, base)
    px_per_dm = SIDE_PX / (FIELD_M / scene.METRES)
    width_px = _mouth_width(points, targets) * px_per_dm
    plates: dict[str, dict[str, Any]] = {}
    for name, mesh in (("upper_teeth", upper), ("lower_teeth", lower), ("tongue", tongue)):
        scene.clear()
        gum = _is_gum(mesh) if name != "tongue" else [True] * len(mesh.faces)
        rows = sorted({v for i, f in enumerate(mesh.faces) if not gum[i] for v in f})
        rows = rows or sorted({v for f in mesh.faces for v in f})
        front = np.asarray(rows)[mesh.points[rows, 2] > mesh.points[rows, 2].max() - 0.06]
        sign = -1.0 if name == "upper_teeth" else 1.0
        edge = mesh.points[front][np.argmax(sign * mesh.points[front, 1])]
        if name == "tongue":
            edge = mesh.points[rows][np.argmax(mesh.points[rows, 2])]
        edge = np.asarray([0.0, edge[1], edge[2]])
        if name != "tongue":
            mesh.points[rows, 0] -= GAP_DM * np.sign(mesh.points[rows, 0])
        mesh.points[:, 1] = edge[1] + STRETCH[name] * (mesh.points[:, 1] - edge[1])
        if name != "upper_teeth":
            mesh.points = _turn(mesh.points, edge, OPEN_RAD)
        centre = (mesh.points[rows].min(axis=0) + mesh.points[rows].max(axis=0)) / 2
        origin = np.asarray([0.0, centre[1], edge[2]])
        if name == "tongue":
            picture = assets_dir / "tongue" / "tongue01" / "tongue01_diffuse.png"
            flesh = materials.glossy("tongue", picture, (0.80, 0.52, 0.50), 0.42, 0.003, 0.8)
            scene.add_mesh("tongue", mesh, origin, flesh, 2)
        else:
            picture = assets_dir / "teeth" / "materials" / "teeth.png"
            pink = materials.glossy("gums", picture, (1.5, 1.05, 1.0), 0.38, 0.003, 0.75)
            enamel = materials.glossy("enamel", picture, (1.25, 1.12, 0.95), 0.26, 0.0015, 0.5)
            scene.add_mesh("gums", mesh.only(gum), origin, pink, 2)
            scene.add_mesh("teeth", mesh.only([not g for g in gum]), origin, enamel, 2)
        _stage()
        raw = out / f"{name}.raw.png"
        scene.render(raw, SIDE_PX, samples, threads, 1)
        anchor = (SIDE_PX / 2, SIDE_PX / 2 - (edge[1] - origin[1]) * px_per_dm)
        cut, at = _trim(raw, anchor, REACH_PX[name], name != "tongue")
        raw.unlink()
        Image.fromarray(cut).save(out / f"{name}.png", optimize=True)
        plates[name] = {
            "file": f"{name}.png",
            "size_px": [cut.shape[1], cut.shape[0]],
            "anchor_px": at,
            "offset": list(OFFSETS[name]),
        }
    about = {
        "format": 1,
        "px_per_mouth_width": round(width_px, 2),
        "plates": plates,
        "licence": "CC0-1.0",
        "meaning": {
            "px_per_mouth_width": "plate pixels in the distance of the shut mouth's corners",
            "anchor_px": "middle of the incisors' edge, of the tongue its tip; x right, y down",
            "offset": "the anchor from the shut mouth's centre, in mouth widths; x right, y down",
        },
    }
    (out / "plates.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
