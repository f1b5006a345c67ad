"""`visavis bench soak`: calls made and ended, some at once, a long one: memory, threads, drift."""

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import processes
from bench.browser import Server, serve_command
from bench.caller import Caller, calling, heard_delay_ms
from bench.report import Report
from engine.config import EngineConfig, ServerConfig
from engine.errors import BackendError, ConfigError
from engine.media import decode

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / "tests" / "data" / "speech.ogg"
PICTURES = 25
"""A call counts as made when this many pictures have come."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    parser.add_argument("--calls", type=int, default=50, help="calls made and ended (%(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="length of one call after them (%(default)s)"
    )
    parser.add_argument(
        "--together",
        type=int,
        default=0,
        metavar="N",
        help="calls at once after them (%(default)s)",
    )
    parser.add_argument("--size", type=int, default=512, metavar="PX", help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Runs both parts against a server of its own, prints the table, writes the JSON.

    Raises:
        ConfigError: a flag is out of its range, or this system has no /proc.
        BackendError: the server does not start, or a call stood still (its rows are printed).
    """
    for name, value, most in (
        ("calls", args.calls, 10_000),
        ("minutes", args.minutes, 1440),
        ("together", args.together, 1000),
    ):
        if not 0 <= value <= most:
            raise ConfigError(f"{name} is {value:g}, expected 0 to {most}")
    EngineConfig(size_px=args.size)  # says what is wrong with it
    processes.check("soak")
    speech = np.concatenate([pcm.samples for pcm in decode(SPEECH)])
    report = Report(f"soak, {args.calls} calls, then {args.minutes:g} minutes")
    try:
        asyncio.run(_soak(report, args, speech))
    except TimeoutError as error:
        report.print()
        raise BackendError("a call stood still: what was said did not come back in time") from error
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


async def _soak(report: Report, args: argparse.Namespace, speech: npt.NDArray[np.int16]) -> None:
    most = max(ServerConfig().max_sessions, args.together)
    flags = ("--size", str(args.size), "--max-sessions", str(most))
    with Server(command=serve_command(*flags)) as server:
        pid, url = server.pid, server.url
        report.row("before", **processes.status(pid))
        for number in range(1, args.calls + 1):
            async with calling(url, speech, keep=False) as caller:
                await caller.seen(PICTURES)
                if number % 2:
                    await caller.hang_up()
            if number in (1, 10, args.calls) or number % 25 == 0:
                await _idle(url, speech)
                report.row(f"call {number}", **processes.status(pid))
        async with AsyncExitStack() as calls:
            for number in range(1, args.together + 1):
                caller = await calls.enter_async_context(calling(url, speech, keep=False))
                await caller.seen(PICTURES)
                report.row(f"{number} at once", **processes.status(pid))
        if args.minutes > 0:
            async with calling(url, speech, keep=False) as caller:
                await _talk(report, caller, args.minutes, pid)


async def _talk(report: Report, caller: Caller, minutes: float, pid: int) -> None:
    """One row a minute: if a clock drifted, the delay would grow with the minutes."""
    passed_s, minute = 0.0, 0
    while passed_s < minutes * 60:
        span_s = min(60.0, minutes * 60 - passed_s)
        cpu_s = processes.cpu_s([pid])
        until = caller.microphone.number + round(span_s * 100)
        await caller.spoken(until, timeout_s=2 * span_s)
        passed_s, minute = passed_s + span_s, minute + 1
        figures = await caller.figures()
        gaps_ms = np.diff([at_s for at_s, _ in caller.pictures]) * 1000
        report.row(
            f"minute {minute}",
            delay_ms=await asyncio.to_thread(heard_delay_ms, caller, 10.0),
            server_ms=figures["latency_ms"],
            fps=1000 / float(gaps_ms.mean()),
            longest_gap_ms=float(gaps_ms.max()),
            core_percent=100 * (processes.cpu_s([pid]) - cpu_s) / span_s,
            **processes.status(pid),
        )
        del caller.pictures[:-1], caller.sound[:-1]


async def _idle(url: str, speech: npt.NDArray[np.int16]) -> None:
    """Waits until the server has no call left."""
    caller = Caller(url, speech)
    try:
        await caller.server_idle()
    finally:
        await caller.close()
