"""The studio: a person's meshes in front of a camera, under soft lights."""

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

# isort: split
import bmesh  # only there once bpy is
import mathutils

from . import assets, hair, locks, materials
from .assets import Floats, Mesh
from .people import Person, Sculpt, Style

METRES = 0.1
"""MakeHuman's decimetre."""
CAMERA_M = 1.3
"""From the eyes to the camera."""
FRAME_M = 0.335
"""Width of the picture in the plane of the eyes."""
HEAD_MIDDLE = (0.0, 0.08, 0.0)
EYES_AT = 0.42
"""Height of the eyes in the picture, from the top."""


def to_scene(points: Floats, origin: Floats) -> Floats:
    """(N, 3) MakeHuman points as scene metres: x right in the picture, y away, z up; eyes at 0."""
    moved = (points - origin) * METRES
    return np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], axis=1)


def clear() -> None:
    """An empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def add_mesh(name: str, mesh: Mesh, origin: Floats, material: Any, subdivide: int = 0) -> Any:
    """Puts a mesh into the scene, without the points that no face uses."""
    used = sorted({v for face in mesh.faces for v in face})
    index = {v: i for i, v in enumerate(used)}
    data = bpy.data.meshes.new(name)
    data.from_pydata(
        to_scene(mesh.points[used], origin).tolist(),
        [],
        [[index[v] for v in face] for face in mesh.faces],
    )
    layer = data.uv_layers.new(name="uv")
    flat = np.asarray([c for corner in mesh.corners for c in corner])
    layer.data.foreach_set("uv", mesh.uv[flat].astype(np.float32).ravel())
    data.materials.append(material)
    data.shade_smooth()
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    if subdivide:
        made.modifiers.new("smooth", "SUBSURF").render_levels = subdivide
    return made


def add_light(name: str, place: Floats, size_m: float, watts: float, kelvin_tint: Any) -> Any:
    """A square soft light at `place` that looks at the face."""
    data = bpy.data.lights.new(name, "AREA")
    data.size = size_m
    data.energy = watts
    data.color = kelvin_tint
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    made.location = place
    aim = np.asarray([0.0, 0.03, -0.04]) - np.asarray(place)
    made.rotation_euler = _look(aim)
    return made


def _look(aim: Floats) -> tuple[float, float, float]:
    """Euler angles that turn a thing's -z axis along `aim`, its x axis level."""
    flat = math.hypot(aim[0], aim[1])
    return (math.atan2(flat, -aim[2]), 0.0, math.atan2(-aim[0], aim[1]))


def add_camera() -> None:
    """A portrait lens at eye height, a little out of focus behind the ears."""
    data = bpy.data.cameras.new("camera")
    data.sensor_width = 36.0
    data.lens = 36.0 * CAMERA_M / FRAME_M
    data.shift_y = EYES_AT - 0.5
    data.dof.use_dof = True
    data.dof.focus_distance = CAMERA_M - 0.01
    data.dof.aperture_fstop = 11.0
    made = bpy.data.objects.new("camera", data)
    made.location = (0.0, -CAMERA_M, 0.0)
    made.rotation_euler = (math.pi / 2, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(made)
    bpy.context.scene.camera = made


def light_studio() -> None:
    """A big warm key from the upper left, a cool fill, two rims, and a dim room."""
    add_light("key", np.asarray([-0.75, -1.0, 0.60]), 0.70, 26.0, (1.0, 0.95, 0.88))
    add_light("fill", np.asarray([1.0, -1.0, 0.05]), 1.2, 9.0, (0.90, 0.95, 1.0))
    add_light("rim-right", np.asarray([0.8, 0.75, 0.45]), 0.7, 7.0, (1.0, 0.97, 0.93))
    add_light("rim-left", np.asarray([-0.9, 0.8, 0.35]), 0.7, 4.0, (0.92, 0.96, 1.0))
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.75, 0.82, 0.9, 1.0)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.22
    bpy.context.scene.world = world


