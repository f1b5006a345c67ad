"""`visavis bench recovery`: processes of `serve --workers` killed in a call, and what it costs."""

import argparse
import asyncio
import json
import os
import signal
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench import processes
from bench.browser import ROOT, Server, serve_command
from bench.caller import Caller, calling
from bench.report import Report
from engine.config import EngineConfig
from engine.errors import BackendError, ConfigError
from engine.frames import FRAME_MS, SAMPLE_RATE_HZ
from engine.media import decode

SPEECH: Final = ROOT / "tests" / "data" / "speech.ogg"
SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_SETTLE_S: Final = 3.0
_WATCH_S: Final = 4.0
_READY_S: Final = 120.0
_IN_FLIGHT_MS: Final = 100.0
"""Pictures that come so soon after were drawn before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    add = parser.add_argument
    add("--times", type=int, default=5, help="that a render process is ended (%(default)s)")
    add(
        "--signal", choices=SIGNALS, default="kill",
        help="kill ends it, stop lets it hang (%(default)s)",
    )  # fmt: skip
    add("--workers", type=int, default=2, metavar="N", help="see `serve` (%(default)s)")
    add("--size", type=int, default=EngineConfig().size_px, metavar="PX", help="(%(default)s)")
    add("--steps", type=int, default=EngineConfig().steps, metavar="N", help="(%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Runs a server and a call, ends render processes, prints the table, writes the JSON.

    Raises:
        ConfigError: there is nothing to end, or this system has no /proc.
        BackendError: the server does not start, or a picture never came back.
    """
    processes.check("recovery")
    if args.workers < 1 or args.times < 1:
        raise ConfigError(f"workers is {args.workers}, times {args.times}: expected 1 and more")
    speech = np.concatenate([pcm.samples for pcm in decode(SPEECH)])
    flags = {"workers": args.workers, "size": args.size, "steps": args.steps}
    flags["max-sessions"] = max(2, args.workers)
    report = Report(f"recovery, {args.times} times {args.signal}, one call of {args.size} px")
    begun_s = time.perf_counter()
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    with Server(command=serve_command(*words)) as server:
        report.row("start", until_ready_s=time.perf_counter() - begun_s)
        asyncio.run(_measure(report, server, speech, args.times, SIGNALS[args.signal]))
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


async def _measure(
    report: Report,
    server: Server,
    speech: npt.NDArray[np.int16],
    times: int,
    number: signal.Signals,
) -> None:
    back_ms, gaps_ms, silences_ms = [], [], []
    async with calling(server.url, speech, keep=False) as caller:
        await caller.seen(25, _READY_S)
        for turn in range(times):
            ready_s = await _whole(server)
            await asyncio.sleep(_SETTLE_S)
            if not turn:
                _memory(report, server)
            one = await _end_one(server, caller, number)
            report.row(f"end {turn + 1}", **one, spare_after_s=ready_s)
            back_ms.append(one["picture_back_ms"])
            gaps_ms.append(one["longest_gap_ms"])
            silences_ms.append(one["sound_missing_ms"])
        stages = (await caller.figures())["stages"]
    for name, of in (("median", statistics.median), ("most", max)):
        report.row(
            name,
            picture_back_ms=of(back_ms),
            longest_gap_ms=of(gaps_ms),
            sound_missing_ms=of(silences_ms),
        )
    report.row("hop, a picture", p50_ms=stages["hop"]["p50"], p95_ms=stages["hop"]["p95"])


async def _end_one(server: Server, caller: Caller, number: signal.Signals) -> dict[str, float]:
    """Ends the render process that draws, and watches what the caller sees and hears."""
    heard = len(caller.sound)
    last_s = caller.pictures[-1][0]
    at_s = time.perf_counter()
    os.kill(_children(server.pid, "render")[0], number)
    await asyncio.sleep(_WATCH_S)
    seen_s = [seen_s for seen_s, _ in caller.pictures if seen_s > at_s]
    new_ms = [1000 * (one - at_s) for one in seen_s if one - at_s > _IN_FLIGHT_MS / 1000]
    if not new_ms:
        raise BackendError(f"no picture came within {_WATCH_S:.0f} s of the end of a process")
    pts = [pts for _, pts, _ in caller.sound[heard:]]
    packet = SAMPLE_RATE_HZ // 50
    return {
        "picture_back_ms": new_ms[0],
        "longest_gap_ms": float(np.diff([last_s, *seen_s]).max() * 1000),
        "fps_after": len(new_ms) * 1000 / (_WATCH_S * 1000 - _IN_FLIGHT_MS),
        "sound_missing_ms": float(np.sum(np.diff(pts) - packet) * 1000 / SAMPLE_RATE_HZ),
    }


def _memory(report: Report, server: Server) -> None:
    named = [("front", server.pid)]
    for kind in ("media", "render"):
        named += [(f"{kind} {n}", pid) for n, pid in enumerate(_children(server.pid, kind), 1)]
    for name, pid in named:
        status = processes.status(pid)
        report.row(name, rss_mb=status["rss_mb"], pss_mb=processes.memory_mb([pid]))


def _children(parent: int, kind: str) -> list[int]:
    """Processes of a kind, the oldest first."""
    found = []
    for pid in processes.family(parent):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            begun = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        except OSError:
            continue
        if b"engine.workers.child" in words and kind.encode() in words:
            found.append((begun, pid))
    return [pid for _, pid in sorted(found)]


async def _whole(server: Server) -> float:
    """Waits until two render processes are ready; gives the seconds."""
    begun_s = time.perf_counter()
    while (await asyncio.to_thread(_health, server.url))["renderers"] < 2:
        if time.perf_counter() - begun_s > _READY_S:
            raise BackendError(f"no second render process was ready within {_READY_S:.0f} s")
        await asyncio.sleep(FRAME_MS / 1000)
    return time.perf_counter() - begun_s


def _health(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}health", timeout=10) as response:
        found: dict[str, Any] = json.load(response)
        return found
