"""`visavis bench latency`: a real browser calls a real server, and both ends are stamped there.

What is measured, and where the measuring could flatter, is told in `bench/README.md`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import measure, signals
from bench.browser import Caller, Chromium, ProbeSettings, Server
from bench.relay import Relay
from bench.report import Report, Value, percentiles
from engine import avatar as avatars
from engine.config import EngineConfig, ServerConfig
from engine.errors import BackendError, ConfigError
from models import topology

DRAIN_S = 2.0
FREEZE_MS = 200.0
STALL_MS = 300.0
REACTION_WITHIN_MS = (0.0, 900.0)
PROCESSING_MS = 10.0
"""Chromium's echo cancellation hands sound on a buffer later than its stamp says, see README."""
GONE_S = 60.0
FACE_PX = 80

Row = dict[str, Value]
Rows = dict[str, Row]


@dataclass(slots=True)
class Seen:
    """What one call left behind.

    Attributes:
        mic, heard: the microphone, and the sound received.
        pictures: presented.
        counters: the browser's, at the end.
        figures: the server's, at the end.
        dropped_at_ms: when the relay lost the one packet, page clock.
    """

    mic: measure.Sound
    heard: measure.Sound
    pictures: measure.Pictures
    counters: dict[str, dict[str, Any]]
    figures: dict[str, Any]
    dropped_at_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for."""

    seconds: float
    engine: EngineConfig
    avatar: str
    loss: float
    drop_one: bool
    say: Callable[[str], None] = field(default=lambda _: None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `visavis bench latency`."""
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="length of each call (%(default)s)")
    add("--runs", type=int, default=1, help="figures are the medians of so many runs (%(default)s)")
    add("--avatar", help="who is called; the first if not given")
    add("--loss", type=float, default=0.0, metavar="PERCENT", help="packets lost each way")
    add("--drop-one", action="store_true", help="lose one microphone packet halfway")
    add("--kill-tab", action="store_true", help="kill the page; how long its session lives on")
    add("--only", choices=("speech", "beeps"), help="make only one of the two calls")
    add(
        "--lookahead-ms",
        type=int,
        default=EngineConfig().lookahead_ms,
        metavar="MS",
        help="future sound that the lips may see (%(default)s)",
    )
    add(
        "--steps",
        type=int,
        default=EngineConfig().steps,
        metavar="N",
        help="of the network that paints the mouth, 0 (none) to 4 (%(default)s)",
    )
    add("--keep", type=Path, metavar="DIR", help="keep what was collected, to look into")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measures, prints a table, and returns 0.

    Raises:
        ConfigError: a flag is out of its range.
        BackendError: no browser, or the call was not connected.
    """
    plan = _plan(args)
    runs: list[Rows] = []
    for number in range(args.runs):
        rows: Rows = {"load of the machine before": {"value": os.getloadavg()[0]}}
        if args.only != "beeps":
            rows |= _speech_rows(_call(plan, beeps=False, seed=number, keep=args.keep), plan)
        if args.only != "speech":
            rows |= _beep_rows(_call(plan, beeps=True, seed=number, keep=args.keep))
        if args.kill_tab:
            rows |= _killed_tab(plan)
        runs.append(rows)
    table = Report(_title(plan, args.runs))
    full = Report(table.title)
    for name, row in _medians(runs).items():
        table.row(name, **row)
        full.row(name, **row)
    for number, rows in enumerate(runs, 1):
        for name, row in rows.items():
            full.row(f"run {number}: {name}", **row)
    table.print()
    if args.json:
        full.write_json(args.json)
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    if not 10 <= args.seconds <= 7200:
        raise ConfigError(f"seconds is {args.seconds:g}, expected 10 to 7200")
    if not 1 <= args.runs <= 20:
        raise ConfigError(f"runs is {args.runs}, expected 1 to 20")
    if not 0 <= args.loss <= 50:
        raise ConfigError(f"loss is {args.loss:g} percent, expected 0 to 50")
    name = args.avatar or next(iter(avatars.names()), "")
    avatars.find(name)
    return Plan(
        seconds=args.seconds,
        engine=EngineConfig(live=True, lookahead_ms=args.lookahead_ms, steps=args.steps),
        avatar=name,
        loss=args.loss / 100,
        drop_one=args.drop_one,
        say=_say if sys.stderr.isatty() else lambda _: None,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


def _title(plan: Plan, runs: int) -> str:
    parts = [f"latency in a real browser, {plan.seconds:g} s a call", f"avatar {plan.avatar}"]
    if runs > 1:
        parts.append(f"medians of {runs} runs")
    if plan.engine.steps:
        parts.append(f"{plan.engine.steps} denoising steps")
    if plan.loss:
        parts.append(f"{plan.loss:.1%} of packets lost each way")
    return ", ".join(parts)


def _call(plan: Plan, beeps: bool, seed: int, keep: Path | None) -> Seen:
    """Makes one call and watches it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make = signals.beeps if beeps else signals.bursts
        wav = signals.write_wav(folder / "microphone.wav", make(plan.seconds + 10, seed))
        server = stack.enter_context(Server(ServerConfig(probe=beeps), plan.engine))
        chromium = stack.enter_context(Chromium(wav))
        relay = None
        if plan.loss or plan.drop_one:
            relay = stack.enter_context(Relay(plan.loss, seed))
        face = None if beeps else _face_box(plan.avatar)[0]
        caller = Caller(
            chromium,
            f"{server.url}?avatar={plan.avatar}",
            ProbeSettings(raw=beeps, face=face, face_px=FACE_PX),
            relay.rewrite_offer if relay else None,
            relay.rewrite_answer if relay else None,
        )
        caller.call()
        drop = relay.drop_one_microphone_packet if relay and plan.drop_one else None
        seen, playout = _watch(caller, server, plan, beeps, drop)
        caller.hang_up()
        caller.close()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{'beeps' if beeps else 'speech'}-{seed}.npz"
        np.savez_compressed(
            keep / name,
            mic_at=seen.mic.at_ms, mic=seen.mic.peak, heard_at=seen.heard.at_ms,
            heard=seen.heard.peak, shown=seen.pictures.shown_ms,
            presented=seen.pictures.presented_ms, number=seen.pictures.number,
            flash=seen.pictures.flash, face=seen.pictures.face, playout=np.array(playout),
        )  # fmt: skip
    return seen


