"""Skin, eyes, hair, cloth: what light does on each surface."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, median_filter

from .assets import Floats
from .graph import Graph
from .people import Colour, Iris, Person

SKIN_CROP = (1290, 350, 2048, 1750, 2048)
"""Where skin pictures lie in the base mesh's texture: left, top, right, bottom, whole, px."""

BLUSHES = ((-0.037, -0.040, 0.028, 1.0), (0.037, -0.040, 0.028, 1.0), (0.0, -0.040, 0.016, 0.25))
"""Where skin blushes: x, z and radius in metres from between the eyes, and how much."""

CATCH_LIGHTS = ((-0.38, 0.42, 0.24, 0.9), (0.36, -0.38, 0.12, 0.35))
"""A cartoon eye's highlights: x, z and radius as shares of the iris's, and brightness."""


def rgba(colour: Colour) -> tuple[float, float, float, float]:
    """A colour without transparency."""
    return (*colour, 1.0)


def _material(name: str) -> tuple[Any, Graph]:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    return made, Graph(made.node_tree)


def _texture(graph: Graph, path: Path, vector: Any = None, image: Any = None) -> Any:
    image = image or bpy.data.images.load(str(path), check_existing=True)
    inputs: dict[str | int, Any] = {} if vector is None else {"Vector": vector}
    return graph.node(
        "ShaderNodeTexImage", inputs, image=image, extension="EXTEND", interpolation="Cubic"
    )


def _painted(path: Path, patch_px: int) -> Any:
    """A skin picture without pores and blemishes, as if painted; edges of the lips stay."""
    with Image.open(path) as opened:
        cells = np.asarray(opened.convert("RGB"), np.float32) / 255
    cells = median_filter(cells, (patch_px, patch_px, 1))
    cells = gaussian_filter(cells, (patch_px / 4, patch_px / 4, 0))
    high, wide, _ = cells.shape
    image = bpy.data.images.new(path.stem, wide, high)
    rows = np.concatenate([cells[::-1], np.ones((high, wide, 1), np.float32)], axis=2)
    image.pixels.foreach_set(np.ascontiguousarray(rows, np.float32).ravel())
    image.pack()
    return image


def _blush(g: Graph, strength: float) -> Any:
    """How red the skin is made where cheeks and the nose's tip are, by the place in the scene."""
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    spots: Any = 0.0
    for x, z, radius, share in BLUSHES:
        across = g.node(
            "ShaderNodeVectorMath", {0: place, 1: (1.0, 0.0, 1.0)}, operation="MULTIPLY"
        )
        far = g.node(
            "ShaderNodeVectorMath", {0: across.outputs[0], 1: (x, 0.0, z)}, operation="DISTANCE"
        ).outputs[1]
        near = g.math("SUBTRACT", 1.0, g.ramp(far, 0.0, radius))
        spots = g.math("ADD", spots, g.math("MULTIPLY", near, share * strength))
    return spots


def _skin_picture(g: Graph, person: Person, assets: Path) -> Any:
    """The colour of a person's skin picture where the base mesh is."""
    left, top, right, bottom, full = SKIN_CROP
    uv = g.node("ShaderNodeTexCoord").outputs["UV"]
    mapped = g.node(
        "ShaderNodeMapping",
        {
            "Vector": uv,
            "Location": (
                -left / (right - left),
                -(full - bottom) / (bottom - top),
                0.0,
            ),
            "Scale": (full / (right - left), full / (bottom - top), 1.0),
        },
    ).outputs[0]
    path = assets / "skins_head" / f"{person.skin}.jpg"
    painted = _painted(path, person.skin_smooth_px) if person.skin_smooth_px else None
    return _texture(g, path, mapped, painted).outputs["Color"]


