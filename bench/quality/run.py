"""The command: measures every clip, one after the other."""

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bench.quality import figures
from bench.quality import made as making
from bench.quality.clips import FPS, Talk, find, video_of
from bench.quality.plot import Curve, Panel, draw
from bench.quality.sounds import Sounds, spoken
from bench.quality.tables import Figures, Tables
from bench.reenact import measure
from engine import backends, sync
from engine.audio import WEIGHTS
from engine.config import EngineConfig
from engine.errors import ConfigError, MediaError
from engine.frames import AudioFrame, Motion
from engine.painters import add_painter
from models import facemodel, measures
from models.train import face, lipdata
from models.train.motion import score

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Sync = Callable[[F32, F32], tuple[float, float]]

TRUE, MADE = "true", "made"
BOUNDS = BASIS, STILL = "basis", "still"
"""What bounds the lips' distances: the speaker's own lip codes, and a mouth that never moves."""
_WARM_UP_S = 10.0
_SYNC_S = 2.0
"""The sync expert tries offsets of 0.6 s either way."""
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    engine = EngineConfig()
    add = parser.add_argument
    add("folder", type=Path, help="talking clips: videos, or their label files (.npz)")
    add("--labels", type=Path, metavar="DIR", help="label files of the folder's videos")
    add("--alignments", type=Path, metavar="DIR", help="words or phones: NAME.align, NAME.lab")
    add("--only", nargs="+", default=[], metavar="WORD", help="clips whose file names hold a word")
    add("--against", type=Path, metavar="FILE.onnx", help="a second lip network, for ratios")
    add(
        "--lookahead-ms",
        type=int,
        default=engine.lookahead_ms,
        metavar="MS",
        help="of the lips (%(default)s)",
    )
    add("--seeds", type=int, default=4, help="of head and blinks, for each clip (%(default)s)")
    add("--backend", default=engine.backend, help="where networks run (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures here too")
    add("--picture", type=Path, metavar="FILE.png", help="draw openings over spectrograms")
    add("--render", type=Path, metavar="SHEET.png", help="measure the pictures too; draw a sheet")
    add_painter(parser)
    add("--render-steps", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="(1 2 4)")
    add("--teacher", type=Path, metavar="FOLDER", help="a second render network, in 16 steps")
    add(
        "--render-seconds",
        type=float,
        default=8.0,
        metavar="S",
        help="of each clip that are drawn (%(default)s)",
    )


@dataclass(frozen=True, slots=True)
class Side:
    """How one clip's lips move, by the speaker or by a network: faces, opening, lip codes."""

    name: str
    points: F64
    opening: F64
    codes: F32


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run measures with."""

    config: EngineConfig
    against: Path | None
    seeds: int
    sync: Sync | None


def run(args: argparse.Namespace) -> int:
    """Measures every clip, prints the tables, writes JSON and picture.

    Raises:
        VisavisError: the folder holds nothing to measure, a clip is without labels or sound, or a
            network cannot run.
    """
    if not 1 <= args.seeds <= 100:
        raise ConfigError(f"--seeds is {args.seeds}, expected 1 to 100")
    for path in (args.picture, args.render):
        if path is not None and path.suffix.lower() != ".png":
            raise MediaError(f"{path} is no name for the picture, expected one ending in .png")
    if args.render_seconds <= 0:
        raise ConfigError(f"--render-seconds is {args.render_seconds:g}, expected more than 0")
    if args.teacher is not None and args.render is None:
        raise ConfigError(f"--teacher is {args.teacher}, expected --render SHEET.png beside it")
    config = EngineConfig(
        lookahead_ms=args.lookahead_ms, backend=args.backend, painter=args.painter
    )
    ways = [_painted(config, steps) for steps in args.render_steps]
    setting = Setting(config, args.against, args.seeds, _sync_expert())
    talks = find(args.folder, args.labels, args.only)
    against = _against(args.against, config)
    tables = Tables(f"quality, clips: {len(talks)}, {config.lookahead_ms} ms look-ahead", against)
    panels = []
    # disable=None: no bar where stderr is not a terminal.
    for number, talk in enumerate(tqdm(talks, unit="clip", disable=None)):
        sounds = spoken(talk, args.alignments)
        own = replace(setting, config=replace(config, seed=number * args.seeds))
        panels.append(_measure(talk, sounds, own, tables))
    for ahead_ms in sorted(WEIGHTS) if len(WEIGHTS) > 1 else ():
        _look_ahead(talks, args.alignments, replace(config, lookahead_ms=ahead_ms), tables)
    if args.render is not None:
        _pictures(args, talks, ways, config, tables)
    tables.print()
    if args.json is not None:
        tables.write_json(args.json)
    if args.picture is not None:
        draw(args.picture, panels)
    return 0


def _painted(config: EngineConfig, steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"--render-steps is {steps}, expected 1 to 4")
    return replace(config, steps=steps).steps


def _pictures(
    args: argparse.Namespace,
    talks: list[Talk],
    ways: list[int],
    config: EngineConfig,
    tables: Tables,
) -> None:
    """Adds the table of the pictures, and draws their sheet."""
    drawn: dict[str, list[measure.Drawn]] = {}
    for talk in tqdm(talks, unit="clip", disable=None, desc="pictures"):
        video = video_of(talk, args.folder)
        drawn[talk.name] = measure.draw(
            talk, video, ways, args.render_seconds, config, args.teacher
        )
        for way, row in measure.figures(drawn[talk.name]).items():
            tables.picture(talk.name, way, row)
    measure.sheet(args.render, drawn)


def _against(path: Path | None, config: EngineConfig) -> str | None:
    """The second network's name for the tables, once it is known to be a lip network."""
    if path is None:
        return None
    network = backends.load(config.backend, path)
    if missing := {"mel", "state"} - network.inputs.keys() | {"code"} - set(network.outputs):
        raise ConfigError(f"{path} is no lip network: it has no {sorted(missing)[0]!r}")
    return f"against {path.stem}" if path.stem in (TRUE, MADE, *BOUNDS) else path.stem