def _watch(
    caller: Caller, server: Server, plan: Plan, raw: bool, drop: Callable[[], bool] | None
) -> tuple[Seen, list[tuple[float, float]]]:
    found: dict[str, list[Any]] = {"mic": [], "sound": [], "pictures": [], "errors": []}
    playout: list[tuple[float, float]] = []
    dropped_at_ms = None
    caller.drain()
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < plan.seconds:
        plan.say(f"{passed:.0f} of {plan.seconds:.0f} s")
        caller.page.wait_for_timeout(DRAIN_S * 1000)
        for key, values in caller.drain().items():
            found[key] += values
        counters = caller.counters()
        playout.append((caller.page_clock_ms(), _playout_skew(counters)))
        if drop is not None and dropped_at_ms is None and passed > plan.seconds / 2:
            if not drop():
                raise BackendError("no microphone packet passed the relay within 5 s")
            dropped_at_ms = caller.page_clock_ms()
    plan.say("")
    if found["errors"]:
        raise BackendError(f"the page could not be measured: {found['errors'][0]}")
    seen = Seen(
        mic=measure.sound(found["mic"], True, delay_ms=0.0 if raw else PROCESSING_MS),
        heard=measure.sound(found["sound"], False),
        pictures=measure.pictures(found["pictures"], FACE_PX),
        counters=counters,
        figures=server.get(caller.call_path),
        dropped_at_ms=dropped_at_ms,
    )
    return seen, playout


