"""The trainings of the face detector and of the landmark network: one loop that ends by the clock.

A machine is lent for minutes, not for steps, so the learning rate falls with the time spent; a run
that was broken off goes on with the time it has left.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.nets.faces import DETECTOR, REGRESSOR, Detector, FacesConfig, Regressor
from models.train.landmarks import crops, scenes
from models.train.landmarks.bank import Bank
from models.train.landmarks.pack import KINDS, read
from models.train.runs import Run

LOGGED_S, KEPT_S = 30.0, 60.0
"""Seconds between rows of the curve, and between checkpoints."""
_WARM = 0.03
"""Share of the time over which the learning rate rises."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How one of the networks is trained.

    Attributes:
        minutes: of training in all.
        batch: crops or scenes a step.
        lr, weight_decay, ema, seed: as usual.
        kinds: how often each kind of picture is drawn.
        net: sizes.
        cropping, staging: how crops and scenes vary; each network has one of them.
    """

    minutes: float
    batch: int
    lr: float = 2e-3
    weight_decay: float = 0.03
    ema: float = 0.998
    seed: int = 0
    kinds: tuple[tuple[str, float], ...] = (("still", 0.66), ("clip", 0.14), ("head", 0.2))
    net: FacesConfig = REGRESSOR
    cropping: crops.CropConfig = field(default_factory=crops.CropConfig)
    staging: scenes.SceneConfig = field(default_factory=scenes.SceneConfig)


PRESETS = {
    "landmarks": TrainConfig(7.0, 320),
    "detector": TrainConfig(7.0, 192, net=DETECTOR),
}
"""By the network that is trained."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What differs between the two networks.

    Attributes:
        net: to train.
        step: a batch -> the parts of the loss, of the network in training.
        check: figures of a network with averaged weights, on pictures kept for that.
    """

    net: nn.Module
    step: Callable[[], dict[str, Tensor]]
    check: Callable[[nn.Module], dict[str, float]]


def train(which: str, pack: Path, folder: Path, config: TrainConfig, device: str) -> Run:
    """Trains a network on a pack, in a folder that a later call goes on from.

    Raises:
        ValueError: no such network or device, the pack lacks a kind of picture, or the folder
            holds a run of other settings.
    """
    if which not in PRESETS:
        raise ValueError(f"network {which!r} is unknown, expected one of {sorted(PRESETS)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not here, expected 'cpu'")
    run = Run.begin(folder, config)
    where = torch.device(device)
    torch.manual_seed(config.seed)
    items = read(pack)
    lacking = [k for k, _ in config.kinds if not any(i.kind == k and not i.valid for i in items)]
    if lacking or not any(i.valid for i in items):
        raise ValueError(f"{pack}: no {(lacking or ['valid'])[0]} in it, expected all of {KINDS}")
    bank = Bank.of([i for i in items if not i.valid], where, dict(config.kinds))
    kept = Bank.of([i for i in items if i.valid], where, {"still": 1.0})
    task = (_landmarks if which == "landmarks" else _detector)(bank, kept, config, where)
    _fit(run, task, config, where)
    return run


def _autocast(device: torch.device) -> Any:
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _landmarks(bank: Bank, kept: Bank, config: TrainConfig, device: torch.device) -> Task:
    known = crops.plain(kept)
    net = Regressor(config.net)
    net.begin(crops.plain(kept).points.mean(0).cpu())
    net = net.to(device, memory_format=torch.channels_last)
    weight, parting = crops.point_weights(device), crops.Parting.of(device)

    def step() -> dict[str, Tensor]:
        batch = crops.draw(bank, config.batch, config.cropping)
        picture = batch.picture.contiguous(memory_format=torch.channels_last)
        with _autocast(device):
            guess = net.guess(picture)
        return crops.loss(guess, batch, weight, parting)

    def check(mean: nn.Module) -> dict[str, float]:
        assert isinstance(mean, Regressor)
        guess = mean.guess(known.picture)
        found = {"points": guess.points, "whole": guess.whole, "local": guess.local}
        return {"valid_" + k: float(crops.errors(v, known.points).mean()) for k, v in found.items()}

    return Task(net, step, check)


def _detector(bank: Bank, kept: Bank, config: TrainConfig, device: torch.device) -> Task:
    net = Detector(config.net).to(device, memory_format=torch.channels_last)
    known, nothing = scenes.plain(kept), kept.nothing(48, 256)

    def step() -> dict[str, Tensor]:
        batch = scenes.draw(bank, config.batch, config.staging)
        picture = batch.picture.contiguous(memory_format=torch.channels_last)
        with _autocast(device):
            said = net(picture)
        return scenes.loss(said.float(), batch)

    def check(mean: nn.Module) -> dict[str, float]:
        said = mean(known.picture)
        _, _, rest, near = scenes.targets(known)
        peak = said[:, 0].sigmoid() * (near > 0)
        off = (said[:, 1:] - rest).abs() * near[:, None]
        total = near.sum()
        return {
            "valid_found": float((peak.amax((1, 2)) > 0.5).float().mean()),
            "valid_size": float(off[:, 2].sum() / total),
            "valid_centre": float(off[:, :2].sum() / total),
            "valid_false": float((mean(nothing)[:, 0].amax((1, 2)) > 0).float().mean()),
        }

    return Task(net, step, check)


def _fit(run: Run, task: Task, config: TrainConfig, device: torch.device) -> None:
    net = task.net
    torch.backends.cudnn.benchmark = True
    optimiser = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=config.weight_decay)
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    steps, spent = 0, 0.0
    if (saved := run.resume()) is not None:
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        mean = {k: v.to(device) for k, v in saved["mean"].items()}
        steps, spent = saved["step"], saved["spent"]
        torch.manual_seed(config.seed + steps)
    total, begun, sums = 60 * config.minutes, time.monotonic() - spent, dict[str, Tensor]()
    logged, kept, counted = spent, spent, 0
    bar = tqdm(total=round(total), initial=round(spent), unit="s", mininterval=20)
    net.train()
    while (spent := time.monotonic() - begun) < total:
        done = spent / total
        for group in optimiser.param_groups:
            rise, fall = min(1.0, done / _WARM), 0.5 * (1 + math.cos(math.pi * done))
            group["lr"] = config.lr * rise * max(fall, 0.005)
        parts = task.step()
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        steps, counted = steps + 1, counted + 1
        decay = min(config.ema, steps / (steps + 10))
        state = net.state_dict()
        torch._foreach_lerp_(list(mean.values()), [state[k] for k in mean], 1 - decay)
        for name, part in parts.items():
            sums[name] = sums.get(name, torch.zeros_like(part)) + part.detach()
        if spent - logged > LOGGED_S:
            _log(run, task, mean, {k: v / counted for k, v in sums.items()}, steps, spent, bar)
            sums, logged, counted = {}, spent, 0
        if spent - kept > KEPT_S:
            _keep(run, net, optimiser, mean, steps, spent)
            kept = spent
    if counted:
        _log(run, task, mean, {k: v / counted for k, v in sums.items()}, steps, spent, bar)
    _keep(run, net, optimiser, mean, steps, spent)
    bar.close()


def _log(
    run: Run,
    task: Task,
    mean: dict[str, Tensor],
    losses: dict[str, Tensor],
    step: int,
    spent: float,
    bar: Any,
) -> None:
    """A row of the curve, also shown."""
    net = task.net
    own = {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(mean)
    net.eval()
    with torch.no_grad():
        figures = task.check(net)
    net.load_state_dict(own)
    net.train()
    row: dict[str, float] = {"step": step, "seconds": round(spent)}
    row |= {k: round(float(v), 4) for k, v in losses.items()}
    row |= {k: round(v, 4) for k, v in figures.items()}
    run.log(row)
    bar.update(max(0, round(spent) - bar.n))
    bar.write("  ".join(f"{k} {v:g}" for k, v in row.items()))


def _keep(
    run: Run,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    mean: dict[str, Tensor],
    step: int,
    spent: float,
) -> None:
    state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean}
    run.keep(state | {"step": step, "spent": spent}, mean)
