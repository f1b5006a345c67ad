"""What every synthetic person is made from: MakeHuman's meshes, proxies and shape targets.

Units are MakeHuman's: decimetres, x to the person's left, y up, z out of the face.
"""

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.avatars.render import assets
from models.avatars.render.assets import AssetError, Mesh, Proxy

from .mesh import F64, Indices, Subdivision, Surface, subdivide

UPPER_RIM_START, LOWER_RIM_START = 474, 493
"""Base vertices in the middle of the upper and the lower lip, where the lips meet."""
CORNERS = (432, 7192)
"""Base vertices of the mouth's corners, the person's right one first."""
BARE_Y = 5.15
"""The shirt hides the body below this height of the unchanged base mesh."""
BARE_X = 0.95
TOOTH = 200
"""A connected piece of the teeth mesh with more faces than this is gums."""


@dataclass(frozen=True)
class Part:
    """A proxy mesh tied to the base mesh.

    Attributes:
        surface: its faces; triangles have their last corner twice.
        proxy: how its points hang on the base mesh.
    """

    surface: Surface
    proxy: Proxy


@dataclass(frozen=True)
class Kit:
    """All that is read from the assets' folder, once.

    Attributes:
        folder: where pictures of skin, eyes and hair lie.
        base: the whole base mesh.
        targets: name -> vertices (M,), their moves (M, 3).
        skin: base vertices (S,) of the bare skin, in the order of its points.
        steps: one subdivision of the skin.
        upper_rim, lower_rim: indices into the skin's coarse points, from the person's right mouth
            corner to the left, corners in both.
        cavity: (Q,) bool, the fine skin faces inside the mouth.
    """

    folder: Path
    base: Mesh
    targets: dict[str, tuple[npt.NDArray[np.int64], F64]]
    skin: Indices
    steps: Subdivision
    upper_rim: Indices
    lower_rim: Indices
    cavity: npt.NDArray[np.bool_]

    def part(self, kind: str, name: str) -> Part:
        """A proxy such as `hair/bob02`."""
        mesh = assets.read_obj(self.folder / kind / name / f"{name}.obj")
        proxy = assets.read_proxy(self.folder / kind / name / f"{name}.mhclo")
        if len(proxy.rows) != len(mesh.points):
            raise AssetError(
                f"{name}.mhclo: {len(proxy.rows)} rows, expected {len(mesh.points)} as in the mesh"
            )
        return Part(surface(mesh), proxy)

    def rows(self, group: str) -> Indices:
        """The base vertices of a group of faces."""
        return np.unique(np.concatenate([np.asarray(f) for f in self.base.group(group).faces]))

    def moved(self, points: F64, weights: dict[str, float]) -> F64:
        """(V, 3) points under weighted targets; raises AssetError on an unknown one."""
        out = points.copy()
        for name, weight in weights.items():
            if name not in self.targets:
                raise AssetError(f"no target {name!r} in head_targets.tar.gz")
            rows, moves = self.targets[name]
            out[rows] += weight * moves
        return out


def surface(mesh: Mesh) -> Surface:
    """A mesh's faces as quads; a triangle repeats its last corner."""
    quads = np.asarray([face if len(face) == 4 else (*face, face[-1]) for face in mesh.faces])
    corners = np.asarray([c if len(c) == 4 else (*c, c[-1]) for c in mesh.corners])
    return Surface(len(mesh.points), quads.astype(np.int64), mesh.uv[corners])


