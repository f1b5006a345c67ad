"""An exported network computing in float16, typed strongly: each value's type is written in it.

TensorRT 11 takes types from the file alone. What half precision cannot hold stays in float32:
variances, exponentials, angles of up to a thousand, and the picture that the residual is added to.
"""

from collections import ChainMap

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

_ALONE = {"InstanceNormalization", "Softmax"}
"""Operators of float32, whatever stands around them."""
_WAVES = {"Sin", "Cos"}
"""Of float32, with all that leads to them."""
_LAST = "DepthToSpace"
"""All that follows is of float32: colours are made here."""
_FIRST_ONLY = {"Resize", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Expand", "Pad"}
"""Of these, the first input alone is data."""
_HALF_MAX = float(np.finfo(np.float16).max)


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in float16 with islands of float32; inputs and outputs stay float32.

    Args:
        model: in float32, with its arrays as initializers or constants.

    Raises:
        ValueError: an array that half precision cannot hold.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    types |= {o.name: o.type.tensor_type.elem_type for o in model.graph.output}
    nodes = list(model.graph.node)
    whole = _islands(nodes)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.initializer[:], made.graph.value_info[:]
    writer = _Writer(model, made)
    for node in nodes:
        floats = any(types.get(name) == TensorProto.FLOAT for name in node.output)
        if not floats or node.op_type in {"Cast", "Constant"}:
            # Shapes and numbers made of them; a cast says itself what it gives.
            writer.copy(node, types)
        else:
            writer.compute(node, TensorProto.FLOAT if id(node) in whole else TensorProto.FLOAT16)
    writer.finish()
    onnx.checker.check_model(made, full_check=True)
    return made


def _islands(nodes: list[NodeProto]) -> set[int]:
    """Which nodes stay in float32, by `id`."""
    makers = {name: node for node in nodes for name in node.output}
    whole = {id(node) for node in nodes if node.op_type in _ALONE}
    ahead = [node for node in nodes if node.op_type in _WAVES]
    while ahead:
        node = ahead.pop()
        if id(node) not in whole:
            whole.add(id(node))
            ahead += [makers[name] for name in node.input if name in makers]
    coloured: set[str] = set()
    for node in nodes:
        if coloured & set(node.input):
            whole.add(id(node))
            coloured |= set(node.output)
        elif node.op_type == _LAST:
            coloured |= set(node.output)
    return whole


class _Writer:
    """Builds the new graph, casting where a value is wanted in another type than it has."""

    def __init__(self, model: onnx.ModelProto, into: onnx.ModelProto) -> None:
        self._arrays = {i.name: i for i in model.graph.initializer}
        self._graph = into.graph
        self._made: dict[str, int] = {i.name: TensorProto.FLOAT for i in model.graph.input}
        self._types = ChainMap(
            self._made,
            {name: array.data_type for name, array in self._arrays.items()},
        )
        self._known: dict[tuple[str, int], str] = {}
        self._outputs = [o.name for o in model.graph.output]

    def copy(self, node: NodeProto, types: dict[str, int]) -> None:
        """A node that keeps its types."""
        for name in node.input:
            self._keep(name)
        self._graph.node.append(node)
        self._made |= {name: types[name] for name in node.output if name in types}

    def compute(self, node: NodeProto, kind: int) -> None:
        """A node that computes in a type."""
        own = NodeProto()
        own.CopyFrom(node)
        for at, name in enumerate(node.input):
            data = at == 0 or node.op_type not in _FIRST_ONLY
            own.input[at] = self._wanted(name, kind) if data else self._keep(name)
        self._graph.node.append(own)
        self._made |= dict.fromkeys(node.output, kind)

    def finish(self) -> None:
        """Checks that what comes out is float32.

        Raises:
            ValueError: an output of another type.
        """
        for name in self._outputs:
            if self._types[name] != TensorProto.FLOAT:
                raise ValueError(f"output {name!r} is computed in half, expected float32")

    def _keep(self, name: str) -> str:
        if name in self._arrays and (name, 0) not in self._known:
            self._graph.initializer.append(self._arrays[name])
            self._known[name, 0] = name
        return name

    def _wanted(self, name: str, kind: int) -> str:
        """The name of a value in a type; made where there is none yet."""
        have = self._types.get(name, kind)
        if not name or have == kind or have not in (TensorProto.FLOAT, TensorProto.FLOAT16):
            return self._keep(name)
        if (name, kind) not in self._known:
            other = f"{name}.{'half' if kind == TensorProto.FLOAT16 else 'whole'}"
            if name in self._arrays:
                self._graph.initializer.append(_rounded(self._arrays[name], other))
            else:
                self._graph.node.append(helper.make_node("Cast", [name], [other], to=kind))
            self._known[name, kind] = other
        return self._known[name, kind]


def _rounded(array: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(array)
    if (highest := float(np.abs(values).max(initial=0))) > _HALF_MAX:
        raise ValueError(f"array {array.name!r} holds {highest:g}, expected at most {_HALF_MAX:g}")
    return numpy_helper.from_array(values.astype(np.float16), name)
