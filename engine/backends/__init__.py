"""Where networks run: a backend is chosen once, by name, and imported inside its factory."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import BackendError, install_command

Arrays = dict[str, npt.NDArray[Any]]
Shape = tuple[int, ...]
ANY = -1
"""A batch that may differ from run to run; in shapes, a side that may."""
SIZES = (1, 4, 16, 64)
"""Batches that GPU backends make ready where any may come: smaller ones are filled up to these."""


class Network(Protocol):
    """A loaded network. It keeps no state: what a session must remember goes in and comes out.

    Attributes:
        inputs: shape of each input by name; -1 where any size goes.
        outputs: names of the outputs.
    """

    inputs: dict[str, Shape]
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
    "tensorrt": ("engine.backends.tensorrt", "TensorRtNetwork", "tensorrt"),
    "torch": ("engine.backends.torch", "TorchNetwork", "torch"),
}


def names() -> list[str]:
    """Backends that can be asked for."""
    return sorted(_BACKENDS)


PRECISIONS = ("f32", "fastest")
"""`fastest` times what there is on this machine: float32, bfloat16 where the CPU has instructions
for it, TensorFloat-32 on a GPU, and files of other kinds of number that lie beside the network's
(`painter_int8.onnx`, `painter_fp16.onnx`). Inputs and outputs are float32 either way."""

_TRIALS = 9
_TRIED_ROWS = 16
"""Rows of a trial where any batch goes."""
_log = logging.getLogger(__name__)


class Factory(Protocol, Hashable):
    """A backend's class."""

    def __call__(self, path: Path, threads: int, kind: str, batch: int) -> Network:
        """A network that computes in `f32`, or in what the file and `choices` name."""
        ...

    def usual_batch(self) -> int:
        """What suits: one row on a CPU, `ANY` on a GPU."""
        ...

    def choices(self, path: Path, batch: int) -> list[tuple[Path, str]]:
        """Files of this network, and kinds of number, that may be quickest here; at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What `fastest` found.

    Attributes:
        path, kind: the file, and the kind of number that it is computed in.
        took_ms: least time of a run by name (`painter bf16`); empty where there was no choice.
    """

    path: Path
    kind: str
    took_ms: dict[str, float]

    @property
    def name(self) -> str:
        """Such as `painter bf16`."""
        return f"{self.path.stem} {self.kind}"


def load(
    name: str, path: Path, threads: int = 1, precision: str = "f32", batch: int | None = None
) -> Network:
    """Loads an ONNX file for inference.

    Args:
        name: of the backend.
        path: the ONNX file.
        threads: CPU threads for one inference.
        precision: one of `PRECISIONS`.
        batch: rows of every run, or `ANY`; if not given one on a CPU, where a fixed number is a
            third quicker, and any on a GPU. A file whose own batch is fixed takes just that.

    Raises:
        BackendError: no such backend, its library is not installed, or it refuses the file.
    """
    if precision not in PRECISIONS:
        raise BackendError(f"precision {precision!r} is unknown, expected one of {PRECISIONS}")
    factory = _factory(name, path)
    batch = _rows(factory, batch)
    if precision == "fastest":
        best = _fastest(factory, path, threads, batch)
        return factory(best.path, threads, best.kind, batch)
    return factory(path, threads, "f32", batch)


def beside(name: str) -> str:
    """The backend of small networks beside a render network on backend `name`.

    Those of sound, head, faces and mattes take a CPU less time than a GPU's launches, and media
    workers must not each open the GPU.
    """
    return "openvino" if name in ("tensorrt", "torch") else name


def takes_batches(name: str, path: Path) -> bool:
    """Whether a backend suits runs of any batch, as GPUs do.

    Raises:
        BackendError: see `load`.
    """
    return _factory(name, path).usual_batch() == ANY


def choose(name: str, path: Path, threads: int = 1, batch: int | None = None) -> Choice:
    """What `load` takes for `fastest`; timed once a process.

    Raises:
        BackendError: see `load`.
    """
    factory = _factory(name, path)
    return _fastest(factory, path, threads, _rows(factory, batch))


def _rows(factory: Factory, batch: int | None) -> int:
    if batch is None:
        return factory.usual_batch()
    if batch < 1 and batch != ANY:
        raise BackendError(f"batch is {batch}, expected at least 1, or {ANY} for any")
    return batch


