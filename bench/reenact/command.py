"""The command line of the render network's training data; see `visavis train windows --help`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.reenact import prepare

GUIDE = """\
SAMPLES gets a folder each: clips, stills, heads. What is there is not made again.
Stills are labelled by `python -m models.label.track PICTURES LABELS` (make venv-label), footage by
`visavis train data prepare`, synthetic heads are made by `python -m models.synth`.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visavis train windows",
        description="From footage, stills and synthetic heads to what the render network learns.",
        epilog=GUIDE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("clips", help="of labelled footage")
    p.add_argument("footage", type=Path, help="folder of talking videos")
    p.add_argument("labels", type=Path, help="what `visavis train data prepare` made of it")
    p.add_argument("--each", type=int, default=500, help="samples of a person, at most")
    q = verbs.add_parser("stills", help="of labelled pictures, their mouths warped shut")
    q.add_argument("pictures", type=Path, help="folder of portraits")
    q.add_argument("labels", type=Path, help="folder of their label files")
    q.add_argument("--each", type=int, default=2, help="samples of a person, at most")
    r = verbs.add_parser("heads", help="of synthetic heads")
    r.add_argument("heads", type=Path, help="folder that `python -m models.synth` filled")
    for verb in (p, q, r):
        verb.add_argument("samples", type=Path, help="folder to fill")
        verb.add_argument("--workers", type=int, default=2, help="processes")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Reads arguments and runs one verb.

    Raises:
        ValueError: a folder holds nothing that can be used.
    """
    args = _parser().parse_args(argv)
    if args.verb == "clips":
        jobs = prepare.clip_jobs(args.footage, args.labels, args.each)
        make = prepare.clip_samples
    elif args.verb == "stills":
        jobs = prepare.still_jobs(args.pictures, args.labels, args.each)
        make = prepare.still_samples
    else:
        jobs = prepare.head_jobs(args.heads)
        make = prepare.head_samples
    if not jobs:
        raise ValueError(f"{vars(args)[args.verb if args.verb == 'heads' else 'labels']}: is empty")
    prepare.write(jobs, args.samples / args.verb, make, args.workers)
