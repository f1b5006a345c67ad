"""Real processes, real calls: a second peer speaks, and processes are killed under it."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from bench.caller import Caller, calling
from engine import cli
from engine.calls import show
from engine.config import EngineConfig, ServerConfig
from engine.errors import AvatarError
from engine.server import CALLS, create_app, running
from tests.engine.test_call import real_time

ROOT = Path(__file__).resolve().parents[2]
SIZE_PX = 128
SDP = {"Content-Type": "application/sdp"}
SLOW_S = 60.0
"""What a busy machine may take for a few pictures: how soon they come is measured elsewhere."""
PACKET = 960
"""Samples of a packet of sound."""


class Server:
    """`visavis serve --workers N`, started as people do."""

    def __init__(self, workers, *flags):
        words = ["serve", "--port", "0", "--size", str(SIZE_PX), "--max-sessions", "4"]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", *words, "--workers", str(workers), *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = self.popen.stdout.readline()
        assert "is ready" in said, said + self.popen.communicate()[1]
        self.url = re.search(r"http://\S+", said)[0]

    def children(self, kind=None):
        return children(self.popen.pid, kind)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return response.read().decode()

    def health(self):
        return json.loads(self.get("health"))

    def figure(self, name):
        return sum(
            float(line.split()[-1])
            for line in self.get("metrics").splitlines()
            if line.startswith(name)
        )

    async def whole(self, workers, renderers=2):
        """Waits until all processes are there."""
        await until(
            lambda: (
                (health := self.health())["workers"] == workers and health["renderers"] == renderers
            )
        )

    def close(self):
        self.popen.terminate()
        try:
            _, errors = self.popen.communicate(timeout=30)
        finally:
            self.popen.kill()
        return errors


def children(parent, kind=None):
    """Pids of a process's children, the oldest first; of one kind if it is named."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            ours = int(fields[1]) == parent and fields[0] != "Z"
            if ours and b"engine.workers.child" in words and (kind or "").encode() in [*words, b""]:
                found.append((int(fields[19]), int(folder.name)))
    return [pid for _, pid in sorted(found)]


async def until(done, timeout_s=60.0):
    """Waits for what has no sign of its own."""
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(done):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def server():
    made = Server(2)
    yield made
    left = made.children()
    made.close()
    assert made.popen.returncode == 0
    assert left and not [pid for pid in left if Path(f"/proc/{pid}").exists()]


def sound_is_whole(caller, since=0):
    """No stretch of it is missing, and none came twice.

    All but the few packets that loopback itself loses on a machine too busy to read its sockets.
    """
    steps = np.diff([pts for _, pts, _ in caller.sound[since:]])
    lost = steps.sum() / PACKET - len(steps)
    return steps.min() >= PACKET and steps.max() <= 5 * PACKET and lost <= 0.03 * len(steps)


async def test_calls_are_spread_over_workers_and_drawn_by_one_process(server, speech):
    await server.whole(2)
    with real_time():
        await spread(server, speech)
    await until(lambda: server.health()["sessions"] == 0)


async def spread(server, speech):
    async with calling(server.url, speech) as one, calling(server.url, speech) as other:
        await one.seen(50, SLOW_S)
        await other.seen(50, SLOW_S)
        workers = {caller.location.rsplit("/", 1)[1].split(".")[0] for caller in (one, other)}
        assert len(workers) == 2
        assert sound_is_whole(one) and sound_is_whole(other)
        assert server.health() == {
            "status": "ok", "sessions": 2, "max_sessions": 4, "workers": 2, "renderers": 2,
        }  # fmt: skip
        figures = await one.figures()
        assert figures["pictures"] >= 50
        assert {"audio", "motion", "render", "composite", "hop", "encode"} <= set(figures["stages"])
        assert server.figure("visavis_sessions ") == 2
        assert server.figure("visavis_pictures_total") >= 100
        # It moves: the pictures are drawn, not one shown again and again.
        luma = [picture.astype(int) for _, picture in one.pictures[-20:]]
        assert luma[0].shape == (SIZE_PX, SIZE_PX)
        assert max(abs(luma[0] - later).max() for later in luma[1:]) > 20
        assert await one.hang_up() == 200
        assert await one.hang_up() == 404


async def test_the_look_of_a_call_reaches_its_worker(server):
    await server.whole(2)
    async with aiohttp.ClientSession(server.url) as http:
        for query, words in [("liveliness=9", "liveliness is 9.0"), ("expression=x", "'x'")]:
            async with http.post(f"/api/call?{query}", data="v=0", headers=SDP) as response:
                assert response.status == 400
                assert words in (await response.json())["error"]
        async with http.post("/api/call", data="no sdp", headers=SDP) as response:
            assert response.status == 400
        for call in ("1.unknown", "99.unknown", "x"):
            async with http.get(f"/api/call/{call}") as response:
                assert response.status == 404


