"""Makes `landmarks.npz`: MediaPipe's landmarks on pictures of people, cast onto their mesh.

Steps, since Blender and MediaPipe live in different virtual environments:

    python -m models.synth.mapping render DIR --assets MAKEHUMAN   (venv-render)
    python -m models.synth.mapping detect DIR                      (venv-label)
    python -m models.synth.mapping fit DIR --assets MAKEHUMAN      (either)
    python -m models.synth.mapping measure MADE                    (venv-label)

`measure` holds the landmarks of people made by `models.synth` against MediaPipe's.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from models import topology

from . import kit as kits
from . import raster, store
from .head import Head
from .kit import Kit
from .landmarks import PATH, LandmarkMap
from .lens import Lens
from .mesh import F64, Indices
from .traits import Light, Shot, Traits, person

SEED = 900_000
PEOPLE = 10
TURNS = ((0.0, 0.0), (-14.0, 0.0), (14.0, 0.0), (0.0, 9.0))
PX = 480
IRIS_UV = ((0.703, 0.703), (0.293, 0.301))
IRIS_RADIUS_UV = 0.117
LID_START = 6784
"""A base vertex in the middle of the left upper lid's rim."""
GROUPS = {
    "all": np.arange(478),
    "inner lips": np.concatenate([topology.UPPER_INNER_LIP, topology.LOWER_INNER_LIP]),
    "lips": np.concatenate([topology.UPPER_LIP, topology.LOWER_LIP]),
    "lids": np.concatenate([*topology.UPPER_LIDS, *topology.LOWER_LIDS]),
    "irises": np.concatenate(topology.IRISES),
    "brows": topology.BROWS,
}


def sitter(number: int) -> Traits:
    """A person in even light, for detection."""
    lights = (Light(-25.0, 25.0, 1.2, 20.0, (1, 1, 1)), Light(35.0, 10.0, 1.2, 14.0, (1, 1, 1)))
    traits = person(SEED + number)
    return dataclasses.replace(
        traits,
        stage=dataclasses.replace(
            traits.stage,
            lights=lights,
            torso=(0.0, 0.0, 0.0),
            head=(0.0, 0.0, 0.0),
            brightness=0.5,
            distance_m=1.2,
            view="Standard",
            look="None",
        ),
    )


def pose_of(turn: tuple[float, float]) -> Shot:
    """A calm face turned by (yaw, pitch) degrees, its eyes ahead."""
    return Shot(shut=1.0, head=(turn[0], turn[1], 0.0), gaze=(0.0, 0.0))


def lens_of() -> Lens:
    """The lens of all the pictures."""
    return Lens(1.2, 1.2 / 0.26, (0.0, -0.06), PX)


def render(folder: Path, kit: Kit) -> None:
    """Writes NN-T.png, person NN in turn T."""
    from .studio import Studio

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(PEOPLE):
        head = Head(kit, sitter(number))
        studio = Studio(kit, head, head.pose(pose_of(TURNS[0])), lens_of())
        exposure = studio.expose((300, 300, 700, 750), 1)
        for row, turn in enumerate(TURNS):
            cells = studio.shoot(head.pose(pose_of(turn)), 8, 1, exposure).astype(np.float64)
            alpha = cells[..., 3:] / 255
            picture = (cells[..., :3] * alpha + 140 * (1 - alpha)).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{number:02d}-{row}.png")


def detect(folder: Path) -> None:
    """Writes NN-T.npy, (478, 3) px, the mean over jittered crops."""
    from models.avatars.render.lids import LandmarkError
    from models.avatars.render.package import landmarks

    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as opened:
            picture = np.asarray(opened.convert("RGB"))
        try:
            np.save(path.with_suffix(".npy"), landmarks(picture, 8))
        except LandmarkError as error:
            sys.stderr.write(f"{path.name}: {error}\n")