def skin(person: Person, assets: Path) -> Any:
    """Skin: subsurface scattering, lips smoother than cheeks, bumps from the picture's grain."""
    made, g = _material("skin")
    picture = _skin_picture(g, person, assets)
    split = g.node("ShaderNodeSeparateColor", {0: picture}).outputs
    red = g.math("DIVIDE", g.math("SUBTRACT", split[0], split[1]), split[0])
    lips = g.ramp(red, 0.42, 0.62)
    colour = g.node(
        "ShaderNodeHueSaturation", {"Color": picture, "Saturation": person.skin_saturation}
    ).outputs[0]
    colour = g.mix("MULTIPLY", 1.0, colour, rgba(person.skin_gain))
    if person.lip_gain != (1.0, 1.0, 1.0):
        colour = g.mix("MULTIPLY", lips, colour, rgba(person.lip_gain))
    if person.blush:
        colour = g.mix("MULTIPLY", _blush(g, person.blush), colour, (1.0, 0.52, 0.45, 1.0))
    relief = 0.0 if person.skin_smooth_px else 1.0
    grain = g.node("ShaderNodeRGBToBW", {0: picture}).outputs[0]
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    pores = g.noise(place, 900.0, 3.0)
    patches = g.noise(place, 60.0, 4.0)
    height = g.math("ADD", g.math("MULTIPLY", grain, 2.0), g.math("MULTIPLY", pores, 0.25))
    bump = g.node(
        "ShaderNodeBump", {"Strength": 0.35 * relief, "Distance": 0.0006, "Height": height}
    ).outputs[0]
    uneven = g.math("MULTIPLY", g.math("SUBTRACT", patches, 0.5), 0.25 * relief)
    rough = g.math("ADD", person.skin_roughness, uneven)
    rough = g.math("SUBTRACT", rough, g.math("MULTIPLY", lips, 0.10))
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": rough,
            "IOR": 1.4,
            "Specular IOR Level": 0.45,
            "Subsurface Weight": 1.0,
            "Subsurface Radius": (1.0, 0.35, 0.2),
            "Subsurface Scale": 0.0045,
            "Normal": bump,
            "Sheen Weight": 0.06,
            "Sheen Roughness": 0.5,
        },
        subsurface_method="RANDOM_WALK",
    )
    g.surface(shader.outputs[0])
    return made


def eyeball(person: Person, assets: Path) -> Any:
    """The white and the iris; the shell before them is wet."""
    made, g = _material("eyeball")
    picture = _texture(g, assets / "eyes" / "materials" / f"{person.eyes}.png").outputs["Color"]
    colour = g.node(
        "ShaderNodeHueSaturation", {"Color": picture, "Value": person.eye_gain}
    ).outputs[0]
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": 0.6,
            "Specular IOR Level": 0.1,
            "Subsurface Weight": 0.25,
            "Subsurface Radius": (1.0, 0.4, 0.3),
            "Subsurface Scale": 0.002,
        },
    )
    g.surface(shader.outputs[0])
    return made


def painted_eyeball(iris: Iris, centre: Floats, radius_m: float) -> Any:
    """A cartoon's eye that looks along -y: a round iris with a dark rim, brighter below."""
    made, g = _material("painted-eye")
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    from_middle = g.vector("SUBTRACT", place, tuple(centre)).outputs[0]
    flat = g.vector("MULTIPLY", from_middle, (1.0, 0.0, 1.0)).outputs[0]
    far = g.vector("LENGTH", flat).outputs[1]
    share = g.math("DIVIDE", far, radius_m)
    height = g.node("ShaderNodeSeparateXYZ", {0: from_middle}).outputs[2]
    low = g.ramp(g.math("DIVIDE", height, -radius_m), -0.45 * iris.radius, 0.9 * iris.radius)
    colour = g.mix("MIX", low, rgba(iris.upper), rgba(iris.lower))
    rim = g.ramp(share, 0.72 * iris.radius, iris.radius)
    colour = g.mix("MULTIPLY", rim, colour, (0.12, 0.12, 0.12, 1.0))
    black = g.math("SUBTRACT", 1.0, g.ramp(share, iris.pupil - 0.03, iris.pupil + 0.03))
    colour = g.mix("MIX", black, colour, (0.002, 0.002, 0.002, 1.0))
    outside = g.ramp(share, iris.radius - 0.025, iris.radius + 0.025)
    colour = g.mix("MIX", outside, colour, rgba(iris.white))
    shine: Any = 0.0
    for x, z, size, strength in CATCH_LIGHTS:
        spot = (x * iris.radius * radius_m, 0.0, z * iris.radius * radius_m)
        near = g.vector("DISTANCE", flat, spot).outputs[1]
        edge = size * iris.radius
        dark = g.ramp(g.math("DIVIDE", near, radius_m), 0.8 * edge, 1.2 * edge)
        lit = g.math("MULTIPLY", g.math("SUBTRACT", 1.0, dark), strength)
        shine = g.math("MAXIMUM", shine, lit)
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": 0.5,
            "Specular IOR Level": 0.2,
            "Emission Color": (1.0, 1.0, 1.0, 1.0),
            "Emission Strength": shine,
        },
    )
    g.surface(shader.outputs[0])
    return made


