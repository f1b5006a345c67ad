"""Networks on OpenVINO, the CPU preset's backend."""

import logging
import sys
import time
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

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
_log = logging.getLogger(__name__)
_TRIALS = 7


@lru_cache(maxsize=16)
def _compiled(path: Path, threads: int, precision: str) -> Any:
    """Compiled once a process; every session has a request of its own."""
    core = _openvino.Core()
    kinds = ["f32"]
    # Instructions for bfloat16 do not make it faster: without AMX it has been seen a third slower.
    if precision == "fastest" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        kinds.append("bf16")
    models, took_ms = {}, {}
    try:
        for kind in kinds:
            models[kind] = core.compile_model(str(path), "CPU", _settings(kind, threads))
            took_ms[kind] = _time_ms(models[kind]) if len(kinds) > 1 else 0.0
    except RuntimeError as error:
        raise BackendError(f"{path}: OpenVINO refuses the network: {error}") from error
    best = min(took_ms, key=lambda kind: took_ms[kind])
    _log.info("%s: %s, ms by precision: %s", path.name, best, took_ms)
    return models[best]


def _settings(kind: str, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": kind,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }


def _time_ms(model: Any) -> float:
    """Median of a few inferences on zeros; a network whose sizes are open counts as one each."""
    request = model.create_infer_request()
    shapes = {
        p.get_any_name(): [d.get_length() if d.is_static else 1 for d in p.get_partial_shape()]
        for p in model.inputs
    }
    feeds = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    took = []
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        request.infer(feeds)
        took.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(took))


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU; see `engine.backends.Network`."""

    def __init__(self, path: Path, threads: int, precision: str = "f32") -> None:
        model = _compiled(path, threads, precision)
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
