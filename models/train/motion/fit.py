"""The motion network's training: windows of footage, losses, one loop."""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from models import activity
from models.nets.motion import STYLE, MotionNetConfig, MotionVae, divergence, spread
from models.train.motion import data, match
from models.train.motion.data import HELD_OUT, Sequence
from models.train.runs import Run

F32 = npt.NDArray[np.float32]
MIRRORED = (0, 2, 3)
"""Axes that change sign in a mirror: yaw, roll, x."""
REFRACTORY = 6
"""Pictures after a blink's begin in which no other can begin."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a motion network is trained.

    Attributes:
        held_out: speakers, or names of clips, never trained on.
        steps, batch, pictures: optimiser steps; windows a step; pictures a window.
        silent: windows a step of long silence, which the footage does not have.
        lr, weight_decay: AdamW, one-cycle.
        beta: weight of the latents' divergence from the prior.
        error, speed_error: spread of the error of a pose and of its speed a second, in spreads of
            the axis.
        matching: weight of the statistics of drawn poses.
        ema: decay of the averaged weights, which are the ones kept.
        seed: of everything drawn.
        begin: folder of a run of the same sizes whose weights to begin with; empty for none.
        net: sizes.
    """

    held_out: tuple[str, ...] = HELD_OUT
    steps: int = 3700
    batch: int = 16
    pictures: int = 190
    silent: int = 4
    lr: float = 1.5e-3
    weight_decay: float = 0.03
    beta: float = 1.0
    error: float = 0.3
    speed_error: float = 0.8
    matching: float = 20.0
    ema: float = 0.997
    seed: int = 0
    begin: str = ""
    net: MotionNetConfig = field(default_factory=MotionNetConfig)


PRESETS = {
    "lite": TrainConfig(),
    "quick": TrainConfig(steps=200),
}
CALM = {"listening": 0.75, "idle": 0.5}
"""Spread of the head in long silence as a share of that in speech: chosen, for no footage of long
listening is at hand. Its speed is that measured in pauses."""


def is_held_out(one: Sequence, held_out: Many[str]) -> bool:
    """Whether a clip, or its speaker, is among those never trained on."""
    return one.speaker in held_out or one.name in held_out


def styles(sequences: list[Sequence], scale: F32) -> dict[str, F32]:
    """(4,) style by clip: of the clip itself where it is 8 s or longer, else of its speaker."""
    groups: dict[str, list[Sequence]] = {}
    for one in sequences:
        key = one.name if len(one.pose) >= 8 * data.FPS else one.speaker
        groups.setdefault(key, []).append(one)
    out = {}
    for members in groups.values():
        pose = np.concatenate([m.pose for m in members])[:, :3] / scale[:3]
        speed = np.concatenate([np.gradient(m.pose, axis=0) for m in members])[:, :3]
        speed = np.sqrt(((speed * data.FPS / scale[:3]) ** 2).mean(0))
        std = np.sqrt((pose**2).mean(0))
        seconds = len(pose) / data.FPS
        blinks = sum(int(m.onset.sum()) for m in members)
        style = [
            np.log(std).mean(),
            np.log(speed / std).mean() - 1.0,
            np.log(speed[1] / speed[0]),
            np.log((blinks + 2) / (seconds + 5) / 0.4),
        ]
        row = np.clip(style, -1.2, 1.2).astype(np.float32)
        out.update({m.name: row for m in members})
    return out


def spreads(sequences: list[Sequence]) -> F32:
    """(6,) spread of each axis in clips of 8 s or longer."""
    rows = [s.pose for s in sequences if len(s.pose) >= 8 * data.FPS]
    return np.asarray(np.sqrt((np.concatenate(rows) ** 2).mean(0)), np.float32)


