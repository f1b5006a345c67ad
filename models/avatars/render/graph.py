"""Shader graphs in few words, over Blender's node trees."""

from typing import Any

Value = Any
"""A number, a tuple, or an output socket of another node."""


class Graph:
    """Builds one node tree: each call adds a node, links what is linkable and sets the rest."""

    def __init__(self, tree: Any, keep: bool = False) -> None:
        if not keep:
            tree.nodes.clear()
        self.tree = tree

    def node(self, kind: str, inputs: dict[str | int, Value] | None = None, **fields: Any) -> Any:
        """Adds a node of type `kind`; `inputs` by name or position, `fields` are its properties."""
        made = self.tree.nodes.new(kind)
        for name, value in fields.items():
            setattr(made, name, value)
        self.give(made, inputs or {})
        return made

    def give(self, node: Any, inputs: dict[str | int, Value]) -> None:
        """Links or sets inputs of a node."""
        for key, value in inputs.items():
            socket = node.inputs[key]
            if hasattr(value, "is_output"):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value

    def math(self, operation: str, a: Value, b: Value = 0.0, clamp: bool = False) -> Any:
        """A scalar operation's output."""
        return self.node(
            "ShaderNodeMath", {0: a, 1: b}, operation=operation, use_clamp=clamp
        ).outputs[0]

    def vector(self, operation: str, a: Value, b: Value = (0.0, 0.0, 0.0)) -> Any:
        """A vector operation's node: its outputs are a vector and a number."""
        return self.node("ShaderNodeVectorMath", {0: a, 1: b}, operation=operation)

    def mix(self, kind: str, factor: Value, a: Value, b: Value) -> Any:
        """Blends colours `a` and `b` (RGBA tuples or sockets)."""
        made = self.node("ShaderNodeMix", data_type="RGBA", blend_type=kind)
        for index, value in ((0, factor), (6, a), (7, b)):
            if hasattr(value, "is_output"):
                self.tree.links.new(value, made.inputs[index])
            else:
                made.inputs[index].default_value = value
        return made.outputs[2]

    def noise(self, place: Value, scale: float, detail: float) -> Any:
        """Smooth noise in [0, 1] at a place; `detail` octaves of it."""
        return self.node(
            "ShaderNodeTexNoise", {"Vector": place, "Scale": scale, "Detail": detail}
        ).outputs[0]

    def ramp(self, value: Value, low: float, high: float) -> Any:
        """`value` mapped smoothly from [low, high] to [0, 1]."""
        return self.node(
            "ShaderNodeMapRange",
            {0: value, 1: low, 2: high, 3: 0.0, 4: 1.0},
            interpolation_type="SMOOTHSTEP",
        ).outputs[0]

    def surface(self, shader: Value) -> None:
        """Makes `shader` the material's surface."""
        self.node("ShaderNodeOutputMaterial", {"Surface": shader})
