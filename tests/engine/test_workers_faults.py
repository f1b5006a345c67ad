"""Faults beside a session's way to render processes: nothing that runs ends with them."""

import asyncio
import errno
import gc
import os
import resource
import threading
from contextlib import contextmanager, suppress

import pytest

from engine.metrics import StageTimes
from engine.renderer import Share
from engine.workers import process, remote
from engine.workers.channel import Channel, pair
from engine.workers.media import MediaWorker
from engine.workers.portraits import told_of
from engine.workers.remote import Remote
from tests.engine.render_threads import level, motion


def test_a_second_process_that_refuses_the_scene_costs_pictures_and_no_call(
    renderers, scene, monkeypatch
):
    monkeypatch.setattr(remote, "REOPEN_S", 0.0)
    first, second, away = renderers(1), renderers(2), Remote()
    second.drawing.refuse = RuntimeError("out of memory")
    away.attach(first.door())
    away.attach(second.door())
    drawer = away.start(scene, StageTimes())
    while not any(line.refused for line in drawer._lines):
        assert level(drawer.draw(motion(0))) == 1
    first.kill()
    assert {level(drawer.draw(motion(number))) for number in range(20)} == {None}
    second.drawing.refuse = None
    while (drawn := drawer.draw(motion(30))) is None:
        pass
    assert level(drawn) == 2
    drawer.close()


def test_what_was_left_out_stays_counted_where_an_older_process_draws_again(renderers, scene):
    first, second, away = renderers(1), renderers(2), Remote()
    ready = threading.Event()
    start = first.drawing.start
    first.drawing.start = lambda *given: ready.wait(10) and start(*given)
    away.attach(first.door())
    away.attach(second.door())
    drawer = away.start(scene, StageTimes())
    assert level(drawer.draw(motion(0))) == 2
    assert drawer.share == Share(2, 30, 4)
    ready.set()
    while level(drawer.draw(motion(1))) == 2:
        pass
    assert drawer.share == Share(2, 60, 8)
    drawer.close()


@contextmanager
def without_descriptors():
    """This process gets none any more, as long as the block lasts."""
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    gc.collect()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 50, limits[1]))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)


def test_a_session_that_gets_no_descriptors_goes_on_without_pictures(renderers, scene, monkeypatch):
    monkeypatch.setattr(remote, "OPEN_S", 0.0)
    monkeypatch.setattr(remote, "REOPEN_S", 0.0)
    there, away = renderers(6), Remote()
    away.attach(there.door())
    away.start(scene, StageTimes()).close()
    with without_descriptors():
        drawer = away.start(scene, StageTimes())
        assert [drawer.draw(motion(number)) for number in range(5)] == [None] * 5
    while (drawn := drawer.draw(motion(6))) is None:
        pass
    assert level(drawn) == 6
    drawer.close()


def test_what_arrives_without_its_descriptors_ends_nothing_else(renderers, scene):
    there, away = renderers(7), Remote()
    door = there.door()
    away.attach(door)
    other = away.start(scene, StageTimes())
    # As they come to a process that has no room for more: the system leaves them out.
    there.front.send({"verb": "door"})
    door.send({"verb": "open", "token": 1, **told_of(scene)})
    again = away.start(scene, StageTimes())
    assert level(again.draw(motion(1))) == 7
    assert level(other.draw(motion(0))) == 7
    again.close()
    other.close()


async def test_more_questions_than_a_worker_takes_are_told_to_come_again():
    ours, theirs = (Channel(end) for end in pair())
    worker = MediaWorker(theirs)
    for number in range(100):
        ours.send({"verb": "figures", "call": "none", "number": number})
    worker.follow()
    await asyncio.wait(worker._tasks)
    told = {}
    with suppress(BlockingIOError):
        while True:
            message = ours.receive().message
            told[message["to"]] = message
    assert sorted(told) == list(range(100))
    busy = [number for number in told if "busy" in told[number]]
    assert busy == list(range(64, 100))
    assert "64 questions are open, limit 64" in told[99]["busy"]
    assert not worker.done.is_set()
    ours.close()
    theirs.close()


async def test_a_process_that_cannot_be_told_anything_is_started_again(monkeypatch, caplog):
    class Owner:
        count = 0

        def began(self, process):
            self.count += 1
            if self.count == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            raise StopAsyncIteration

        def ended(self, process):
            pass

    keeper = process.Keeper("media", 1.0, Owner())
    with pytest.raises(StopAsyncIteration):
        await keeper.keep()
    assert caplog.messages == [
        "a media process cannot be started: Too many open files; another is started at once"
    ]
