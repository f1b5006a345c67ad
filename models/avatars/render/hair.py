"""Hair as strands: each follows the strokes painted on a MakeHuman hair card.

The picture on the card says which way the hair runs; its structure tensor gives that direction,
the mesh carries it into space, and strands are traced along it, then parted into locks, frayed
and lifted off the head.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .assets import Floats, Mesh
from .graph import Graph
from .people import Colour, Style


@dataclass
class _Field:
    """Dense samples of the card: where it is, which way it faces, which way its hair runs."""

    points: Floats
    normals: Floats
    along: Floats
    tree: Any


def _strokes(texture: Path) -> tuple[Floats, Floats]:
    """Direction of the painted strokes, (H, W, 2) in (u, v), and the picture's alpha (H, W)."""
    with Image.open(texture) as opened:
        cells = np.asarray(opened.convert("RGBA"), np.float64) / 255
    alpha = cells[..., 3]
    grey = cells[..., :3].mean(axis=2) * alpha
    grey = grey - gaussian_filter(grey, 6) / gaussian_filter(alpha + 1e-3, 6) * alpha
    grad_y, grad_x = np.gradient(gaussian_filter(grey, 1.0))
    inside = gaussian_filter((alpha > 0.9).astype(float), 1.0) > 0.95
    grad_x, grad_y = grad_x * inside, grad_y * inside
    xx, yy, xy = (gaussian_filter(a, 9) for a in (grad_x**2, grad_y**2, grad_x * grad_y))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    # Rows run downwards and v upwards.
    return np.stack([np.cos(angle), -np.sin(angle)], axis=2), alpha


def _triangles(mesh: Mesh) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(T, 3) vertex and (T, 3) texture indices of the mesh cut into triangles."""
    tris, uvs = [], []
    for face, corner in zip(mesh.faces, mesh.corners, strict=True):
        for k in range(1, len(face) - 1):
            tris.append((face[0], face[k], face[k + 1]))
            uvs.append((corner[0], corner[k], corner[k + 1]))
    return np.asarray(tris, np.int64), np.asarray(uvs, np.int64)


def _field(mesh: Mesh, place: Floats, texture: Path, count: int, style: Style, rng: Any) -> _Field:
    """Samples the card evenly and carries the strokes' direction into space."""
    strokes, alpha = _strokes(texture)
    tris, uvs = _triangles(mesh)
    p = place[tris]
    t = mesh.uv[uvs]
    edge1, edge2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    normal = np.cross(edge1, edge2)
    area = np.linalg.norm(normal, axis=1)
    pick = rng.choice(len(p), size=count, p=area / area.sum())
    a, b = rng.random(count), rng.random(count)
    fold = a + b > 1
    a[fold], b[fold] = 1 - a[fold], 1 - b[fold]
    point = p[pick, 0] + a[:, None] * edge1[pick] + b[:, None] * edge2[pick]
    du, dv = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    uv = t[pick, 0] + a[:, None] * du[pick] + b[:, None] * dv[pick]
    high, wide = alpha.shape
    row = np.clip(((1 - uv[:, 1]) * high).astype(int), 0, high - 1)
    column = np.clip((uv[:, 0] * wide).astype(int), 0, wide - 1)
    stroke = strokes[row, column]
    det = du[:, 0] * dv[:, 1] - du[:, 1] * dv[:, 0]
    det = np.where(np.abs(det) < 1e-12, 1e-12, det)
    s1 = (stroke[:, 0] * dv[pick, 1] - stroke[:, 1] * dv[pick, 0]) / det[pick]
    s2 = (stroke[:, 1] * du[pick, 0] - stroke[:, 0] * du[pick, 1]) / det[pick]
    along = s1[:, None] * edge1[pick] + s2[:, None] * edge2[pick]
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    facing = normal[pick] / (area[pick, None] + 1e-12)
    centre = np.asarray([0.0, 0.09, 0.0])
    out = point - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    facing *= np.where((facing * out).sum(axis=1, keepdims=True) < 0, -1, 1)
    crown = point - np.asarray([0.0, 0.07, 0.13])
    wish = style.down * np.asarray([0.0, 0.0, -1.0]) + (1 - style.down) * crown / 0.1
    wish = wish + 0.3 * crown / 0.1
    along *= np.where((along * wish).sum(axis=1, keepdims=True) < 0, -1, 1)
    if style.parting_m:
        # Next to the parting the hair leaves it sideways, whatever is painted there.
        side = np.zeros_like(point)
        side[:, 0] = np.where(point[:, 0] < 0, -1.0, 1.0)
        side -= (side * facing).sum(axis=1, keepdims=True) * facing
        near = np.exp(-((point[:, 0] / style.parting_m) ** 2)) * (point[:, 2] > 0.04)
        along = along + 4 * near[:, None] * side
        along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    keep = alpha[row, column] > 0.5
    point, facing, along = point[keep], facing[keep], along[keep]
    return _Field(point, facing, along, cKDTree(point))


