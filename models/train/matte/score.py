"""Figures of alphas against others: overlap, mean error, error of gradients."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.nets.matte import MatteNet
from models.train.matte.pack import KINDS, Labelled, Pack, boxed

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
_GRADIENT_SIGMA = 1.4


def figures(found: F32, truth: F32) -> dict[str, float]:
    """Of one alpha (H, W) in [0, 1] against another.

    Returns:
        `iou` of what is over one half; `mae`, mean absolute difference; `grad`, mean absolute
        difference of gradient magnitudes at sigma 1.4 pixels (Rhemann 2009), times 1000.
    """
    inside, wanted = found > 0.5, truth > 0.5
    union = float((inside | wanted).sum())
    edges = [_gradient(alpha) for alpha in (found, truth)]
    return {
        "iou": float((inside & wanted).sum()) / union if union else 1.0,
        "mae": float(np.abs(found - truth).mean()),
        "grad": 1000 * float(np.abs(edges[0] - edges[1]).mean()),
    }


def _share(matte: U8) -> F32:
    return np.asarray(matte, np.float32) / np.float32(255)


def _gradient(alpha: F32) -> F32:
    soft = cv2.GaussianBlur(alpha, (0, 0), _GRADIENT_SIGMA)
    x, y = cv2.Sobel(soft, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(soft, cv2.CV_32F, 0, 1) / 8
    return np.asarray(np.hypot(x, y), np.float32)


def mean(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of each figure."""
    rows = list(rows)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


@torch.no_grad()
def judged(net: MatteNet, pack: Pack) -> dict[str, float]:
    """Mean figures of a network on the held-out portraits of a pack, by kind."""
    device = next(net.parameters()).device
    out: dict[str, float] = {}
    for number, kind in enumerate(KINDS):
        chosen = np.flatnonzero(pack.held & (pack.kinds == number))
        if not len(chosen):
            continue
        picture = torch.from_numpy(pack.pictures[chosen]).to(device).float() / 255
        found = torch.cat([_alpha(net, some) for some in picture.split(8)]).cpu().numpy()
        truth = pack.mattes[chosen].astype(np.float32) / np.float32(255)
        rows = [figures(f[0], t[0]) for f, t in zip(found, truth, strict=True)]
        out |= {f"{kind}_{name}": value for name, value in mean(rows).items()}
    return out


@torch.no_grad()
def held_out(net: MatteNet, items: Iterable[Labelled]) -> dict[str, tuple[int, dict[str, float]]]:
    """How many held-out portraits of each kind there are, and the network's mean figures.

    Raises:
        ValueError: nothing is held out.
    """
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for item in items:
        if item.held:
            picture = torch.from_numpy(boxed(item.picture)).permute(2, 0, 1)[None].float() / 255
            found = _alpha(net, picture)[0, 0].numpy()
            rows[item.kind].append(figures(found, _share(boxed(item.matte))))
    if not any(rows.values()):
        raise ValueError("none of the labelled portraits is held out")
    return {kind: (len(some), mean(some)) for kind, some in rows.items() if some}


def _alpha(net: MatteNet, picture: Tensor) -> Tensor:
    return net(picture.contiguous(memory_format=torch.channels_last)).sigmoid()
