"""The command line of the render network's training; see the package."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from models.nets.painter import PainterConfig
from models.train.render import export, fit, latent, quantize, score
from models.train.render.samples import read
from models.train.render.widen import larger


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visavis train render", description="The network that paints the mouth."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("train", help="train a teacher, from the run's last checkpoint on")
    p.add_argument("samples", type=Path, help="folder that `visavis train windows` wrote")
    p.add_argument("run", type=Path, help="folder of the run: settings, checkpoint, curve.csv")
    p.add_argument("--preset", choices=sorted(fit.PRESETS), default="lite", help="settings")
    p.add_argument("--steps", type=int, help="optimiser steps, instead of the preset's")
    p.add_argument("--lr", type=float, help="highest learning rate, instead of the preset's")
    p.add_argument("--batch", type=int, help="windows a step, instead of the preset's")
    p.add_argument("--critic", type=float, help="weight of a critic, instead of the preset's")
    p.add_argument(
        "--begin", type=Path, help="run whose weights to begin with, widened for preset base"
    )
    p.add_argument("--held-out", default=",".join(fit.HELD_OUT), help="people not trained on")
    _add_machine(p)
    p = verbs.add_parser("distil", help="students of 8, 4, 2 and 1 steps, each from the last")
    p.add_argument("samples", type=Path, help="folder that `visavis train windows` wrote")
    p.add_argument("teacher", type=Path, help="folder of the teacher's run")
    p.add_argument("run", type=Path, help="folder for the students' runs")
    p.add_argument("--steps", type=int, help="optimiser steps of each, instead of the preset's")
    _add_machine(p)
    p = verbs.add_parser("score", help="figures on people never trained on, their open mouths")
    p.add_argument("samples", type=Path, help="folder that `visavis train windows` wrote")
    p.add_argument("run", type=Path, help="folder of the run")
    p.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4], help="denoising steps")
    p.add_argument("--last", action="store_true", help="the last weights, not the best")
    p.add_argument("--threads", type=int, default=2, help="CPU threads")
    p = verbs.add_parser("export", help="write a run's network as ONNX, for the engine")
    p.add_argument("run", type=Path, help="folder of the run")
    p.add_argument(
        "out", type=Path, help="folder for painter.onnx, painter_fp16.onnx, painter_portrait.onnx"
    )
    p.add_argument("--last", action="store_true", help="the last weights, not the best")
    p.add_argument("--mean-with", type=Path, help="average the weights with those of this run")
    p.add_argument("--samples", type=Path, help="make an int8 file too, its ranges from these")
    p = verbs.add_parser("latent", help="what a latent would allow, against unshuffled pixels")
    p.add_argument("samples", type=Path, help="folder that `visavis train windows` wrote")
    p.add_argument("--channels", type=int, nargs="+", default=[4, 8, 16], help="of the latent")
    p.add_argument("--steps", type=int, default=600, help="optimiser steps of each")
    p.add_argument("--threads", type=int, default=2, help="CPU threads")
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")


def _config(args: argparse.Namespace) -> fit.TrainConfig:
    """A preset with what the arguments change."""
    config = fit.PRESETS[args.preset]
    given = {name: getattr(args, name) for name in ("steps", "batch", "lr", "critic")}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changed["held_out"] = tuple(p for p in args.held_out.split(",") if p)
    if args.begin:
        begun = fit.load(args.begin).config
        wider = config.net != PainterConfig() and larger(config.net, begun)
        changed |= {"begin": str(args.begin), "net": config.net if wider else begun}
    return replace(config, **changed)


def main(argv: Sequence[str] | None = None) -> None:
    """Reads arguments and runs one verb.

    Raises:
        ValueError: a folder holds nothing that can be used, or a run of other settings.
    """
    args = _parser().parse_args(argv)
    torch.set_num_threads(getattr(args, "threads", 1))
    if args.verb == "train":
        fit.train(args.samples, args.run, _config(args), args.device)
    elif args.verb == "distil":
        config = fit.PRESETS["student"]
        net = fit.load(args.teacher).config
        config = replace(config, steps=args.steps or config.steps, net=net)
        fit.distil(args.samples, args.teacher, args.run, config, args.device)
    elif args.verb == "score":
        net = fit.load(args.run, best=not args.last)
        groups = {name: {name} for name in fit.HELD_OUT}
        groups["validation"] = fit.validation(args.samples, fit.HELD_OUT)
        for name, wanted in groups.items():
            judges = read(args.samples, wanted=wanted).opened()
            for steps in args.steps:
                found = asdict(score.people(net, judges, steps))
                figures = "  ".join(f"{k} {v:6.2f}" for k, v in found.items())
                sys.stdout.write(f"{name:12} {steps} steps  {figures}\n")
    elif args.verb == "latent":
        people = read(args.samples, but=set(fit.HELD_OUT))
        judges = read(args.samples, wanted=set(fit.HELD_OUT))
        for channels in args.channels:
            found = asdict(latent.bound(people, judges, channels, args.steps))
            sys.stdout.write("  ".join(f"{k} {v:6.2f}" for k, v in found.items()) + "\n")
    elif args.verb == "export":
        runs = [run for run in (args.run, args.mean_with) if run]
        export.export(fit.mean([fit.load(run, best=not args.last) for run in runs]), args.out)
        if args.samples:
            quantize.quantize(args.out, read(args.samples, but=set(fit.HELD_OUT)))
