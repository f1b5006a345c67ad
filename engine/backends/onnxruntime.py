"""Networks on ONNX Runtime: an extra, where OpenVINO has no wheel."""

from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from engine.backends import Arrays, batched, check_feeds
from engine.errors import BackendError
from models import weights

_REFUSALS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
)


class OnnxRuntimeNetwork:
    """An ONNX file in a CPU session, in the kind of number that it holds; see `Network`."""

    @staticmethod
    def usual_batch() -> int:
        """One row."""
        return 1

    @staticmethod
    def choices(path: Path, batch: int) -> list[tuple[Path, str]]:
        """What the files hold: float32, and int8 for one row."""
        small = weights.beside(path, "int8")
        return [(p, "f32") for p in (path, small) if p == path or (batch == 1 and p.is_file())]

    def __init__(
        self,
        path: Path,
        threads: int,
        kind: str,  # noqa: ARG002
        batch: int = 1,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except _REFUSALS as error:
            raise BackendError(f"{path}: ONNX Runtime refuses the network: {error}") from error
        open_inputs = {
            i.name: tuple(d if isinstance(d, int) else -1 for d in i.shape)
            for i in self._session.get_inputs()
        }
        self.inputs = batched(path, open_inputs, batch)
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def run(self, feeds: Arrays) -> Arrays:
        """See `engine.backends.Network.run`."""
        check_feeds(self.inputs, feeds)
        return dict(zip(self.outputs, self._session.run(None, feeds), strict=True))