def flat(value: float) -> Any:
    """The same grey everywhere, whatever the light."""
    made, g = _material("flat")
    colour = (value, value, value, 1.0)
    g.surface(g.node("ShaderNodeEmission", {"Color": colour, "Strength": 1.0}).outputs[0])
    return made


def cornea() -> Any:
    """A clear shell that only reflects: catch lights without refraction's noise."""
    made, g = _material("cornea")
    fresnel = g.node("ShaderNodeFresnel", {"IOR": 1.38}).outputs[0]
    shader = g.node(
        "ShaderNodeMixShader",
        {
            0: fresnel,
            1: g.node("ShaderNodeBsdfTransparent").outputs[0],
            2: g.node("ShaderNodeBsdfGlossy", {"Roughness": 0.02}).outputs[0],
        },
    )
    g.surface(shader.outputs[0])
    return made


def card(
    name: str,
    texture: Path,
    tint: Colour,
    roughness: float = 0.5,
    cover: float = 1.0,
    plain: bool = False,
) -> Any:
    """Hairs painted on a card: the picture's alpha times `cover` hides what is behind.

    The picture's colour times `tint`, or the tint alone if `plain`.
    """
    made, g = _material(name)
    picture = _texture(g, texture)
    colour = g.mix("MULTIPLY", 0.0 if plain else 1.0, rgba(tint), picture.outputs["Color"])
    hair = g.node(
        "ShaderNodeBsdfPrincipled",
        {"Base Color": colour, "Roughness": roughness, "Specular IOR Level": 0.3},
    )
    shader = g.node(
        "ShaderNodeMixShader",
        {
            0: g.math("MULTIPLY", picture.outputs["Alpha"], cover),
            1: g.node("ShaderNodeBsdfTransparent").outputs[0],
            2: hair.outputs[0],
        },
    )
    g.surface(shader.outputs[0])
    return made


def cloth(colour: Colour) -> Any:
    """Knitted cotton: rough, a little sheen, a fine weave."""
    made, g = _material("cloth")
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    weave = g.noise(place, 700.0, 2.0)
    folds = g.noise(place, 14.0, 2.0)
    height = g.math("ADD", g.math("MULTIPLY", weave, 0.3), g.math("MULTIPLY", folds, 5.0))
    bump = g.node(
        "ShaderNodeBump", {"Strength": 0.5, "Distance": 0.0015, "Height": height}
    ).outputs[0]
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": rgba(colour),
            "Roughness": 0.85,
            "Specular IOR Level": 0.2,
            "Sheen Weight": 0.25,
            "Sheen Roughness": 0.4,
            "Normal": bump,
        },
    )
    g.surface(shader.outputs[0])
    return made


def glossy(
    name: str,
    texture: Path,
    tint: Colour,
    roughness: float,
    scatter: float,
    saturation: float = 1.0,
) -> Any:
    """A wet textured solid: teeth, gums, tongue. `scatter` is the subsurface radius in metres."""
    made, g = _material(name)
    picture = _texture(g, texture).outputs["Color"]
    colour = g.node(
        "ShaderNodeHueSaturation", {"Color": picture, "Saturation": saturation}
    ).outputs[0]
    colour = g.mix("MULTIPLY", 1.0, colour, rgba(tint))
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    noise = g.noise(place, 500.0, 3.0)
    bump = g.node(
        "ShaderNodeBump", {"Strength": 0.25, "Distance": 0.0004, "Height": noise}
    ).outputs[0]
    shader = g.node(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": roughness,
            "Subsurface Weight": 0.6,
            "Subsurface Radius": (1.0, 0.5, 0.35),
            "Subsurface Scale": scatter,
            "Coat Weight": 0.4,
            "Coat Roughness": 0.12,
            "Normal": bump,
        },
    )
    g.surface(shader.outputs[0])
    return made
