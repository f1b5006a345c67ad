"""Networks on torch, an extra: on an NVIDIA GPU where there is one, else on the CPU."""

from functools import lru_cache
from pathlib import Path

import torch

from engine.backends import Arrays, check_feeds
from engine.backends.torch_cuda import CudaRuns
from engine.backends.torch_program import Program

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
        graphs: capture; without, every node is a launch of its own, for comparison.
    """

    @staticmethod
    def faster() -> tuple[str, ...]:
        """TensorFloat-32 on GPUs that have it."""
        known = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
        return ("tf32",) if known else ()

    def __init__(self, path: Path, threads: int, kind: str, graphs: bool = True) -> None:
        torch.set_num_threads(threads)
        self._program = _shared(path, kind, graphs)
        self.inputs = self._program.inputs
        self.outputs = self._program.outputs

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        return self._program.run(feeds)
