"""A program on an NVIDIA GPU: captured once as a CUDA graph, then replayed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.backends import SIZES, Arrays, batched
from engine.backends.cuda_stream import Turns
from engine.backends.torch_program import Program, Values
from engine.errors import BackendError
from kernels.gpu import Device
from kernels.rows import Bound, Place

F32 = npt.NDArray[np.float32]
Shapes = tuple[tuple[int, ...], ...]

_WARM_UP = 3
"""Runs before capture: cuDNN chooses its algorithms, libraries take their memory."""
_ALIGNED = 64
"""Floats (256 bytes) at a multiple of which each array begins."""
_SHAPES = 8
_capturing = Lock()


class CudaRuns:
    """A program's runs, one at a time; sessions of all threads may share it.

    Args:
        program: on a GPU.
        tf32: let convolutions compute in TensorFloat-32.
        graphs: capture; without, each operation is launched by itself.

    Attributes:
        inputs, outputs: see `Network`.
        most: see `kernels.rows.OnDevice`.
    """

    most = SIZES[-1]

    def __init__(self, program: Program, tf32: bool, graphs: bool) -> None:
        self._program, self._tf32, self._graphs = program, tf32, graphs
        self.inputs, self.outputs = program.inputs, program.outputs
        self._turns = Turns()
        self._ready: dict[Shapes, _Run] = {}
        self._sizes: dict[int, Shapes] = {}

    def prepare(self, shapes: Shapes) -> None:
        """Captures for inputs of these shapes, so that their first run is as quick as others.

        Raises:
            BackendError: the program cannot be captured, or the GPU's memory is full.
        """
        if all(side > 0 for shape in shapes for side in shape):
            with self._turns.take():
                self._run(shapes)

    def _run(self, shapes: Shapes) -> "_Run":
        if shapes not in self._ready:
            if len(self._ready) >= _SHAPES:
                self._turns.settle()
                del self._ready[next(iter(self._ready))]
            given = dict(zip(self.inputs, shapes, strict=True))
            try:
                with _capturing:
                    self._ready[shapes] = _Run(self._program, given, self._tf32, self._graphs)
            except torch.OutOfMemoryError as error:
                raise BackendError(
                    f"{self._program.path}: the GPU's memory is full: {error}"
                ) from error
        return self._ready[shapes]

    def run(self, feeds: Arrays) -> Arrays:
        """Arrays by input name -> arrays by output name.

        Raises:
            BackendError: the program cannot be captured for these shapes.
        """
        with self._turns.take():
            return self._run(tuple(feeds[name].shape for name in self.inputs))(feeds)

    @contextmanager
    def bound(self, device: Device, rows: int) -> Iterator[Bound]:
        """See `kernels.rows.OnDevice`, which this is where any batch goes.

        Raises:
            BackendError: see `run`.
        """
        size = next(size for size in SIZES if size >= rows)
        if size not in self._sizes:
            self._sizes[size] = tuple(batched(self._program.path, self.inputs, size).values())
        with self._turns.take(device):
            yield self._run(self._sizes[size]).bound(device)


class _Packed:
    """Arrays of known shapes in one block of pinned memory and one of the GPU's."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        begins, size = {}, 0
        for name, shape in shapes.items():
            begins[name] = size
            size += -(-prod(shape) // _ALIGNED) * _ALIGNED
        self.pinned = torch.zeros(max(size, 1), pin_memory=True)
        self.device = torch.zeros(max(size, 1), device="cuda")

        def cut(flat: Any) -> dict[str, Any]:
            return {
                name: flat[begins[name] : begins[name] + prod(shape)].reshape(shape)
                for name, shape in shapes.items()
            }

        self.arrays: dict[str, F32] = cut(self.pinned.numpy())
        self.tensors: dict[str, Tensor] = cut(self.device)

    def places(self) -> dict[str, Place]:
        """Where its rows lie on the GPU."""
        return {
            name: Place(tensor.data_ptr(), tuple(tensor.shape[1:]))
            for name, tensor in self.tensors.items()
        }


class _Run:
    """Static memory, and the graph, for inputs of some shapes."""

    def __init__(
        self, program: Program, shapes: Mapping[str, tuple[int, ...]], tf32: bool, graphs: bool
    ) -> None:
        self._program, self._tf32 = program, tf32
        self._stream = torch.cuda.Stream()
        self._graph: Any = None
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._given = _Packed(shapes)
            for _ in range(_WARM_UP):
                found = self._computed()
            self._check(found)
            self._found = _Packed({name: tuple(v.shape) for name, v in found.items()})
            self._places = self._given.places(), self._found.places()
            self._stream.synchronize()
        if graphs:
            self._capture()

    def _check(self, found: Values) -> None:
        for name, value in found.items():
            if value.dtype != torch.float32:
                raise BackendError(
                    f"{self._program.path}: output {name!r} is {value.dtype}, expected float32"
                )

    def _computed(self) -> Values:
        # Graphs keep the algorithms with which they were captured.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=self._tf32):
            return self._program.compute(self._given.tensors)

    def _step(self) -> None:
        for name, value in self._computed().items():
            self._found.tensors[name].copy_(value)

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the GPU meanwhile.
            with (
                torch.inference_mode(),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._step()
        except RuntimeError as error:
            raise BackendError(
                f"{self._program.path}: torch cannot capture the network: {error}"
            ) from error
        self._graph = graph

    def _launch(self) -> None:
        if self._graph is not None:
            self._graph.replay()
            return
        with torch.inference_mode():
            self._step()

    def bound(self, device: Device) -> Bound:
        """Its memory, and what runs it there."""

        def launch() -> None:
            with torch.cuda.stream(stream):
                self._launch()

        stream = torch.cuda.ExternalStream(device.handle)
        return Bound(*self._places, launch)

    def __call__(self, feeds: Arrays) -> Arrays:
        for name, array in self._given.arrays.items():
            array[...] = feeds[name]
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._given.device.copy_(self._given.pinned, non_blocking=True)
            self._launch()
            self._found.pinned.copy_(self._found.device, non_blocking=True)
            self._stream.synchronize()
        return {name: array.copy() for name, array in self._found.arrays.items()}
