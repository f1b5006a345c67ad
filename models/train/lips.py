"""Trains, measures and exports the lip network.

python -m models.train.lips prepare  LABELS OUT [--variants 16] [--spoken 6]  augmented features
python -m models.train.lips train    LABELS OUT RUN                 resumes from RUN
python -m models.train.lips teach    LABELS OUT RUN                 lips for synthetic speech
python -m models.train.lips evaluate LABELS RUN                     a table of held-out clips
python -m models.train.lips export   LABELS RUN WEIGHTS.onnx
python -m models.train.lips openings LABELS OUT.json                for the engine's own test

What ships is the second network: `teach` reads what the first one hears in the footage, then
`prepare` (into a fresh folder that holds what `teach` wrote) and `train` run once more.
"""

import argparse
import csv
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from kernels import logmel
from models import facemodel
from models.nets.lips import HOPS, LipNet, LipNetConfig
from models.train import lipdata, lipprep, phones, speech
from models.train.lipmix import Mixer, Pool
from models.train.lipscore import Score, calibrate, chunked, load, measure, predict, table

F32 = npt.NDArray[np.float32]


_NET = LipNetConfig(classes=len(speech.SOUNDS))


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a lip network is trained.

    Attributes:
        held_out: speakers never trained on.
        lookahead_ms: sound past a picture's time that its code may use; a multiple of 10.
        steps, batch, chunks: optimiser steps; sequences a step; pictures a sequence.
        lr, weight_decay: AdamW, one-cycle.
        spoken: share of synthetic speech among the sequences.
        ema: decay of the averaged weights, which are the ones kept.
    """

    held_out: tuple[str, ...] = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
    lookahead_ms: int = 60
    steps: int = 2000
    batch: int = 16
    chunks: int = 100
    lr: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    seed: int = 0
    spoken: float = 0.5
    net: LipNetConfig = _NET


MIN_PICTURES = 50
"""Clips shorter than two seconds are not measured."""
WARM_UP = 6
"""Pictures at a sequence's start that carry no loss: the state settles there."""


def loss_of(out: Tensor, target: Tensor, mask: Tensor, opening: Tensor) -> dict[str, Tensor]:
    """Terms of the loss for codes (B, T, K), mask (B, T) 0 or 1."""
    total = mask.sum().clamp(min=1)
    share = torch.tensor([2.0, 1.5, 1.0, 0.7, 0.5, 0.5])[: out.shape[2]]
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


