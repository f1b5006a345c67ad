"""Trains the lip network's hearing: which sound is spoken when, out of many voices."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.nets.lips import AROUND, HOPS, Hearing, LipNetConfig
from models.train.lips.mixing import Batch, Mixer, Pool
from models.train.runs import Course, Run

LOOKAHEADS_MS = (0, 40, 60, 100, 200)
"""Sound past a picture's time that lips may be read from: one hearing serves them all."""
OFFSETS = tuple(sorted({o - ahead // 10 for o in AROUND for ahead in LOOKAHEADS_MS}))
"""Hops after a chunk's end at which sounds are named."""
WARM_UP = 6
"""Chunks at a sequence's start that carry no loss: the state settles there."""


@dataclass(frozen=True, slots=True)
class HearingConfig:
    """How the hearing is trained.

    Attributes:
        without: speakers left out; those who are seen but whose words are unknown have no use here.
        steps, batch, chunks: optimiser steps; sequences a step; pictures a sequence.
        lr, weight_decay: AdamW, one-cycle.
        voices: share of sequences out of speech that is only heard, over filmed speech.
        ema: decay of the averaged weights, which are the ones kept.
        offsets: how many of `OFFSETS`, drawn anew, are told at a step.
    """

    without: tuple[str, ...] = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a", "obama")
    steps: int = 2000
    batch: int = 16
    chunks: int = 100
    lr: float = 2e-3
    weight_decay: float = 0.02
    voices: float = 0.75
    ema: float = 0.997
    offsets: int = 6
    seed: int = 0
    net: LipNetConfig = field(default_factory=LipNetConfig)


def told(batch: Batch, offset: int) -> Tensor:
    """(B, T) class of the sound `offset` hops after each chunk's end, -1 where unknown; chunks end
    at their picture's time."""
    count = batch.mask.shape[1]
    at = HOPS * np.arange(count) + offset
    sound = np.where(at >= 0, batch.sound[:, np.maximum(at, 0)], -1)
    sound[:, :WARM_UP] = -1
    return torch.from_numpy(sound)


def train(
    features: Path, labels: Path, folder: Path, config: HearingConfig, begin: Path | None = None
) -> None:
    """Trains `Hearing` into `folder`, from another run's weights where one is given; goes on from
    its own checkpoint."""
    run = Run.begin(folder, config)
    torch.manual_seed(config.seed)
    net = Hearing(config.net, OFFSETS)
    if begin is not None:
        net.load_state_dict(Run(begin).weights())
    optimiser = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.lr, config.steps, pct_start=0.1
    )
    course = Course(run, net, optimiser, schedule, config.steps, config.ema)
    rng = np.random.default_rng(config.seed + course.first)
    mixer = Mixer(Pool.load(features, labels, set(config.without)), 0, config.voices, rng)
    for step in course:
        batch = mixer.batch(config.batch, config.chunks)
        mel = torch.from_numpy(batch.mel)
        heard, _ = net.features(mel, net.init_state(len(mel)))
        terms, right = [], float("nan")
        for index in rng.choice(len(OFFSETS), config.offsets, replace=False):
            rows = slice(index * config.net.classes, (index + 1) * config.net.classes)
            logits = nn.functional.linear(heard, net.sounds.weight[rows], net.sounds.bias[rows])
            truth = told(batch, OFFSETS[index])
            terms.append(
                nn.functional.cross_entropy(
                    logits.flatten(0, 1), truth.flatten(), ignore_index=-1, label_smoothing=0.02
                )
            )
            known = truth > 0
            if OFFSETS[index] == -6:
                right = (logits.argmax(2) == truth)[known].float().mean().item()
        loss = torch.stack(terms).mean()
        course.learn(step, loss, {"loss": loss.item(), "right": right})


def load(folder: Path) -> Hearing:
    """The averaged weights of a run, ready to run."""
    run = Run(folder)
    net = Hearing(LipNetConfig.of(run.config["net"]), OFFSETS)
    net.load_state_dict(run.weights())
    return net.eval()