def cast(kit: Kit, head: Head, turn: tuple[float, float], points: F64) -> tuple[F64, F64]:
    """Places (478, 3) on the unchanged base mesh under landmarks, and (478,) how squarely seen."""
    lens = lens_of()
    skin = head.pose(pose_of(turn)).points["skin"]
    flat = lens.project(skin)
    flat[:, 2] = skin[:, 1] + lens.distance_m
    fine = kit.steps.fine
    triangles = fine.triangles()[np.tile(~kit.cavity, 2)]
    seen = raster.see([raster.Layer("skin", flat, triangles)], PX)
    base = kit.steps.apply(kit.base.points[kit.skin])
    normal = np.cross(
        skin[triangles[:, 1]] - skin[triangles[:, 0]], skin[triangles[:, 2]] - skin[triangles[:, 0]]
    )
    square = -normal[:, 1] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    cell = np.clip(points[:, :2].astype(int), 0, PX - 1)
    hit = seen.layer[cell[:, 1], cell[:, 0]] >= 0
    which = np.maximum(seen.triangle[cell[:, 1], cell[:, 0]], 0)
    share = seen.share[cell[:, 1], cell[:, 0]]
    # Shift from the pixel's centre to the landmark itself, within the triangle's plane.
    corner = flat[triangles[which]][..., :2]
    matrix = np.stack([corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]], axis=2)
    matrix += np.eye(2) * 1e-9
    step = np.linalg.solve(matrix, (points[:, :2] - cell - 0.5)[..., None])[..., 0]
    share = share + np.column_stack([-step.sum(axis=1), step])
    place = np.einsum("nk,nkd->nd", share, base[triangles[which]])
    return place, np.where(hit, np.maximum(square[which], 0), 0.0)


def nearest(place: F64, base: F64, triangles: Indices) -> tuple[Indices, F64]:
    """For each place (N, 3) the vertices (N, 3) and weights (N, 3) of the surface's nearest point.

    By the nearest points of the 40 triangles whose middles are nearest.
    """
    middle = base[triangles].mean(axis=1)
    rows, weights = [], []
    for p in place:
        near = triangles[np.argsort(((middle - p) ** 2).sum(axis=1))[:40]]
        a, b, c = (base[near[:, k]] for k in range(3))
        v, w, u = b - a, c - a, p - a
        d = [np.einsum("nd,nd->n", x, y) for x, y in ((v, v), (v, w), (w, w), (u, v), (u, w))]
        below = np.maximum(d[0] * d[2] - d[1] * d[1], 1e-15)
        s = (d[2] * d[3] - d[1] * d[4]) / below
        t = (d[0] * d[4] - d[1] * d[3]) / below
        share = np.clip(np.stack([1 - s - t, s, t], axis=1), 0, None)
        share /= share.sum(axis=1, keepdims=True)
        off = np.linalg.norm(np.einsum("nk,nkd->nd", share, base[near]) - p, axis=1)
        best = int(off.argmin())
        rows.append(near[best])
        weights.append(share[best])
    return np.asarray(rows), np.asarray(weights)


def on_line(line: Indices, base: F64, x: F64) -> tuple[Indices, F64]:
    """Vertices and weights (N, 3) of the places at (N,) x along a line of fine vertices."""
    along = np.maximum.accumulate(base[line, 0])
    at = np.clip(np.searchsorted(along, x, side="right") - 1, 0, len(line) - 2)
    part = np.clip((x - along[at]) / np.maximum(along[at + 1] - along[at], 1e-12), 0, 1)
    vertices = np.stack([line[at], line[at + 1], line[at + 1]], axis=1)
    return vertices, np.stack([1 - part, part, np.zeros_like(part)], axis=1)


def fine_line(kit: Kit, coarse: Indices) -> Indices:
    """A line of coarse skin points with the edges' middles between them."""
    edges = {(int(a), int(b)): i for i, (a, b) in enumerate(kit.steps.edges)}
    out = [int(coarse[0])]
    for a, b in zip(coarse[:-1].tolist(), coarse[1:].tolist(), strict=True):
        out += [kit.steps.coarse.count + edges[min(a, b), max(a, b)], b]
    return np.asarray(out)


def mirrored() -> Indices:
    """(478,) the landmark on the face's other side, from the package's face model."""
    from models import facemodel

    return np.asarray(facemodel.load().mirror, np.int64)