def train(labels: Path, features: Path, run: Path, config: TrainConfig) -> None:
    """Trains a network; checkpoint, configuration and curve stay in `run`."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(json.dumps(asdict(config), indent=1))
    torch.manual_seed(config.seed)
    opening = torch.from_numpy(facemodel.load().opening)
    pool = Pool.load(features, labels, set(config.held_out))
    net = LipNet(config.net)
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.lr, config.steps, pct_start=0.1
    )
    first, checkpoint = 0, run / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        mean, first = saved["mean"], saved["step"]
    mixer = Mixer(
        pool, config.lookahead_ms, config.spoken, np.random.default_rng(config.seed + first)
    )
    held = [c for c in lipdata.load_clips(labels) if c.speaker in config.held_out]
    begun, sums = time.time(), dict[str, float]()
    bar = tqdm(range(first, config.steps), initial=first, total=config.steps, mininterval=20)
    for step in bar:
        batch = mixer.batch(config.batch, config.chunks)
        mel, code = torch.from_numpy(batch.mel), torch.from_numpy(batch.code)
        mask = torch.from_numpy(batch.mask)
        mask[:, :WARM_UP] = 0
        features_, _ = net.features(mel, net.init_state(len(mel)))
        terms = loss_of(net.head(features_), code, mask, opening)
        if net.sounds is not None:
            sound = torch.from_numpy(batch.sound)
            logits = net.sounds(features_).flatten(0, 1)
            terms["sound"] = 0.3 * nn.functional.cross_entropy(
                logits, sound.flatten(), ignore_index=-1
            )
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        decay = min(config.ema, (step + 1) / (step + 10))
        for k, v in net.state_dict().items():
            mean[k].lerp_(v, 1 - decay)
        for k, t in terms.items():
            sums[k] = sums.get(k, 0.0) + t.item()
        if (step + 1) % 250 == 0 or step + 1 == config.steps:
            saved = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean}
            torch.save(saved | {"schedule": schedule.state_dict(), "step": step + 1}, checkpoint)
            torch.save(mean, run / "weights.pt")
            scores = [measure(c, predict(load(run), c, config.lookahead_ms)) for c in held]
            row = {"step": step + 1, "seconds": round(time.time() - begun)}
            row |= {k: round(v / 250, 4) for k, v in sums.items()}
            row |= {f"r {s.name[:18]}": round(s.correlation, 3) for s in scores}
            sums.clear()
            log = run / "curve.csv"
            fresh = not log.exists()
            with log.open("a") as file:
                writer = csv.DictWriter(file, list(row))
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
            bar.write(" ".join(f"{k} {v}" for k, v in row.items()))


def teach(labels: Path, features: Path, run: Path) -> float:
    """Fits lips to sounds on the run's own speakers: GRID's exact sounds, and what the run's
    auxiliary head hears in the rest. Writes FEATURES/lips_of_sounds.npy, which `train` then uses,
    and FEATURES/usual.npz, what the speakers' lips would usually do, which `prepare` then uses;
    returns the correlation of the openings it explains."""
    config = json.loads((run / "config.json").read_text())
    net, opening = load(run), facemodel.load().opening
    if net.sounds is None:
        raise ValueError(f"{run}: trained without sounds, so it cannot name them")
    with np.load(labels / "sounds.npz") as data:
        sounds = dict(data)
    rows, codes, masks, names = [], [], [], []
    for clip in lipdata.load_clips(labels):
        if clip.speaker in config["held_out"]:
            continue
        if clip.name in sounds:
            row = phones.context(sounds[clip.name], len(clip.code))
        else:
            mel = torch.from_numpy(chunked(clip.pcm, config["lookahead_ms"]))[None]
            mel = mel[:, : mel.shape[1] // HOPS * HOPS]
            with torch.no_grad():
                heard, _ = net.features(mel, net.init_state(1))
                share = net.sounds(heard)[0].softmax(1).numpy()[: len(clip.code)]
            grid = np.arange(len(share) * HOPS) / HOPS
            fine = np.stack([np.interp(grid, np.arange(len(share)), c) for c in share.T], 1)
            row = phones.context(fine, len(clip.code))
        names.append((clip.name, clip.gain))
        rows.append(row)
        codes.append(clip.code * clip.gain)
        masks.append(clip.valid.astype(np.float32) * (1.0 if clip.name in sounds else 1.5))
    x, y, w = np.concatenate(rows), np.concatenate(codes), np.concatenate(masks)
    weights = phones.fit(x, y, w)
    np.save(features / "lips_of_sounds.npy", weights)
    usual = {n: (r @ weights / g).astype(np.float32) for (n, g), r in zip(names, rows, strict=True)}
    np.savez_compressed(features / "usual.npz", **usual)  # type: ignore[arg-type]
    return float(np.corrcoef((x @ weights) @ opening, y @ opening)[0, 1])


def write_openings(labels: Path, speakers: set[str], out: Path) -> None:
    """Writes the lip openings of clips as JSON, for tests that hear the footage themselves."""
    opening = facemodel.load().opening
    told = {}
    for clip in lipdata.load_clips(labels):
        if clip.speaker in speakers:
            voiced = clip.valid & ~lipdata.quiet(clip.pcm)
            told[clip.name.replace("__", "/")] = {
                "sound_starts_ms": round(lipdata.OFFSET_FRAMES.get(clip.name, 0.0) * 40),
                "opening": [round(float(x), 4) for x in clip.code @ opening],
                "speech": "".join("01"[int(v)] for v in voiced),
            }
    out.write_text(json.dumps(told) + "\n")


def evaluate(labels: Path, run: Path) -> list[Score]:
    """Scores of the speakers that a run never trained on, calibrated as it would ship."""
    net, config = load(run), json.loads((run / "config.json").read_text())
    clips, ahead = lipdata.load_clips(labels), config["lookahead_ms"]
    calibrate(net, [c for c in clips if c.speaker not in config["held_out"]], ahead)
    held = [c for c in clips if c.speaker in config["held_out"] and len(c.code) >= MIN_PICTURES]
    return [measure(c, predict(net, c, ahead)) for c in held]


class Step(nn.Module):
    """What is exported: one chunk, mel (1, 4, 80) and state (1, S) -> code (1, K), next_state."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        code, state = self.net(mel, state)
        return code[:, 0], state


