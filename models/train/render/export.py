"""Writes a run's network as ONNX files for the engine: any batch, weights in half precision."""

from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models import weights, window
from models.nets.painter import UNSHUFFLE, Painted, Painter, Sitting
from models.train.render.half import in_half

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
    """Writes the files into a folder: the network, the same in float16, the portrait's part."""
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
    whole = _traced(Step(net), step, names, ["picture", "mask"])
    sit = _traced(Sit(net), (picture,), ["portrait"], ["features", "code"])
    _save(in_half(whole), weights.beside(folder / weights.PAINTER, "fp16"))
    _save(halved(whole), folder / weights.PAINTER)
    _save(halved(sit), folder / weights.PORTRAIT)


def _save(model: onnx.ModelProto, out: Path) -> None:
    part = out.with_suffix(".part")
    onnx.save(model, str(part))
    part.replace(out)


def _traced(
    net: nn.Module, example: tuple[Tensor, ...], given: list[str], made: list[str]
) -> onnx.ModelProto:
    file = BytesIO()
    torch.onnx.export(
        net.eval(),
        example,
        file,
        dynamo=False,
        opset_version=17,
        input_names=given,
        output_names=made,
        dynamic_axes={name: {0: "batch"} for name in (*given, *made)},
    )
    return onnx.load_from_string(file.getvalue())


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
