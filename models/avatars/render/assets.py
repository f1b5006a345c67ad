"""MakeHuman's plain files as arrays: meshes, shape targets, and proxies fitted to the base mesh.

Units are MakeHuman's: decimetres, x to the person's left, y up, z out of the face.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class AssetError(Exception):
    """An asset is missing or is not in the form expected."""


@dataclass
class Mesh:
    """A polygon mesh with one texture coordinate a corner.

    Attributes:
        points: (V, 3) float64, decimetres.
        faces: vertex indices of each face, three or four.
        corners: indices into `uv`, one a corner, in step with `faces`.
        uv: (T, 2) float64 in [0, 1], v upwards.
        groups: name of the group each face belongs to.
    """

    points: Floats
    faces: list[tuple[int, ...]]
    corners: list[tuple[int, ...]]
    uv: Floats
    groups: list[str]

    def only(self, keep: list[bool]) -> "Mesh":
        """The faces marked in `keep`, over the same points."""
        rows = [i for i, wanted in enumerate(keep) if wanted]
        return Mesh(
            self.points,
            [self.faces[i] for i in rows],
            [self.corners[i] for i in rows],
            self.uv,
            [self.groups[i] for i in rows],
        )

    def group(self, name: str) -> "Mesh":
        """The faces of one group. Raises AssetError when there are none."""
        part = self.only([g == name for g in self.groups])
        if not part.faces:
            raise AssetError(f"no faces in group {name!r}, expected at least one")
        return part


def read_obj(path: Path) -> Mesh:
    """Reads vertices, texture coordinates, faces and groups of a Wavefront file."""
    points: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[tuple[int, ...]] = []
    corners: list[tuple[int, ...]] = []
    groups: list[str] = []
    group = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        if word == "v":
            points.append([float(x) for x in rest.split()[:3]])
        elif word == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif word == "g":
            group = rest.strip()
        elif word == "f":
            cells = [cell.split("/") for cell in rest.split()]
            faces.append(tuple(int(cell[0]) - 1 for cell in cells))
            textured = all(len(cell) > 1 and cell[1] for cell in cells)
            corners.append(tuple(int(cell[1]) - 1 if textured else 0 for cell in cells))
            groups.append(group)
    if not points or not faces:
        raise AssetError(f"{path.name}: {len(points)} points and {len(faces)} faces, expected some")
    return Mesh(
        np.asarray(points, np.float64),
        faces,
        corners,
        np.asarray(uv or [[0.0, 0.0]], np.float64),
        groups,
    )


def read_target(path: Path) -> tuple[npt.NDArray[np.int64], Floats]:
    """Reads a shape target: (M,) vertex indices and their (M, 3) displacements."""
    rows = [
        line.split()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    if any(len(row) != 4 for row in rows):
        raise AssetError(f"{path.name}: a line without 4 fields, expected index and x y z")
    table = np.asarray(rows, np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]


def shape(base: Mesh, targets: Path, weights: dict[str, float]) -> Floats:
    """The base mesh's (V, 3) points under weighted targets.

    A name such as `eyes/*-eye-scale-incr` stands for the left and the right side at once.
    """
    points = base.points.copy()
    for name, weight in weights.items():
        for side in ("l", "r") if "*" in name else ("",):
            rows, moves = read_target(targets / f"{name.replace('*', side)}.target")
            points[rows] += weight * moves
    return points


def swell(points: Floats, centre: Floats, gain: float, radius: float) -> Floats:
    """(V, 3) points, those within about `radius` of `centre` moved away from it by a share `gain`.

    Proxies are fitted afterwards, so eyeballs, brows and lashes grow with what they hang on.
    """
    away = points - centre
    near = np.exp(-((away**2).sum(axis=1, keepdims=True) / radius**2))
    return np.asarray(points + gain * near * away)


@dataclass
class Proxy:
    """How a proxy's vertices hang on the base mesh (the .mhclo form).

    Attributes:
        rows: (N, 3) base vertices each proxy vertex is tied to.
        weights: (N, 3) their weights.
        offsets: (N, 3) what is added, before scaling.
        scales: axis -> (base vertex, base vertex, distance at scale one).
    """

    rows: npt.NDArray[np.int64]
    weights: Floats
    offsets: Floats
    scales: dict[int, tuple[int, int, float]]

    def fit(self, base: Floats) -> Floats:
        """(N, 3) places of the proxy's vertices on a base mesh of (V, 3) points."""
        scale = np.ones(3)
        for axis, (a, b, distance) in self.scales.items():
            scale[axis] = abs(base[a, axis] - base[b, axis]) / distance
        placed = np.einsum("nk,nkd->nd", self.weights, base[self.rows])
        return np.asarray(placed + self.offsets * scale, np.float64)


def read_proxy(path: Path) -> Proxy:
    """Reads a .mhclo file."""
    scales: dict[int, tuple[int, int, float]] = {}
    table: list[list[float]] = []
    in_verts = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        cells = line.split()
        if not cells or cells[0].startswith("#"):
            continue
        if cells[0] == "verts":
            in_verts = True
        elif cells[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(cells[0][0])] = (int(cells[1]), int(cells[2]), float(cells[3]))
        elif cells[0] in ("weights", "delete_verts"):
            in_verts = False
        elif in_verts and cells[0].isdigit():
            numbers = [float(x) for x in cells]
            if len(numbers) == 1:
                numbers = [numbers[0]] * 3 + [1.0, 0.0, 0.0] + [0.0] * 3
            elif len(numbers) == 6:
                numbers += [0.0] * 3
            if len(numbers) != 9:
                raise AssetError(f"{path.name}: {len(cells)} fields in a line, expected 1, 6 or 9")
            table.append(numbers)
    cells_all = np.asarray(table, np.float64).reshape(-1, 9)
    return Proxy(cells_all[:, :3].astype(np.int64), cells_all[:, 3:6], cells_all[:, 6:], scales)


def fitted(folder: Path, name: str, base: Floats) -> Mesh:
    """The proxy `folder/name/name.obj` laid on the base mesh of (V, 3) points."""
    mesh = read_obj(folder / name / f"{name}.obj")
    proxy = read_proxy(folder / name / f"{name}.mhclo")
    if len(proxy.rows) != len(mesh.points):
        raise AssetError(
            f"{name}.mhclo: {len(proxy.rows)} rows, expected {len(mesh.points)} as in the mesh"
        )
    mesh.points = proxy.fit(base)
    return mesh


def joints(points: Floats, base: Mesh) -> dict[str, Floats]:
    """(3,) centres of the joint markers that frame the picture."""
    centres: dict[str, Floats] = {}
    for name in ("l-eye", "r-eye", "neck", "head", "mouth", "jaw", "l-clavicle", "l-shoulder"):
        part = base.group(f"joint-{name}")
        centres[name] = points[sorted({v for face in part.faces for v in face})].mean(axis=0)
    return centres
