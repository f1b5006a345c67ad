"""The command line of `visavis train speech`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from models import weights
from models.train.speech import coarticulation, corpora


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train speech", description="Synthetic speech with known sounds and lips."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    shapes = argparse.ArgumentParser(add_help=False)
    shapes.add_argument(
        "--lips", type=Path, help="by `visavis train shapes`; default: those that are shipped"
    )
    told = {
        "write": "speak, and write features that lip training reads",
        "read": "write features of read speech whose words are known",
        "lips": "give speech already written new lips",
        "clips": "write clips of voices never trained on, for tests",
    }
    for verb, what in told.items():
        p = verbs.add_parser(verb, help=what, parents=[shapes])
        p.add_argument("out", type=Path)
        if verb == "write":
            p.add_argument(
                "--sets", type=int, default=10, help="of 240 sentences, a quarter of an hour"
            )
        elif verb == "read":
            p.add_argument("folder", type=Path, help="laid out like LJSpeech")
    args = parser.parse_args(argv)
    lips = coarticulation.Lips.load(args.lips or weights.path("shapes.npz"))
    if args.verb == "lips":
        corpora.renew_lips(args.out, lips)
    elif args.verb == "read":
        corpora.write_read(args.out, lips, args.folder)
    elif args.verb == "clips":
        corpora.write_clips(args.out, lips)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        for number in tqdm(range(args.sets), desc="sets"):
            corpora.write_set(args.out, number, lips)