def fit(folder: Path, kit: Kit) -> LandmarkMap:
    """The map from people 0 to `PEOPLE`."""
    base = kit.steps.apply(kit.base.points[kit.skin])
    places, squares = [], []
    for number in range(PEOPLE):
        head = Head(kit, sitter(number))
        for row, turn in enumerate(TURNS):
            path = folder / f"{number:02d}-{row}.npy"
            if path.exists():
                place, square = cast(kit, head, turn, np.load(path).astype(np.float64))
                places.append(place)
                squares.append(square)
    middle = _consistent(np.stack(places), np.stack(squares))
    flip = middle[mirrored()] * (-1.0, 1.0, 1.0)
    middle = (middle + flip) / 2
    triangles = kit.steps.fine.triangles()[np.tile(~kit.cavity, 2)]
    vertices, weights = nearest(middle, base, triangles)
    _lips(kit, base, middle, vertices, weights)
    _lids(kit, base, middle, vertices, weights)
    eyes = _irises(kit, vertices, weights)
    return LandmarkMap(
        vertices.astype(np.int32), weights.astype(np.float32), kit.steps.fine.count, eyes
    )


def _consistent(places: F64, squares: F64) -> F64:
    """(478, 3) weighted middles of (P, 478, 3) places, strays left out."""
    weight = np.where(squares > 0.35, squares, 1e-6)
    best = squares.max(axis=0, keepdims=True)
    weight = np.where((best < 0.35) & (squares > 0), squares + 1e-3, weight)
    middle = np.median(places, axis=0)
    for _ in range(6):
        off = np.linalg.norm(places - middle, axis=2)
        reach = np.median(off, axis=0) + 1e-6
        now = weight / (1 + (off / reach) ** 2)
        middle = np.einsum("pn,pnd->nd", now, places) / now.sum(axis=0)[:, None]
    return np.asarray(middle)


def _lips(kit: Kit, base: F64, middle: F64, vertices: Indices, weights: F64) -> None:
    """Inner lips lie on the rims where the lips meet, over each other, evenly left and right."""
    pair = (middle[topology.UPPER_INNER_LIP, 0] + middle[topology.LOWER_INNER_LIP, 0]) / 2
    pair = (pair - pair[::-1]) / 2
    for own, rim in (
        (topology.UPPER_INNER_LIP, kit.upper_rim),
        (topology.LOWER_INNER_LIP, kit.lower_rim),
    ):
        line = fine_line(kit, rim)
        x = pair / abs(pair[0]) * abs(base[line[0], 0])
        vertices[own], weights[own] = on_line(line, base, x)


def _lids(kit: Kit, base: F64, middle: F64, vertices: Indices, weights: F64) -> None:
    """The eyes' outlines lie on the lids' rims, at the share of the eye's width seen."""
    skin = kit.base.points[kit.skin]
    left = int(np.flatnonzero(kit.skin == LID_START)[0])
    mirror = skin[left] * (-1.0, 1.0, 1.0)
    right = int(((skin - mirror) ** 2).sum(axis=1).argmin())
    for start, upper, lower in zip(
        (right, left), topology.UPPER_LIDS, topology.LOWER_LIDS, strict=True
    ):
        loop = kits.closed_line(kit.steps.coarse, start)
        x = skin[loop, 0]
        ends = (loop.index(loop[int(x.argmin())]), loop.index(loop[int(x.argmax())]))
        for own, half in zip((upper, lower), kits.halves(loop, ends), strict=True):
            line = fine_line(kit, half)
            low, high = base[line[0], 0], base[line[-1], 0]
            share = (middle[own, 0] - middle[own[0], 0]) / (middle[own[-1], 0] - middle[own[0], 0])
            vertices[own], weights[own] = on_line(line, base, low + share * (high - low))


