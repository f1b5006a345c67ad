"""`visavis bench portraits`: mouths of portraits as avatars draw them, against the pictures' own.

A picture with an open mouth is its own truth: onboarding closes it, and the engine opens it again.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench.faces import PICTURES
from bench.reenact import measure
from bench.reenact.samples import closure
from bench.reenact.sitter import Sitter, sized
from bench.report import Report
from engine.closing import OPEN, closed
from engine.config import EngineConfig
from engine.errors import ConfigError, MediaError, PortraitError
from engine.faces import Finder, open_finder
from engine.frames import Motion
from engine.onboarding import faces, photo
from engine.onboarding.cut import Cut, cut
from engine.painters import add_painter
from models import measures

SHARP = (0.85, 1.1)
"""Gradient energy of a good mouth's window, in that of the truth."""
FIGURES = ("mouth_db", "gain_db", "mouth_ssim", "sharp")
_NO_CODE = np.zeros(0, np.float32)
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    config = EngineConfig()
    add = parser.add_argument
    add("pictures", type=Path, nargs="+", help="pictures of faces, or folders of them")
    add("--size", type=int, default=config.size_px, metavar="PX", help="(%(default)s)")
    add("--steps", type=int, nargs="+", default=[1], metavar="N", help="of the network (1)")
    add("--backend", default=config.backend, help="where networks run (%(default)s)")
    add_painter(parser)
    add("--sheet", type=Path, metavar="FILE.png", help="draw the mouths here")
    add("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures every picture whose mouth is open, prints the table, writes JSON and sheet.

    Raises:
        ConfigError: a flag is out of its range.
        MediaError: no picture can be measured, or the sheet cannot be written.
        BackendError: a network cannot run.
    """
    config = EngineConfig(size_px=args.size, backend=args.backend, painter=args.painter)
    configs = [replace(config, steps=n) for n in args.steps]
    if min(args.steps) < 1:
        raise ConfigError(f"--steps is {min(args.steps)}, expected 1 to 4")
    finder = open_finder(args.backend)
    drawn: dict[str, list[measure.Drawn]] = {}
    passed = 0
    # disable=None: no bar where stderr is not a terminal.
    for path in tqdm(_listed(args.pictures), unit="picture", disable=None):
        try:
            found = _cut(path, finder)
        except PortraitError as error:
            _log.info("%s: %s", path.name, error)
            passed += 1
            continue
        drawn[path.stem] = [draw(found, configs)]
    if not drawn:
        raise MediaError(f"none of {passed} pictures shows one face with an open mouth, see -v")
    report = _report(drawn, passed)
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    if args.sheet is not None:
        measure.sheet(args.sheet, drawn)
    return 0


def draw(found: Cut, configs: list[EngineConfig]) -> measure.Drawn:
    """The mouth of a cut closed, and drawn as open as it was, in every number of steps."""
    size_px = configs[0].size_px
    portrait, points = closed(found.picture, found.landmarks)
    sitter = Sitter(portrait, points, side_px=size_px)
    truth = sized(found.picture, size_px)
    wanted = found.landmarks * (size_px / found.picture.shape[0])
    painters = measure.painters_of(sitter, [config.steps for config in configs], configs[0])
    motion = Motion(0, _NO_CODE, blink=closure(wanted, sitter.points))
    return measure.one(sitter, painters, wanted, truth, motion)


def _listed(given: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        inside = path.rglob("*") if path.is_dir() else [path]
        found += sorted(p for p in inside if p.suffix.lower() in PICTURES)
    if not found:
        raise MediaError(f"{given[0]} holds no pictures, expected {', '.join(sorted(PICTURES))}")
    return found


def _cut(path: Path, finder: Finder) -> Cut:
    """A picture's square, where its mouth is open.

    Raises:
        PortraitError: no avatar can be made of it, or its mouth is shut.
    """
    picture = photo.read_file(path)
    face = faces.choose(faces.find(picture.rgb, finder))
    found = cut(picture, face.landmarks)
    opened = float(measures.opening(found.landmarks[None])[0])
    if opened < OPEN:
        raise PortraitError(f"the mouth is open by {opened:.3f}, expected at least {OPEN}")
    return found


def _report(drawn: dict[str, list[measure.Drawn]], passed: int) -> Report:
    report = Report(f"portraits with open mouths: {len(drawn)}, others passed over: {passed}")
    rows = {name: measure.figures(each) for name, each in drawn.items()}
    ways = [way for way in next(iter(rows.values())) if way not in (measure.COPY, measure.WARP)]
    for name, table in rows.items():
        for way in ways:
            report.row(f"{name}, {way}", **{figure: table[way][figure] for figure in FIGURES})
    for way in ways:
        own = {figure: np.array([t[way][figure] for t in rows.values()]) for figure in FIGURES}
        guide = np.array([table[measure.GUIDE]["mouth_ssim"] for table in rows.values()])
        low, high = SHARP
        for over, middle in (("median", np.median), ("mean", np.mean)):
            report.row(f"{over}, {way}", **{f: float(middle(each)) for f, each in own.items()})
        report.row(
            f"all, {way}",
            worst_gain_db=float(own["gain_db"].min()),
            above=int((own["gain_db"] >= 0).sum()),
            likelier=int((own["mouth_ssim"] >= guide).sum()),
            sharp_enough=int(((own["sharp"] >= low) & (own["sharp"] <= high)).sum()),
        )
    return report
