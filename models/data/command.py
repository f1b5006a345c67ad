"""The command line of `models.data`."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from models import weights
from models.data import clips, footage, listen, prepare
from models.data.clips import Limits, Table

GUIDE = """\
FOOTAGE is a folder of talking videos, one folder a speaker; OUT becomes the LABELS folder of all
trainings. Give the same command again to go on where it was broken off, or after adding videos.
See models/data/README.md.
"""


def report(table: Table) -> str:
    """The clips of a table counted by what became of them."""
    rows = table.counts()
    wide = max(len(why) for why, _, _ in rows)
    lines = [f"{why:{wide}}  {count:5d} clips  {seconds:8.1f} s" for why, count, seconds in rows]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visavis train data",
        description="From a folder of talking videos to training tensors.",
        epilog=GUIDE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("prepare", help="track faces, measure offsets, keep what is good")
    make.add_argument("footage", type=Path, help="folder of talking videos")
    make.add_argument("out", type=Path, help="folder to fill")
    make.add_argument(
        "--mediapipe",
        type=Path,
        metavar="PYTHON",
        help="track by MediaPipe instead, in this environment (see make venv-label)",
    )
    make.add_argument("--workers", type=int, default=2, help="videos tracked at a time")
    make.add_argument("--looks", type=int, default=4, help="trackers a picture, 1 to 4")
    again = verbs.add_parser("judge", help="measure offsets and judge again, without tracking")
    again.add_argument("out", type=Path, help="folder that prepare filled")
    again.add_argument("--only", nargs="+", default=[], help="these speakers alone")
    for verb in (make, again):
        verb.add_argument("--speakers", type=Path, help="default: FOOTAGE/speakers.json, if any")
        verb.add_argument("--lips", type=Path, help="lip network that offsets are measured with")
        for name, value in vars_of(Limits()).items():
            flag = "--" + name.replace("_", "-")
            verb.add_argument(flag, type=float, default=value, help=f"limit, default {value:g}")
    return parser


def vars_of(limits: Limits) -> dict[str, float]:
    """Limits by name."""
    return {name: float(getattr(limits, name)) for name in Limits.__dataclass_fields__}


def main(argv: Sequence[str] | None = None) -> None:
    """Command line.

    Raises:
        ValueError: no footage, no tracker, or a broken speakers.json.
        OSError: a folder or file is not there.
    """
    args = _parser().parse_args(argv)
    limits = Limits(**{name: getattr(args, name) for name in vars_of(Limits())})
    names: Path | None = args.speakers
    if args.verb == "prepare":
        beside = args.footage / footage.NAMES
        names = names or (beside if beside.exists() else None)
        told = footage.known(names)
        videos = footage.scan(args.footage)
        workers, looks = max(1, args.workers), args.looks
        prepare.follow(args.footage, videos, args.out, args.mediapipe, looks, workers)
    told = footage.known(names)
    network = args.lips or weights.path("lips.onnx")
    listener = listen.network(network)
    mark = f"{network.name} {hashlib.sha256(network.read_bytes()).hexdigest()[:8]}"
    total = len(list((args.out / "train").glob("*.npz")))
    only = tuple(getattr(args, "only", ()))
    with tqdm(total=total, unit="clip", desc="lips and sound") as bar:
        table = prepare.judge(
            args.out, told, listener, mark, limits, only, lambda _: bar.update() and None
        )
    for name, record in table.clips.items():
        if not record.kept and not record.head:
            sys.stdout.write(f"left out: {name}: {record.reason}\n")
    sys.stdout.write(report(table) + f"\n{args.out / clips.FILE}\n")