def _trace(field: _Field, seeds: Floats, aim: Floats, steps: int, step_m: float) -> tuple[Any, Any]:
    """Follows the field from each seed. Returns (N, steps, 3) points and (N,) steps walked."""
    path = np.empty((len(seeds), steps, 3))
    path[:, 0] = seeds
    here, way = seeds.copy(), aim.copy()
    alive = np.ones(len(seeds), bool)
    walked = np.ones(len(seeds), int)
    for k in range(1, steps):
        far, near = field.tree.query(here + way * step_m, k=8, workers=1)
        weight = np.exp(-((far / 0.006) ** 2)) + 1e-9
        turn = field.along[near]
        same = (turn * way[:, None]).sum(axis=2)
        weight = weight * np.clip(same + 0.2, 1e-6, None)
        weight /= weight.sum(axis=1, keepdims=True)
        mean = (turn * weight[..., None]).sum(axis=1)
        way = 0.6 * way + 0.4 * mean
        way /= np.linalg.norm(way, axis=1, keepdims=True) + 1e-12
        surface = (field.points[near] * weight[..., None]).sum(axis=1)
        normal = (field.normals[near] * weight[..., None]).sum(axis=1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        onward = here + way * step_m
        height = ((onward - surface) * normal).sum(axis=1, keepdims=True)
        onward = onward - height * normal
        # A strand ends where the hair does, and where it would run against the others: a parting.
        alive &= (far[:, 0] < 0.012) & (same.max(axis=1) > 0.0)
        here = np.where(alive[:, None], onward, here)
        walked += alive
        path[:, k] = here
    return path, walked


def _resample(path: Floats, walked: npt.NDArray[np.int64], count: int) -> Floats:
    """(N, count, 3) points evenly along the first `walked` points of each path."""
    at = np.linspace(0, 1, count)[None] * (walked[:, None] - 1)
    low = np.minimum(at.astype(int), path.shape[1] - 2)
    part = (at - low)[..., None]
    row = np.arange(len(path))[:, None]
    return np.asarray(path[row, low] * (1 - part) + path[row, low + 1] * part)


def _waves(count: int, points: int, size: float, turns: float, rng: Any) -> Floats:
    """(count, points, 3) smooth wander that starts at nothing."""
    s = np.linspace(0, 1, points)[None, :, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 3))
    pace = rng.uniform(0.5, 1.5, (count, 1, 3)) * turns * 2 * np.pi
    return np.asarray(size * s * np.sin(pace * s + phase) * rng.uniform(0.3, 1, (count, 1, 1)))


