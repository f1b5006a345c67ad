"""Networks on torch, an extra: on an NVIDIA GPU where there is one, else on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from engine.backends import Arrays, check_feeds
from engine.backends.torch_ops import OPERATORS, Settings, UnsupportedError
from engine.errors import BackendError


@dataclass(frozen=True, slots=True)
class _Step:
    """One node of the graph."""

    name: str
    operator: Callable[..., Any]
    settings: Settings
    given: tuple[str, ...]
    made: tuple[str, ...]

    def run(self, known: dict[str, Tensor]) -> None:
        """Adds what it makes to what is known.

        Raises:
            BackendError: the operator cannot do what it is asked for.
        """
        try:
            found = self.operator([known[n] if n else None for n in self.given], self.settings)
        except UnsupportedError as error:
            raise BackendError(f"torch cannot run {self.name}: {error}") from error
        values = found if isinstance(found, tuple) else (found,)
        known.update(zip(self.made, values, strict=False))


class TorchNetwork:
    """An ONNX file, node by node in torch; see `Network`.

    Args:
        path: the file.
        threads: CPU threads; torch has one number for the whole process.
        kind: `f32`, what the file holds.
    """

    @staticmethod
    def faster() -> tuple[str, ...]:
        """None beside what the file holds."""
        return ()

    def __init__(self, path: Path, threads: int, kind: str) -> None:  # noqa: ARG002
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model = onnx.load(str(path))
            onnx.checker.check_model(model)
        except (DecodeError, onnx.checker.ValidationError) as error:
            raise BackendError(f"{path}: torch refuses the network: {error}") from error
        graph = model.graph
        constant = {i.name: self._tensor(i) for i in graph.initializer}
        self._steps = []
        with torch.inference_mode():
            for node in graph.node:
                if (step := self._step(path, node, constant)) is None:
                    continue
                if set(step.given) - {""} <= set(constant):
                    step.run(constant)
                else:
                    self._steps.append(step)
        self._constant = constant
        inputs = [i for i in graph.input if i.name not in constant]
        self.inputs = {
            i.name: tuple(d.dim_value or -1 for d in i.type.tensor_type.shape.dim) for i in inputs
        }
        self.outputs = tuple(o.name for o in graph.output)

    def _tensor(self, array: TensorProto) -> Tensor:
        """Whole numbers stay on the CPU: they are shapes and places."""
        found = torch.from_numpy(numpy_helper.to_array(array).copy())
        return found.to(self._device) if found.is_floating_point() else found

    def _step(self, path: Path, node: Any, constant: dict[str, Tensor]) -> _Step | None:
        """A node made ready; None of a constant, which becomes known at once."""
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        for name, value in settings.items():
            if isinstance(value, TensorProto):
                settings[name] = self._tensor(value)
        if node.op_type == "Constant" and "value" in settings:
            constant[node.output[0]] = settings["value"]
            return None
        operator = self._cast if node.op_type == "Cast" else OPERATORS.get(node.op_type)
        if operator is None:
            raise BackendError(f"{path}: torch refuses the network: operator {node.op_type!r}")
        name = f"{node.op_type} {node.name}"
        return _Step(name, operator, settings, tuple(node.input), tuple(node.output))

    def _cast(self, given: list[Tensor], settings: Settings) -> Tensor:
        kind = np.zeros(1, helper.tensor_dtype_to_np_dtype(settings["to"]))
        return given[0].to(torch.from_numpy(kind).dtype)

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        known = dict(self._constant)
        with torch.inference_mode():
            for name, value in feeds.items():
                known[name] = torch.from_numpy(value).to(self._device)
            for step in self._steps:
                step.run(known)
            return {name: known[name].cpu().numpy() for name in self.outputs}