def export(labels: Path, run: Path, out: Path) -> list[float]:
    """Writes the run's averaged weights as ONNX, calibrated; returns what `calibrate` does."""
    net = load(run)
    config = json.loads((run / "config.json").read_text())
    known = [c for c in lipdata.load_clips(labels) if c.speaker not in config["held_out"]]
    gains = calibrate(net, known, config["lookahead_ms"])
    example = (torch.zeros(1, HOPS, logmel.BANDS), net.init_state(1))
    names = {"input_names": ["mel", "state"], "output_names": ["code", "next_state"]}
    part = out.with_suffix(".part")
    torch.onnx.export(Step(net).eval(), example, str(part), dynamo=False, opset_version=17, **names)
    part.replace(out)
    return gains


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    usual = TrainConfig()
    parser = argparse.ArgumentParser(description="Train, measure and export the lip network.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("prepare")
    p.add_argument("labels", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--variants", type=int, default=16)
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--spoken", type=int, default=0, help="sets of synthetic speech, by flite")
    p.add_argument("--speech", type=Path, help="folder of WAV files for babble noise")
    p.add_argument("--read", type=Path, help="read speech with its words, laid out like LJSpeech")
    p = verbs.add_parser("train")
    p.add_argument("labels", type=Path)
    p.add_argument("features", type=Path)
    p.add_argument("run", type=Path)
    p.add_argument("--steps", type=int, default=usual.steps)
    p.add_argument("--held-out", default=",".join(usual.held_out))
    p.add_argument("--lookahead-ms", type=int, default=usual.lookahead_ms)
    p.add_argument("--threads", type=int, default=1)
    p = verbs.add_parser("evaluate")
    p.add_argument("labels", type=Path)
    p.add_argument("weights", type=Path)
    p = verbs.add_parser("teach")
    p.add_argument("labels", type=Path)
    p.add_argument("features", type=Path)
    p.add_argument("run", type=Path)
    p = verbs.add_parser("openings")
    p.add_argument("labels", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--speakers", default=",".join(usual.held_out))
    p = verbs.add_parser("export")
    p.add_argument("labels", type=Path)
    p.add_argument("run", type=Path)
    p.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    if args.verb == "prepare":
        args.out.mkdir(parents=True, exist_ok=True)
        if not (args.labels / "sounds.npz").exists():
            lipprep.write_sounds(args.labels)
        if not (args.out / "noises.npz").exists():
            lipprep.write_noises(args.out, args.speech)
        for number in tqdm(range(args.first, args.first + args.variants)):
            lipprep.write_variant(args.labels, args.out, number)
        if args.read:
            lipprep.write_read(args.out, args.read)
        for number in tqdm(range(args.spoken)):
            lipprep.write_spoken(args.out, number)
    elif args.verb == "train":
        torch.set_num_threads(args.threads)
        config = replace(
            TrainConfig(),
            steps=args.steps,
            held_out=tuple(s for s in args.held_out.split(",") if s),
            lookahead_ms=args.lookahead_ms,
        )
        train(args.labels, args.features, args.run, config)
    elif args.verb == "teach":
        told = teach(args.labels, args.features, args.run)
        sys.stdout.write(f"sounds explain the opening of the lips: r {told:.3f}\n")
    elif args.verb == "openings":
        write_openings(args.labels, set(args.speakers.split(",")), args.out)
    elif args.verb == "export":
        sys.stdout.write(f"gains and shift {export(args.labels, args.run, args.out)}\n")
    elif args.verb == "evaluate":
        sys.stdout.write(table(evaluate(args.labels, args.weights)) + "\n")


if __name__ == "__main__":
    main()