def grow(mesh: Mesh, place: Floats, texture: Path, style: Style, seed: int) -> Floats:
    """Strands (N, P, 3) in scene metres, root first, over a hair mesh whose points are `place`."""
    rng = np.random.default_rng(seed)
    field = _field(mesh, place, texture, 60_000, style, rng)
    pick = rng.choice(len(field.points), size=style.strands, replace=True)
    step_m = 0.005
    steps = max(4, int(style.length_m / step_m))
    # A seed may lie anywhere along its hair: walk back to the root a random way first.
    back, used = _trace(field, field.points[pick], -field.along[pick], steps, step_m)
    used = np.maximum(1, (used * rng.uniform(0.0, 1.0, len(used)) ** style.rooted).astype(int))
    row = np.arange(len(pick))
    if style.parting_m:
        # Too few walk back as far as the parting: let a third begin there.
        from_middle = np.abs(field.points[:, 0]) < 0.6 * style.parting_m
        middle = np.flatnonzero(from_middle & (field.points[:, 2] > 0.04))
        third = slice(0, len(pick) // 3)
        pick[third] = rng.choice(middle, size=len(pick) // 3)
        used[third] = 1
        back[third, 0] = field.points[pick[third]] * (0.15, 1.0, 1.0)
    root = back[row, used - 1]
    aim = np.where((used > 1)[:, None], back[row, np.maximum(used - 2, 0)] - root, 0.0)
    aim += field.along[pick] * (used <= 1)[:, None]
    aim /= np.linalg.norm(aim, axis=1, keepdims=True) + 1e-12
    path, walked = _trace(field, root, aim, steps, step_m)
    limit = (steps * rng.uniform(style.spread, 1.0, len(walked))).astype(int)
    walked = np.minimum(walked, np.maximum(limit, 3))
    strands = _resample(path, walked, 16)
    _, near = field.tree.query(strands.reshape(-1, 3), workers=1)
    normal = field.normals[near].reshape(strands.shape)
    s = np.linspace(0, 1, 16)[None, :, None]
    length = (walked * step_m)[:, None, None]
    depth = rng.uniform(*style.lift_m, (len(strands), 1, 1)) * np.minimum(1, s * 6)
    strands = strands + normal * (depth + style.tip_lift * length * s**1.5)
    if style.locks:
        heads = rng.choice(len(strands), size=style.locks, replace=False)
        _, lock = cKDTree(strands[heads][:, 5]).query(strands[:, 5], workers=1)
        pull = style.clump * s**1.2 * rng.uniform(0.4, 1.0, (len(strands), 1, 1))
        strands = strands + pull * (strands[heads][lock] - strands) * 0.6
        strands = strands + _waves(style.locks, 16, style.wave_m, 1.2, rng)[lock]
    strands = strands + _waves(len(strands), 16, style.fray_m, 2.0, rng)
    keep = strands[:, :, 2].min(axis=1) > style.cut_z_m + rng.normal(0, 0.006, len(strands))
    return np.asarray(strands[keep], np.float64)


def crop(mesh: Mesh, place: Floats, shade: Floats, style: Style, seed: int) -> Floats:
    """Close-cropped curls (N, 8, 3) that stand on the scalp itself.

    Args:
        mesh: the head's skin, its points at `place` in scene metres.
        shade: how much hair each texture coordinate of `mesh.uv` bears, 0 to 1.
    """
    rng = np.random.default_rng(seed)
    tris, uvs = _triangles(mesh)
    p = place[tris]
    edge1, edge2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    normal = np.cross(edge1, edge2)
    area = np.linalg.norm(normal, axis=1) + 1e-12
    normal /= area[:, None]
    # Corners' normals are blended so that hair does not show the triangles.
    smooth = np.zeros_like(place)
    for k in range(3):
        np.add.at(smooth, tris[:, k], normal * area[:, None])
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-12
    dense = shade[uvs].mean(axis=1)
    chance = area * dense
    pick = rng.choice(len(p), size=style.strands, p=chance / chance.sum())
    share = rng.dirichlet((1.0, 1.0, 1.0), style.strands)
    root = np.einsum("nk,nkd->nd", share, p[pick])
    out = np.einsum("nk,nkd->nd", share, smooth[tris[pick]])
    bears = np.einsum("nk,nk->n", share, shade[uvs[pick]])
    stays = rng.random(len(bears)) < bears**0.5
    root, out, bears = root[stays], out[stays], bears[stays]
    out += rng.normal(0, 0.45, out.shape) + np.asarray([0.0, -0.1, 0.15])
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    length = style.length_m * rng.uniform(style.spread, 1, (len(root), 1, 1))
    length = length * (0.35 + 0.65 * bears[:, None, None])
    s = np.linspace(0, 1, 8)[None, :, None]
    strands = root[:, None] + out[:, None] * length * s - 0.0006 * out[:, None]
    return np.asarray(strands + _waves(len(root), 8, style.fray_m, 1.2, rng))


def add(name: str, strands: Floats, radius_m: float, material: Any) -> Any:
    """Puts strands (N, P, 3) into the scene as hair curves that thin out to their tips."""
    data = bpy.data.hair_curves.new(name)
    data.add_curves([strands.shape[1]] * len(strands))
    data.attributes["position"].data.foreach_set("vector", strands.astype(np.float32).ravel())
    taper = np.linspace(1.0, 0.35, strands.shape[1])
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.tile(taper * radius_m, len(strands)).astype(np.float32))
    data.materials.append(material)
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    return made


def material(colour: Colour, vary: float, roughness: float = 0.32) -> Any:
    """Hair that reflects `colour` (linear RGB), each strand brighter or darker by `vary` / 2."""
    made = bpy.data.materials.new("strands")
    made.use_nodes = True
    g = Graph(made.node_tree)
    chance = g.node("ShaderNodeHairInfo").outputs["Random"]
    value = g.math("ADD", 1.0 - vary / 2, g.math("MULTIPLY", chance, vary))
    shade = g.node("ShaderNodeHueSaturation", {"Color": (*colour, 1.0), "Value": value}).outputs[0]
    shader = g.node(
        "ShaderNodeBsdfHairPrincipled",
        {
            "Color": shade,
            "Roughness": roughness,
            "Radial Roughness": 0.45,
            "Coat": 0.0,
            "Random Roughness": 0.3,
        },
        model="CHIANG",
        parametrization="COLOR",
    )
    g.surface(shader.outputs[0])
    return made
