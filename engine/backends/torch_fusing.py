"""Nodes that exporters write in several pieces, put together again: each is a launch on a GPU."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch.nn.functional as F
from torch import Tensor

Operator = Callable[[Sequence[Any], dict[str, Any]], Any]


class Node(Protocol):
    """What is known of a step, see `engine.backends.torch_program.Step`."""

    @property
    def kind(self) -> str:
        """Of operator."""

    @property
    def settings(self) -> dict[str, Any]:
        """Its attributes."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of what it takes."""

    @property
    def made(self) -> tuple[str, ...]:
        """Names of what it gives."""


@dataclass(frozen=True, slots=True)
class Fused:
    """One node in place of several.

    Attributes:
        kind, operator, settings, given, made: see `engine.backends.torch_program.Step`.
        at: number of the last of them, whose place it takes.
        gone: numbers of the others.
    """

    kind: str
    operator: Operator
    settings: dict[str, Any]
    given: tuple[str, ...]
    made: tuple[str, ...]
    at: int
    gone: frozenset[int]


def found(nodes: Sequence[Node], constants: Mapping[str, Tensor], kept: set[str]) -> list[Fused]:
    """What can be put together.

    `Sigmoid` and `Mul` are a SiLU; `Reshape`, `InstanceNormalization` without a scale of its own,
    `Reshape` back, `Mul` and `Add` are a group norm, with casts to float32 and back or with none.

    Args:
        nodes: in their order.
        constants: by name.
        kept: names of values that somebody else wants.
    """
    graph = _Graph.of(nodes, constants, kept)
    made = []
    for number, node in enumerate(nodes):
        one = None
        if node.kind == "Sigmoid":
            one = _silu(graph, number)
        elif node.kind == "InstanceNormalization":
            one = _group_norm(graph, number)
        if one is not None:
            made.append(one)
    return made


@dataclass(frozen=True, slots=True)
class _Graph:
    nodes: Sequence[Node]
    constants: Mapping[str, Tensor]
    makers: dict[str, int]
    takers: dict[str, list[int]]
    kept: set[str]

    @classmethod
    def of(cls, nodes: Sequence[Node], constants: Mapping[str, Tensor], kept: set[str]) -> Self:
        makers, takers = {}, dict[str, list[int]]()
        for number, node in enumerate(nodes):
            makers.update(dict.fromkeys(node.made, number))
            for name in Counter(node.given):
                takers.setdefault(name, []).append(number)
        return cls(nodes, constants, makers, takers, kept)

    def next(self, number: int, kind: str) -> int | None:
        """The only node that takes what one makes, if it is of a kind."""
        (name, *more) = self.nodes[number].made
        takers = self.takers.get(name, [])
        if more or name in self.kept or len(takers) != 1:
            return None
        return takers[0] if self.nodes[takers[0]].kind == kind else None

    def before(self, number: int, kind: str) -> int | None:
        """What makes a node's first input for it alone, if it is of a kind."""
        name = self.nodes[number].given[0]
        maker = self.makers.get(name)
        if maker is None or name in self.kept or self.takers[name] != [number]:
            return None
        return maker if self.nodes[maker].kind == kind else None

    def other(self, number: int, name: str) -> str | None:
        """The other of two inputs."""
        given = [one for one in self.nodes[number].given if one != name]
        return given[0] if len(given) == 1 and len(self.nodes[number].given) == 2 else None


def _silu(graph: _Graph, number: int) -> Fused | None:
    sigmoid = graph.nodes[number]
    product = graph.next(number, "Mul")
    if product is None or graph.other(product, sigmoid.made[0]) != sigmoid.given[0]:
        return None
    made, gone = graph.nodes[product].made, frozenset({number})
    return Fused("Silu", lambda given, _: F.silu(given[0]), {}, sigmoid.given, made, product, gone)


def _group_norm(graph: _Graph, number: int) -> Fused | None:
    norm, chain = graph.nodes[number], {number}
    if not _plain(graph, norm):
        return None
    inner = graph.before(number, "Cast")
    outer = graph.next(number, "Cast")
    first = graph.before(number if inner is None else inner, "Reshape")
    last = graph.next(number if outer is None else outer, "Reshape")
    if first is None or last is None:
        return None
    chain |= {first, last} | {cast for cast in (inner, outer) if cast is not None}
    scaled = graph.next(last, "Mul")
    shifted = None if scaled is None else graph.next(scaled, "Add")
    # A cast one way alone gives another type than it takes: no group norm does.
    if scaled is None or shifted is None or (inner is None) != (outer is None):
        return None
    if not _there_and_back(graph, first, last):
        return None
    x = graph.nodes[first].given[0]
    weight = graph.other(scaled, graph.nodes[last].made[0])
    bias = graph.other(shifted, graph.nodes[scaled].made[0])
    if not all(name in graph.constants and _by_channel(graph, name) for name in (weight, bias)):
        return None
    settings = {
        "groups": graph.constants[norm.given[1]].numel(),
        "epsilon": norm.settings.get("epsilon", 1e-5),
    }
    given, made = (x, str(weight), str(bias)), graph.nodes[shifted].made
    return Fused("GroupNorm", _normed, settings, given, made, shifted, frozenset(chain | {scaled}))


def _normed(given: Sequence[Any], settings: dict[str, Any]) -> Tensor:
    x, weight, bias = given
    scale, shift = weight.reshape(-1), bias.reshape(-1)
    return F.group_norm(x, settings["groups"], scale, shift, settings["epsilon"])


def _plain(graph: _Graph, norm: Node) -> bool:
    """It scales by ones and shifts by zeros."""
    scale, bias = (graph.constants.get(name) for name in norm.given[1:])
    return scale is not None and bias is not None and bool((scale == 1).all() and not bias.any())


def _by_channel(graph: _Graph, name: str | None) -> bool:
    """A constant holds a value a channel, (C, 1, 1)."""
    value = graph.constants[str(name)]
    return value.ndim == 3 and tuple(value.shape[1:]) == (1, 1)


def _there_and_back(graph: _Graph, first: int, last: int) -> bool:
    """Channels are put into groups, (B, C, H, W) -> (B, G, -1), and the shape is given back."""
    there = graph.constants.get(graph.nodes[first].given[1])
    maker = graph.makers.get(graph.nodes[last].given[1])
    if there is None or maker is None or graph.nodes[maker].kind != "Shape":
        return False
    grouped = there.reshape(-1).tolist()
    same = graph.nodes[maker].given[0] == graph.nodes[first].given[0]
    return same and len(grouped) == 3 and grouped[0] == 0 and grouped[2] == -1
