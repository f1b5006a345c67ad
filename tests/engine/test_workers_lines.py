"""A session's way to render processes that live and die, without processes: drawing is a fake."""

import os
import secrets
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engine.errors import BackendError, ConfigError
from engine.metrics import StageTimes
from engine.renderer import Share
from engine.workers import process, remote
from engine.workers.channel import ChannelClosed, pair, send_with
from engine.workers.figures import added, lasting, samples_of, text_of
from engine.workers.frames import SLOTS, FrameMemory
from engine.workers.portraits import descriptor_of, told_of
from engine.workers.records import (
    RESULT_BYTES,
    Ask,
    Kind,
    Result,
    pack_ask,
    pack_result,
    unpack_result,
)
from engine.workers.remote import Remote
from engine.workers.render import Room
from tests.engine.render_threads import SIDE, Drawing, level, motion


def test_pictures_come_from_the_render_process_with_their_times(renderers, scene):
    there, away = renderers(100), Remote()
    away.attach(there.door())
    timings = StageTimes()
    drawer = away.start(scene, timings)
    for number in range(3 * SLOTS):
        assert level(drawer.draw(motion(number))) == 100
    assert [seen.index for seen, _ in there.drawing.seen] == list(range(3 * SLOTS))
    figures = timings.summary()
    assert [figures[name]["p50"] for name in ("render", "composite", "wait")] == [3.0, 2.0, 1.0]
    assert drawer.share == Share(2, 30, 4)
    assert figures["hop"]["count"] == 3 * SLOTS
    drawer.close()
    there.kill()
    assert there.drawing.open == 0


def test_the_second_process_goes_on_where_the_first_one_ends(renderers, scene):
    first, second, away = renderers(1), renderers(2), Remote()
    away.attach(first.door())
    drawer = away.start(scene, StageTimes())
    away.attach(second.door())
    assert level(drawer.draw(motion(0))) == 1
    while second.drawing.open == 0:
        drawer.draw(motion(0))
    first.kill()
    drawn = [level(drawer.draw(motion(number))) for number in range(50)]
    assert drawn[-1] == 2 and set(drawn) <= {None, 2}
    assert drawer.share == Share(2, 60, 8), "what was left out before stays counted"
    second.kill()
    assert drawer.draw(motion(9)) is None
    third = renderers(3)
    away.attach(third.door())
    drawer.wait_open(5)
    assert level(drawer.draw(motion(10))) == 3
    drawer.close()


def test_a_call_that_begins_while_no_process_is_there_gets_its_picture_later(
    renderers, scene, monkeypatch
):
    monkeypatch.setattr(remote, "OPEN_S", 0.0)
    away = Remote()
    drawer = away.start(scene, StageTimes())
    assert drawer.draw(motion(0)) is None
    away.attach(renderers(5).door())
    drawer.wait_open(5)
    assert level(drawer.draw(motion(1))) == 5
    drawer.close()


def test_a_process_that_hangs_costs_pictures_and_no_more(renderers, scene, monkeypatch):
    monkeypatch.setattr(remote, "DRAW_S", 0.02)
    there, away = renderers(7), Remote()
    away.attach(there.door())
    drawer = away.start(scene, StageTimes())
    there.drawing.held = []
    for number in range(3 * SLOTS):
        assert drawer.draw(motion(number)) is None
    assert 0 < len(there.drawing.seen) <= SLOTS
    held, there.drawing.held = there.drawing.held, None
    for future in held:
        there.drawing.finish(future)
    monkeypatch.setattr(remote, "DRAW_S", 5.0)
    assert level(drawer.draw(motion(99))) == 7
    drawer.close()


def test_a_failed_gpu_ends_its_process_and_no_call(renderers, scene, monkeypatch):
    monkeypatch.setattr(remote, "DRAW_S", 0.2)
    first, second, away = renderers(1), renderers(2), Remote()
    away.attach(first.door())
    drawer = away.start(replace(scene, kernels="cuda"), StageTimes())
    away.attach(second.door())
    while second.drawing.open == 0:
        drawer.draw(motion(0))
    first.drawing.fail = RuntimeError("CUDA error: an illegal memory access was encountered")
    assert drawer.draw(motion(0)) is None
    assert first.left.is_set() and not second.left.is_set()
    first.kill()
    drawn = [level(drawer.draw(motion(number))) for number in range(50)]
    assert drawn[-1] == 2 and set(drawn) <= {None, 2}
    # On a CPU, or where the picture's own fault is said, only the session is told.
    second.drawing.fail = BackendError("lip code has 3 values")
    with pytest.raises(BackendError, match="lip code has 3 values"):
        drawer.draw(motion(51))
    assert not second.left.is_set()
    drawer.close()


def test_what_cannot_be_opened_or_drawn_is_said(renderers, scene):
    there, away = renderers(), Remote()
    away.attach(there.door())
    there.drawing.refuse = ConfigError("background is 'pink'")
    with pytest.raises(BackendError, match="background is 'pink'"):
        away.start(scene, StageTimes())
    there.drawing.refuse = None
    drawer = away.start(scene, StageTimes())
    there.drawing.fail = RuntimeError("out of memory")
    with pytest.raises(BackendError, match="out of memory"):
        drawer.draw(motion(0))
    there.drawing.fail, there.drawing.level = None, None
    assert drawer.draw(motion(1)) is None
    there.drawing.level = 8
    assert level(drawer.draw(motion(2))) == 8
    drawer.close()


