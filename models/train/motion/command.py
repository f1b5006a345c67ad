"""The command line of the motion network's training; see the package."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.train.motion import data, draw, fit

LABELS = "folder that the labelling wrote"


def main(argv: Sequence[str] | None = None) -> None:
    """Reads arguments and runs one verb.

    Raises:
        ValueError: a folder holds nothing that can be used, or a run of other settings.
    """
    parser = argparse.ArgumentParser(
        prog="visavis train motion", description="The network of head motion and blinks."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("train", help="train, from the run's last checkpoint on")
    p.add_argument("labels", type=Path, help=LABELS)
    p.add_argument("run", type=Path, help="folder of the run: settings, checkpoint, curve.csv")
    p.add_argument("--preset", choices=sorted(fit.PRESETS), default="lite", help="settings")
    p.add_argument(
        "--held-out", default=",".join(data.HELD_OUT), help="speakers or clips not trained on"
    )
    p.add_argument("--steps", type=int, help="optimiser steps, instead of the preset's")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    p = verbs.add_parser("evaluate", help="figures of drawn heads beside the footage's")
    p.add_argument("labels", type=Path, help=LABELS)
    p.add_argument("run", type=Path, help="folder of the run")
    p.add_argument("--seeds", type=int, default=16, help="draws to a clip")
    p = verbs.add_parser("export", help="write the decoder as ONNX, blinks at their rate")
    p.add_argument("labels", type=Path, help=LABELS)
    p.add_argument("run", type=Path, help="folder of the run")
    p.add_argument("out", type=Path, help="the ONNX file")
    args = parser.parse_args(argv)
    torch.set_num_threads(getattr(args, "threads", 1))
    if args.verb == "train":
        config = fit.PRESETS[args.preset]
        config = replace(
            config,
            held_out=tuple(s for s in args.held_out.split(",") if s),
            steps=args.steps or config.steps,
        )
        fit.train(args.labels, args.run, config)
    elif args.verb == "evaluate":
        sys.stdout.write(draw.evaluate(args.labels, args.run, args.seeds) + "\n")
    elif args.verb == "export":
        sys.stdout.write(draw.ship(args.labels, args.run, args.out) + "\n")