def _playout_skew(counters: dict[str, dict[str, Any]]) -> float:
    """The browser's own opinion of picture against sound, ms; nan until it has one."""
    key, unknown = "estimatedPlayoutTimestamp", float("nan")
    video, audio = (counters.get(kind, {}).get(key) or unknown for kind in ("video", "audio"))
    return float(video) - float(audio)


def _speech_rows(seen: Seen, plan: Plan) -> Rows:
    starts = measure.onsets(seen.mic)
    answered = measure.reactions(seen.pictures, starts, seen.mic, _face_box(plan.avatar)[1])
    first = answered.first_ms[np.isfinite(answered.first_ms)]
    half = answered.half_ms[np.isfinite(answered.half_ms)]
    echoes = measure.onsets(seen.heard)
    back = measure.paired(starts, echoes, *REACTION_WITHIN_MS)
    rows: Rows = {
        "microphone to visible reaction": _spread(first, wanted="p50 <= 140, p95 <= 190"),
        "microphone to mouth half open": _spread(half),
        "microphone to the avatar's voice": _spread(back[:, 1] - back[:, 0]),
        "bursts without a visible reaction": {
            "n": len(starts), "value": len(starts) - len(first), "wanted": "0",
        },
        "visible from, grey levels": {"value": answered.threshold},
        "idle mouth, grey levels": {"value": answered.floor},
        "open mouth, grey levels": {"value": answered.peak},
    }  # fmt: skip
    rows |= _picture_rows(seen, lossy=plan.loss > 0)
    if plan.loss:
        rows |= _loss_rows(seen)
    if seen.dropped_at_ms is not None:
        early = answered.onset_ms < seen.dropped_at_ms
        for name, chosen in (("before", early), ("after", ~early)):
            values = answered.first_ms[chosen]
            rows[f"reaction {name} one lost packet"] = _spread(values[np.isfinite(values)])
    return rows | _stage_rows(seen)


def _picture_rows(seen: Seen, lossy: bool) -> Rows:
    gaps = measure.gaps(seen.pictures)
    video = seen.counters["video"]
    waited = 1000 * video["jitterBufferDelay"] / max(video["jitterBufferEmittedCount"], 1)
    limit = STALL_MS if lossy else FREEZE_MS
    return {
        "pictures a second on the canvas": {
            "value": measure.fps(seen.pictures), "wanted": ">= 24.5",
        },
        "picture to picture": _spread(gaps, wanted=f"max <= {limit:.0f}"),
        f"freezes over {FREEZE_MS:.0f} ms": {"value": int((gaps > FREEZE_MS).sum())},
        "picture waits in the browser": {"value": waited},
    }  # fmt: skip


def _loss_rows(seen: Seen) -> Rows:
    audio = seen.counters["audio"]
    total = max(int(audio["totalSamplesReceived"]), 1)
    hidden = int(audio["concealedSamples"]) - int(audio["silentConcealedSamples"])
    return {
        "sound made up by the browser, percent": {"value": 100 * hidden / total},
        "microphone sound lost on the way, ms": {"value": seen.figures.get("mic_lost_ms")},
        "microphone sound that came too late, ms": {"value": seen.figures.get("mic_late_ms")},
        "packets of the picture lost": {"value": int(seen.counters["video"]["packetsLost"])},
    }


def _stage_rows(seen: Seen) -> Rows:
    rows: Rows = {}
    for name, times in seen.figures.get("stages", {}).items():
        rows[f"stage {name}"] = {
            "n": times["count"], "p50_ms": times["p50"], "p95_ms": times["p95"],
        }  # fmt: skip
    rows["server, sound in to picture out"] = {"p50_ms": seen.figures.get("latency_ms")}
    rows["pictures dropped by the server"] = {"value": seen.figures.get("dropped")}
    return rows


