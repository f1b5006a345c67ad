"""`visavis bench drift`: whether the tenth minute's mouth is as sharp and as like as the first's.

The painted mouth is set against the guide under it, picture by picture: whatever the network adds
to the guide, it may not add more and more of it.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bench.reenact import pictures
from bench.render import SPEECH, looped
from bench.report import Report
from engine.audio import AudioStage
from engine.avatar import Avatar
from engine.composite import Batch
from engine.config import EngineConfig
from engine.errors import ConfigError
from engine.frames import FPS, FRAME_SAMPLES, Pcm
from engine.motion import MotionStage
from engine.mouth import MouthPainter
from engine.onboarding.command import add_folder, library
from engine.paint import NetworkPainter, Painter, RenderNetwork, paint
from engine.painters import add_painter, painter_folder
from engine.render import guide
from engine.renderer import rig_of
from kernels import dispatch
from models import window

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

COLUMNS = ("sharp", "likeness", "red", "green", "blue")
_MINUTE = 60 * FPS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    engine = EngineConfig()
    add = parser.add_argument
    add("--minutes", type=int, default=10, help="of talk (%(default)s)")
    add("--avatar", metavar="NAME", help="the first if not given")
    add_folder(parser)
    add("--size", type=int, default=engine.size_px, metavar="PX", help="(%(default)s)")
    add("--steps", type=int, default=1, metavar="N", help="of denoising (%(default)s)")
    add("--speech", type=Path, default=SPEECH, help="sound file, looped")
    add("--backend", default=engine.backend, help="where networks run (%(default)s)")
    add_painter(parser)
    add("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Draws the whole talk, prints a row a minute and how far the last is from the first.

    Raises:
        VisavisError: a flag is out of its range, or the speech or the avatar cannot be read.
    """
    if not 2 <= args.minutes <= 120:
        raise ConfigError(f"--minutes is {args.minutes}, expected 2 to 120")
    config = EngineConfig(
        size_px=args.size, steps=args.steps, backend=args.backend, painter=args.painter
    )
    if not config.steps:
        raise ConfigError("--steps is 0, expected 1 to 4: geometry alone has no past to drift from")
    from engine.present import default_avatar

    avatar = library(args).find(args.avatar or default_avatar())
    speech = looped(args.speech, args.minutes * 60.0)
    rows = talk(avatar, config, speech)
    report = Report(f"drift, avatar {avatar.info.name!r}, {args.minutes} minutes, mouth to guide")
    minutes = [rows[at : at + _MINUTE].mean(0) for at in range(0, len(rows), _MINUTE)]
    for number, means in enumerate(minutes, 1):
        report.row(f"minute {number}", **dict(zip(COLUMNS, means.tolist(), strict=True)))
    report.row("last to first", **change(minutes[0], minutes[-1]))
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


def change(first: F64, last: F64) -> dict[str, float]:
    """From one row (5,) to another: shares in percent, colours in levels of 255."""
    share = 100 * (last[:2] / first[:2] - 1)
    names = [f"{name}_pct" for name in COLUMNS[:2]] + list(COLUMNS[2:])
    return dict(zip(names, [*share.tolist(), *(last - first)[2:].tolist()], strict=True))


def talk(avatar: Avatar, config: EngineConfig, speech: npt.NDArray[np.int16]) -> F64:
    """A row (5,) for every picture: `compare` of the painted mouth with its guide."""
    rig = rig_of(avatar, config.size_px)
    audio, motion = AudioStage(config), MotionStage(config)
    kernels = dispatch.load(config.kernels)
    network = RenderNetwork(config.backend, folder=painter_folder(config.painter))
    painters: list[Painter] = [NetworkPainter(rig, config.steps, network), MouthPainter(rig)]
    rows = []
    for start in tqdm(range(0, len(speech), FRAME_SAMPLES), unit="picture", disable=None):
        for frame in audio.push(Pcm(start, speech[start : start + FRAME_SAMPLES])):
            (moved,) = motion.push(frame)
            guided = guide(rig, moved)
            batch = Batch(kernels, [guided] * 2)
            painted, plain = batch.pictures(paint(batch, painters), [config.background] * 2)
            x, y = (int(at) for at in window.centre(guided.landmarks))
            half = round(0.33 * rig.face_px)
            place = slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half)
            rows.append(compare(painted[place], plain[place]))
    return np.array(rows)


def compare(picture: U8, guide: U8) -> F64:
    """Gradient energy over the guide's, correlation with it, mean difference of each colour."""
    a, b = (x.astype(np.float64) for x in (picture, guide))
    likeness = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    sharp = pictures.energy(picture) / pictures.energy(guide)
    return np.array([sharp, likeness, *(a - b).mean((0, 1))])