def _factory(name: str, path: Path) -> Factory:
    if name not in _BACKENDS:
        raise BackendError(f"backend {name!r} is unknown, expected one of {names()}")
    if not path.is_file():
        raise BackendError(f"{path}: no such network file")
    module, kind, extra = _BACKENDS[name]
    try:
        factory: Factory = getattr(import_module(module), kind)
    except ImportError as error:
        raise BackendError(
            f"backend {name!r} cannot be imported ({error}): {install_command(extra)}"
        ) from error
    return factory


@lru_cache(maxsize=16)
def _fastest(factory: Factory, path: Path, threads: int, batch: int) -> Choice:
    known = factory.choices(path, batch)
    if len(known) == 1:
        return Choice(*known[0], {})
    networks = {made_of: factory(made_of[0], threads, made_of[1], batch) for made_of in known}
    took_ms = dict.fromkeys(known, np.inf)
    # In turns, for what else the machine does comes and goes; the least of each is its own.
    for made_of in known * _TRIALS:
        shapes = networks[made_of].inputs.items()
        feeds = {
            name: np.zeros([_TRIED_ROWS if side == ANY else side for side in shape], np.float32)
            for name, shape in shapes
        }
        begun = time.perf_counter()
        networks[made_of].run(feeds)
        took_ms[made_of] = min(took_ms[made_of], 1e3 * (time.perf_counter() - begun))
    best = min(known, key=lambda made_of: took_ms[made_of])
    choice = Choice(*best, {f"{p.stem} {kind}": float(took_ms[p, kind]) for p, kind in known})
    table = ", ".join(f"{name} {ms:.1f} ms" for name, ms in choice.took_ms.items())
    _log.info("%s is used: %s", choice.name, table)
    return choice


def batched(path: Path, inputs: dict[str, Shape], batch: int) -> dict[str, Shape]:
    """Shapes of a file's inputs once their first axis is a batch.

    Raises:
        BackendError: the file is made for another batch.
    """
    if batch == ANY:
        return inputs
    for name, shape in inputs.items():
        if shape and shape[0] not in (ANY, batch):
            raise BackendError(
                f"{path}: input {name!r} takes a batch of {shape[0]}, expected {batch}"
            )
    return {name: (batch, *shape[1:]) if shape else shape for name, shape in inputs.items()}


def check_feeds(inputs: dict[str, Shape], feeds: Arrays) -> None:
    """Raises BackendError unless the feeds have just these names, and shapes that fit."""
    if wrong := sorted(set(inputs) ^ set(feeds)):
        raise BackendError(f"input {wrong[0]!r} is missing or unknown, expected {sorted(inputs)}")
    rows: int | None = None
    for name, shape in inputs.items():
        got = feeds[name].shape
        fits = len(got) == len(shape)
        if not fits or any(s not in (ANY, g) for s, g in zip(shape, got, strict=True)):
            raise BackendError(f"input {name!r} is {got}, expected {shape}")
        if feeds[name].dtype != np.float32:
            raise BackendError(f"input {name!r} is {feeds[name].dtype}, expected float32")
        if shape and shape[0] == ANY:
            rows = got[0] if rows is None else rows
            if got[0] != rows or not rows:
                raise BackendError(
                    f"input {name!r} has a batch of {got[0]}, expected {rows or 'at least 1'}"
                )


def in_sizes(run: Callable[[Arrays, int], Arrays], feeds: Arrays) -> Arrays:
    """Runs a batch of any size in batches that fit into `SIZES`.

    Args:
        run: gets rows and the least of `SIZES` that holds them; what it gives beyond as many rows
            is left out.
        feeds: arrays with one row and more.
    """
    rows, parts = len(next(iter(feeds.values()))), []
    for begin in range(0, rows, SIZES[-1]):
        count = min(rows - begin, SIZES[-1])
        part = {name: array[begin : begin + count] for name, array in feeds.items()}
        found = run(part, next(size for size in SIZES if size >= count))
        parts.append({name: array[:count] for name, array in found.items()})
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def filled(feeds: Arrays, size: int) -> Arrays:
    """The same with rows of zeros up to a size."""
    return {
        name: np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])
        if len(array) < size
        else array
        for name, array in feeds.items()
    }
