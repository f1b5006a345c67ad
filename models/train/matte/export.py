"""Writes a run's network as an ONNX file for the engine, weights in half precision."""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.nets.matte import SIDE_PX, MatteNet
from models.train.render.export import halved


class Alpha(nn.Module):
    """The network with alpha itself for its logits."""

    def __init__(self, net: MatteNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> (B, 1, S, S) in [0, 1]."""
        return self.net(picture).sigmoid()


def export(net: MatteNet, out: Path) -> None:
    """Writes the file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    torch.onnx.export(
        Alpha(net.to(memory_format=torch.contiguous_format)).eval(),
        (torch.zeros(1, 3, SIDE_PX, SIDE_PX),),
        str(part),
        dynamo=False,
        opset_version=17,
        input_names=["picture"],
        output_names=["alpha"],
    )
    onnx.save(halved(onnx.load(str(part))), str(part))
    part.replace(out)
