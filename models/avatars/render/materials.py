"""Skin, eyes, hair, cloth: what light does on each surface."""

from pathlib import Path
from typing import Any

import bpy

from .graph import Graph
from .people import Colour, Person

SKIN_CROP = (1290, 350, 2048, 1750, 2048)
"""Where skin pictures lie in the base mesh's texture: left, top, right, bottom, whole, px."""


def rgba(colour: Colour) -> tuple[float, float, float, float]:
    """A colour without transparency."""
    return (*colour, 1.0)


def _material(name: str) -> tuple[Any, Graph]:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    return made, Graph(made.node_tree)


def _texture(graph: Graph, path: Path, vector: Any = None, data: bool = False) -> Any:
    image = bpy.data.images.load(str(path), check_existing=True)
    if data:
        image.colorspace_settings.name = "Non-Color"
    inputs: dict[str | int, Any] = {} if vector is None else {"Vector": vector}
    return graph.node(
        "ShaderNodeTexImage", inputs, image=image, extension="EXTEND", interpolation="Cubic"
    )


def skin(person: Person, assets: Path) -> Any:
    """Skin: subsurface scattering, lips smoother than cheeks, bumps from the picture's grain."""
    made, g = _material("skin")
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
    picture = _texture(g, assets / "skins_head" / f"{person.skin}.jpg", mapped).outputs["Color"]
    split = g.node("ShaderNodeSeparateColor", {0: picture}).outputs
    red = g.math("DIVIDE", g.math("SUBTRACT", split[0], split[1]), split[0])
    lips = g.ramp(red, 0.42, 0.62)
    colour = g.node(
        "ShaderNodeHueSaturation", {"Color": picture, "Saturation": person.skin_saturation}
    ).outputs[0]
    colour = g.mix("MULTIPLY", 1.0, colour, rgba(person.skin_gain))
    grain = g.node("ShaderNodeRGBToBW", {0: picture}).outputs[0]
    place = g.node("ShaderNodeTexCoord").outputs["Object"]
    pores = g.node("ShaderNodeTexNoise", {"Vector": place, "Scale": 900.0, "Detail": 3.0}).outputs[
        0
    ]
    patches = g.node("ShaderNodeTexNoise", {"Vector": place, "Scale": 60.0, "Detail": 4.0}).outputs[
        0
    ]
    height = g.math("ADD", g.math("MULTIPLY", grain, 2.0), g.math("MULTIPLY", pores, 0.25))
    bump = g.node(
        "ShaderNodeBump", {"Strength": 0.35, "Distance": 0.0006, "Height": height}
    ).outputs[0]
    uneven = g.math("MULTIPLY", g.math("SUBTRACT", patches, 0.5), 0.25)
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


def card(name: str, texture: Path, tint: Colour, roughness: float = 0.5, cover: float = 1.0) -> Any:
    """Hairs painted on a card: the picture's alpha times `cover` hides what is behind."""
    made, g = _material(name)
    picture = _texture(g, texture)
    colour = g.mix("MULTIPLY", 1.0, picture.outputs["Color"], rgba(tint))
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
    weave = g.node("ShaderNodeTexNoise", {"Vector": place, "Scale": 700.0, "Detail": 2.0}).outputs[
        0
    ]
    folds = g.node("ShaderNodeTexNoise", {"Vector": place, "Scale": 14.0, "Detail": 2.0}).outputs[0]
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
    noise = g.node("ShaderNodeTexNoise", {"Vector": place, "Scale": 500.0, "Detail": 3.0}).outputs[
        0
    ]
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