def quiet_speeds(sequences: list[Sequence], scale: F32) -> tuple[F32, F32]:
    """(6,) log root mean square speed in silence, in spreads a second, and (6,) unevenness of
    speed there (see `match.unevenness`); speakers count alike."""
    by_speaker: dict[str, list[F32]] = {}
    for one in sequences:
        if one.heard:
            speed = np.gradient(one.pose, axis=0) * data.FPS / scale
            still = np.convolve(one.voice, np.ones(7), "same") < 0.1
            by_speaker.setdefault(one.speaker, []).append(speed[still])
    speeds = [np.concatenate(v) ** 2 for v in by_speaker.values() if sum(map(len, v)) > 50]
    uneven = [np.log(v / v.mean(0) + 1e-2).mean(0) for v in speeds]
    usual = 0.5 * np.log(np.mean([v.mean(0) for v in speeds], 0))
    return np.asarray(usual, np.float32), np.asarray(np.mean(uneven, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows (B, T, ...) as tensors; see `windows`."""

    pose: Tensor
    heard: Tensor
    style: Tensor
    mask: Tensor
    onset: Tensor
    since_s: Tensor
    whole: Tensor


class Windows:
    """Draws augmented windows from sequences."""

    def __init__(self, sequences: list[Sequence], config: TrainConfig) -> None:
        self.config = config
        self.scale = spreads(sequences)
        self.styles = styles(sequences, self.scale)
        self.long = [s for s in sequences if s.heard and len(s.pose) >= config.pictures * 1.02]
        if not self.long:
            raise ValueError(
                f"no training clip has the {config.pictures} pictures of a window, "
                f"the longest has {max((len(s.pose) for s in sequences), default=0)}"
            )
        rest = [s for s in sequences if s.heard and len(s.pose) < config.pictures * 1.02]
        self.others = {
            "grid": [s for s in rest if s.speaker.startswith("grid")],
            "idle": [s for s in rest if s.idle],
            "short": [s for s in rest if not s.speaker.startswith("grid") and not s.idle],
        }
        lengths = np.array([len(s.pose) for s in self.long], np.float64)
        self._share = lengths / lengths.sum()

    def draw(self, dice: np.random.Generator) -> Batch:
        """A batch: five in eight long windows, the others GRID, short and idle clips."""
        count = self.config.batch
        rows = []
        for i in range(count):
            if i < count * 5 // 8:
                one = self.long[dice.choice(len(self.long), p=self._share)]
            else:
                kinds = [k for k, v in self.others.items() if v]
                pool = self.others[kinds[i % len(kinds)]]
                one = pool[dice.integers(len(pool))]
            rows.append(self._window(one, dice))
        stacked = [torch.from_numpy(np.stack(x)) for x in zip(*rows, strict=True)]
        whole = torch.arange(count) < count * 5 // 8
        pose, heard, style, mask, onset, since = stacked
        return Batch(pose, heard, style, mask, onset, since, whole)

    def _window(self, one: Sequence, dice: np.random.Generator) -> tuple[npt.NDArray[Any], ...]:
        count = self.config.pictures
        pace = float(np.exp(dice.uniform(-0.14, 0.14)))
        wanted = min(count, int((len(one.pose) - 1) / pace) - 1)
        if one in self.long:
            pace = min(pace, (len(one.pose) - 2) / count)
            wanted = count
        first = dice.uniform(0, len(one.pose) - 1 - wanted * pace)
        at = first + np.arange(wanted) * pace
        grid = np.arange(len(one.pose))
        size = float(np.exp(dice.uniform(-0.45, 0.45)))
        pose = np.stack([np.interp(at, grid, x) for x in one.pose.T], 1) * size / self.scale
        style = self.styles[one.name] + dice.normal(0, 0.1, STYLE)
        style[:2] += np.log(size), np.log(pace)
        if dice.random() < 0.5:
            pose[:, MIRRORED] *= -1
        loud = float(np.exp(dice.uniform(-0.25, 0.25)))
        voice = np.interp(at, grid, one.voice)
        energy = np.clip(np.interp(at, grid, one.energy) * loud, 0, 1)
        recent = dice.random() * (dice.random() < 0.6)
        heard = activity.conditions(voice.astype(np.float32), energy.astype(np.float32), recent)
        onset = np.zeros(wanted, np.float32)
        begins = (np.flatnonzero(one.onset) - first) / pace
        begins = begins[(begins >= 0) & (begins < wanted)].astype(int)
        onset[begins] = 1
        since, wait = np.empty(wanted, np.float32), dice.uniform(0.2, 4.0)
        for i in range(wanted):
            since[i] = wait
            wait = 1 / data.FPS if onset[i] else wait + 1 / data.FPS
        pad = count - wanted
        mask = np.arange(count) < wanted
        return (
            np.pad(pose, ((0, pad), (0, 0))).astype(np.float32),
            np.pad(heard, ((0, pad), (0, 0)), "edge"),
            style.astype(np.float32),
            mask,
            np.pad(onset, (0, pad)),
            np.pad(since, (0, pad)),
        )


def long_silence(
    count: int, config: TrainConfig, dice: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """heard (B, T, H) and style (B, 4) of windows of silence: half just after speech, half idle."""
    still = np.zeros(config.pictures, np.float32)
    heard = [activity.conditions(still, still, float(i % 2)) for i in range(count)]
    style = dice.normal(0, 0.4, (count, STYLE)).astype(np.float32)
    return torch.from_numpy(np.stack(heard)), torch.from_numpy(style)


def gaussian(error: Tensor, spread_: float) -> Tensor:
    """Negative log likelihood of an error but for its constant."""
    return 0.5 * (error / spread_).pow(2)


def losses(
    net: MotionVae, batch: Batch, config: TrainConfig, sharp: bool = True
) -> dict[str, Tensor]:
    """Reconstruction, divergence (nats a second) and blinks of a batch."""
    mean, log_var = net.encoder(batch.pose, batch.heard, batch.mask)
    noise = torch.randn_like(mean) if sharp else torch.zeros_like(mean)
    kept = net.config.kept
    latents = spread(mean + noise * torch.exp(0.5 * log_var), kept, net.config.hold)
    cache = net.decoder.init_cache(len(mean))
    pose, blink, _ = net.decoder(batch.heard, batch.style, latents, batch.since_s, cache)
    error = pose - batch.pose
    mask = batch.mask.float()
    seconds = mask.sum() / data.FPS
    place = (gaussian(error, config.error).sum(2) * mask).sum() / seconds
    fast = gaussian(match.velocity(error), config.speed_error).sum(2) * mask[:, 2:]
    real = batch.mask.reshape(len(mean), -1, net.config.hold).any(2).float()
    begins = nn.functional.binary_cross_entropy_with_logits(blink, batch.onset, reduction="none")
    awake = mask * (batch.since_s > REFRACTORY / data.FPS)
    return {
        # Neighbouring pictures' errors are one error: a fifth of them count.
        "place": 0.2 * place,
        "speed": 0.2 * fast.sum() / seconds,
        "divergence": config.beta * (divergence(mean, log_var, kept) * real).sum() / seconds,
        "blink": 20 * (begins * awake).sum() / awake.sum(),
    }


LEAD_IN = 50


class Drawn:
    """The part of the loss that is about poses drawn from the prior."""

    def __init__(self, windows: Windows, sequences: list[Sequence], config: TrainConfig) -> None:
        self.config = config
        self.matcher = match.Matcher()
        speed, uneven = quiet_speeds(sequences, windows.scale)
        self.quiet, self.quiet_uneven = torch.from_numpy(speed), torch.from_numpy(uneven)

    def losses(self, net: MotionVae, batch: Batch, dice: np.random.Generator) -> dict[str, Tensor]:
        """Distance of the drawn poses' statistics from the footage's, and from rest in silence."""
        use = batch.whole
        heard, style = batch.heard[use], batch.style[use]
        pose = self._draw(net, heard, style)
        real = match.statistics(batch.pose[use], heard)
        out = self.matcher.loss(real, match.statistics(pose, heard))
        heard, style = long_silence(self.config.silent, self.config, dice)
        pose = self._draw(net, heard, style)
        speed = 0.5 * torch.log(match.velocity(pose).pow(2).mean((0, 1)) + 1e-6)
        listening = heard[..., 1:2]
        share = CALM["idle"] + (CALM["listening"] - CALM["idle"]) * listening
        calm = pose / share / style[:, None, :1].exp()
        place = 0.5 * torch.log(calm.pow(2).mean((0, 1)) + 1e-6)
        uneven = match.unevenness(pose) - self.quiet_uneven
        centre = pose.mean((0, 1))
        out["rest"] = (speed - self.quiet).pow(2).mean() + (place**2 + centre**2).mean()
        out["rest"] = out["rest"] + 0.5 * uneven.pow(2).mean()
        return out

    def _draw(self, net: MotionVae, heard: Tensor, style: Tensor) -> Tensor:
        # The first seconds see a cache that is not full yet: they lead in, mirrored in time.
        heard = torch.cat([heard[:, 1 : LEAD_IN + 1].flip(1), heard], 1)
        count = len(heard)
        latents = net.draw(count, heard.shape[1])
        x, _ = net.decoder.features(heard, style, latents, net.decoder.init_cache(count))
        return net.decoder.poses(x, style)[:, LEAD_IN:]


def train(labels: Path, folder: Path, config: TrainConfig) -> None:
    """Trains into a run's folder, from its last checkpoint."""
    run = Run.begin(folder, config)
    sequences = [s for s in data.load(labels) if not is_held_out(s, config.held_out)]
    windows = Windows(sequences, config)
    torch.manual_seed(config.seed)
    net, drawn = MotionVae(config.net), Drawn(windows, sequences, config)
    if config.begin:
        net.load_state_dict(Run(Path(config.begin)).weights())
    net.scale.copy_(torch.from_numpy(windows.scale))
    optimizer = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, config.steps)
    averaged = {k: v.clone() for k, v in net.state_dict().items()}
    start = 0
    if kept := run.resume():
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        averaged, start = kept["averaged"], int(kept["step"])
        drawn.matcher = match.Matcher(**kept["matcher"])
    sums: dict[str, float] = {}
    counted = 0
    for step in tqdm(range(start, config.steps), initial=start, total=config.steps, mininterval=5):
        dice = np.random.default_rng((config.seed, step))
        torch.manual_seed(int(dice.integers(2**31)))
        batch = windows.draw(dice)
        net.train()
        parts = losses(net, batch, config)
        apart = drawn.losses(net, batch, dice)
        loss = sum(parts.values()) + config.matching * sum(apart.values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 20.0)
        optimizer.step()
        schedule.step()
        decay = min(config.ema, step / (step + 20))
        for name, value in net.state_dict().items():
            averaged[name].lerp_(value, 1 - decay)
        for name, value in (parts | apart).items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        counted += 1
        if (step + 1) % 50 == 0 or step + 1 == config.steps:
            run.log({"step": step + 1} | {k: round(v / counted, 4) for k, v in sums.items()})
            sums, counted = {}, 0
        if (step + 1) % 200 == 0 or step + 1 == config.steps:
            state = {
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "averaged": averaged,
                "step": step + 1,
                "matcher": {"real": drawn.matcher.real, "drawn": drawn.matcher.drawn},
            }
            run.keep(state, averaged)