def _irises(kit: Kit, vertices: Indices, weights: F64) -> int:
    """Irises: the middle of the eye's picture of one, then its right, top, left and bottom."""
    eyes = kit.part("eyes", "high-poly")
    points = eyes.proxy.fit(kit.base.points)
    flat = eyes.surface
    triangles, uv = flat.triangles(), flat.triangle_uv()
    shell = (uv[..., 0].mean(axis=1) > 0.87) & (uv[..., 1].mean(axis=1) < 0.13)
    first = kit.steps.fine.count
    for own in topology.IRISES:
        # MediaPipe's first iris is on the picture's left, the person's right eye.
        side = points[triangles].mean(axis=1)[:, 0] * (-1.0 if own[0] == 468 else 1.0) > 0
        for centre in IRIS_UV:
            ring = [np.asarray(centre)] + [
                np.asarray(centre) + IRIS_RADIUS_UV * np.asarray([np.cos(a), np.sin(a)])
                for a in np.linspace(0, 2 * np.pi, 120, endpoint=False)
            ]
            hits = [_within(uv, q, side & ~shell) for q in ring]
            if any(h is None for h in hits):
                continue
            found = [(triangles[h[0]], h[1]) for h in hits if h is not None]
            at = np.asarray([w @ points[t] for t, w in found[1:]])
            order = [at[:, 0].argmax(), at[:, 1].argmax(), at[:, 0].argmin(), at[:, 1].argmin()]
            for landmark, pick in zip(own, [0, *(1 + int(o) for o in order)], strict=True):
                vertices[landmark] = found[pick][0] + first
                weights[landmark] = found[pick][1]
    return len(points)


def _within(uv: F64, q: F64, allowed: Indices) -> tuple[int, F64] | None:
    """The triangle that holds a texture coordinate, and the corners' shares."""
    a, b, c = (uv[:, k] for k in range(3))
    area = np.cross(b - a, c - a)
    safe = np.where(np.abs(area) < 1e-12, 1.0, area)
    of_b, of_c = np.cross(q - a, c - a) / safe, np.cross(b - a, q - a) / safe
    share = np.stack([1 - of_b - of_c, of_b, of_c], axis=1)
    inside = (share.min(axis=1) > -1e-6) & allowed & (np.abs(area) > 1e-12)
    rows = np.flatnonzero(inside)
    return (int(rows[0]), share[rows[0]]) if len(rows) else None


def measure(folder: Path, most: int = 40) -> str:
    """How far made people's landmarks lie from MediaPipe's own, the mean over jittered crops.

    Percent of the distance between the irises' middles, over the first `most` people's portraits
    and first shots; z after the shift that fits best.
    """
    from models.avatars.render.lids import LandmarkError
    from models.avatars.render.package import landmarks

    away: list[F64] = []
    deep: list[F64] = []
    for path in list(store.people(folder))[:most]:
        made = store.load(path)
        for picture, mine in zip((made.portrait, made.shots[0]), made.landmarks, strict=False):
            try:
                theirs = landmarks(picture, 8)
            except LandmarkError as error:
                sys.stderr.write(f"{path.name}: {error}\n")
                continue
            apart = np.linalg.norm(mine[468, :2] - mine[473, :2])
            off = theirs - mine
            away.append(100 * np.linalg.norm(off[:, :2], axis=1) / apart)
            deep.append(100 * np.abs(off[:, 2] - np.median(off[:, 2])) / apart)
    table = np.asarray(away)
    lines = [f"{name}: {table[:, rows].mean():.2f} %" for name, rows in GROUPS.items()]
    return f"{len(table)} pictures; {', '.join(lines)}; z: {np.mean(deep):.2f} %"


def main() -> None:
    """Reads the arguments and does one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("render", "detect", "fit", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path, help="folder with base.obj; for render and fit")
    wanted = parser.parse_args()
    if wanted.step == "detect":
        detect(wanted.folder)
        return
    if wanted.step == "measure":
        sys.stdout.write(measure(wanted.folder) + "\n")
        return
    if wanted.assets is None:
        parser.error(f"{wanted.step} needs --assets")
    kit = kits.read(wanted.assets)
    if wanted.step == "render":
        render(wanted.folder, kit)
        return
    table = fit(wanted.folder, kit)
    np.savez_compressed(
        PATH,
        vertices=table.vertices,
        weights=table.weights,
        skin_points=np.int32(table.skin_points),
        eye_points=np.int32(table.eye_points),
    )


if __name__ == "__main__":
    main()