def _sync_expert() -> Sync | None:
    """`engine.sync.offset`, or None where this version ships no weights for it."""
    try:
        sync.offset(np.zeros((FPS, facemodel.load().size), np.float32), np.zeros(16000, "f4"))
    except FileNotFoundError as error:
        _log.warning("no sync expert: %s", error)
        return None
    return sync.offset


def _measure(talk: Talk, sounds: Sounds | None, setting: Setting, tables: Tables) -> Panel:
    """Adds one clip's rows to the tables; returns its panel of the picture."""
    flat = making.upright(talk.points, talk.valid)
    true = _true_side(flat)
    voiced = ~lipdata.quiet(talk.pcm)
    if not voiced.any():
        raise MediaError(f"{talk.file}: nobody speaks in its {talk.seconds:.1f} s of sound")
    networks = {MADE: None} | ({tables.against: setting.against} if tables.against else {})
    made, config = [], setting.config
    for name, network in networks.items():
        frames = making.hear(talk.pcm, config, network)
        motions = making.move(frames, config)
        made.append(_made_side(name, flat.own, making.faces(flat.own, motions), frames))
        if network is None:
            heads = [
                making.move(frames, replace(config, seed=config.seed + i), _WARM_UP_S)
                for i in range(setting.seeds)
            ]
            _heads(talk, frames, heads, flat.own, tables)
    notes = []
    for side in (true, *made, *_bounds(flat, true)):
        row = _lips(talk, true, side, voiced, sounds)
        if side in made:
            notes.append(_note(side.name, row))
        if setting.sync is not None and talk.seconds >= _SYNC_S and side.name not in BOUNDS:
            row["sync_pictures"], row["sync_confidence"] = setting.sync(side.codes, talk.pcm)
        tables.lips(talk.name, side.name, talk.seconds, row)
    _rests(talk, flat.own, setting, networks, tables)
    closures = tuple(s for s in sounds or () if s[0] in figures.CLOSED_SOUNDS)
    curves = [Curve(side.name, side.opening) for side in (true, *made)]
    return Panel(talk.name, "     ".join(notes), talk.pcm, curves, closures)


def _true_side(flat: making.Upright) -> Side:
    model = facemodel.load()
    share = face.falloff(model.neutral.astype(np.float64))[:, None]
    codes = model.encode(((flat.points - flat.own) * share).astype(np.float32))
    gap = measures.inner_gap(flat.points) - measures.inner_gap(flat.own)
    return Side(TRUE, flat.points, gap, codes)


def _bounds(flat: making.Upright, true: Side) -> tuple[Side, Side]:
    motions = [Motion(i, code) for i, code in enumerate(true.codes)]
    points = making.faces(flat.own, motions)
    gap = measures.inner_gap(points) - measures.inner_gap(flat.own)
    rest = np.broadcast_to(flat.own, points.shape)
    return Side(BASIS, points, gap, true.codes), Side(STILL, rest, 0 * gap, true.codes)


def _made_side(name: str, own: F64, points: F64, frames: list[AudioFrame]) -> Side:
    gap = measures.inner_gap(points) - measures.inner_gap(own)
    return Side(name, points, gap, making.codes(frames))


