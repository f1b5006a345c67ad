"""Makes people: a portrait and shots of each, with landmarks, masks and flow. Needs `bpy`."""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import kit as kits
from . import landmarks, lens, raster, store
from .head import Head, Posed
from .kit import Kit
from .lens import Lens
from .mesh import F64
from .raster import Layer, Seen
from .studio import Studio, shells
from .traits import Traits, person, portrait, shot

Bytes = npt.NDArray[np.uint8]
INSIDE = ("cavity", "teeth", "tongue")
LOWER = 0.045
"""The face's middle lies this much below the picture's, to leave room for hair."""


def make(
    folder: Path, kit: Kit, seed: int, count: int, px: int, samples: int, threads: int
) -> Path:
    """Makes one person with `count` shots and writes the file."""
    traits = person(seed)
    shots = [portrait(traits), *(shot(traits, number) for number in range(count))]
    head = Head(kit, traits)
    poses = [head.pose(s) for s in shots]
    table = landmarks.load()
    marks = [table.place(p.points["skin"], p.points["eyes"]) for p in poses]
    stage = traits.stage
    x, y = stage.centre
    camera = lens.framing(stage.distance_m, marks[0], stage.face_width, (x, y + LOWER), px)
    flat = np.stack([camera.project(m) for m in marks]).astype(np.float32)
    studio = Studio(kit, head, poses[0], camera)
    exposure = studio.expose(_face(flat[0], px), threads)
    cells = np.stack([studio.shoot(p, samples, threads, exposure) for p in poses])
    layers = [_layers(kit, head, p, camera, studio.still()) for p in poses]
    seen = [raster.see(part, px) for part in layers]
    rgb = _compose(cells, backdrop(traits, px))
    made = store.Made(
        seed=seed,
        portrait=rgb[0],
        shots=rgb[1:],
        landmarks=flat,
        mattes=cells[..., 3],
        mouths=np.stack([_mouth(s, part) for s, part in zip(seen, layers, strict=True)]),
        flows=np.stack([raster.flow(s, seen[0], layers[0]) for s in seen[1:]]),
        about={"traits": asdict(traits), "pictures": [asdict(s) for s in shots]},
    )
    return store.save(folder, made)


def make_all(
    folder: Path, assets: Path, seeds: range, count: int, px: int, samples: int, threads: int
) -> int:
    """Makes the people of `seeds` that are not in the folder yet; returns how many it made."""
    todo = [seed for seed in seeds if not store.path_of(folder, seed).exists()]
    if not todo:
        return 0
    kit = kits.read(assets)
    for done, seed in enumerate(todo, 1):
        began = time.perf_counter()
        make(folder, kit, seed, count, px, samples, threads)
        took = time.perf_counter() - began
        sys.stderr.write(f"person {seed}: {took:.1f} s ({done} of {len(todo)})\n")
    return len(todo)


def backdrop(traits: Traits, px: int) -> F64:
    """(px, px, 3) float64 sRGB in [0, 1]: a plain colour or a gradient."""
    one, other, way = traits.stage.backdrop
    across = (np.arange(px) + 0.5) / px - 0.5
    angle = np.radians(way)
    along = across[None, :] * np.cos(angle) + across[:, None] * np.sin(angle)
    share = np.clip(along / np.sqrt(2) + 0.5, 0, 1)[..., None]
    return np.asarray((1 - share) * np.asarray(one) + share * np.asarray(other))


def _compose(cells: Bytes, behind: F64) -> Bytes:
    alpha = cells[..., 3:] / 255
    out = cells[..., :3] / 255 * alpha + behind * (1 - alpha)
    return np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8)


def _face(points: npt.NDArray[np.float32], px: int) -> tuple[int, int, int, int]:
    """The middle of the face, without hair: from brows to chin, cheek to cheek; in thousandths."""
    left, right = points[[50, 280], 0]
    top, bottom = points[[9, 200], 1]
    box = np.clip(np.asarray([left, top, right, bottom]) / px * 1000, 0, 1000)
    a, b, c, d = (int(v) for v in box)
    return min(a, 800), min(b, 800), max(c, min(a, 800) + 100), max(d, min(b, 800) + 100)


def _layers(
    kit: Kit, head: Head, posed: Posed, camera: Lens, still: tuple[F64, npt.NDArray[np.int64]]
) -> list[Layer]:
    """What hides what in a picture; the order is the same in all pictures of a person."""

    def flat(points: F64) -> F64:
        out = camera.project(points)
        out[:, 2] = points[:, 1] + camera.distance_m
        return out

    skin = flat(posed.points["skin"])
    triangles = kit.steps.fine.triangles()
    cavity = np.tile(kit.cavity, 2)
    eyes = head.parts["eyes"].surface
    found = [
        Layer("skin", skin, triangles[~cavity]),
        Layer("cavity", skin, triangles[cavity], one_sided=False),
        Layer("eyes", flat(posed.points["eyes"]), eyes.triangles()[np.tile(~shells(eyes), 2)]),
        Layer("teeth", flat(posed.points["teeth"]), head.parts["teeth"].surface.triangles()),
        Layer("tongue", flat(posed.points["tongue"]), head.tongue.fine.triangles()),
        Layer("shirt", flat(still[0]), still[1], one_sided=False),
    ]
    if "hair" in head.parts:
        hair = head.parts["hair"].surface
        found.append(
            Layer(
                "hair",
                flat(posed.points["hair"]),
                hair.triangles(),
                one_sided=False,
                uv=hair.triangle_uv(),
                cover=_cover(kit, head.traits.hair),
            )
        )
    return found


def _cover(kit: Kit, hair: str) -> npt.NDArray[np.bool_]:
    path = kit.folder / "hair" / hair / f"{hair}_diffuse_512.png"
    with Image.open(path) as opened:
        return np.asarray(np.asarray(opened.convert("RGBA"))[..., 3] > 127)


def _mouth(seen: Seen, layers: list[Layer]) -> Bytes:
    inside = [number for number, layer in enumerate(layers) if layer.name in INSIDE]
    return np.asarray(np.isin(seen.layer, inside) * np.uint8(255), np.uint8)
