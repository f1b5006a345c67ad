"""The command line of the matting network's training; see the package."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.train.matte import fit, pack, score


def _parser() -> argparse.ArgumentParser:
    usual = fit.TrainConfig()
    parser = argparse.ArgumentParser(
        prog="visavis train matte", description="The network that tells a person from background."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("pack", help="labelled portraits -> one small file to train on")
    _add_sources(p)
    p.add_argument("--quality", type=int, default=80, help="of the pictures (%(default)s)")
    p.add_argument("--out", type=Path, required=True, help="the pack, an npz file")
    p = verbs.add_parser("train", help="train, from the run's last checkpoint on")
    p.add_argument("pack", type=Path, help="file that `pack` wrote")
    p.add_argument("run", type=Path, help="folder of the run: settings, checkpoint, curve.csv")
    p.add_argument("--budget-s", type=float, default=usual.budget_s, help="seconds (%(default)s)")
    p.add_argument("--batch", type=int, default=usual.batch, help="pictures a step (%(default)s)")
    p.add_argument("--lr", type=float, default=usual.lr, help="highest rate (%(default)s)")
    p.add_argument("--device", default="cpu", help="where torch trains: cpu, cuda (%(default)s)")
    p.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    p = verbs.add_parser("score", help="figures on what was held out")
    p.add_argument("run", type=Path, help="folder of the run")
    _add_sources(p)
    p.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    p = verbs.add_parser("export", help="write a run's network as ONNX, for the engine")
    p.add_argument("run", type=Path, help="folder of the run")
    p.add_argument("out", type=Path, help="the file, matte.onnx")
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("labels", type=Path, nargs="+", help="folders that `models.label.segment` wrote")
    add("--heads", type=Path, help="folder that `models.synth` wrote")
    add("--each", type=int, default=3, help="pictures of a head (%(default)s)")
    add("--reject", type=Path, help="file with names of labels to leave out, one a line")


def main(argv: Sequence[str] | None = None) -> None:
    """Reads arguments and runs one verb.

    Raises:
        ValueError: a pack or folder holds nothing that can be used, or a run of other settings.
    """
    args = _parser().parse_args(argv)
    if args.verb == "pack":
        _pack(args)
    elif args.verb == "train":
        _train(args)
    elif args.verb == "score":
        torch.set_num_threads(args.threads)
        for kind, (count, found) in score.held_out(fit.load(args.run), _items(args)).items():
            values = "  ".join(f"{name} {value:.4f}" for name, value in found.items())
            sys.stdout.write(f"{kind:6} {count:4}  {values}\n")
    elif args.verb == "export":
        from models.train.matte.export import export

        export(fit.load(args.run), args.out)


def _items(args: argparse.Namespace) -> list[pack.Labelled]:
    names = args.reject.read_text().split() if args.reject else []
    items = [item for folder in args.labels for item in pack.labelled(folder, frozenset(names))]
    return items + (list(pack.heads(args.heads, args.each)) if args.heads else [])


def _pack(args: argparse.Namespace) -> None:
    counts = pack.write(args.out, _items(args), args.quality)
    sys.stdout.write("  ".join(f"{kind} {n}" for kind, n in counts.items()) + "\n")
    sys.stdout.write(f"{args.out}: {args.out.stat().st_size / 2**20:.2f} MiB\n")


def _train(args: argparse.Namespace) -> None:
    # Figures are told as they come: a run on a lent machine is watched, not read afterwards.
    logging.getLogger("models.train.matte").setLevel(logging.INFO)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {args.device!r}, but torch sees no GPU here")
    config = replace(fit.TrainConfig(), budget_s=args.budget_s, batch=args.batch, lr=args.lr)
    fit.train(pack.read(args.pack), args.run, config, torch.device(args.device))
