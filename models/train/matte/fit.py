"""Trains the matting network: one loop that ends with its time."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from models.nets.matte import MatteConfig, MatteNet
from models.train.matte import score
from models.train.matte.augment import Sampler, Variety
from models.train.matte.pack import Pack
from models.train.runs import Run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a training.

    Attributes:
        budget_s: seconds that it lasts, over all its pieces; the learning rate follows them.
        batch: pictures a step.
        lr, weight_decay: of AdamW.
        warm_up: share of the time in which the learning rate rises.
        ema: decay of the averaged weights, which are the ones kept.
        pyramid: weight of the Laplacian pyramid's loss beside the plain difference's.
        kept_every_s: seconds between checkpoints, and between rows of the curve.
        seed: of weights and batches.
        net, variety: see there.
    """

    budget_s: float = 450.0
    batch: int = 48
    lr: float = 2e-3
    weight_decay: float = 1e-3
    warm_up: float = 0.05
    ema: float = 0.998
    pyramid: float = 1.0
    kept_every_s: float = 30.0
    seed: int = 0
    net: MatteConfig = field(default_factory=MatteConfig)
    variety: Variety = field(default_factory=Variety)


def train(
    pack: Pack,
    folder: Path,
    config: TrainConfig,
    device: torch.device,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Trains from the run's last checkpoint on, until the time on a clock in seconds is over.

    Raises:
        ValueError: the pack has nothing to train on, or the folder holds another run.
    """
    torch.manual_seed(config.seed)
    run = Run.begin(folder, config)
    net = MatteNet(config.net).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=config.weight_decay)
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    step, spent = 0, 0.0
    if (saved := run.resume()) is not None:
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        mean = {name: value.to(device) for name, value in saved["mean"].items()}
        step, spent = saved["step"], saved["spent_s"]
    sampler = Sampler(pack, config.variety, device, config.seed + step)
    begun, kept = clock() - spent, spent
    losses: list[Tensor] = []
    bar = tqdm(total=round(config.budget_s), initial=round(spent), unit="s", mininterval=20)
    while spent < config.budget_s:
        for group in optimiser.param_groups:
            group["lr"] = config.lr * _pace(spent / config.budget_s, config.warm_up)
        picture, alpha = sampler.draw(config.batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = net(picture.to(memory_format=torch.channels_last))
        loss = matting_loss(logits.float(), alpha, config.pyramid)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        decay = min(config.ema, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(mean.values()), list(net.state_dict().values()), 1 - decay)
        losses.append(loss.detach())
        step += 1
        spent = clock() - begun
        if spent - kept >= config.kept_every_s or spent >= config.budget_s:
            kept = spent
            state = {"net": net.state_dict(), "mean": mean, "optimiser": optimiser.state_dict()}
            run.keep(state | {"step": step, "spent_s": spent}, mean)
            row = _row(step, spent, losses, config, score.judged(_averaged(mean, config), pack))
            run.log(row)
            _log.info("  ".join(f"{name} {value}" for name, value in row.items()))
            losses = []
            spent = clock() - begun
        bar.update(round(spent) - bar.n)
    bar.close()


def matting_loss(logits: Tensor, alpha: Tensor, pyramid: float) -> Tensor:
    """Difference, likelihood and Laplacian pyramid (Niklaus 2018; Hou 2019) of alpha."""
    found = logits.sigmoid()
    plain = (found - alpha).abs().mean()
    likely = F.binary_cross_entropy_with_logits(logits, alpha)
    fine = torch.zeros((), device=logits.device)
    above, below = found, alpha
    for level in range(5):
        smaller = F.avg_pool2d(above, 2), F.avg_pool2d(below, 2)
        wide = [
            F.interpolate(s, scale_factor=2.0, mode="bilinear", align_corners=False)
            for s in smaller
        ]
        fine = fine + 2**level * ((above - wide[0]) - (below - wide[1])).abs().mean()
        above, below = smaller
    return plain + 0.3 * likely + pyramid * fine


def _pace(share: float, warm_up: float) -> float:
    """Learning rate over its highest: a short rise, then a cosine to nearly nothing."""
    if share < warm_up:
        return 0.05 + 0.95 * share / warm_up
    return 0.002 + 0.998 * 0.5 * (1 + cos(pi * min((share - warm_up) / (1 - warm_up), 1.0)))


def _averaged(mean: dict[str, Tensor], config: TrainConfig) -> MatteNet:
    device = next(iter(mean.values())).device
    net = MatteNet(config.net).to(device, memory_format=torch.channels_last)
    net.load_state_dict(mean)
    return net.eval()


def _row(
    step: int, spent: float, losses: list[Tensor], config: TrainConfig, found: dict[str, float]
) -> dict[str, float]:
    row = {"step": float(step), "seconds": float(round(spent))}
    row["lr"] = round(config.lr * _pace(spent / config.budget_s, config.warm_up), 6)
    row["loss"] = round(float(torch.stack(losses).mean()), 5) if losses else float(np.nan)
    return row | {name: round(value, 5) for name, value in found.items()}


def load(folder: Path) -> MatteNet:
    """A run's network with the weights kept last."""
    run = Run(folder)
    settings: dict[str, Any] = run.config["net"]
    net = MatteNet(MatteConfig.of(settings))
    net.load_state_dict(run.weights())
    return net.eval()
