"""Networks on OpenVINO, the CPU preset's backend."""

import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.backends import Arrays, check_feeds
from engine.errors import BackendError


def _import_openvino() -> Any:
    """OpenVINO without its telemetry, which would tell its makers' host of every start.

    Where that module cannot be imported OpenVINO puts a stub in its place.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        return import_module("openvino")
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[name]


_openvino = _import_openvino()


@lru_cache(maxsize=16)
def _compiled(path: Path, threads: int, kind: str) -> Any:
    """Compiled once a process; every session has a request of its own."""
    return compile_model(path, threads, kind)


def compile_model(path: Path, threads: int, kind: str = "f32") -> Any:
    """A network's file (ONNX, TensorFlow Lite) compiled for the CPU.

    Raises:
        BackendError: OpenVINO refuses it.
    """
    settings = {
        "INFERENCE_PRECISION_HINT": kind,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        return _openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise BackendError(f"{path}: OpenVINO refuses the network: {error}") from error


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU; see `engine.backends.Network`."""

    @staticmethod
    def faster() -> tuple[str, ...]:
        """bfloat16 where the CPU computes in it: with AMX; without, it was a third slower."""
        known = _openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return ("bf16",) if "BF16" in known else ()

    def __init__(self, path: Path, threads: int, kind: str) -> None:
        model = _compiled(path, threads, kind)
        self._request = model.create_infer_request()
        self.inputs = {
            p.get_any_name(): tuple(
                d.get_length() if d.is_static else -1 for d in p.get_partial_shape()
            )
            for p in model.inputs
        }
        self._names = {p: p.get_any_name() for p in model.outputs}
        self.outputs = tuple(self._names.values())

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        found = self._request.infer(feeds, share_inputs=True)
        return {name: found[port].copy() for port, name in self._names.items()}
