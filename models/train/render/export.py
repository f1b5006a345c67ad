"""Writes a run's network as ONNX files for the engine, weights in half precision."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models import weights, window
from models.nets.painter import UNSHUFFLE, Painted, Painter, Sitting

_SMALL = 512
"""Arrays of fewer numbers stay in single precision."""


class Step(nn.Module):
    """One denoising step with plain tensors for a portrait's features and code."""

    def __init__(self, net: Painter) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        guide: Tensor,
        region: Tensor,
        told: Tensor,
        features: Tensor,
        code: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `models.nets.painter.Painter.forward`."""
        found: Painted = self.net(noisy, t, guide, region, told, Sitting(features, code))
        return found.picture, found.mask


class Sit(nn.Module):
    """A portrait's features and code."""

    def __init__(self, net: Painter) -> None:
        super().__init__()
        self.net = net.sit

    def forward(self, portrait: Tensor) -> tuple[Tensor, Tensor]:
        """See `models.nets.painter.Portrait.forward`."""
        found: Sitting = self.net(portrait)
        return found.features, found.code


def export(net: Painter, folder: Path) -> None:
    """Writes both files into a folder."""
    size = window.HIGH_PX, window.WIDE_PX
    picture = torch.zeros(1, 3, *size)
    config = net.config
    step = (
        picture,
        torch.ones(1),
        picture,
        torch.zeros(1, 1, *size),
        torch.zeros(1, window.CONDITIONS),
        torch.zeros(1, config.channels[0], *(side // UNSHUFFLE for side in size)),
        torch.zeros(1, config.code),
    )
    names = ["noisy", "t", "guide", "region", "told", "features", "code"]
    folder.mkdir(parents=True, exist_ok=True)
    net = net.to(memory_format=torch.contiguous_format).eval()
    _write(Step(net), step, folder / weights.PAINTER, names, ["picture", "mask"])
    _write(Sit(net), (picture,), folder / weights.PORTRAIT, ["portrait"], ["features", "code"])


def _write(
    net: nn.Module, example: tuple[Tensor, ...], out: Path, given: list[str], made: list[str]
) -> None:
    part = out.with_suffix(".part")
    torch.onnx.export(
        net.eval(),
        example,
        str(part),
        dynamo=False,
        opset_version=17,
        input_names=given,
        output_names=made,
    )
    onnx.save(halved(onnx.load(str(part))), str(part))
    part.replace(out)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its large arrays kept as float16 and cast when it is loaded."""
    graph, casts = model.graph, []
    for at, array in enumerate(graph.initializer):
        values = numpy_helper.to_array(array)
        if array.data_type != TensorProto.FLOAT or values.size < _SMALL:
            continue
        name, half = array.name, array.name + ".half"
        graph.initializer[at].CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    return model
