"""Makes the exported network's convolutions int8, their ranges taken from windows of people."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from models import diffusion, weights, window
from models.train.render.batches import Batches, Variety
from models.train.render.samples import People

Arrays = dict[str, npt.NDArray[np.float32]]

_WINDOWS = 64
_TIMES = (1.0, 0.5)
"""Where one step and two begin."""


class _Windows(CalibrationDataReader):
    def __init__(self, feeds: Iterator[Arrays]) -> None:
        self._feeds = feeds

    def get_next(self) -> Arrays | None:
        """The next feeds, None after the last."""
        return next(self._feeds, None)


def quantize(folder: Path, people: People) -> None:
    """Writes `painter_int8.onnx` beside the `painter.onnx` of a folder.

    Args:
        folder: what `models.train.render.export` wrote.
        people: whose windows tell how large the numbers inside get; not those held out.
    """
    whole = folder / weights.PAINTER
    out = weights.beside(whole, "int8")
    part = out.with_suffix(".part")
    with TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        quant_pre_process(str(whole), str(plain), skip_symbolic_shape=True)
        convolutions = [n.name for n in onnx.load(str(plain)).graph.node if n.op_type == "Conv"]
        quantize_static(
            plain,
            part,
            _Windows(_feeds(folder, people)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            # The ends see noise and give colours: in int8 they make two thirds of the error.
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    part.replace(out)


def _feeds(folder: Path, people: People) -> Iterator[Arrays]:
    sit = onnxruntime.InferenceSession(str(folder / weights.PORTRAIT))
    kinds = dict.fromkeys(people.kinds, 1.0)
    batch = Batches(people, kinds, Variety(), 0).draw(_WINDOWS)
    noise = torch.from_numpy(window.noise())[None]
    for row in range(_WINDOWS):
        t = _TIMES[row % len(_TIMES)]
        own = slice(row, row + 1)
        features, code = sit.run(None, {"portrait": batch.portrait[own].numpy()})
        yield {
            "noisy": diffusion.mix(batch.truth[own], noise, diffusion.shares(t)).numpy(),
            "t": np.array([t], np.float32),
            "guide": batch.guide[own].numpy(),
            "region": batch.region[own].numpy(),
            "told": batch.told[own].numpy(),
            "features": features,
            "code": code,
        }
