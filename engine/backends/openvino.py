"""Networks on OpenVINO, the CPU preset's backend."""

import sys
from collections import Counter
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from engine.backends import ANY, Arrays, batched, check_feeds
from engine.errors import BackendError
from engine.machine import cores
from models import weights


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
_MOST_COPIES = 8
_uses: Counter[tuple[Any, ...]] = Counter()
_lock = Lock()


def version() -> str:
    """Such as `2026.4.1`."""
    return str(_openvino.__version__).partition("-")[0]


@lru_cache(maxsize=64)
def _compiled(path: Path, threads: int, kind: str, batch: int, copy: int) -> Any:  # noqa: ARG001
    return compile_model(path, threads, kind, batch)


def _shared(*made_of: Any) -> Any:
    """One of as many compiled copies as can run at once, in turns.

    Runs of one copy wait for each other; with several streams in one they would not, but each
    would cost a change of threads, as long as the small networks take.
    """
    with _lock:
        copy = _uses[made_of] % min(cores(), _MOST_COPIES)
        _uses[made_of] += 1
    return _compiled(*made_of, copy)


def compile_model(path: Path, threads: int, kind: str = "f32", batch: int = ANY) -> Any:
    """A network's file (ONNX, TensorFlow Lite) compiled for the CPU.

    Args:
        path, threads: see `engine.backends.load`.
        kind: of number.
        batch: fixes the first axis of the inputs; `ANY` leaves it as the file has it.

    Raises:
        BackendError: OpenVINO refuses it.
    """
    settings = {
        "INFERENCE_PRECISION_HINT": kind,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Else every process would run its networks on the same first core.
        "ENABLE_CPU_PINNING": False,
    }
    core = _openvino.Core()
    try:
        model = core.read_model(str(path))
        if batch != ANY:
            model.reshape(batched(path, _shapes(model), batch))
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise BackendError(f"{path}: OpenVINO refuses the network: {error}") from error


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {
        port.get_any_name(): tuple(
            side.get_length() if side.is_static else -1 for side in port.get_partial_shape()
        )
        for port in model.inputs
    }


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU; see `engine.backends.Network`."""

    @staticmethod
    def usual_batch() -> int:
        """One row."""
        return 1

    @staticmethod
    def choices(path: Path, batch: int) -> list[tuple[Path, str]]:
        """float32; bfloat16 where the CPU computes in it; the int8 file, which takes one row."""
        known = _openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        small = weights.beside(path, "int8")
        found = [(path, kind) for kind in ("f32", *(("bf16",) if "BF16" in known else ()))]
        return found + ([(small, "f32")] if batch == 1 and small.is_file() else [])

    def __init__(self, path: Path, threads: int, kind: str, batch: int = 1) -> None:
        model = _shared(path, threads, kind, batch)
        self._request = model.create_infer_request()
        self.inputs = _shapes(model)
        self._names = {p: p.get_any_name() for p in model.outputs}
        self.outputs = tuple(self._names.values())

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        found = self._request.infer(feeds, share_inputs=True)
        return {name: found[port].copy() for port, name in self._names.items()}