def read(folder: Path) -> Kit:
    """Reads the assets. Raises AssetError when the folder is not one of them."""
    packed = folder / "head_targets.tar.gz"
    for path in (folder / "base.obj", packed):
        if not path.is_file():
            raise AssetError(f"{path} is not there, expected MakeHuman's head assets")
    base = assets.read_obj(folder / "base.obj")
    body = base.group("body")
    keep = [
        base.points[face[0], 1] > BARE_Y and abs(base.points[face[0], 0]) < BARE_X
        for face in body.faces
    ]
    bare = body.only(keep)
    whole = surface(bare)
    skin, quads = np.unique(whole.quads, return_inverse=True)
    steps = subdivide(Surface(len(skin), quads.reshape(-1, 4), whole.uv))
    index = {int(v): i for i, v in enumerate(skin)}
    loop = closed_line(steps.coarse, index[UPPER_RIM_START], index[LOWER_RIM_START])
    right, left = (loop.index(index[c]) for c in CORNERS)
    upper, lower = halves(loop, (right, left))
    cavity = _inside(steps.coarse, loop, base.points[skin])
    return Kit(folder, base, _targets(packed), skin, steps, upper, lower, np.repeat(cavity, 4))


def _targets(packed: Path) -> dict[str, tuple[npt.NDArray[np.int64], F64]]:
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(packed) as archive:
            archive.extractall(scratch, filter="data")
        root = Path(scratch) / "targets"
        for path in sorted(root.rglob("*.target")):
            found[path.relative_to(root).with_suffix("").as_posix()] = assets.read_target(path)
    return found


def closed_line(flat: Surface, start: int, through: int | None = None) -> list[int]:
    """The closed line of edges that goes straight on from `start`, and passes `through`.

    Raises:
        AssetError: there is none.
    """
    faces_at: dict[int, set[int]] = {}
    for row, quad in enumerate(flat.quads.tolist()):
        for v in quad:
            faces_at.setdefault(v, set()).add(row)

    def beside(v: int) -> set[int]:
        near: set[int] = set()
        for row in faces_at[v]:
            quad = flat.quads[row].tolist()
            at = quad.index(v)
            near |= {quad[at - 1], quad[(at + 1) % 4]}
        return near

    for first in sorted(beside(start)):
        walk = [start, first]
        while walk[-1] != start and len(walk) < 100:
            shared = faces_at[walk[-2]] & faces_at[walk[-1]]
            near = {v for row in shared for v in flat.quads[row].tolist()}
            onward = beside(walk[-1]) - near
            if len(onward) != 1:
                break
            walk.append(onward.pop())
        if walk[-1] == start and (through is None or through in walk):
            return walk[:-1]
    raise AssetError(f"no closed line of edges from vertex {start} through {through}")


def halves(loop: list[int], ends: tuple[int, int]) -> tuple[Indices, Indices]:
    """The half of a loop that holds its start, then the other; both from place `ends[0]` to
    `ends[1]`."""
    first, last = ends
    turned = loop[first:] + loop[:first]
    turn = (last - first) % len(loop)
    one, other = turned[: turn + 1], [turned[0], *turned[turn:][::-1]]
    # A start at an end would lie in both; none is.
    upper, lower = (one, other) if loop[0] in one else (other, one)
    return np.asarray(upper), np.asarray(lower)


def _inside(flat: Surface, loop: list[int], points: F64) -> npt.NDArray[np.bool_]:
    """(Q,) bool: faces beyond the loop, on the side of the mouth's cavity."""
    walls = {frozenset(pair) for pair in zip(loop, loop[1:] + loop[:1], strict=True)}
    beside: dict[frozenset[int], list[int]] = {}
    for row, quad in enumerate(flat.quads.tolist()):
        for a, b in zip(quad, quad[1:] + quad[:1], strict=True):
            beside.setdefault(frozenset((a, b)), []).append(row)
    # Of the two faces at the upper lip's middle the one farther back lies inside.
    wall = frozenset((loop[0], loop[1]))
    seed = min(beside[wall], key=lambda row: float(points[flat.quads[row], 2].mean()))
    inside = np.zeros(len(flat.quads), bool)
    todo = [seed]
    inside[seed] = True
    while todo:
        quad = flat.quads[todo.pop()].tolist()
        for a, b in zip(quad, quad[1:] + quad[:1], strict=True):
            if frozenset((a, b)) in walls:
                continue
            for row in beside[frozenset((a, b))]:
                if not inside[row]:
                    inside[row] = True
                    todo.append(row)
    return inside
