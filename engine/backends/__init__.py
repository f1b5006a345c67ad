"""Where networks run: a backend is chosen once, by name, and imported inside its factory."""

import logging
import time
from collections.abc import Hashable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import BackendError

Arrays = dict[str, npt.NDArray[Any]]


class Network(Protocol):
    """A loaded network. It keeps no state: what a session must remember goes in and comes out.

    Attributes:
        inputs: shape of each input by name; -1 where any size goes.
        outputs: names of the outputs.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def run(self, feeds: Arrays) -> Arrays:
        """Arrays by input name -> arrays by output name.

        Raises:
            BackendError: an input is missing, unknown or of another shape.
        """
        ...


# name -> (module, its class, the extra that brings its library)
_BACKENDS = {
    "onnxruntime": ("engine.backends.onnxruntime", "OnnxRuntimeNetwork", "onnxruntime"),
    "openvino": ("engine.backends.openvino", "OpenVinoNetwork", None),
    "torch": ("engine.backends.torch", "TorchNetwork", "torch"),
}


def names() -> list[str]:
    """Backends that can be asked for."""
    return sorted(_BACKENDS)


PRECISIONS = ("f32", "fastest")
"""`fastest` times what there is on this machine: float32, bfloat16 where the CPU has instructions
for it, and int8 where a file of that kind lies beside the network's (`painter_int8.onnx`). Inputs
and outputs are float32 either way."""

_TRIALS = 9
_log = logging.getLogger(__name__)


class Factory(Protocol, Hashable):
    """A backend's class."""

    def __call__(self, path: Path, threads: int, kind: str) -> Network:
        """A network that computes in `f32`, or in what the file and `faster` name."""
        ...

    def faster(self) -> tuple[str, ...]:
        """Further kinds of number that this CPU computes in."""
        ...


def load(name: str, path: Path, threads: int = 1, precision: str = "f32") -> Network:
    """Loads an ONNX file for inference.

    Args:
        name: of the backend.
        path: the ONNX file.
        threads: CPU threads for one inference.
        precision: one of `PRECISIONS`.

    Raises:
        BackendError: no such backend, its library is not installed, or it refuses the file.
    """
    if name not in _BACKENDS:
        raise BackendError(f"backend {name!r} is unknown, expected one of {names()}")
    if precision not in PRECISIONS:
        raise BackendError(f"precision {precision!r} is unknown, expected one of {PRECISIONS}")
    if not path.is_file():
        raise BackendError(f"{path}: no such network file")
    module, kind, extra = _BACKENDS[name]
    try:
        factory: Factory = getattr(import_module(module), kind)
    except ImportError as error:
        remedy = f"pip install 'visavis[{extra}]'" if extra else "reinstall visavis"
        raise BackendError(f"backend {name!r} cannot be imported ({error}): {remedy}") from error
    if precision == "fastest":
        return factory(*_fastest(factory, path, threads))
    return factory(path, threads, "f32")


@lru_cache(maxsize=16)
def _fastest(factory: Factory, path: Path, threads: int) -> tuple[Path, int, str]:
    """What to make the quickest network of; timed once a process."""
    whole = path.with_name(f"{path.stem}_int8{path.suffix}")
    known = [(path, threads, kind) for kind in ("f32", *factory.faster())]
    known += [(whole, threads, "f32")] if whole.is_file() else []
    networks = {made_of: factory(*made_of) for made_of in known}
    took_ms = dict.fromkeys(known, np.inf)
    # In turns, for what else the machine does comes and goes; the least of each is its own.
    for made_of in known * _TRIALS:
        feeds = {
            name: np.zeros([max(side, 1) for side in shape], np.float32)
            for name, shape in networks[made_of].inputs.items()
        }
        begun = time.perf_counter()
        networks[made_of].run(feeds)
        took_ms[made_of] = min(took_ms[made_of], 1e3 * (time.perf_counter() - begun))
    best = min(known, key=lambda made_of: took_ms[made_of])
    table = ", ".join(f"{p.stem} {kind} {took_ms[p, n, kind]:.1f} ms" for p, n, kind in known)
    _log.info("%s %s is used: %s", best[0].stem, best[2], table)
    return best


def check_feeds(inputs: dict[str, tuple[int, ...]], feeds: Arrays) -> None:
    """Raises BackendError unless the feeds have just these names, and shapes that fit."""
    if wrong := sorted(set(inputs) ^ set(feeds)):
        raise BackendError(f"input {wrong[0]!r} is missing or unknown, expected {sorted(inputs)}")
    for name, shape in inputs.items():
        got = feeds[name].shape
        fits = len(got) == len(shape)
        if not fits or any(s not in (-1, g) for s, g in zip(shape, got, strict=True)):
            raise BackendError(f"input {name!r} is {got}, expected {shape}")
        if feeds[name].dtype != np.float32:
            raise BackendError(f"input {name!r} is {feeds[name].dtype}, expected float32")