def add_eyes(person: Person, folder: Path, points: Floats, origin: Floats) -> None:
    """Both eyes, each turned to the camera; the clear shell apart from the ball."""
    mesh = assets.fitted(folder / "eyes", "high-poly", points)
    centres = [mesh.uv[list(corner)].mean(axis=0) for corner in mesh.corners]
    shell = [c[0] > 0.87 and c[1] < 0.13 for c in centres]
    for side in (1.0, -1.0):
        rows = mesh.points[:, 0] * side > 0
        centre = (mesh.points[rows].min(axis=0) + mesh.points[rows].max(axis=0)) / 2
        turn = -side * math.atan2(abs(centre[0]), CAMERA_M / METRES)
        c, s = math.cos(turn), math.sin(turn)
        about_y = np.asarray([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        mesh.points[rows] = (mesh.points[rows] - centre) @ about_y.T + centre
    ball = mesh.only([not x for x in shell])
    if person.painted_iris is None:
        add_mesh("eyes", ball, origin, materials.eyeball(person, folder), 1)
    else:
        for side in (1.0, -1.0):
            one = ball.only([ball.points[face[0], 0] * side > 0 for face in ball.faces])
            place = to_scene(one.points[sorted({v for f in one.faces for v in f})], origin)
            centre = (place.min(axis=0) + place.max(axis=0)) / 2
            radius = float(np.ptp(place[:, 2])) / 2
            shade = materials.painted_eyeball(person.painted_iris, centre, radius)
            add_mesh("eyes", one, origin, shade, 1)
    if any(shell) and person.painted_iris is None:
        add_mesh("corneas", mesh.only(shell), origin, materials.cornea(), 1)


def add_shirt(person: Person, body: Mesh, origin: Floats, at: dict[str, Floats]) -> None:
    """A crew-neck shirt: the body below a tilted plane through the neck's root, puffed out."""
    shirt = add_mesh("shirt", body, origin, materials.cloth(person.shirt), 2)
    bake_modifiers(shirt)
    root = to_scene(at["neck"][None], origin)[0]
    work = bmesh.new()
    work.from_mesh(shirt.data)
    bmesh.ops.bisect_plane(
        work,
        geom=list(work.verts) + list(work.edges) + list(work.faces),
        plane_co=root + np.asarray([0.0, 0.0, person.collar_m]),
        plane_no=(0.0, -0.45, 1.0),
        clear_outer=True,
    )
    inner = [v for v in work.verts if not v.is_boundary]
    for _ in range(30):
        bmesh.ops.smooth_vert(
            work, verts=inner, factor=0.5, use_axis_x=True, use_axis_y=True, use_axis_z=True
        )
    work.normal_update()
    for vertex in work.verts:
        vertex.co += vertex.normal * 0.005
    rim = [e for e in work.edges if e.is_boundary and e.verts[0].co.z > root[2] - 0.06]
    band = _collar(rim, person.collar_even)
    work.to_mesh(shirt.data)
    work.free()
    shirt.data.shade_smooth()
    shirt.modifiers.new("thick", "SOLIDIFY").thickness = 0.002
    curve = bpy.data.curves.new("collar", "CURVE")
    curve.dimensions = "3D"
    curve.bevel_depth = 0.0045
    curve.bevel_resolution = 4
    line = curve.splines.new("POLY")
    line.points.add(len(band) - 1)
    for point, place in zip(line.points, band, strict=True):
        point.co = (*place, 1.0)
    line.use_cyclic_u = True
    curve.materials.append(shirt.data.materials[0])
    collar = bpy.data.objects.new("collar", curve)
    bpy.context.scene.collection.objects.link(collar)


def add_hair(person: Person, folder: Path, points: Floats, origin: Floats) -> None:
    """Strands over the person's hair mesh, and the mesh itself sunk and dark as undercoat."""
    mesh = assets.fitted(folder / "hair", person.hair, points)
    mesh.points = fluff(mesh.points, origin, person.fluff)
    path = folder / "hair" / person.hair / f"{person.hair}_diffuse_512.png"
    strands = hair.grow(mesh, to_scene(mesh.points, origin), path, person.style, person.seed)
    shade = hair.material(person.hair_colour, person.hair_vary)
    hair.add("hair", strands, person.style.radius_m, shade)
    red, green, blue = (person.undercoat_gain * c for c in person.hair_colour)
    plain = person.undercoat_plain
    coat = materials.card("undercoat", path, (red, green, blue), 0.9, plain=plain)
    under = add_mesh("undercoat", mesh, origin, coat, 1)
    bake_modifiers(under)
    for vertex in under.data.vertices:
        # Towards the head's middle: the cards' own normals point either way.
        inward = np.asarray(HEAD_MIDDLE) - np.asarray(vertex.co)
        inward[2] *= inward[2] < 0
        vertex.co += mathutils.Vector(inward / np.linalg.norm(inward) * person.undercoat_m)


def add_locks(person: Person, skin: Mesh, sculpt: Sculpt, origin: Floats) -> None:
    """A cartoon's locks, over a cap of the same colour that hides the scalp."""
    shade = locks.material(person.hair_colour)
    place = to_scene(skin.points, origin)
    middles = [place[list(face)].mean(axis=0) for face in skin.faces]
    scalp = skin.only([m[2] > 0.066 or (m[1] > 0.08 and m[2] > -0.03) for m in middles])
    cap = add_mesh("cap", scalp, origin, shade, 1)
    for vertex in cap.data.vertices:
        vertex.co += vertex.normal * 0.003
    used = place[sorted({v for face in skin.faces for v in face})]
    skull = locks.Skull(used[used[:, 2] > -0.1], np.asarray(HEAD_MIDDLE))
    locks.add(locks.plan(skull, sculpt, person.seed), shade)


def add_cropped_hair(person: Person, folder: Path, skin: Mesh, origin: Floats) -> None:
    """Close-cropped hair wherever the skin's picture shows a dark scalp."""
    left, top, right, bottom, full = materials.SKIN_CROP
    with Image.open(folder / "skins_head" / f"{person.skin}.jpg") as opened:
        grey = np.asarray(opened.convert("L"), np.float64)
    column = np.clip(skin.uv[:, 0] * full - left, 0, right - left - 1).astype(int)
    row = np.clip((1 - skin.uv[:, 1]) * full - top, 0, bottom - top - 1).astype(int)
    shade = np.clip((person.scalp_grey - grey[row, column]) / 14.0, 0, 1)
    place = to_scene(skin.points, origin)
    scalp = place[:, 2] > 0.035 - 0.9 * np.clip(place[:, 1] - 0.03, 0, 0.08)
    scalp &= (place[:, 2] > 0.045) | (place[:, 1] > 0.055)
    bald = np.ones(len(skin.uv))
    for face, corner in zip(skin.faces, skin.corners, strict=True):
        bald[list(corner)] = scalp[list(face)]
    strands = hair.crop(skin, place, shade * bald, person.style, person.seed)
    shade = hair.material(person.hair_colour, person.hair_vary)
    hair.add("hair", strands, person.style.radius_m, shade)


def add_beard(person: Person, skin: Mesh, beard: Style, jaw: Floats, origin: Floats) -> None:
    """A short beard on jaw, chin and upper lip, thinning out to the cheeks; the lips stay free."""
    place = to_scene(skin.points, origin)
    # Shut lips lie at this share of the way from the eyes down to the chin.
    lips_z = 0.69 * to_scene(jaw[None], origin)[0, 2]
    low = (place[:, 2] < lips_z + 0.06) & (place[:, 1] < 0.09)
    bears = np.zeros(len(skin.uv))
    for face, corner in zip(skin.faces, skin.corners, strict=True):
        bears[list(corner)] = low[list(face)]
    strands = hair.crop(skin, place, bears, beard, person.seed + 1)
    chance = np.random.default_rng(person.seed).random(len(strands))
    strands = strands[chance < _beard_share(strands[:, 0], lips_z)]
    shader = hair.material(person.hair_colour, person.hair_vary)
    hair.add("beard", strands, beard.radius_m, shader)


def _beard_share(roots: Floats, lips_z: float) -> Floats:
    """How densely a beard grows at (N, 3) scene points, 0 to 1."""
    x, z = np.abs(roots[:, 0]), roots[:, 2] - lips_z
    cheek = 0.005 + 0.95 * np.clip(x - 0.030, 0, None)
    share = np.clip((cheek - z) / 0.012, 0, 1)
    moustache = np.clip((0.014 - z) / 0.004, 0, 1) * np.clip((0.030 - x) / 0.008, 0, 1) * (z > 0)
    share = np.maximum(share, 0.8 * moustache)
    lips = np.hypot(x / 0.031, (z + 0.001) / 0.0085)
    share *= np.clip((lips - 1) / 0.3, 0, 1)
    return np.asarray(share * np.clip((z + 0.045) / 0.012, 0, 1) * (roots[:, 1] < 0.075))


def fluff(points: Floats, origin: Floats, amount: float) -> Floats:
    """Rounds the hair's outline: wider at the temples by a share `amount`, lower on top."""
    out = points.copy()
    height = (points[:, 1] - origin[1]) / 1.1
    out[:, 0] *= 1 + amount * np.exp(-(((height - 0.55) / 0.45) ** 2))
    top = height > 0.75
    out[top, 1] -= 1.1 * amount * 0.6 * (height[top] - 0.75)
    return np.asarray(out)


def bake_modifiers(made: Any) -> None:
    """Replaces an object's mesh with what its modifiers make of it."""
    seen = made.evaluated_get(bpy.context.evaluated_depsgraph_get())
    made.data = bpy.data.meshes.new_from_object(seen)
    made.modifiers.clear()


def _collar(rim: list[Any], even: int) -> Floats:
    """(N, 3) points round the longest loop of edges in `rim`, evened out."""
    nearest: dict[Any, list[Any]] = {}
    for edge in rim:
        a, b = edge.verts
        nearest.setdefault(a, []).append(b)
        nearest.setdefault(b, []).append(a)
    loops: list[list[Any]] = []
    left = set(nearest)
    while left:
        walk = [left.pop()]
        while True:
            onward = [v for v in nearest[walk[-1]] if v in left]
            if not onward:
                break
            walk.append(onward[0])
            left.discard(onward[0])
        loops.append(walk)
    loop = np.asarray([v.co[:] for v in max(loops, key=len)])
    for _ in range(even):
        loop = (np.roll(loop, 1, axis=0) + 2 * loop + np.roll(loop, -1, axis=0)) / 4
    return np.asarray(loop, np.float64)


def build(person: Person, folder: Path, targets: Path) -> None:
    """Everything before the camera, for the person given."""
    clear()
    base = assets.read_obj(folder / "base.obj")
    points = assets.shape(base, targets, person.shape)
    for joint, (gain, radius) in person.swell.items():
        points = assets.swell(points, assets.joints(points, base)[joint], gain, radius)
    at = assets.joints(points, base)
    origin = (at["l-eye"] + at["r-eye"]) / 2
    origin[2] += 0.12
    base.points = points
    body = base.group("body")
    low = origin[1] - 3.6
    body = body.only([points[face[0], 1] > low for face in body.faces])
    bare = at["neck"][1] - 0.62  # the shirt hides what is lower
    skin = body.only([points[face[0], 1] > bare for face in body.faces])
    skin = skin.only([abs(points[face[0], 0]) < 0.95 for face in skin.faces])
    add_mesh("skin", skin, origin, materials.skin(person, folder), 2)
    add_shirt(person, body, origin, at)
    add_eyes(person, folder, points, origin)
    brows = assets.fitted(folder / "eyebrows", person.brows, points)
    path = folder / "eyebrows" / person.brows / f"{person.brows}.png"
    plain = person.sculpt is not None
    shade = materials.card("brows", path, person.brow_colour, 0.5, person.brow_cover, plain)
    add_mesh("brows", brows, origin, shade, 1)
    lashes = assets.fitted(folder / "eyelashes", person.lashes, points)
    path = folder / "eyelashes" / person.lashes / f"{person.lashes}.png"
    if not person.lower_lashes:
        eyes = (at["l-eye"][1] + at["r-eye"][1]) / 2
        lashes = lashes.only([lashes.points[list(f), 1].mean() > eyes for f in lashes.faces])
    black = materials.card("lashes", path, (0.3, 0.3, 0.3), 0.5, person.lash_cover)
    add_mesh("lashes", lashes, origin, black, 1)
    if person.sculpt:
        add_locks(person, skin, person.sculpt, origin)
    elif person.hair:
        add_hair(person, folder, points, origin)
    else:
        add_cropped_hair(person, folder, skin, origin)
    if person.beard:
        add_beard(person, skin, person.beard, at["jaw"], origin)
    add_camera()
    light_studio()


def render(
    path: Path,
    size_px: int,
    samples: int,
    threads: int,
    seed: int,
    view: tuple[str, str] = ("AgX", "AgX - Medium High Contrast"),
    exposure: float = 0.0,
) -> None:
    """Renders the scene to an RGBA PNG with a see-through background; see `Person` for the rest."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.cycles.samples = samples
    scene.cycles.seed = seed
    scene.cycles.use_adaptive_sampling = True
    scene.cycles.adaptive_threshold = 0.02
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.transparent_max_bounces = 32
    scene.cycles.max_bounces = 6
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = size_px
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform, scene.view_settings.look = view
    scene.view_settings.exposure = exposure
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)


def render_eyes(path: Path, size_px: int) -> None:
    """Renders what is seen of the eyeballs, white on black. The materials are spoilt."""
    scene = bpy.context.scene
    for thing in scene.objects:
        if thing.type == "LIGHT" or thing.name.startswith("lashes"):
            thing.hide_render = True
        elif thing.type != "CAMERA":
            seen = thing.name.startswith(("eyes", "corneas"))
            thing.data.materials.clear()
            thing.data.materials.append(materials.flat(1.0 if seen else 0.0))
    scene.world.node_tree.nodes["Background"].inputs[1].default_value = 0.0
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = size_px
    scene.render.image_settings.color_mode = "BW"
    scene.view_settings.view_transform, scene.view_settings.look = "Raw", "None"
    scene.view_settings.exposure = 0.0
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)
