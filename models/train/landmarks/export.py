"""Writes trained networks as ONNX files for the engine, weights in half precision."""

from pathlib import Path

import onnx
import torch
from torch import nn

from models import weights
from models.faces import CROP_PX, DETECTOR_PX
from models.nets.faces import Detector, Regressor
from models.train.render.export import halved
from models.train.runs import Run


def export(which: str, run: Run, folder: Path) -> Path:
    """Writes a run's network into a folder and returns the file's path."""
    net: nn.Module = Regressor() if which == "landmarks" else Detector()
    net.load_state_dict({k: v.float() for k, v in run.weights().items()})
    if which == "landmarks":
        side, made, name = CROP_PX, ["points", "score"], weights.FACE_LANDMARKS
    else:
        side, made, name = DETECTOR_PX, ["map"], weights.FACE_DETECTOR
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / name
    part = out.with_suffix(".part")
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, 3, side, side),),
        str(part),
        dynamo=False,
        opset_version=17,
        input_names=["picture"],
        output_names=made,
    )
    onnx.save(halved(onnx.load(str(part))), str(part))
    part.replace(out)
    return out
