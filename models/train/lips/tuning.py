"""Trains the lip network as a whole: sounds from every voice, lips from filmed people and from what
coarticulation makes of synthetic speech."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models import facemodel
from models.nets.lips import AROUND, LipNet, LipNetConfig
from models.train.lips import hearing
from models.train.lips.mixing import Mixer, Pool
from models.train.runs import Course, Run

WARM_UP = hearing.WARM_UP
_SHARE = (2.0, 1.5, 1.0, 0.7, 0.5, 0.5)
"""Weight of each component of the code."""


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """How the lip network is trained.

    Attributes:
        held_out: speakers never trained on.
        lookahead_ms: sound past a picture's time that its lips may be read from.
        steps, batch, chunks: optimiser steps; sequences a step; pictures a sequence.
        lr, weight_decay: AdamW, one-cycle; what was heard before learns at a third of it.
        spoken: share of synthetic speech, whose lips follow from its sounds.
        sounds: weight of the loss that names the sounds.
        ema: decay of the averaged weights, which are the ones kept.
    """

    held_out: tuple[str, ...] = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
    lookahead_ms: int = 60
    steps: int = 1000
    batch: int = 16
    chunks: int = 100
    lr: float = 2e-3
    weight_decay: float = 0.02
    spoken: float = 0.5
    sounds: float = 0.3
    ema: float = 0.997
    seed: int = 0
    net: LipNetConfig = field(default_factory=LipNetConfig)


def train(
    labels: Path,
    features: Path,
    heard: Path | None,
    folder: Path,
    config: TuneConfig,
    begin: Path | None = None,
) -> None:
    """Trains into `folder`, from a hearing or from another run's weights where one is given; goes
    on from its own checkpoint."""
    run = Run.begin(folder, config)
    torch.manual_seed(config.seed)
    net = LipNet(config.net, config.lookahead_ms)
    if heard is not None:
        net.hearing = hearing.load(heard).at(net.hearing.offsets).train()
    if begin is not None:
        net.load_state_dict(Run(begin).weights())
    slow = config.lr * (1 if heard is None and begin is None else 1 / 3)
    own = [p for k, p in net.named_parameters() if not k.startswith("hearing.")]
    groups = [{"params": list(net.hearing.parameters()), "lr": slow}, {"params": own}]
    optimiser = torch.optim.AdamW(groups, config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [slow, config.lr], config.steps, pct_start=0.1
    )
    course = Course(run, net, optimiser, schedule, config.steps, config.ema)
    rng = np.random.default_rng(config.seed + course.first)
    pool = Pool.load(features, labels, set(config.held_out))
    mixer = Mixer(pool, config.lookahead_ms, config.spoken, rng)
    opening = torch.from_numpy(facemodel.load().opening)
    for step in course:
        batch = mixer.batch(config.batch, config.chunks)
        mel, code = torch.from_numpy(batch.mel), torch.from_numpy(batch.code)
        mask = torch.from_numpy(batch.mask)
        mask[:, :WARM_UP] = 0
        known, logits, _ = net.hear(mel, net.init_state(len(mel)))
        terms = loss_of(net.head(net.embed(net.hearing.drop(known))), code, mask, opening)
        told = [
            nn.functional.cross_entropy(
                logits[:, :, i].flatten(0, 1), hearing.told(batch, o).flatten(), ignore_index=-1
            )
            for i, o in enumerate(AROUND)
        ]
        terms["sounds"] = config.sounds * torch.stack(told).mean()
        loss = torch.stack(list(terms.values())).sum()
        course.learn(step, loss, {k: term.item() for k, term in terms.items()})


def loss_of(out: Tensor, target: Tensor, mask: Tensor, opening: Tensor) -> dict[str, Tensor]:
    """Terms of the loss for codes (B, T, K), mask (B, T) 0 or 1."""
    total = mask.sum().clamp(min=1)
    share = torch.tensor(_SHARE)[: out.shape[2]]
    error = nn.functional.smooth_l1_loss(out, target, beta=0.5, reduction="none")
    code = ((error * share).sum(2) * mask).sum() / total
    pair = mask[:, 1:] * mask[:, :-1]
    speed = nn.functional.smooth_l1_loss(
        out.diff(dim=1), target.diff(dim=1), beta=0.3, reduction="none"
    )
    velocity = ((speed * share).sum(2) * pair).sum() / pair.sum().clamp(min=1)

    # Lips that nearly touch must touch: an error counts by its ratio, not by its width.
    def closeness(x: Tensor) -> Tensor:
        return torch.log(nn.functional.softplus((x @ opening) * 150) / 150 + 0.012)

    closure = ((closeness(out) - closeness(target)).abs() * mask).sum() / total

    def centred(x: Tensor) -> Tensor:
        y = x @ opening
        return (y - (y * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)) * mask

    a, b = centred(out), centred(target)
    spread = (a.square().sum(1) * b.square().sum(1) + 1e-8).sqrt()
    together = 1 - ((a * b).sum(1) / spread.clamp(min=1e-4)).mean()
    return {
        "code": code,
        "velocity": velocity,
        "closure": 0.3 * closure,
        "together": 0.5 * together,
    }
