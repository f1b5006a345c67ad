"""Networks on TensorRT, an extra: one engine a file, one CUDA graph for each size of batch."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.backends import ANY, SIZES, Arrays, Shape, batched, check_feeds, in_sizes, tensorrt_rtx
from engine.backends.cuda_stream import CudaStream, Stream, Turns
from engine.backends.engine_cache import EngineCache, default_folder
from engine.backends.tensorrt_builder import (
    RTX,
    Build,
    Library,
    Target,
    Tell,
    library,
    logger,
    made,
    recipe,
    target,
)
from engine.errors import BackendError
from kernels.gpu import Device, GpuError
from kernels.rows import Bound, Place
from models import weights

F32 = npt.NDArray[np.float32]
_ALIGNED = 256
"""Bytes at a multiple of which each array begins."""
_log = logging.getLogger(__name__)


class TensorRtNetwork:
    """An ONNX file on the first NVIDIA GPU; see `Network`. Any batch goes through.

    Its engine is compiled when it is first asked for, which takes seconds to minutes, and kept on
    disk (`engine_cache`): `visavis engine build` does so beforehand.

    Args:
        path: the file, whose values' types are taken as they are.
        threads, kind: of no meaning here.
        batch: rows of a run, or `ANY`: what is made ready at once, all of `SIZES` if any.
    """

    @staticmethod
    def usual_batch() -> int:
        """Any."""
        return ANY

    @staticmethod
    def choices(path: Path, batch: int) -> list[tuple[Path, str]]:  # noqa: ARG004
        """The float16 file where there is one: to time others, each would have to be compiled."""
        half = weights.beside(path, "fp16")
        return [(half if half.is_file() else path, "f32")]

    def __init__(
        self,
        path: Path,
        threads: int,  # noqa: ARG002
        kind: str,  # noqa: ARG002
        batch: int = ANY,
    ) -> None:
        self._runs = _shared(path)
        self.inputs = batched(path, self._runs.inputs, batch)
        self.outputs = self._runs.outputs
        self.on_device = self._runs if self._runs.open else None
        for rows in SIZES if batch == ANY else (batch,):
            self._runs.prepare(rows)

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        return self._runs.run(feeds)


@lru_cache(maxsize=16)
def _shared(path: Path) -> "Runs":
    """Made once a process: sessions share the engine and its graphs."""
    found = library()
    wanted, stream = target(found), _stream()
    return Runs(path, found, opened(found, path, wanted, EngineCache(default_folder())), stream)


def _stream() -> Stream:
    try:
        return CudaStream()
    except GpuError as error:
        raise BackendError(f"backend 'tensorrt' cannot run here: {error}") from error


def state(path: Path) -> str:
    """Whether a file's engine lies ready here, in words; nothing is compiled.

    Raises:
        BackendError: it cannot run here.
    """
    found = library()
    wanted, _ = target(found), _stream()
    cache = EngineCache(default_folder())
    kept = cache.path(path.stem, recipe(found, path, wanted))
    there = "is ready" if cache.read(kept) else "is compiled first: visavis engine build"
    return f"{found.name} {found.version} on {wanted.architecture}, its engine {there}"


def opened(found: Library, path: Path, wanted: Target, cache: EngineCache) -> Any:
    """A file's engine, compiled where the cache has none that can be opened.

    Raises:
        BackendError: it cannot be compiled, kept or opened.
    """
    trt, log = found.trt, logger(found.trt)
    runtime = made("runtime", log, lambda: trt.Runtime(log))
    kept = cache.path(path.stem, recipe(found, path, wanted))
    return cache.get(
        kept, lambda: Build(found, path, wanted).run(), runtime.deserialize_cuda_engine
    )


def compile_ahead(
    found: Library,
    path: Path,
    wanted: Target,
    cache: EngineCache,
    tell: Tell | None = None,
    again: bool = False,
) -> Path:
    """Where a file's engine lies, which is compiled and kept where there is none, or again.

    Raises:
        BackendError: it cannot be compiled or kept.
    """
    kept = cache.path(path.stem, recipe(found, path, wanted))
    cache.keep(kept, lambda: Build(found, path, wanted).run(tell), again)
    return kept


class Runs:
    """An engine's runs, one at a time; sessions of all threads may share it.

    Args:
        path: the ONNX file, for messages.
        found: the library.
        engine: an `ICudaEngine`.
        stream: where it runs.

    Attributes:
        inputs, outputs: see `Network`.
        open: whether any batch goes: only then are they an `OnDevice`.
        most: see `kernels.rows.OnDevice`.

    Raises:
        BackendError: an input or output is not float32.
    """

    most = SIZES[-1]

    def __init__(self, path: Path, found: Library, engine: Any, stream: Stream) -> None:
        trt = found.trt
        self._path, self._found, self._engine, self._stream = path, found, engine, stream
        self._turns = Turns()
        self._ready: dict[int, _Run] = {}
        self.inputs: dict[str, Shape] = {}
        outputs = []
        for at in range(engine.num_io_tensors):
            name = engine.get_tensor_name(at)
            if (kind := engine.get_tensor_dtype(name)) != trt.DataType.FLOAT:
                raise BackendError(f"{path}: {name!r} is {kind}, expected float32")
            if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self.inputs[name] = tuple(engine.get_tensor_shape(name))
            else:
                outputs.append(name)
        self.outputs = tuple(outputs)
        self.open = any(shape and shape[0] == ANY for shape in self.inputs.values())

    def prepare(self, rows: int) -> None:
        """Makes ready for as many rows, so that their first run is as quick as others.

        Raises:
            BackendError: TensorRT fails.
        """
        with self._turns.take():
            self._sized(rows)

    def _sized(self, rows: int) -> "_Run":
        """The run of the least size that holds as many rows; of the greatest beyond."""
        size = next((size for size in SIZES if size >= rows), SIZES[-1]) if self.open else 0
        if size not in self._ready:
            shapes = {name: (size, *s[1:]) if self.open else s for name, s in self.inputs.items()}
            profile = SIZES.index(size) if self.open else 0
            try:
                self._ready[size] = _Run(
                    self._found, self._engine, self._stream, shapes, self.outputs, profile
                )
            except (BackendError, GpuError) as error:
                raise BackendError(f"{self._path}, batch of {size or 1}: {error}") from error
        return self._ready[size]

    def run(self, feeds: Arrays) -> Arrays:
        """Arrays by input name -> arrays by output name, each with as many rows.

        Raises:
            BackendError: TensorRT fails.
        """
        with self._turns.take():
            if not self.open:
                return self._sized(1)(feeds)
            return in_sizes(lambda part, size: self._sized(size)(part), feeds)

    @contextmanager
    def bound(self, device: Device, rows: int) -> Iterator[Bound]:
        """See `kernels.rows.OnDevice`.

        Raises:
            BackendError: TensorRT fails.
        """
        with self._turns.take(device):
            yield self._sized(rows).bound(device)


class _Run:
    """Memory, context and graph for inputs of some shapes: addresses never change."""

    def __init__(
        self,
        found: Library,
        engine: Any,
        stream: Stream,
        shapes: dict[str, Shape],
        outputs: tuple[str, ...],
        profile: int,
    ) -> None:
        self._stream = stream
        rtx = found.name == RTX
        context = self._context = (
            tensorrt_rtx.context(found.trt, engine) if rtx else engine.create_execution_context()
        )
        if context is None:
            raise BackendError("TensorRT gives no context: is the GPU's memory full?")
        self._shape(shapes, profile)
        self._given = _Packed(shapes)
        self._made = _Packed({name: tuple(context.get_tensor_shape(name)) for name in outputs})
        self._memory = stream.empty(self._given.nbytes), stream.empty(self._made.nbytes)
        self._host = stream.staging(self._given.nbytes)
        self._host[:] = 0
        self._arrays = self._given.cut(self._host)
        for packed, memory in zip((self._given, self._made), self._memory, strict=True):
            for name, begin in packed.begins.items():
                _must(context.set_tensor_address(name, memory.address + begin), f"memory {name!r}")
        # Once outside of a graph: this is when TensorRT allocates and compiles what it still must.
        stream.send(self._host, self._memory[0])
        self._enqueue(stream)
        stream.wait()
        self._launch: Callable[[Device], None] = self._enqueue
        try:
            if rtx:
                tensorrt_rtx.check_capturable(context, stream.handle)
            self._launch = stream.capture(lambda: self._enqueue(stream))
        except BackendError as error:
            _log.warning("%s: runs for %s cost more", error, shapes)
            # What failed in a capture need not fail without: if it does, now.
            self._enqueue(stream)
            stream.wait()

    def _shape(self, shapes: dict[str, Shape], profile: int) -> None:
        """Tells the context what is to come."""
        context = self._context
        try:
            _must(context.set_optimization_profile_async(profile, self._stream.handle), "a profile")
            self._stream.wait()
            for name, shape in shapes.items():
                _must(context.set_input_shape(name, shape), f"input {name!r} of {shape}")
            unknown = context.infer_shapes()
        # Of these calls some give False, others raise.
        except RuntimeError as error:
            raise BackendError(f"TensorRT refuses inputs of {shapes}: {error}") from error
        if unknown:
            raise BackendError(f"TensorRT does not know the shape of {unknown[0]!r}")

    def _enqueue(self, device: Device) -> None:
        _must(self._context.execute_async_v3(device.handle), "to run")

    def bound(self, device: Device) -> Bound:
        """Its memory, and what runs it there."""
        given, made = (
            packed.places(memory.address)
            for packed, memory in zip((self._given, self._made), self._memory, strict=True)
        )
        return Bound(given, made, lambda: self._launch(device))

    def __call__(self, feeds: Arrays) -> Arrays:
        for name, array in feeds.items():
            # Rows beyond these keep what they had: no row sees another.
            self._arrays[name][: len(array)] = array
        self._stream.send(self._host, self._memory[0])
        self._launch(self._stream)
        return self._made.cut(self._stream.fetch(self._memory[1], self._made.nbytes))


class _Packed:
    """Where float32 arrays of known shapes lie in one block of bytes."""

    def __init__(self, shapes: dict[str, Shape]) -> None:
        self._shapes = shapes
        self.begins: dict[str, int] = {}
        self.nbytes = 0
        for name, shape in shapes.items():
            self.begins[name] = self.nbytes
            self.nbytes += -(-4 * math.prod(shape) // _ALIGNED) * _ALIGNED

    def places(self, address: int) -> dict[str, Place]:
        """Where they lie in a block that begins at an address."""
        return {
            name: Place(address + begin, self._shapes[name][1:])
            for name, begin in self.begins.items()
        }

    def cut(self, block: npt.NDArray[np.uint8]) -> dict[str, F32]:
        """The block as arrays by name; they share its memory."""
        return {
            name: block[begin : begin + 4 * math.prod(self._shapes[name])]
            .view(np.float32)
            .reshape(self._shapes[name])
            for name, begin in self.begins.items()
        }


def _must(done: bool, what: str) -> None:
    if not done:
        raise BackendError(f"TensorRT refuses {what}")
