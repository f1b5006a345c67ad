"""`visavis bench load`: many calls at once, by real peers, and what the server uses for them."""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench import measure, processes, signals
from bench.browser import ROOT, Caller, Chromium, ProbeSettings, Server, serve_command
from bench.peer import CONNECT_S
from bench.report import Report, Value
from engine.config import EngineConfig
from engine.encode import VideoCodec
from engine.errors import BackendError, ConfigError
from engine.frames import SAMPLE_RATE_HZ
from engine.media import decode
from engine.painters import add_painter

SPEECH = ROOT / "tests" / "data" / "speech.ogg"
Rows = dict[str, dict[str, Value]]
Process = subprocess.Popen[str]

_ANSWER_S = 30.0
_DRAIN_S = 2.0
_MOST = 500
_COLUMNS = (
    "fps", "rate", "longest_gap_ms", "late", "shed", "dropped", "seen_p50_ms", "seen_p95_ms",
    "seen_p99_ms", "heard_p50_ms", "heard_p95_ms", "skew_p50_ms", "skew_p95_ms", "sound_lost_ms",
    "cpu_percent",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    add = parser.add_argument
    add("--calls", type=int, default=3, help="at once (%(default)s)")
    add("--seconds", type=float, default=30.0, help="that are measured (%(default)s)")
    add(
        "--settle", type=float, default=10.0, metavar="S",
        help="seconds before them, for rates to settle (%(default)s)",
    )  # fmt: skip
    add("--workers", type=int, metavar="N", help="given to `serve`, see its help")
    add("--browser", action="store_true", help="one more call, by a Chromium")
    add("--codec", choices=("vp8", "h264"), default="vp8", help="of the peers (%(default)s)")
    add("--size", type=int, default=EngineConfig().size_px, metavar="PX", help="(%(default)s)")
    add("--steps", type=int, default=EngineConfig().steps, metavar="N", help="(%(default)s)")
    add("--backend", default=EngineConfig().backend, help="(%(default)s)")
    add("--kernels", default=EngineConfig().kernels, help="what draws: cpu or cuda (%(default)s)")
    add_painter(parser)
    add("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measures, prints two tables, writes the JSON.

    Raises:
        ConfigError: a flag is out of its range, or this system has no /proc.
        BackendError: the server does not start, or a call was not connected.
    """
    for name, value, low, high in (
        ("calls", args.calls, 1, _MOST),
        ("seconds", args.seconds, 5, 3600),
        ("settle", args.settle, 0, 600),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value:g}, expected {low} to {high}")
    processes.check("load")
    loaded = os.getloadavg()[0]
    with ExitStack() as stack:
        server = stack.enter_context(Server(command=serve_command(*_flags(args))))
        peers = _called(stack, server.url, args.codec, args.calls)
        browser = stack.enter_context(_browser(server)) if args.browser else None
        _wait(args.settle, browser)
        rows, used = _measure(server, peers, browser, args.seconds)
    calls = Report(
        f"load, {args.calls} calls, {args.seconds:g} s; load of the machine {loaded:.2f}"
    )
    for name, row in rows.items():
        calls.row(name, **{key: row[key] for key in _COLUMNS if key in row})
    machine = Report("what they use")
    for name, row in used.items():
        machine.row(name, **row)
    sys.stdout.write(f"{calls.table()}\n\n")
    machine.print()
    if args.json is not None:
        whole = Report(calls.title)
        for name, row in (rows | used).items():
            whole.row(name, **row)
        whole.write_json(args.json)
    return 0


def _flags(args: argparse.Namespace) -> list[str]:
    """What `serve` is told."""
    told = {
        "max-sessions": args.calls + args.browser,
        "size": args.size,
        "steps": args.steps,
        "backend": args.backend,
        "kernels": args.kernels,
        "painter": args.painter,
        "workers": args.workers,
    }
    return [
        text
        for key, value in told.items()
        if value is not None
        for text in (f"--{key}", f"{value}")
    ]


def _measure(
    server: Server, peers: list[Process], browser: Caller | None, seconds: float
) -> tuple[Rows, Rows]:
    """Figures of each call, and what server, peers and browser use."""
    own = processes.family(os.getpid())
    groups = {"server": processes.family(server.pid), "peers": [peer.pid for peer in peers]}
    others = set(own) - {pid for pids in groups.values() for pid in pids}
    groups["browser and bench" if browser else "bench"] = sorted(others)
    before_s, cpu_s = (
        time.monotonic(),
        {name: processes.cpu_s(pids) for name, pids in groups.items()},
    )
    busy_s, stolen_s = processes.busy_s()
    for peer in peers:
        _say(peer, f"{seconds}")
    collected = _wait(seconds, browser)
    span_s = time.monotonic() - before_s
    # At once: a peer that has answered ends its call, and rates change.
    shown: Rows = {} if browser is None else {"browser": _shown(server, browser, collected)}
    used: Rows = {}
    for name, pids in groups.items():
        percent = 100 * (processes.cpu_s(pids) - cpu_s[name]) / span_s
        used[name] = {"cpu_percent": percent, "memory_mb": processes.memory_mb(pids)}
        used[name]["processes"] = len(pids)
    used["server"]["threads"] = sum(
        int(processes.status(pid)["threads"]) for pid in groups["server"]
    )
    now_s, now_stolen_s = processes.busy_s()
    used["whole machine"] = {
        "cpu_percent": 100 * (now_s - busy_s) / span_s,
        "stolen_percent": 100 * (now_stolen_s - stolen_s) / span_s,
    }
    rows: Rows = {}
    for number, peer in enumerate(peers, 1):
        rows[f"call {number}"] = json.loads(_answer(peer, _ANSWER_S))
    return rows | shown, used


def _shown(server: Server, browser: Caller, collected: dict[str, list[Any]]) -> dict[str, Value]:
    """What the browser's call was like; its canvas is asked, not the network."""
    pictures = measure.pictures(collected["pictures"])
    gaps_ms = measure.gaps(pictures)
    figures = server.get(browser.call_path)
    row: dict[str, Value] = {key: figures[key] for key in ("rate", "late", "shed", "dropped")}
    audio = browser.counters()["audio"]
    row |= {
        "fps": measure.fps(pictures),
        "longest_gap_ms": float(gaps_ms.max()) if len(gaps_ms) else None,
        "server_p50_ms": figures["latency_ms"],
        "made_up_percent": 100
        * (int(audio["concealedSamples"]) - int(audio["silentConcealedSamples"]))
        / max(int(audio["totalSamplesReceived"]), 1),
        "page_says": browser.page.inner_text("#busy"),
    }
    return row


def _wait(seconds: float, browser: Caller | None) -> dict[str, list[Any]]:
    """Lets time pass; what the page collects meanwhile is fetched piece by piece."""
    collected: dict[str, list[Any]] = {"pictures": []}
    ends_s = time.monotonic() + seconds
    if browser is not None:
        browser.drain()
    while (left_s := ends_s - time.monotonic()) > 0:
        if browser is None:
            time.sleep(left_s)
            continue
        browser.page.wait_for_timeout(min(_DRAIN_S, left_s) * 1000)
        collected["pictures"] += browser.drain()["pictures"]
    return collected


def _called(stack: ExitStack, url: str, codec: VideoCodec, calls: int) -> list[Process]:
    """So many peers in a call, whose pictures flow; the first of them is the oldest.

    Raises:
        BackendError: one is not connected.
    """
    peers: list[Process] = []
    # A peer takes a second to load its libraries: as many as there are cores do so meanwhile.
    ahead = os.cpu_count() or 1
    for number in range(calls):
        while len(peers) < min(number + ahead, calls):
            peers.append(stack.enter_context(_peer(url, codec)))
        _say(peers[number], "call")
        _expect(peers[number], "called", number + 1, calls)
    for number, peer in enumerate(peers, 1):
        _say(peer, "flow")
        _expect(peer, "ready", number, calls)
    return peers


def _expect(peer: Process, word: str, number: int, calls: int) -> None:
    if _answer(peer, CONNECT_S) != word:
        raise BackendError(f"call {number} of {calls} was not connected")


@contextmanager
def _peer(url: str, codec: VideoCodec) -> Iterator[Process]:
    """One call in a process of its own, so that it takes nothing from the server's interpreter."""
    command = [sys.executable, "-m", "bench.peer", url, codec.upper(), str(SPEECH)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as peer:
        try:
            yield peer
        finally:
            peer.terminate()


def _say(peer: Process, line: str) -> None:
    assert peer.stdin is not None
    # One that has ended is told of by its answer.
    with suppress(BrokenPipeError):
        peer.stdin.write(f"{line}\n")
        peer.stdin.flush()


def _answer(peer: Process, within_s: float) -> str:
    """The next line that a peer says.

    Raises:
        BackendError: it says nothing, or has ended.
    """
    assert peer.stdout is not None
    ready, _, _ = select.select([peer.stdout], [], [], within_s)
    line = peer.stdout.readline().strip() if ready else ""
    if not line:
        raise BackendError(f"a peer gave no answer within {within_s:.0f} s, or has ended")
    return line


@contextmanager
def _browser(server: Server) -> Iterator[Caller]:
    """A call by a Chromium into whose microphone the same speech is said."""
    speech = np.concatenate([pcm.samples for pcm in decode(SPEECH)])
    with tempfile.TemporaryDirectory() as folder:
        wav = signals.write_wav(Path(folder) / "speech.wav", np.resize(speech, 60 * SAMPLE_RATE_HZ))
        with Chromium(wav) as chromium:
            caller = Caller(chromium, server.url, ProbeSettings())
            caller.call()
            yield caller
            caller.hang_up()
            caller.close()
