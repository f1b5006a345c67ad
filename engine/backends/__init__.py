"""Where networks run: a backend is chosen once, by name, and imported inside its factory."""

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
}


def names() -> list[str]:
    """Backends that can be asked for."""
    return sorted(_BACKENDS)


PRECISIONS = ("f32", "fastest")
"""`fastest` computes in bfloat16 where the CPU has instructions for it, else in float32. Inputs and
outputs are float32 either way."""


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
        factory = getattr(import_module(module), kind)
    except ImportError as error:
        remedy = f"pip install 'visavis[{extra}]'" if extra else "reinstall visavis"
        raise BackendError(f"backend {name!r} cannot be imported ({error}): {remedy}") from error
    network: Network = factory(path, threads, precision)
    return network


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
