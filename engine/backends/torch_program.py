"""An ONNX file as a list of torch operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from engine.backends import Arrays, torch_fusing
from engine.backends.torch_ops import ON_HOST, OPERATORS, Settings, UnsupportedError
from engine.errors import BackendError

Values = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph.

    Attributes:
        name: for messages.
        kind: of operator.
        operator: what it does.
        settings: its attributes.
        given, made: names of what it takes ("" where something is left out) and gives.
        bound: values of what it takes where they are known beforehand.
    """

    name: str
    kind: str
    operator: Callable[..., Any]
    settings: Settings
    given: tuple[str, ...]
    made: tuple[str, ...]
    bound: tuple[Tensor | None, ...] = ()

    def run(self, known: Values) -> None:
        """Adds what it makes to what is known.

        Raises:
            BackendError: the operator cannot do what it is asked for.
        """
        bound = self.bound or (None,) * len(self.given)
        taken = [
            value if value is not None else known[name] if name else None
            for name, value in zip(self.given, bound, strict=True)
        ]
        try:
            found = self.operator(taken, self.settings)
        except UnsupportedError as error:
            raise BackendError(f"torch cannot run {self.name}: {error}") from error
        values = found if isinstance(found, tuple) else (found,)
        known.update(zip(self.made, values, strict=False))

    def bind(self, known: Mapping[str, Tensor], device: torch.device) -> "Step":
        """The same with what is known put where the operator reads it: shapes on the host."""
        at_host = ON_HOST.get(self.kind, ())
        bound = tuple(
            known[name].to("cpu" if place in at_host else device) if name in known else None
            for place, name in enumerate(self.given)
        )
        return Step(
            self.name, self.kind, self.operator, self.settings, self.given, self.made, bound
        )


class Program:
    """What a file computes, on one device.

    Args:
        path: the ONNX file.
        device: where.
        shapes: sets of input shapes that are kept ready.

    Attributes:
        inputs, outputs: see `Network`.

    Raises:
        BackendError: the file is damaged or holds an operator that is unknown here.
    """

    def __init__(self, path: Path, device: torch.device, shapes: int) -> None:
        self.path, self.device = path, device
        try:
            model = onnx.load(str(path))
            onnx.checker.check_model(model)
        except (DecodeError, onnx.checker.ValidationError) as error:
            raise BackendError(f"{path}: torch refuses the network: {error}") from error
        graph = model.graph
        self._constant = {i.name: _tensor(i).to(device) for i in graph.initializer}
        self._steps: list[Step] = []
        for node in graph.node:
            if (step := self._step(node)) is not None:
                self._steps.append(step)
        self._steps = self._fused({o.name for o in graph.output})
        inputs = [i for i in graph.input if i.name not in self._constant]
        self.inputs = {
            i.name: tuple(d.dim_value or -1 for d in i.type.tensor_type.shape.dim) for i in inputs
        }
        self.outputs = tuple(o.name for o in graph.output)
        self._ready: dict[tuple[tuple[int, ...], ...], tuple[list[Step], Values]] = {}
        self._most = shapes

    def _step(self, node: Any) -> Step | None:
        """A node made ready; None of a constant, which becomes known at once."""
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        for name, value in settings.items():
            if isinstance(value, TensorProto):
                settings[name] = _tensor(value).to(self.device)
        kind = node.op_type
        if kind == "Constant" and "value" in settings:
            self._constant[node.output[0]] = settings["value"]
            return None
        operator = _cast if kind == "Cast" else OPERATORS.get(kind)
        if operator is None:
            raise BackendError(f"{self.path}: torch refuses the network: operator {kind!r}")
        name = f"{kind} {node.name}"
        return Step(name, kind, operator, settings, tuple(node.input), tuple(node.output))

    def _fused(self, kept: set[str]) -> list[Step]:
        """Steps with what an exporter took apart put together again."""
        fused = {one.at: one for one in torch_fusing.found(self._steps, self._constant, kept)}
        gone = frozenset[int]().union(*(one.gone for one in fused.values()))
        steps = []
        for number, step in enumerate(self._steps):
            if (one := fused.get(number)) is not None:
                name = f"{one.kind} {step.name}"
                steps.append(Step(name, one.kind, one.operator, one.settings, one.given, one.made))
            elif number not in gone:
                steps.append(step)
        return steps

    def ready(self, values: Values) -> tuple[list[Step], Values]:
        """What is left to do for inputs of these shapes, and what they already tell.

        Whatever hangs on shapes alone is computed here, once, so that a step neither waits for the
        host nor copies to it.
        """
        shapes = tuple(tuple(values[name].shape) for name in self.inputs)
        if shapes not in self._ready:
            if len(self._ready) >= self._most:
                del self._ready[next(iter(self._ready))]
            self._ready[shapes] = self._folded(dict(values))
        return self._ready[shapes]

    def _folded(self, values: Values) -> tuple[list[Step], Values]:
        known, left = dict(self._constant), []
        for step in self._steps:
            bound = step.bind(known, self.device)
            bound.run(values)
            if step.kind == "Shape" or set(step.given) - {""} <= set(known):
                known |= {name: values[name] for name in step.made if name in values}
            else:
                left.append(bound)
        return left, {name: known[name] for name in self.outputs if name in known}

    def compute(self, values: Values) -> Values:
        """Tensors by input name, on the device -> by output name.

        Raises:
            BackendError: an operator cannot do what it is asked for.
        """
        steps, told = self.ready(values)
        known = {**told, **values}
        for step in steps:
            step.run(known)
        return {name: known[name] for name in self.outputs}

    def run(self, feeds: Arrays) -> Arrays:
        """The same from arrays to arrays."""
        with torch.inference_mode():
            values = {n: torch.from_numpy(v).to(self.device) for n, v in feeds.items()}
            # A reshaped input is the caller's own memory.
            return {n: v.cpu().numpy().copy() for n, v in self.compute(values).items()}


def _tensor(array: TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(array).copy())


def _cast(given: list[Tensor], settings: Settings) -> Tensor:
    kind = np.zeros(1, helper.tensor_dtype_to_np_dtype(settings["to"]))
    return given[0].to(torch.from_numpy(kind).dtype)