def _lips(talk: Talk, true: Side, side: Side, voiced: Mask, sounds: Sounds | None) -> Figures:
    """One row of the lips' table."""
    row: Figures = {}
    use = voiced & talk.valid
    if side is not true:
        row["lmd_lips_px"] = figures.lmd(true.points, side.points, figures.MOUTH, talk.valid)
        row["lmd_face_px"] = figures.lmd(true.points, side.points, figures.FACE, talk.valid)
    if side.name in BOUNDS:
        return row
    if side is not true:
        r = figures.correlations(true.opening, side.opening, use)
        row["r"] = float(r[figures.MAX_LAG])
        if not np.isnan(r).all():
            row["best_r"] = float(np.nanmax(r))
            row["lag_pictures"] = float(np.nanargmax(r)) - figures.MAX_LAG
        row["spread"] = figures.spread(true.opening, side.opening, use)
    row["quiet_pct"] = figures.percent(
        figures.movement(side.points, talk.valid & ~voiced), figures.movement(side.points, use)
    )
    row["jitter_s2"] = figures.lip_jitter(side.points, use)
    if sounds is not None:
        for key, names in (("pbm", figures.CLOSED_SOUNDS), ("vowels", figures.OPEN_SOUNDS)):
            shut, total = figures.closed(side.opening, sounds, names)
            row[key] = total
            row[f"{key}_shut_pct"] = figures.percent(shut, total)
    return row


def _heads(
    talk: Talk, frames: list[AudioFrame], heads: list[list[Motion]], own: F64, tables: Tables
) -> None:
    """Adds the rows of a clip's head and eyes: the speaker's, and the mean over seeds."""
    beat_s = figures.beats(talk.pcm)
    energy = np.array([f.energy for f in frames])
    aspect = measures.eye_aspect(talk.points).mean(1)
    true = _head(measures.pose(talk.points)[:, :3], aspect, beat_s, energy)
    made = [
        _head(making.poses(m), measures.eye_aspect(making.faces(own, m)).mean(1), beat_s, energy)
        for m in heads
    ]
    tables.head(talk.name, TRUE, [(talk.seconds, true)])
    tables.head(talk.name, MADE, [(talk.seconds, row) for row in made])


def _head(angles: F64, aspect: F64, beat_s: F64, energy: F64) -> Figures:
    degrees = np.degrees(angles)
    row: Figures = {
        f"{n}_deg": float(s) for n, s in zip(("yaw", "pitch", "roll"), degrees.std(0), strict=True)
    }
    row["speed_deg_s"] = float(figures.head_speed(angles).mean())
    by_band = np.degrees(np.sqrt((score.bands(angles) ** 2).sum(1)))
    for (low, high), speed in zip(pairwise(score.BANDS_HZ), by_band, strict=True):
        row[f"{low:g}_{high:g}_hz_deg_s"] = float(speed)
    found = measures.blinks(aspect)
    row["blinks"] = len(found)
    row["blinks_per_s"] = len(found) / (len(angles) / FPS)
    row["blink_ms"] = float(np.mean([b - a for a, b in found])) * 40 if found else float("nan")
    row["beat_align"], row["beat_chance"] = figures.beat_align(angles, beat_s)
    if len(angles) >= 4 * FPS:
        row["turn_align"], row["turn_chance"], _ = score.beat_align(angles, energy)
    row["jitter_deg_s2"] = figures.head_jitter(angles)
    return row


def _rests(
    talk: Talk, own: F64, setting: Setting, networks: dict[str, Path | None], tables: Tables
) -> None:
    """Adds the rows of mouth movement where nobody speaks."""
    for probe, (pcm, still) in making.probes(talk.pcm).items():
        for name, network in networks.items():
            frames = making.hear(pcm, setting.config, network)
            points = making.faces(own, making.move(frames, setting.config))
            share = figures.percent(
                figures.movement(points, still), figures.movement(points, ~still)
            )
            tables.rest(talk.name, probe, name, share)


def _look_ahead(
    talks: list[Talk], alignments: Path | None, config: EngineConfig, tables: Tables
) -> None:
    """Adds the row of one look-ahead: the shipped network that was trained for it."""
    rows = []
    for talk in talks:
        flat = making.upright(talk.points, talk.valid)
        frames = making.hear(talk.pcm, config)
        points = making.faces(flat.own, making.move(frames, config))
        sounds = spoken(talk, alignments)
        side = _made_side(MADE, flat.own, points, frames)
        voiced = ~lipdata.quiet(talk.pcm)
        rows.append((talk.seconds, _lips(talk, _true_side(flat), side, voiced, sounds)))
    tables.look_ahead(config.lookahead_ms, rows)


def _note(name: str, row: Figures) -> str:
    lag = row.get("lag_pictures", float("nan"))
    late = f", best {lag:+.0f}" if lag else ""
    return f"{name} r {row['r']:.2f}, {row['lmd_lips_px']:.1f} px{late}"
