"""One person in Blender: meshes that are posed again for every shot, and quick pictures of them."""

import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import bpy
import numpy as np
import numpy.typing as npt
from PIL import Image

from models.avatars.render import materials, scene
from models.avatars.render.assets import Mesh
from models.avatars.render.graph import Graph
from models.avatars.render.people import Person

from .head import Head, Posed, turn
from .kit import TOOTH, Kit
from .lens import Lens
from .mesh import F64, Surface, pieces
from .traits import Colour, Light, Traits

Bytes = npt.NDArray[np.uint8]
LAMP_M = 1.3
"""From the face to every lamp."""
SHIRT_FROM, SHIRT_TO = -3.6, 0.9
"""Body that the shirt is cut from: from the eyes, and from the neck's root, decimetres."""
PREVIEW_PX = 64
FLESH = (0.22, 0.05, 0.045, 1.0)
"""The mouth's inner walls, linear."""
GREY = 0.5
FADE_M = 0.015
"""Depth behind the lips over which a mouth's own light falls to a third."""


class Glow(NamedTuple):
    """Sockets of a material that glows: the depth of the lips, and how much light is added there.

    Light is a radiance over the colour it falls on, so that 1 glows as white paper would.
    """

    begin: Any
    strength: Any


class Studio:
    """A person set up for pictures; call `shoot` for each pose.

    Making another one clears the scene of the one before.
    """

    def __init__(self, kit: Kit, head: Head, posed: Posed, lens: Lens) -> None:
        self.kit, self.head, self.lens = kit, head, lens
        self.traits = head.traits
        self._made: dict[str, Any] = {}
        self._glows: list[Glow] = []
        scene.clear()
        self._person = _as_person(self.traits)
        self._skin(posed)
        self._mouth(posed)
        self._eyes(posed)
        self._cards(posed)
        self._shirt()
        _camera(lens)
        for lamp in self.traits.stage.lights:
            _lamp(lamp)
        _room(self.traits)

    def _add(self, name: str, posed: Posed, flat: Surface, material: Any) -> Any:
        made = put(name, posed.points[name], flat, material)
        self._made.setdefault(name, made)
        return made

    def _skin(self, posed: Posed) -> None:
        material = materials.skin(self._person, self.kit.folder)
        _cheap(material, self.traits.skin.roughness)
        _node(material, "HUE_SAT").inputs["Hue"].default_value = self.traits.skin.hue
        made = self._add("skin", posed, self.kit.steps.fine, material)
        flesh = _flesh()
        self._glows.append(_glow(flesh))
        made.data.materials.append(flesh)
        made.data.polygons.foreach_set("material_index", self.kit.cavity.astype(np.int32))

    def _mouth(self, posed: Posed) -> None:
        picture = self.kit.folder / "teeth" / "materials" / "teeth.png"
        pink = materials.glossy("gums", picture, (1.5, 1.05, 1.0), 0.38, 0.003, 0.75)
        enamel = materials.glossy("enamel", picture, self.traits.teeth_gain, 0.26, 0.0015, 0.5)
        teeth = self.head.parts["teeth"].surface
        made = self._add("teeth", posed, teeth, enamel)
        made.data.materials.append(pink)
        made.data.polygons.foreach_set("material_index", (pieces(teeth) > TOOTH).astype(np.int32))
        picture = self.kit.folder / "tongue" / "tongue01" / "tongue01_diffuse.png"
        flesh = materials.glossy("tongue", picture, (0.80, 0.52, 0.50), 0.42, 0.003, 0.8)
        self._add("tongue", posed, self.head.tongue.fine, flesh)
        for material in (pink, enamel, flesh):
            _cheap(material)
            self._glows.append(_glow(material))

    def _eyes(self, posed: Posed) -> None:
        flat = self.head.parts["eyes"].surface
        # The clear shell before each ball all but touches it; the ball itself is wet instead.
        bare = ~shells(flat)
        ball = Surface(flat.count, flat.quads[bare], flat.uv[bare])
        material = materials.eyeball(self._person, self.kit.folder)
        _cheap(material, 0.12)
        _node(material, "BSDF_PRINCIPLED").inputs["Specular IOR Level"].default_value = 0.45
        _node(material, "HUE_SAT").inputs["Hue"].default_value = self.traits.eye_hue
        self._add("eyes", posed, ball, material)

    def _cards(self, posed: Posed) -> None:
        folder, who = self.kit.folder, self.traits
        for kind, name, tint, cover in (
            ("eyebrows", who.brows, None, who.brow_cover),
            ("eyelashes", who.lashes, (0.3, 0.3, 0.3), 0.65),
            ("hair", who.hair, None, 1.0),
        ):
            if not name:
                continue
            part = {"eyebrows": "brows", "eyelashes": "lashes"}.get(kind, kind)
            ending = "_diffuse_512" if kind == "hair" else ""
            path = folder / kind / name / f"{name}{ending}.png"
            tone = who.hair_colour if kind == "hair" else who.brow_colour
            gain = tint if kind == "eyelashes" else _tint(path, tone)
            material = materials.card(part, path, gain or (1.0, 1.0, 1.0), 0.55, cover)
            self._add(part, posed, self.head.parts[part].surface, material)
            _cheap(material)
            if part == "hair":
                _grey(material)

    def _shirt(self) -> None:
        """The shirt moves with the body alone, so it is made once."""
        head, base = self.head, self.kit.base
        points = turn(head.still - head.origin, self.traits.stage.torso) + head.origin
        at = {
            name: turn((p - head.origin)[None], self.traits.stage.torso)[0] + head.origin
            for name, p in head.at.items()
        }
        body = base.group("body")
        low, high = head.origin[1] + SHIRT_FROM, head.at["neck"][1] + SHIRT_TO
        body = body.only([low < head.still[face[0], 1] < high for face in body.faces])
        mesh = Mesh(points, body.faces, body.corners, body.uv, body.groups)
        scene.add_shirt(self._person, mesh, head.origin, at)

    def still(self) -> tuple[F64, npt.NDArray[np.int64]]:
        """Points (N, 3) and triangles (T, 3) of the clothes, which stay where they are."""
        points, triangles, count = [], [], 0
        graph = bpy.context.evaluated_depsgraph_get()
        for name in ("shirt", "collar"):
            made = bpy.data.objects[name].evaluated_get(graph)
            mesh = made.to_mesh()
            mesh.calc_loop_triangles()
            place = np.zeros(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", place)
            corner = np.zeros(3 * len(mesh.loop_triangles), np.int32)
            mesh.loop_triangles.foreach_get("vertices", corner)
            points.append(place.reshape(-1, 3).astype(np.float64))
            triangles.append(corner.reshape(-1, 3).astype(np.int64) + count)
            count += len(points[-1])
            made.to_mesh_clear()
        return np.concatenate(points), np.concatenate(triangles)

    def shoot(self, posed: Posed, samples: int, threads: int, exposure: float) -> Bytes:
        """(px, px, 4) uint8: sRGB and alpha, colours not multiplied by it."""
        for name, made in self._made.items():
            made.data.vertices.foreach_set("co", posed.points[name].astype(np.float32).ravel())
            made.data.update()
            made.update_tag()
        _settings(self.lens.px, samples, threads, self.traits, denoise=True)
        lips = float(posed.points["skin"][self.kit.upper_rim, 1].mean()) + self.lens.distance_m
        for glow in self._glows:
            glow.begin.default_value = lips
        bpy.context.scene.view_settings.exposure = exposure
        bpy.ops.render.render()
        return _result()

    def expose(self, face: tuple[int, int, int, int], threads: int) -> float:
        """The exposure in stops that gives the face its brightness in a coarse picture.

        The mouth's inside gets its light by what a grey face would need: too few bounces, and no
        way through teeth and flesh, would leave it black where people's is a third of the skin's.

        `face` is left, top, right, bottom in shares of 1000 of the picture.
        """
        _settings(PREVIEW_PX, 4, threads, self.traits, denoise=False)
        layer = bpy.context.view_layer
        layer.material_override = _grey_matter()
        grey = 2.0 ** -self._exposure(face)
        layer.material_override = None
        falling = self.traits.stage.brightness**2.2 / GREY * grey
        for glow in self._glows:
            glow.strength.default_value = self.traits.mouth_light * falling
        return self._exposure(face)

    def _exposure(self, face: tuple[int, int, int, int]) -> float:
        bpy.ops.render.render()
        left, top, right, bottom = (side * PREVIEW_PX // 1000 for side in face)
        low, high = -8.0, 8.0
        for _ in range(9):
            middle = (low + high) / 2
            bpy.context.scene.view_settings.exposure = middle
            seen = _result()[top:bottom, left:right, :3].mean() / 255
            low, high = (middle, high) if seen < self.traits.stage.brightness else (low, middle)
        return (low + high) / 2


def put(name: str, points: F64, flat: Surface, material: Any) -> Any:
    """A smooth mesh object in the scene."""
    data = bpy.data.meshes.new(name)
    thin = flat.quads[:, 2] == flat.quads[:, 3]
    faces = [q[:3] if t else q for q, t in zip(flat.quads.tolist(), thin.tolist(), strict=True)]
    data.from_pydata(points.tolist(), [], faces)
    corners = np.ones((len(flat.quads), 4), bool)
    corners[thin, 3] = False
    layer = data.uv_layers.new(name="uv")
    layer.data.foreach_set("uv", flat.uv[corners].astype(np.float32).ravel())
    data.materials.append(material)
    data.shade_smooth()
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    return made


def shells(eyes: Surface) -> npt.NDArray[np.bool_]:
    """(Q,) bool: faces of the clear shell before each eyeball; it has a corner of the texture."""
    middle = eyes.uv.mean(axis=1)
    return np.asarray((middle[:, 0] > 0.87) & (middle[:, 1] < 0.13))


def _as_person(who: Traits) -> Person:
    """What the built-in avatars' materials and shirt ask for."""
    return Person(
        name="synth",
        title="",
        skin=who.skin.name,
        skin_gain=who.skin.gain,
        skin_saturation=who.skin.saturation,
        skin_roughness=who.skin.roughness,
        eyes=who.eyes,
        eye_gain=who.eye_gain,
        shirt=who.shirt,
        collar_m=who.collar_m,
    )


def _node(material: Any, kind: str) -> Any:
    return next(node for node in material.node_tree.nodes if node.type == kind)


def _cheap(material: Any, roughness: float | None = None) -> None:
    """No bumps and no light under the surface: at few rays a pixel both are mostly noise."""
    shader = _node(material, "BSDF_PRINCIPLED")
    links = material.node_tree.links
    for link in [*shader.inputs["Normal"].links, *shader.inputs["Roughness"].links]:
        links.remove(link)
    if roughness is not None:
        shader.inputs["Roughness"].default_value = roughness
    for node in material.node_tree.nodes:
        if node.type == "TEX_IMAGE":
            node.interpolation = "Linear"
            _shrink(node.image)
    shader.inputs["Subsurface Weight"].default_value = 0.0
    shader.inputs["Coat Weight"].default_value = 0.0


def _glow(material: Any) -> Glow:
    """Lets a part of the mouth glow in its own colour, less the deeper it lies."""
    shader = _node(material, "BSDF_PRINCIPLED")
    g = Graph(material.node_tree, keep=True)
    links = shader.inputs["Base Color"].links
    colour = links[0].from_socket if links else shader.inputs["Base Color"].default_value
    depth = g.node("ShaderNodeCameraData").outputs["View Z Depth"]
    begin, strength = (g.node("ShaderNodeValue").outputs[0] for _ in range(2))
    behind = g.math("DIVIDE", g.math("SUBTRACT", begin, depth), FADE_M)
    light = g.math("MULTIPLY", strength, g.math("EXPONENT", behind))
    g.give(shader, {"Emission Color": colour, "Emission Strength": light})
    # It lights nothing else, so that no ray need look for it.
    material.cycles.emission_sampling = "NONE"
    return Glow(begin, strength)


def _grey_matter() -> Any:
    made = bpy.data.materials.new("grey")
    made.use_nodes = True
    g = Graph(made.node_tree)
    shader = g.node("ShaderNodeBsdfDiffuse", {"Color": (GREY, GREY, GREY, 1.0)})
    g.surface(shader.outputs[0])
    return made


def _shrink(image: Any) -> None:
    """Makes a picture about as fine as it will be seen: finer cells only become noise."""
    folder = Path(image.filepath).parent.parent.name
    most = {"eyes": 256, "teeth": 1024, "eyebrows": 256, "eyelashes": 256, "tongue": 256}
    limit = most.get(folder, 700)
    wide, high = image.size
    if max(wide, high) > limit:
        share = limit / max(wide, high)
        image.scale(round(wide * share), round(high * share))


def _flesh() -> Any:
    """The mouth's inner walls: dark, wet and red."""
    made = bpy.data.materials.new("flesh")
    made.use_nodes = True
    g = Graph(made.node_tree)
    wall = g.node("ShaderNodeBsdfPrincipled", {"Base Color": FLESH, "Roughness": 0.45})
    g.surface(wall.outputs[0])
    return made


def _tint(texture: Path, tone: Colour) -> Colour:
    """Factors that give a card's picture the mean colour `tone`."""
    with Image.open(texture) as opened:
        cells = np.asarray(opened.convert("RGBA").resize((128, 128)), np.float64) / 255
    mean = (cells[cells[..., 3] > 0.5, :3] ** 2.2).mean()
    red, green, blue = np.clip(np.asarray(tone) / np.maximum(mean, 1e-3), 0, 25).tolist()
    return red, green, blue


def _grey(material: Any) -> None:
    """Takes most colour from a card's picture, so that its tint alone gives the hue."""
    tree = material.node_tree
    picture = _node(material, "TEX_IMAGE")
    (link,) = picture.outputs["Color"].links
    goal = link.to_socket
    pale = tree.nodes.new("ShaderNodeHueSaturation")
    pale.inputs["Saturation"].default_value = 0.15
    tree.links.new(picture.outputs["Color"], pale.inputs["Color"])
    tree.links.new(pale.outputs[0], goal)


def _camera(lens: Lens) -> None:
    data = bpy.data.cameras.new("camera")
    data.sensor_width = 36.0
    data.lens = 36.0 * lens.focal
    data.shift_x, data.shift_y = -lens.shift[0], lens.shift[1]
    made = bpy.data.objects.new("camera", data)
    made.location = (0.0, -lens.distance_m, 0.0)
    made.rotation_euler = (math.pi / 2, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(made)
    bpy.context.scene.camera = made


def _lamp(lamp: Light) -> None:
    about, up = math.radians(lamp.round_deg), math.radians(lamp.up_deg)
    place = LAMP_M * np.asarray(
        [math.sin(about) * math.cos(up), -math.cos(about) * math.cos(up), math.sin(up)]
    )
    scene.add_light("lamp", place, lamp.size_m, lamp.watts, lamp.colour)


def _room(who: Traits) -> None:
    """Ambient light of one colour from above and another from below."""
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    tree = world.node_tree
    way = tree.nodes.new("ShaderNodeTexCoord")
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    scale = tree.nodes.new("ShaderNodeMapRange")
    scale.inputs[1].default_value = -1.0
    above, below = who.stage.ambient
    ramp.color_ramp.elements[0].color = (*below, 1.0)
    ramp.color_ramp.elements[1].color = (*above, 1.0)
    tree.links.new(way.outputs["Generated"], split.inputs[0])
    tree.links.new(split.outputs[2], scale.inputs[0])
    tree.links.new(scale.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], tree.nodes["Background"].inputs[0])
    # Smooth light needs no map of where it is bright, which takes longer than the picture.
    world.cycles.sampling_method = "NONE"
    bpy.context.scene.world = world


def _settings(px: int, samples: int, threads: int, who: Traits, denoise: bool) -> None:
    """Quick path tracing: few rays, few bounces, the denoiser does the rest."""
    now = bpy.context.scene
    now.render.engine = "CYCLES"
    now.render.threads_mode, now.render.threads = "FIXED", threads
    now.render.use_persistent_data = True
    now.render.film_transparent = True
    now.render.resolution_x = now.render.resolution_y = px
    now.render.resolution_percentage = 100
    now.render.image_settings.file_format = "PNG"
    now.render.image_settings.color_mode = "RGBA"
    now.render.image_settings.compression = 0
    now.view_settings.view_transform, now.view_settings.look = who.stage.view, who.stage.look
    cycles = now.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, who.seed
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = denoise
    cycles.denoiser, cycles.denoising_prefilter = "OPENIMAGEDENOISE", "NONE"
    cycles.denoising_quality = "BALANCED"
    cycles.use_light_tree = False
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 2, 2, 1
    cycles.transmission_bounces, cycles.transparent_max_bounces = 1, 12
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3.0


def _result() -> Bytes:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "picture.png"
        bpy.data.images["Render Result"].save_render(str(path))
        with Image.open(path) as opened:
            return np.array(opened.convert("RGBA"))