async def test_calls_that_come_at_once_are_spread_too(server, speech):
    await server.whole(2)
    callers = [Caller(server.url, speech) for _ in range(4)]
    try:
        await asyncio.gather(*(caller.call() for caller in callers))
        numbers = [number_of(caller) for caller in callers]
        assert sorted(numbers.count(each) for each in set(numbers)) == [2, 2]
    finally:
        for caller in callers:
            await caller.close()
    await until(lambda: server.health()["sessions"] == 0)


async def test_a_worker_without_descriptors_refuses_calls_and_keeps_its_own(server, speech):
    await server.whole(2)
    workers = server.children("media")
    limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers]
    with real_time():
        async with calling(server.url, speech) as caller:
            await caller.seen(25, SLOW_S)
            for pid in workers:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[0][1]))
            other = Caller(server.url, speech)
            try:
                with pytest.raises(aiohttp.ClientResponseError, match="503"):
                    await other.call()
            finally:
                await other.close()
                for pid, limit in zip(workers, limits, strict=True):
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
            count = len(caller.pictures)
            await caller.seen(count + 25, SLOW_S)
            assert server.children("media") == workers
            async with calling(server.url, speech) as again:
                await again.seen(25, SLOW_S)
    await until(lambda: server.health()["sessions"] == 0)


async def test_questions_that_pile_up_at_a_worker_end_no_call(server, speech):
    await server.whole(2)
    workers = server.children("media")
    with real_time():
        async with calling(server.url, speech) as caller:
            await caller.seen(25, SLOW_S)
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(server.url, connector=connector) as http:
                asked = [asyncio.create_task(code(http, caller.location)) for _ in range(200)]
                # Long enough that they wait at the worker, not so long that it counts as hung.
                await asyncio.sleep(1)
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
                # Never 404, by which the page would know that the call is lost.
                assert set(await asyncio.gather(*asked)) <= {200, 503}
            count = len(caller.pictures)
            await caller.seen(count + 25, SLOW_S)
            assert server.children("media") == workers
    await until(lambda: server.health()["sessions"] == 0)


async def code(http, path):
    async with http.get(path) as response:
        return response.status


