"""Command line of the trainings of the face detector and the landmark network.

    visavis train landmarks pack PACK --stills STILLS STILL_LABELS --clips FOOTAGE LABELS
                                      --heads HEADS SEEN --backgrounds FOLDER
    visavis train landmarks train landmarks|detector PACK RUN [--minutes 7] [--device cuda]
    visavis train landmarks doubt PACK RUN DETECTOR_RUN SCORED [--rounds 110]
    visavis train landmarks export landmarks|detector RUN FOLDER

A pack is one file with small pictures, their landmarks by MediaPipe (`models.label.track`) or, for
synthetic heads, their own, laid over MediaPipe's (SEEN: what it says of them, by
`models.label.heads`). Backgrounds are pictures without a face.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    args = _parser().parse_args(argv)
    args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visavis train landmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True)
    pack = verbs.add_parser("pack", help="pictures and labels -> one file to train on")
    pack.add_argument("pack", type=Path)
    for name, places in (
        ("stills", ("STILLS", "STILL_LABELS")),
        ("clips", ("FOOTAGE", "LABELS")),
        ("heads", ("HEADS", "SEEN")),
    ):
        pack.add_argument(f"--{name}", type=Path, nargs=2, metavar=places, required=True)
    pack.add_argument("--backgrounds", type=Path, required=True)
    pack.add_argument("--quality", type=int, default=80, help="of the pictures (WebP)")
    pack.add_argument("--per-person", type=int, default=60, help="frames of a filmed person")
    pack.add_argument("--per-head", type=int, default=3, help="pictures of a synthetic head")
    pack.set_defaults(run=_pack)
    train = verbs.add_parser("train", help="a pack -> a trained network")
    train.add_argument("which", choices=["landmarks", "detector"])
    train.add_argument("pack", type=Path)
    train.add_argument("folder", type=Path)
    train.add_argument("--minutes", type=float, help="of training")
    train.add_argument("--batch", type=int, help="pictures a step")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    train.set_defaults(run=_train)
    doubt = verbs.add_parser(
        "doubt", help="fit the score anew on what the detector takes for faces"
    )
    doubt.add_argument("pack", type=Path)
    doubt.add_argument("folder", type=Path, help="run of the landmark network")
    doubt.add_argument("detector", type=Path, help="run of the detector")
    doubt.add_argument("out", type=Path, help="folder for the run with the new score")
    doubt.add_argument("--rounds", type=int, help="of scenes and crops that are looked at")
    doubt.set_defaults(run=_doubt)
    export = verbs.add_parser("export", help="a trained network -> ONNX")
    export.add_argument("which", choices=["landmarks", "detector"])
    export.add_argument("folder", type=Path)
    export.add_argument("out", type=Path)
    export.set_defaults(run=_export)
    return parser


def _pack(args: argparse.Namespace) -> None:
    from models.train.landmarks import pack

    items, rng = [], np.random.default_rng(0)
    for at, (_, picture, points) in enumerate(pack.stills(*args.stills)):
        items.append(pack.cut(picture, points, "still", at % pack.VALID_EVERY == 5))
    footage, labels = args.clips
    for _, picture, points in pack.clips(footage, labels, args.per_person):
        items.append(pack.cut(picture, points, "clip"))
    backgrounds = [cv2.imread(str(p)) for p in sorted(args.backgrounds.iterdir())]
    known = [np.asarray(b[..., ::-1], np.uint8) for b in backgrounds if b is not None]
    folder, seen = args.heads
    for _, picture, points, matte in pack.heads(folder, seen, args.per_head, rng):
        behind = pack.behind(picture, matte, known, rng) if rng.random() < 0.7 else picture
        items.append(pack.cut(behind, points, "head"))
    items += [pack.background(b) for b in known]
    size = pack.write(args.pack, items, args.quality)
    count = {kind: sum(i.kind == kind for i in items) for kind in pack.KINDS}
    print(f"{args.pack}: {count}, {size / 2**20:.1f} MiB")


def _train(args: argparse.Namespace) -> None:
    from models.train.landmarks import fit

    config = replace(fit.PRESETS[args.which], seed=args.seed)
    if args.minutes is not None:
        config = replace(config, minutes=args.minutes)
    if args.batch is not None:
        config = replace(config, batch=args.batch)
    fit.train(args.which, args.pack, args.folder, config, args.device)


def _doubt(args: argparse.Namespace) -> None:
    from models.train.landmarks import doubt
    from models.train.runs import Run

    config = doubt.DoubtConfig()
    if args.rounds is not None:
        config = replace(config, rounds=args.rounds)
    run = Run.begin(args.out, config)
    print(doubt.refit(args.pack, Run(args.folder), Run(args.detector), run, config))


def _export(args: argparse.Namespace) -> None:
    from models.train.landmarks.export import export
    from models.train.runs import Run

    print(export(args.which, Run(args.folder), args.out))
