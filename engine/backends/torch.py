"""Networks on torch, an extra: on an NVIDIA GPU where there is one, else on the CPU."""

from functools import lru_cache
from pathlib import Path

import torch

from engine.backends import ANY, SIZES, Arrays, batched, check_feeds, filled, in_sizes
from engine.backends.torch_cuda import CudaRuns
from engine.backends.torch_program import Program
from models import weights

_SHAPES = 8
"""Sets of input shapes for which a network is kept ready."""


@lru_cache(maxsize=16)
def _shared(path: Path, kind: str, graphs: bool) -> "Program | CudaRuns":
    """Made once a process: sessions share weights and graphs."""
    if not torch.cuda.is_available():
        return Program(path, torch.device("cpu"), _SHAPES)
    return CudaRuns(Program(path, torch.device("cuda"), _SHAPES), kind == "tf32", graphs)


class TorchNetwork:
    """An ONNX file, node by node in torch; see `Network`.

    On a GPU the nodes are captured once as a CUDA graph for each set of input shapes, and a run is
    one copy in, one launch and one copy out.

    Args:
        path: the file.
        threads: CPU threads; torch has one number for the whole process.
        kind: `f32`, what the file holds, or `tf32`, convolutions in TensorFloat-32.
        batch: rows of a run, or `ANY`; on a GPU graphs are captured at once, for `SIZES` if any.
        graphs: capture; without, every node is a launch of its own, for comparison.
    """

    @staticmethod
    def usual_batch() -> int:
        """Any on a GPU."""
        return ANY if torch.cuda.is_available() else 1

    @staticmethod
    def choices(path: Path, batch: int) -> list[tuple[Path, str]]:  # noqa: ARG004
        """float32; on a GPU TensorFloat-32 where it has it, and the float16 file."""
        if not torch.cuda.is_available():
            return [(path, "f32")]
        half = weights.beside(path, "fp16")
        kinds = ("f32", "tf32") if torch.cuda.get_device_capability() >= (8, 0) else ("f32",)
        return [(path, kind) for kind in kinds] + ([(half, "f32")] if half.is_file() else [])

    def __init__(
        self, path: Path, threads: int, kind: str, batch: int = 1, graphs: bool = True
    ) -> None:
        torch.set_num_threads(threads)
        self._program = _shared(path, kind, graphs)
        self.inputs = batched(path, self._program.inputs, batch)
        self.outputs = self._program.outputs
        self._padded = isinstance(self._program, CudaRuns) and any(
            shape and shape[0] == ANY for shape in self.inputs.values()
        )
        self.on_device = self._program if self._padded else None
        if isinstance(self._program, CudaRuns):
            for rows in SIZES if self._padded else (batch,):
                fixed = batched(path, self._program.inputs, rows)
                self._program.prepare(tuple(fixed.values()))

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        if self._padded:
            return in_sizes(lambda part, size: self._program.run(filled(part, size)), feeds)
        return self._program.run(feeds)
