"""`visavis bench batches`: pictures of several sessions drawn together, on real speech."""

import argparse
import time
from collections.abc import Sequence
from itertools import chain, cycle, islice
from pathlib import Path

import numpy as np

from bench.render import SPEECH, looped
from bench.report import Report, percentiles
from engine import avatar as avatars
from engine.audio import AudioStage
from engine.config import EngineConfig
from engine.errors import ConfigError
from engine.frames import FRAME_SAMPLES, Motion, Pcm
from engine.motion import MotionStage
from engine.painters import add_painter
from engine.renderer import Renderer, Scene
from kernels.dispatch import MOST

_WARM_UP = 5
_APART = 7
"""Pictures by which each session is behind the one before, so that no two do the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    usual = EngineConfig()
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[1, 4, 16, 64],
        metavar="N",
        help="pictures at once (1 4 16 64)",
    )
    parser.add_argument(
        "--size", type=int, default=usual.size_px, metavar="PX", help="(%(default)s)"
    )
    parser.add_argument("--times", type=int, default=40, metavar="N", help="of each (%(default)s)")
    parser.add_argument("--backend", default=usual.backend, help="(%(default)s)")
    parser.add_argument("--kernels", default=usual.kernels, help="cpu or cuda (%(default)s)")
    add_painter(parser)
    parser.add_argument("--background", default=usual.background, help="(%(default)s)")
    parser.add_argument("--speech", type=Path, default=SPEECH, help="sound file, looped")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the JSON.

    Raises:
        VisavisError: the speech cannot be read, or a setting cannot be had.
    """
    if wrong := [n for n in args.batches if not 1 <= n <= MOST]:
        raise ConfigError(f"--batches is {wrong[0]}, expected 1 to {MOST}")
    if args.times < 1:
        raise ConfigError(f"--times is {args.times}, expected at least 1")
    config = EngineConfig(
        size_px=args.size,
        backend=args.backend,
        kernels=args.kernels,
        painter=args.painter,
        background=args.background,
    )
    report = measure(config, args.batches, args.times, motions(config, args.speech))
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


def motions(config: EngineConfig, speech: Path, seconds: float = 20.0) -> list[Motion]:
    """What speech makes of a face, picture by picture."""
    audio, motion = AudioStage(config), MotionStage(config)
    samples = looped(speech, seconds)
    parts = (
        Pcm(at, samples[at : at + FRAME_SAMPLES]) for at in range(0, len(samples), FRAME_SAMPLES)
    )
    frames = chain.from_iterable(audio.push(part) for part in parts)
    return list(chain.from_iterable(motion.push(frame) for frame in frames))


def measure(
    config: EngineConfig, batches: Sequence[int], times: int, talk: Sequence[Motion]
) -> Report:
    """A row for each size of batch: from motions in hand to planes in the host's memory.

    Args:
        config: what is drawn; avatars are the built-in ones by turns.
        batches: pictures at once.
        times: how often each is drawn.
        talk: motions, begun elsewhere by each session.
    """
    report = Report(
        f"{config.size_px} px by {config.kernels} kernels, {config.painter} on {config.backend}, "
        "ms a batch"
    )
    scenes = [Scene.of(avatars.find(name), config) for name in avatars.names()]
    renderer = Renderer()
    for scene in scenes:
        renderer.open(scene)
    for count in batches:
        sessions = list(islice(cycle(scenes), count))
        took_ms, cpu_ms = [], []
        for turn in range(_WARM_UP + times):
            asked = [
                (scene, talk[(turn + _APART * number) % len(talk)])
                for number, scene in enumerate(sessions)
            ]
            begun, spent = time.perf_counter(), time.thread_time()
            renderer.render(asked)
            took_ms.append(1e3 * (time.perf_counter() - begun))
            cpu_ms.append(1e3 * (time.thread_time() - spent))
        each = np.asarray(took_ms[_WARM_UP:])
        report.row(
            f"{count} at once",
            **percentiles(each, (50, 95)),
            ms_a_picture=float(np.median(each)) / count,
            cpu_ms_a_picture=float(np.median(cpu_ms[_WARM_UP:])) / count,
            fps=1e3 * count / float(np.median(each)),
        )
    return report