@pytest.fixture
def opened(renderers, scene):
    """A line by hand: the render process, the session's end of it, its memory and token."""
    there = renderers()
    token = secrets.randbits(63)
    frames, memory = FrameMemory.make(SIDE, token)
    ours, theirs = pair()
    ours.settimeout(10)
    told = {"verb": "open", "token": token, **told_of(scene)}
    there.door().send(told, [theirs.fileno(), memory, descriptor_of(scene.avatar)])
    theirs.close()
    os.close(memory)
    assert unpack_result(ours.recv(RESULT_BYTES), token, SLOTS).kind is Kind.OPENED
    yield there, ours, frames, token
    ours.close()


def test_of_motions_that_wait_the_newest_is_drawn(scene):
    frames, memory = FrameMemory.make(SIDE, 7)
    os.close(memory)
    ours, theirs = pair()
    room, drawing = Room(theirs, frames, os.abort), Drawing(100)
    send_with(ours, pack_ask(Ask(1, 0, 0.5, motion(1)), 7))
    room.take()
    room.open(lambda _: drawing, scene)
    for number in range(2, SLOTS + 2):
        send_with(ours, pack_ask(Ask(number, number % SLOTS, 0.5, motion(number)), 7))
    room.take()
    found = [unpack_result(ours.recv(RESULT_BYTES), 7, SLOTS) for _ in range(SLOTS + 2)]
    told = [(one.kind, one.number) for one in found]
    # The first came before the scene was open.
    assert told[:2] == [(Kind.SHED, 1), (Kind.OPENED, 0)]
    assert told[2:-1] == [(Kind.SHED, number) for number in range(2, SLOTS + 1)]
    assert told[-1] == (Kind.DRAWN, SLOTS + 1)
    assert [(seen.index, due_s) for seen, due_s in drawing.seen] == [(SLOTS + 1, 0.5)]
    assert (frames.read(found[-1].slot, SLOTS + 1) == 100).all()
    ours.close()
    with pytest.raises(ChannelClosed):
        room.take()
    room.close()
    assert drawing.open == 0


@pytest.mark.parametrize("data", [b"x", pack_ask(Ask(1, 0, 0.0, motion(0)), 77)])
def test_a_bad_record_ends_its_own_line_alone(opened, scene, data):
    there, line, _, _ = opened
    away = Remote()
    away.attach(there.door())
    other = away.start(scene, StageTimes())
    send_with(line, data)
    assert line.recv(RESULT_BYTES) == b""
    assert level(other.draw(motion(0))) == 100
    other.close()


def test_a_session_opens_its_scene_again_where_its_line_was_cut(renderers, scene, monkeypatch):
    monkeypatch.setattr(remote, "REOPEN_S", 0.0)
    there, away = renderers(4), Remote()
    away.attach(there.door())
    drawer = away.start(scene, StageTimes())
    cut = drawer._lines[0]
    send_with(cut._end, b"no motion")
    while cut in drawer._lines:
        drawer.draw(motion(0))
    drawer.wait_open(5)
    assert level(drawer.draw(motion(1))) == 4
    drawer.close()


def test_a_result_that_nobody_waits_for_ends_the_line(renderers, scene):
    there, away = renderers(), Remote()
    away.attach(there.door())
    drawer = away.start(scene, StageTimes())
    (room,) = there._process._rooms
    send_with(room.end, pack_result(Result(Kind.DRAWN, 5, 0), room._frames.token))
    cut = drawer._lines[0]
    while cut in drawer._lines:
        drawer.draw(motion(0))
    drawer.close()


async def test_a_process_that_ends_at_once_is_started_ever_more_seldom(monkeypatch, caplog):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 9:
            raise StopAsyncIteration

    class Owner:
        def began(self, process):
            pass

        def ended(self, process):
            pass

    monkeypatch.setattr(process.asyncio, "sleep", sleep)
    monkeypatch.setattr(
        process,
        "_start",
        lambda kind, end: process.subprocess.Popen([process.sys.executable, "-I", "-S", "-c", ""]),
    )
    keeper = process.Keeper("media", 1.0, Owner())
    with pytest.raises(StopAsyncIteration):
        await keeper.keep()
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(caplog.messages) == 9
    assert "media process" in caplog.messages[-1]
    assert "in 30.0 s, for it ended 9 times" in caplog.messages[-1]


def registry(sessions, fps, pictures):
    made = CollectorRegistry()
    Gauge("visavis_sessions", "Calls", registry=made).set(sessions)
    Gauge("visavis_fps", "Pictures a second", registry=made).set(fps)
    counter = Counter("visavis_pictures", "Pictures", ["kind"], registry=made)
    counter.labels("sent").inc(pictures)
    Histogram("visavis_ms", "Times", buckets=[1, 10], registry=made).observe(pictures)
    return samples_of(made)


def test_figures_are_added_and_stay_when_a_process_ends():
    first, second = registry(3, 25.0, 5), registry(1, 15.0, 7)
    text = text_of(added([first, second])).decode()
    assert "visavis_sessions 4.0" in text
    assert "visavis_fps 22.5" in text
    assert 'visavis_pictures_total{kind="sent"} 12.0' in text
    assert 'visavis_ms_bucket{le="10.0"} 2.0' in text
    assert "visavis_ms_sum 12.0" in text
    text = text_of(added([lasting(first), second])).decode()
    assert "visavis_sessions 1.0" in text
    assert "visavis_fps 15.0" in text
    assert 'visavis_pictures_total{kind="sent"} 12.0' in text
    assert "visavis_fps 0.0" in text_of(added([registry(0, 0.0, 1)])).decode()
