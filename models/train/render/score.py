"""Figures of a render network on windows of people: against the guide alone, by steps."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import diffusion, window
from models.nets.painter import Painter
from models.train.render.batches import Batch, Batches
from models.train.render.samples import People

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Over people, each counted alike.

    Attributes:
        guide_db, painted_db: PSNR over the region that may be painted, soft mask.
        gain_db: the difference.
        worst_db: the least gain of anyone.
        sharpness: gradient energy in the region over that of the truth.
    """

    guide_db: float
    painted_db: float
    gain_db: float
    worst_db: float
    sharpness: float


def psnr(picture: Tensor, truth: Tensor, region: Tensor) -> F64:
    """(B,) dB over a soft region, of pictures in [-1, 1]."""
    error = ((picture.clamp(-1, 1) - truth) ** 2).mean(1, keepdim=True) / 4
    mean = (error * region).sum((1, 2, 3)) / region.sum((1, 2, 3))
    return np.asarray(-10 * torch.log10(mean + 1e-9).cpu(), np.float64)


def energy(picture: Tensor, region: Tensor) -> F64:
    """(B,) mean squared gradient of the brightness over a region."""
    grey = picture.mean(1, keepdim=True)
    across = (grey[..., :-1, 1:] - grey[..., :-1, :-1]) ** 2
    down = (grey[..., 1:, :-1] - grey[..., :-1, :-1]) ** 2
    inner = region[..., :-1, :-1]
    found = ((across + down) * inner).sum((1, 2, 3)) / inner.sum((1, 2, 3))
    return np.asarray(found.cpu(), np.float64)


@cache
def begun(device: torch.device) -> Tensor:
    """`window.noise` on a device, (3, 96, 112)."""
    return torch.from_numpy(window.noise()).to(device)


@torch.no_grad()
def paint(net: Painter, batch: Batch, steps: int) -> Tensor:
    """The windows of a batch, painted in so many steps."""
    noise = begun(batch.truth.device).expand_as(batch.truth)
    sitting = net.sit(batch.portrait)

    def predict(x: Tensor, t: float) -> Tensor:
        at = torch.full((len(x),), t, device=x.device)
        found = net(x, at, batch.guide, batch.region, batch.told, sitting)
        return found.picture

    return diffusion.sample(predict, noise, steps)


def some(judges: People, most: int) -> People:
    """At most so many samples of people, the same every time."""
    rows = np.random.default_rng(0).permutation(len(judges.person))[:most]
    return judges.taken(np.sort(rows))


def people(net: Painter, judges: People, steps: int) -> Figures:
    """Figures over people."""
    device = str(next(net.parameters()).device)
    batches = Batches(judges, dict.fromkeys(judges.kinds, 1.0), None, 0, device)
    rows = np.arange(len(judges.person))
    table = []
    for part in np.array_split(rows, max(1, len(rows) // 32)):
        batch = batches.take(part)
        made = paint(net, batch, steps)
        before, after = (psnr(x, batch.truth, batch.region) for x in (batch.guide, made))
        grain = energy(made, batch.region), energy(batch.truth, batch.region)
        table.append(np.stack([before, after, *grain]))
    found, person = np.concatenate(table, 1), judges.person[rows]
    each = np.array([found[:, person == p].mean(1) for p in np.unique(person)])
    gains = each[:, 1] - each[:, 0]
    return Figures(
        float(each[:, 0].mean()),
        float(each[:, 1].mean()),
        float(gains.mean()),
        float(gains.min()),
        float(np.median(each[:, 2] / each[:, 3])),
    )