async def test_what_asks_all_processes_to_end_is_left_to_the_front(server, speech):
    await server.whole(2)
    found = server.children()
    with real_time():
        async with calling(server.url, speech) as caller:
            await caller.seen(25, SLOW_S)
            for pid in found:
                os.kill(pid, signal.SIGTERM)
            count = len(caller.pictures)
            await caller.seen(count + 25, SLOW_S)
            assert server.children() == found
    await until(lambda: server.health()["sessions"] == 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_render_process_that_dies_or_hangs_costs_pictures_for_a_moment_alone(
    server, speech, number
):
    await server.whole(2)
    restarts = server.figure('visavis_restarts_total{kind="render"}')
    with real_time():
        await end_what_draws(server, speech, number)
    assert server.figure('visavis_restarts_total{kind="render"}') > restarts


async def end_what_draws(server, speech, number):
    async with calling(server.url, speech) as caller:
        await caller.seen(50, SLOW_S)
        heard = len(caller.sound)
        oldest = server.children("render")[0]
        os.kill(oldest, number)
        await until(lambda: not Path(f"/proc/{oldest}").exists())
        count = len(caller.pictures)
        await caller.seen(count + 50, SLOW_S)
        assert sound_is_whole(caller, heard)
        assert server.health()["sessions"] == 1
        await server.whole(2)
        assert oldest not in server.children("render")


async def test_a_worker_that_dies_loses_its_own_calls_alone(server, speech):
    await server.whole(2)
    with real_time():
        await end_a_worker(server, speech)


async def end_a_worker(server, speech):
    pictures = server.figure("visavis_pictures_total")
    async with calling(server.url, speech) as one, calling(server.url, speech) as other:
        await one.seen(25, SLOW_S)
        await other.seen(25, SLOW_S)
        before = server.figure("visavis_pictures_total")
        assert before >= pictures + 50
        lost, kept = (one, other) if number_of(one) < number_of(other) else (other, one)
        os.kill(server.children("media")[0], signal.SIGKILL)
        # So the page knows that the call is lost: it asks every second.
        await until(lambda: status(server.url + lost.location[1:]) == 404)
        count = len(kept.pictures)
        await kept.seen(count + 25, SLOW_S)
        assert sound_is_whole(kept)
        await server.whole(2)
        assert server.health()["sessions"] == 1
        async with calling(server.url, speech) as again:
            await again.seen(25, SLOW_S)
            assert number_of(again) != number_of(kept)
        assert server.figure("visavis_pictures_total") >= before


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def number_of(caller):
    return int(caller.location.rsplit("/", 1)[1].split(".")[0])


def test_no_process_outlives_a_front_that_is_killed():
    server = Server(1, "--steps", "0")
    found = server.children()
    assert len(found) >= 2
    os.kill(server.popen.pid, signal.SIGKILL)
    server.popen.communicate()
    for _ in range(100):
        alive = [pid for pid in found if Path(f"/proc/{pid}").exists()]
        if not alive:
            return
        time.sleep(0.1)
    pytest.fail(f"processes {alive} are still there")


@asynccontextmanager
async def fleet(**settings):
    config = EngineConfig(size_px=SIZE_PX, steps=0)
    app = create_app(ServerConfig(port=0, workers=1, max_sessions=2, **settings), config)
    async with running(app=app, config=ServerConfig(port=0)) as url:
        yield url, app[CALLS]


async def test_an_avatar_that_comes_while_it_runs_can_be_called_and_outlives_its_removal(speech):
    async with fleet(probe=True) as (url, calls):
        # As the page's own pictures become avatars: the front alone knows it until it is called.
        known = next(iter(calls.shown.values())).avatar
        info = replace(known.info, name="late", title="Late")
        calls.add(show(replace(known, info=info, portrait=255 - known.portrait)))
        await until(lambda: calls.health()["renderers"] == 2)
        caller = Caller(url, speech)
        try:
            await caller.call("late")
            await caller.seen(25, SLOW_S)
            before = caller.pictures[-1][1].astype(int)
            # The probe's mark, black where nothing beeps.
            assert before[8:56, 8:56].max() < 40
            calls.remove("late")
            (oldest, _) = children(os.getpid(), "render")
            os.kill(oldest, signal.SIGKILL)
            count = len(caller.pictures)
            await caller.seen(count + 25, SLOW_S)
            # The same face, which no file and no list holds any more.
            assert abs(caller.pictures[-1][1].astype(int) - before).mean() < 12
        finally:
            await caller.close()
        async with (
            aiohttp.ClientSession(url) as http,
            http.post("/api/call?avatar=late", data="v=0", headers=SDP) as response,
        ):
            assert response.status == 404
    assert children(os.getpid()) == []


async def test_a_render_process_that_cannot_begin_is_tried_again(caplog):
    async with fleet() as (_, calls):
        good = calls._engine_config
        await until(lambda: calls.health()["renderers"] == 2)
        # What it is told to make ready cannot be had, as where a GPU has no memory left.
        calls._engine_config = replace(good, background="pink")
        os.kill(children(os.getpid(), "render")[-1], signal.SIGKILL)
        await until(lambda: "background 'pink'" in caplog.text)
        calls._engine_config = good
        await until(lambda: calls.health()["renderers"] == 2)


async def test_an_avatar_that_no_process_can_be_given_is_an_error_at_once(avatar):
    class Avatars:
        def names(self):
            return [avatar.info.name]

        def find(self, name):
            return replace(avatar, info=replace(avatar.info, source="x" * 100_000))

    config = EngineConfig(size_px=SIZE_PX, steps=0)
    app = create_app(ServerConfig(port=0, workers=1), config, Avatars())
    with pytest.raises(AvatarError, match="its origin takes 10"):
        async with asyncio.timeout(60), running(app=app, config=ServerConfig(port=0)):
            pass
    assert children(os.getpid()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workers", "-1"], "workers is -1, expected 0 to 64"),
        (["--workers", "65"], "workers is 65, expected 0 to 64"),
        (
            ["--workers", "3", "--max-sessions", "2"],
            "workers is 3, but max_sessions is 2: expected no more workers",
        ),
        (["--workers", "1", "--steps", "0", "--background", "pink"], "background 'pink'"),
        (["--workers", "1", "--backend", "abacus"], "backend 'abacus' is unknown"),
    ],
)
def test_what_cannot_be_is_one_error(flags, words, capfd):
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert cli.main(["serve", "--port", "0", *flags]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    errors = capfd.readouterr().err
    assert f"visavis: error: {words}" in errors
    assert "Traceback" not in errors
    assert children(os.getpid()) == []


def test_a_system_that_cannot_share_memory_is_told_of(monkeypatch, capsys):
    monkeypatch.delattr(os, "memfd_create")
    assert cli.main(["serve", "--port", "0", "--workers", "1"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("visavis: error: workers is 1, but this system")
    assert errors.count("\n") == 1
