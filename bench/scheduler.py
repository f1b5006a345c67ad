"""`visavis bench scheduler`: what scheduling costs a picture, with many sessions, nothing drawn."""

import argparse
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.report import Report, percentiles
from engine.avatar import find
from engine.backends import SIZES
from engine.composite import Planes
from engine.config import EngineConfig
from engine.drawing import Shared
from engine.errors import ConfigError
from engine.frames import FRAME_MS, Motion
from engine.metrics import ServerMetrics, StageTimes
from engine.present import default_avatar
from engine.renderer import Drawer, Drawing, Scene, Share

_FRAME_S = FRAME_MS / 1000
_SHAPES: dict[str, tuple[int, tuple[int, ...]]] = {
    "a GPU's: 1 runner, batches": (1, SIZES),
    "a CPU's: 2 runners, one by one": (2, (1,)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    parser.add_argument("--sessions", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row (%(default)s)")
    parser.add_argument(
        "--batch-ms",
        type=float,
        default=4.0,
        metavar="MS",
        help="that the fake GPU takes for a batch, asleep (%(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the JSON.

    Raises:
        ConfigError: a flag is out of its range.
    """
    if not 1 <= args.sessions <= 1024:
        raise ConfigError(f"sessions is {args.sessions}, expected 1 to 1024")
    if not 1 <= args.seconds <= 600:
        raise ConfigError(f"seconds is {args.seconds:g}, expected 1 to 600")
    if not 0 <= args.batch_ms <= 40:
        raise ConfigError(f"batch-ms is {args.batch_ms:g}, expected 0 to 40")
    report = Report(f"scheduling, {args.sessions} sessions of 25 pictures a second")
    scene = Scene.of(find(default_avatar()), EngineConfig(size_px=128, steps=0))
    alone = _Row(_Nothing(), scene, args.sessions, args.seconds)
    report.row("threads alone", pictures=alone.pictures, cpu_ms=alone.cpu_ms)
    for name, (runners, sizes) in _SHAPES.items():
        work_s = args.batch_ms / 1000 if len(sizes) > 1 else 0.0
        metrics = ServerMetrics()
        drawing = Shared(runners, sizes, metrics, partial(_Sleeper, work_s=work_s))
        try:
            row = _Row(drawing, scene, args.sessions, args.seconds)
        finally:
            drawing.close()
        counts = {
            sample.labels["fate"]: sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "visavis_scheduled_total"
        }
        report.row(
            name,
            pictures=row.pictures,
            cpu_ms=row.cpu_ms,
            scheduling_ms=row.cpu_ms - alone.cpu_ms,
            wanted="<= 0.3",
            **percentiles(row.waited_ms, (50, 95, 99)),
            drawn_percent=100 * (counts["drawn"] + counts["late"]) / counts["wanted"],
        )
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


class _Row:
    """Sessions that each ask for a picture every 40 ms, on threads of their own.

    Attributes:
        pictures: asked for.
        cpu_ms: processor time of the whole process, a picture.
        waited_ms: how long each `draw` took.
    """

    def __init__(self, drawing: Drawing, scene: Scene, sessions: int, seconds: float) -> None:
        drawers = [drawing.start(scene, StageTimes()) for _ in range(sessions)]
        waited: list[list[float]] = [[] for _ in drawers]
        begin_s = time.monotonic() + 0.1
        threads = [
            threading.Thread(
                target=_ask,
                args=(drawer, begin_s + _FRAME_S * number / sessions, seconds, waited[number]),
            )
            for number, drawer in enumerate(drawers)
        ]
        used_s = time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used_s = time.process_time() - used_s
        for drawer in drawers:
            drawer.close()
        self.waited_ms = [each for one in waited for each in one]
        self.pictures = len(self.waited_ms)
        self.cpu_ms = 1000 * used_s / self.pictures


def _ask(drawer: Drawer, at_s: float, seconds: float, waited_ms: list[float]) -> None:
    motion = np.zeros(1, np.float32)
    for index in range(int(seconds / _FRAME_S)):
        time.sleep(max(0.0, at_s + index * _FRAME_S - time.monotonic()))
        begun_s = time.monotonic()
        drawer.draw(Motion(index, motion))
        waited_ms.append(1000 * (time.monotonic() - begun_s))


_PLANES = Planes(np.zeros((192, 128), np.uint8), None)


class _Sleeper:
    """A renderer that sleeps as a thread does that waits for a GPU."""

    def __init__(self, times: StageTimes, work_s: float) -> None:
        self._times, self._work_s = times, work_s

    def open(self, scene: Scene) -> None:
        """Nothing to do."""

    def render(self, batch: Sequence[tuple[Scene, Motion]]) -> list[Planes]:
        """As many pictures, the same each time."""
        with self._times.measure("render"):
            time.sleep(self._work_s)
        return [_PLANES] * len(batch)


class _Nothing:
    """Draws nothing, at once: what is left is what the threads cost that ask."""

    def start(self, scene: Scene, timings: StageTimes) -> Drawer:  # noqa: ARG002
        """See `Drawing.start`."""
        return _Still()


class _Still:
    share = Share()

    def draw(self, motion: Motion) -> Planes | None:  # noqa: ARG002
        return _PLANES

    def close(self) -> None:
        pass