def _beep_rows(seen: Seen) -> Rows:
    """Flash against beep, by their middles; positive when the sound comes after its picture."""
    starts = measure.onsets(seen.mic)
    flashes, beeps = measure.flashes(seen.pictures), measure.spans(seen.heard)
    lit = measure.paired(starts, flashes[:, 0], *REACTION_WITHIN_MS)
    heard = measure.paired(starts, beeps[:, 0], *REACTION_WITHIN_MS)
    both = np.intersect1d(lit[:, 0], heard[:, 0])
    flash_at = lit[np.isin(lit[:, 0], both), 1]
    beep_at = heard[np.isin(heard[:, 0], both), 1]
    skew = beeps[np.searchsorted(beeps[:, 0], beep_at)].mean(axis=1) - flashes[
        np.searchsorted(flashes[:, 0], flash_at)
    ].mean(axis=1)
    rows: Rows = {
        "microphone to flash": _spread(lit[:, 1] - lit[:, 0]),
        "microphone to beep": _spread(heard[:, 1] - heard[:, 0]),
        "sound after picture": _spread(skew),
        "sound against picture, absolute": _spread(np.abs(skew), wanted="p95 <= 45"),
        "drift of sound against picture": {
            "n": len(skew), "value": measure.drift(both, skew), "wanted": "0",
        },
        "beeps without their flash": {
            "n": len(starts), "value": len(starts) - len(skew), "wanted": "0",
        },
    }  # fmt: skip
    pictures = _picture_rows(seen, lossy=False)
    return rows | {f"with beeps: {name}": row for name, row in pictures.items()}


def _killed_tab(plan: Plan) -> Rows:
    with Server(ServerConfig(), plan.engine) as server, Chromium() as chromium:
        caller = Caller(chromium, f"{server.url}?avatar={plan.avatar}")
        caller.call()
        caller.page.wait_for_timeout(3000)
        chromium.kill_tabs()
        killed = time.monotonic()
        while server.get("health")["sessions"]:
            if time.monotonic() - killed > GONE_S:
                break
            time.sleep(0.05)
        gone_ms = (time.monotonic() - killed) * 1000
    return {"killed tab to session gone": {"value": gone_ms, "wanted": "<= 5000"}}


def _spread(values: measure.Times, wanted: str | None = None) -> Row:
    row: Row = {"n": len(values), **percentiles(values)}
    row["max_ms"] = float(np.max(values)) if len(values) else None
    if wanted:
        row["wanted"] = wanted
    return row


def _medians(runs: list[Rows]) -> Rows:
    """Cell by cell over the runs; texts are the first run's."""
    merged: Rows = {}
    for name in dict.fromkeys(name for rows in runs for name in rows):
        found = [rows[name] for rows in runs if name in rows]
        merged[name] = {key: _median(row.get(key) for row in found) for key in found[0]}
    return merged


def _median(values: Iterable[Value]) -> Value:
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if not isinstance(value, str)]
    if not numbers or len(numbers) < len(known):
        return known[0] if known else None
    middle = float(np.median(numbers))
    return int(middle) if middle.is_integer() else middle


def _face_box(
    name: str,
) -> tuple[tuple[float, float, float, float], tuple[slice, slice]]:
    """Where the face is in the picture, in picture widths, and the mouth in its kept pixels."""
    avatar = avatars.find(name)
    points = avatar.landmarks[:, :2] / avatar.portrait.shape[0]
    left, right = sorted(points[list(topology.FACE_SIDES), 0])
    lips = points[np.concatenate([topology.UPPER_LIP, topology.LOWER_LIP])]
    side = 0.8 * (right - left)
    bottom = points[topology.CHIN, 1] + 0.1 * side
    x, y = lips[:, 0].mean() - side / 2, bottom - side
    rows = ((lips[:, 1].min() - y) / side - 0.03, (lips[:, 1].max() - y) / side + 0.12)
    columns = ((lips[:, 0].min() - x) / side - 0.05, (lips[:, 0].max() - x) / side + 0.05)
    (top, base), (west, east) = (
        [round(min(max(edge, 0.0), 1.0) * FACE_PX) for edge in pair] for pair in (rows, columns)
    )
    return (float(x), float(y), float(side), float(side)), (slice(top, base), slice(west, east))
