"""The lip network as a listener: what opening it expects of a clip's sound."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models import facemodel, weights
from models.data.offsets import Listener

F32 = npt.NDArray[np.float32]

LOOKAHEAD_MS = 60
"""What the shipped lip network was trained for."""
HOPS = 4
WARM_UP = 25


def chunks(pcm: F32) -> F32:
    """(T * 640,) sound -> (T, 4, 80) log-mel whose chunk i ends LOOKAHEAD_MS after picture i."""
    ahead = LOOKAHEAD_MS // 10
    padded = np.concatenate([pcm, np.zeros(ahead * logmel.HOP, np.float32)])
    mel = logmel.LogMel().push(padded)[ahead - HOPS :]
    count = len(pcm) // (HOPS * logmel.HOP)
    return mel[: count * HOPS].reshape(count, HOPS, logmel.BANDS)


def network(path: Path | None = None) -> Listener:
    """A lip network (default: the shipped one) as a listener.

    Raises:
        ImportError: onnxruntime is not installed.
        OSError: there is no such file.
        ValueError: the file is no lip network.
    """
    import onnxruntime

    chosen = path or weights.path("lips.onnx")
    if not chosen.is_file():
        raise FileNotFoundError(f"{chosen}: no such lip network")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(
        str(chosen), options, providers=["CPUExecutionProvider"]
    )
    inputs = {i.name: i.shape for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    if set(inputs) != {"mel", "state"} or not {"code", "next_state"} <= outputs:
        raise ValueError(f"{chosen}: inputs {sorted(inputs)}, expected mel and state")
    opening = facemodel.load().opening

    def listen(pcm: F32) -> F32:
        state = np.zeros((1, inputs["state"][1]), np.float32)
        quiet = np.tile(logmel.SILENCE, (1, HOPS, 1)).astype(np.float32)
        for _ in range(WARM_UP):
            (state,) = session.run(["next_state"], {"mel": quiet, "state": state})
        out = []
        for chunk in chunks(pcm):
            code, state = session.run(["code", "next_state"], {"mel": chunk[None], "state": state})
            out.append(float(np.reshape(code, -1) @ opening))
        return np.array(out, np.float32)

    return listen
