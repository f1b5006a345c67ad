"""The render network's training: the teacher, and students of half as many steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import diffusion
from models.nets.painter import PRESETS as NETS
from models.nets.painter import Painted, Painter, PainterConfig, Sitting
from models.train.render import critic, losses, score
from models.train.render.batches import Batch, Batches, Variety
from models.train.render.samples import People, folders, read
from models.train.render.widen import widened
from models.train.runs import KEPT_EVERY, Course, Run

HELD_OUT = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
"""Filmed people never trained on."""
VALIDATION_CLIPS = ("grid_brbk7n", "grid_lbbc2a")
VALIDATION_EVERY = 12
"""Every so many stills and synthetic heads is kept for validation, with those clips."""
_PERSUADED = 300
"""Steps over which a critic gains its weight: at first it knows nothing."""
_JUDGES = 160
"""Windows of those people that a checkpoint is judged by."""
STAGES = (8, 4, 2, 1)
"""Steps of the students; the teacher has twice as many as the first."""
_TOLD = 0.2
"""Time before which the noise hides so little that a prediction should be the truth."""
_HALFWAY = 0.25
"""Share of the last student's windows at the second of two steps."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a render network is trained.

    Attributes:
        held_out: people never trained on.
        steps, batch: optimiser steps, windows a step.
        shares: of the kinds of samples.
        certain: share of the windows drawn at time 1, where one step begins.
        steadiest: the most that a window's signal-to-noise ratio weighs.
        lr, weight_decay, ema, seed: as usual.
        leaps: 0 for a teacher; a student learns to do in so many steps what its teacher does in
            twice as many.
        truth: share of the true picture in a student's target; the rest is its teacher's.
        critic: length of what a critic asks of a picture, over that of what the other losses ask
            (Esser 2021, by the picture's gradients); 0 for none, see `models.train.render.critic`.
        match: weight of the distance of the critic's features, where its verdict weighs 1.
        critic_lr, critic_channels: learning rate and widths of the critic.
        halvings: how often easy consistency tuning (Geng 2024) halves the way from a prediction's
            time to the earlier one whose prediction it must agree with; 0 for no such tuning. It
            begins with the whole way, where the goal is the truth.
        begin: run whose weights to begin with, widened where the network is larger.
        net: sizes.
        variety, weights: of the samples and of the losses.
    """

    held_out: tuple[str, ...] = HELD_OUT
    steps: int = 6000
    batch: int = 16
    shares: tuple[tuple[str, float], ...] = (("stills", 0.3), ("clips", 0.35), ("heads", 0.35))
    certain: float = 0.5
    steadiest: float = 4.0
    lr: float = 4e-4
    weight_decay: float = 0.02
    ema: float = 0.998
    seed: int = 0
    leaps: int = 0
    truth: float = 1.0
    critic: float = 0.0
    match: float = 10.0
    critic_lr: float = 3e-4
    critic_channels: tuple[int, int, int] = (48, 64, 96)
    halvings: int = 0
    begin: str = ""
    net: PainterConfig = field(default_factory=PainterConfig)
    variety: Variety = field(default_factory=Variety)
    weights: losses.Weights = field(default_factory=losses.Weights)


PRESETS = {
    "lite": TrainConfig(),
    "base": TrainConfig(steps=1812, batch=128, ema=0.999, net=NETS["base"]),
    "base_sharp": TrainConfig(
        steps=1137,
        batch=128,
        ema=0.999,
        lr=1.5e-4,
        leaps=1,
        critic=0.5,
        critic_channels=(96, 128, 192),
        net=NETS["base"],
    ),
    "student": TrainConfig(steps=300, lr=2e-4, truth=0.6, certain=0.0),
    "consistent": TrainConfig(steps=600, lr=2e-4, halvings=4),
    "sharp": TrainConfig(
        steps=900, batch=64, lr=2e-4, leaps=1, critic=0.5, critic_channels=(96, 128, 192)
    ),
    "tiny": TrainConfig(steps=200, batch=8, net=NETS["tiny"]),
}


def validation(root: Path, held_out: tuple[str, ...]) -> set[str]:
    """People kept for deciding when to stop."""
    listed = folders(root)
    made = [sorted(set(listed.get(kind, {}).values())) for kind in ("stills", "heads")]
    kept = {p for people in made for i, p in enumerate(people) if i % VALIDATION_EVERY == 0}
    return (kept | set(VALIDATION_CLIPS)) - set(held_out)


def predict(net: Painter, batch: Batch, noisy: Tensor, t: Tensor, sitting: Sitting) -> Painted:
    """One prediction for a batch at times (B,)."""
    with torch.autocast(noisy.device.type, torch.bfloat16):
        found: Painted = net(noisy, t, batch.guide, batch.region, batch.told, sitting)
    return Painted(found.picture.float(), found.mask.float())


def shares(t: Tensor) -> tuple[Tensor, Tensor]:
    """`diffusion.shares` of times (B,), shaped for pictures."""
    angle = 0.5 * torch.pi * t[:, None, None, None]
    return angle.cos(), angle.sin()


def _times(config: TrainConfig, count: int, dice: torch.Generator) -> Tensor:
    """(B,) times: anywhere for a teacher, on its own steps for a student."""
    if config.leaps == 1:  # the last student serves two steps as well
        halfway = torch.rand(count, generator=dice, device=dice.device) < _HALFWAY
        return 1 - 0.5 * halfway.float()
    if config.leaps:
        chosen = torch.randint(config.leaps, (count,), generator=dice, device=dice.device)
        return 1 - chosen.float() / config.leaps
    t = torch.rand(count, generator=dice, device=dice.device).sqrt()
    sure = torch.rand(count, generator=dice, device=dice.device) < config.certain
    return torch.where(sure, 1.0, t)


def _noise(truth: Tensor, t: Tensor, dice: torch.Generator) -> Tensor:
    """For times (B,): at 1 the noise that the engine begins with, else any."""
    noise = torch.randn(truth.shape, generator=dice, device=dice.device)
    return torch.where((t == 1)[:, None, None, None], score.begun(dice.device), noise)


def _steadiness(t: Tensor, most: float) -> Tensor:
    """(B,) weights max(SNR, 1), at most `most` (Salimans and Ho 2022)."""
    ratio = 1 / torch.tan(0.5 * torch.pi * t.clamp(1e-3, 0.999)) ** 2
    return ratio.clamp(1.0, most)


@torch.no_grad()
def _taught(teacher: Painter, batch: Batch, noisy: Tensor, t: Tensor, leaps: int) -> Tensor:
    """What a student must predict to go as far in one step as the teacher in two."""
    sitting = teacher.sit(batch.portrait)
    x = noisy
    middle, end = t - 0.5 / leaps, (t - 1 / leaps).clamp(min=0)
    for now, then in pairwise((t, middle, end)):
        picture = predict(teacher, batch, x, now, sitting).picture
        x = diffusion.step(x, picture, shares(now), shares(then))
    return diffusion.leap(noisy, x, shares(t), shares(end)).clamp(-1, 1)


@torch.no_grad()
def _agreed(net: Painter, batch: Batch, noise: Tensor, t: Tensor, share: float) -> Tensor:
    """What the network itself predicts from the same noise, at a share of the time.

    Where that is early the truth is the goal: without it the network agreed with itself alone.
    """
    earlier = t * share
    if (earlier < _TOLD).all():
        return batch.truth
    x = diffusion.mix(batch.truth, noise, shares(earlier))
    own = predict(net, batch, x, earlier, net.sit(batch.portrait)).picture
    return torch.where((earlier < _TOLD)[:, None, None, None], batch.truth, own)


def _net(config: TrainConfig) -> Painter:
    if not config.begin:
        return Painter(config.net).to(memory_format=torch.channels_last)
    begun = load(Path(config.begin))
    return begun if begun.config == config.net else widened(begun, config.net)


def train(root: Path, folder: Path, config: TrainConfig, device: str = "cpu") -> None:
    """Trains a teacher or a student, from the run's last checkpoint on.

    Args:
        root: samples.
        folder: of the run.
        config: its settings.
        device: `cpu` or `cuda`; a run may go on from one on the other.

    Raises:
        ValueError: the samples lack someone, or the folder holds another run.
    """
    torch.manual_seed(config.seed)
    watched = validation(root, config.held_out)
    people = read(root, but=watched | set(config.held_out))
    judges = score.some(read(root, wanted=watched).opened(), _JUDGES)
    run, net = Run.begin(folder, config), _net(config).to(device)
    teacher = _net(config).to(device).eval() if config.leaps and config.truth < 1 else None
    shown = Painter(config.net).to(device, memory_format=torch.channels_last).eval()
    optimiser = torch.optim.AdamW(
        net.parameters(), config.lr, weight_decay=config.weight_decay, fused=device == "cuda"
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.lr, total_steps=config.steps, pct_start=0.06
    )
    rival = Rival(config, device) if config.critic else None
    beside = {"critic": rival.net, "critic_optimiser": rival.optimiser} if rival else {}
    course = Course(run, net, optimiser, schedule, config.steps, config.ema, beside)
    seed = config.seed + course.first
    batches = Batches(people, dict(config.shares), config.variety, seed, device)
    dice = torch.Generator(device).manual_seed(seed)
    for step in course:
        net.train()
        batch = batches.draw(config.batch)
        loss, found, figures = _loss(net, teacher, batch, config, step, dice)
        if rival:
            (asked,) = torch.autograd.grad(loss, found.picture, retain_graph=True)
            wish, more = rival.meet(found.picture, batch)
            wish = wish * (config.critic * asked.norm() / wish.norm().clamp(min=1e-12))
            loss = loss + min(1.0, step / _PERSUADED) * (found.picture * wish).sum()
            figures |= more
        if (step + 1) % KEPT_EVERY == 0 or step + 1 == config.steps:
            shown.load_state_dict(course.mean)
            figures |= _judged(shown, judges, config.leaps)
            if rival is None:  # what a critic asks for costs some dB
                _keep_best(folder, course.mean, float(figures["gain_db"]))
        else:
            figures |= dict.fromkeys(("gain_db", "sharpness"), np.nan)
        course.learn(step, loss, figures)


class Rival:
    """The critic and its own training, beside the painter's."""

    def __init__(self, config: TrainConfig, device: str) -> None:
        net = critic.Critic(config.critic_channels)
        self.net = net.to(device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam(
            self.net.parameters(), config.critic_lr, (0.5, 0.99), fused=device == "cuda"
        )
        self._match = config.match

    def meet(self, painted: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Learns from windows (B, 3, H, W) painted from a batch.

        Returns:
            The gradient of its displeasure at them, and figures for the curve.
        """
        # Where nothing may be painted both show the guide, so that the mouth alone tells.
        truth = batch.guide + batch.region * (batch.truth - batch.guide)
        with torch.autocast(painted.device.type, torch.bfloat16):
            doubt = critic.doubt(self.net, painted, truth, batch.region)
        self.optimiser.zero_grad()
        doubt.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        shown = painted.detach().requires_grad_()
        with torch.autocast(painted.device.type, torch.bfloat16):
            verdict, apart = critic.displeasure(self.net, shown, truth, batch.region)
        (wish,) = torch.autograd.grad(verdict.mean() + self._match * apart.mean(), shown)
        figures = {"doubt": doubt, "verdict": -verdict.mean(), "apart": apart.mean()}
        return wish, {name: value.detach() for name, value in figures.items()}


def _loss(
    net: Painter,
    teacher: Painter | None,
    batch: Batch,
    config: TrainConfig,
    step: int,
    dice: torch.Generator,
) -> tuple[Tensor, Painted, dict[str, Tensor | float]]:
    t = _times(config, len(batch.truth), dice)
    noise = _noise(batch.truth, t, dice)
    noisy: Tensor = diffusion.mix(batch.truth, noise, shares(t))
    with torch.autocast(noisy.device.type, torch.bfloat16):
        sitting = net.sit(batch.portrait)
    found = predict(net, batch, noisy, t, sitting)
    w = config.weights
    goal = batch.truth
    if config.halvings:
        halved = step * (config.halvings + 1) // config.steps
        goal = _agreed(net, batch, noise, t, 1 - 0.5**halved)
    each = losses.painted(found.picture, found.mask, goal, batch.region, w)
    if teacher is not None:
        goal = _taught(teacher, batch, noisy, t, config.leaps)
        if config.leaps == 1:
            goal = torch.where((t < 1)[:, None, None, None], batch.truth, goal)
        led = losses.painted(found.picture, found.mask, goal, batch.region, w)
        each = config.truth * each + (1 - config.truth) * led
    loss = (each * _steadiness(t, config.steadiest)).mean()
    return loss, found, {"loss": loss.detach(), "mask": found.mask.detach().mean()}


def _judged(net: Painter, judges: People, leaps: int) -> dict[str, float]:
    figures = score.people(net, judges, min(max(1, leaps), 4))
    return {"gain_db": figures.gain_db, "sharpness": figures.sharpness}


def _keep_best(folder: Path, mean: dict[str, Tensor], gain_db: float) -> None:
    """Keeps the weights that did best on people never seen: training goes on past them."""
    path = folder / "best.pt"
    known: dict[str, Any] | None = None
    if path.exists():
        known = torch.load(path, weights_only=True, map_location="cpu")
    if known is None or gain_db > known["gain_db"]:
        torch.save({"gain_db": gain_db, "weights": dict(mean)}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)


def distil(
    root: Path, teacher: Path, folder: Path, config: TrainConfig, device: str = "cpu"
) -> None:
    """Trains a student for 8, 4, 2 and 1 steps, each from the one before; 16 are the teacher's.

    Progressive distillation (Salimans and Ho 2022), paired with the true pictures.

    Args:
        root: samples.
        teacher: its run.
        folder: gets a run for each stage, named for its steps.
        config: of each stage but for what this sets.
        device: as in `train`.
    """
    begin = teacher
    for leaps in STAGES:
        stage = replace(config, leaps=leaps, begin=str(begin))
        train(root, folder / str(leaps), stage, device)
        begin = folder / str(leaps)


def load(folder: Path, best: bool = True) -> Painter:
    """A run's network, in evaluation: its best weights, or its last."""
    run = Run(folder)
    net = Painter(PainterConfig.of(run.config["net"])).to(memory_format=torch.channels_last)
    path = folder / "best.pt"
    if best and path.exists():
        best_known = torch.load(path, weights_only=True, map_location="cpu")
        net.load_state_dict(best_known["weights"])
    else:
        net.load_state_dict(run.weights())
    return net.eval()


def mean(nets: Sequence[Painter]) -> Painter:
    """A network of the mean weights of some that grew from the same one (Wortsman 2022).

    Raises:
        ValueError: they are not of one size.
    """
    first, *others = nets
    if any(net.config != first.config for net in others):
        raise ValueError(f"networks are {[n.config for n in nets]}, expected all of one size")
    states = [net.state_dict() for net in nets]
    net = Painter(first.config).to(memory_format=torch.channels_last)
    net.load_state_dict({k: torch.stack([s[k] for s in states]).mean(0) for k in states[0]})
    return net.eval()
