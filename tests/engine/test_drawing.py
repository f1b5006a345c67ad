"""Real threads and real futures; a fake renderer where a test must hold one up or break it."""

import threading
from concurrent.futures import wait

import cv2
import numpy as np
import pytest

from engine.composite import Planes
from engine.config import EngineConfig
from engine.drawing import Shared
from engine.errors import BackendError
from engine.frames import SAMPLE_RATE_HZ, Motion, Pcm
from engine.metrics import ServerMetrics, StageTimes
from engine.pipeline import Pipeline
from engine.renderer import Direct, Scene
from tests.engine.faces import plain_avatar

AVATAR = plain_avatar()
CONFIG = EngineConfig(size_px=128, steps=0)
SCENE = Scene.of(AVATAR, CONFIG)
SOON_S = 10.0
FAR_S = 1e9


def motion(index):
    return Motion(index, np.zeros(1, np.float32))


class Fake:
    """A renderer whose pictures hold their motion's number; it waits where a test says so."""

    def __init__(self, times):
        self.times = times
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Semaphore(0)
        self.batches = []
        self.bad = None

    def open(self, scene):
        if scene.background == "bad":
            raise BackendError("no such scene")

    def render(self, batch):
        self.batches.append([motion.index for _, motion in batch])
        self.begun.release()
        assert self.go.wait(SOON_S)
        if any(scene.background == self.bad for scene, _ in batch):
            raise RuntimeError("broken scene")
        self.times.record("render", 6.0 * len(batch))
        return [Planes(np.full((3, 2), motion.index, np.uint8), None) for _, motion in batch]


@pytest.fixture
def fakes():
    return []


@pytest.fixture
def shared(fakes):
    def make(runners=1, sizes=(1,), **options):
        def renderer(times):
            fakes.append(Fake(times))
            return fakes[-1]

        opened.append(Shared(runners, sizes, make_renderer=renderer, **options))
        return opened[-1]

    opened = []
    yield make
    for fake in fakes:
        fake.go.set()
    for each in opened:
        each.close()


def number(planes):
    return int(planes.i420[0, 0])


def test_pictures_equal_those_of_a_session_that_draws_for_itself(speech):
    sound = Pcm(0, speech[:SAMPLE_RATE_HZ])
    drawing = Shared(2)
    try:
        alone, among = (Pipeline(AVATAR, CONFIG, way) for way in (Direct(), drawing))
        for one, other in zip(alone.push(sound), among.push(sound), strict=True):
            assert one.i420 is not None and other.i420 is not None
            assert (one.i420 == other.i420).all()
        among.close()
        assert {"render", "composite", "wait"} <= set(among.timings.summary())
    finally:
        drawing.close()


def test_many_sessions_on_many_threads_get_their_own_pictures(shared, fakes):
    drawing = shared(3)
    failures = []

    def talk(session):
        drawer = drawing.start(SCENE, StageTimes())
        for tick in range(40):
            planes = drawer.draw(motion(session * 40 + tick))
            if planes is not None and number(planes) != session * 40 + tick:
                failures.append((session, tick))
        drawer.close()

    threads = [threading.Thread(target=talk, args=(session,)) for session in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert not failures
    assert sum(len(batch) for fake in fakes for batch in fake.batches) > 6 * 20


def test_what_waits_while_a_runner_is_busy_is_drawn_together(shared, fakes):
    drawing = shared(1, (1, 4))
    drawers = [drawing.start(SCENE, StageTimes()) for _ in range(4)]
    (fake,) = fakes
    fake.go.clear()
    first = drawers[0].submit(motion(0), FAR_S)
    assert fake.begun.acquire(timeout=SOON_S)
    others = [drawer.submit(motion(n), FAR_S) for n, drawer in enumerate(drawers[1:], 1)]
    fake.go.set()
    assert [number(each.result(SOON_S)) for each in (first, *others)] == [0, 1, 2, 3]
    assert fake.batches == [[0], [1, 2, 3]]
    times = [drawer.timings.summary()["render"]["p50"] for drawer in drawers]
    assert times == [6.0] * 4


def test_the_newest_replaces_what_waits_and_the_older_becomes_nothing(shared, fakes):
    drawing = shared()
    drawer = drawing.start(SCENE, StageTimes())
    (fake,) = fakes
    fake.go.clear()
    futures = [drawer.submit(motion(0), FAR_S)]
    assert fake.begun.acquire(timeout=SOON_S)
    futures += [drawer.submit(motion(n), FAR_S) for n in (1, 2, 3)]
    fake.go.set()
    results = [each.result(SOON_S) for each in futures]
    assert [each and number(each) for each in results] == [0, None, None, 3]


def test_a_picture_nobody_is_free_for_becomes_nothing_in_time(shared, fakes):
    drawing = shared()
    busy, waiting = (drawing.start(SCENE, StageTimes()) for _ in range(2))
    (fake,) = fakes
    fake.go.clear()
    held = busy.submit(motion(0), FAR_S)
    assert fake.begun.acquire(timeout=SOON_S)
    assert waiting.draw(motion(1)) is None
    assert not held.done()
    fake.go.set()
    assert number(held.result(SOON_S)) == 0
    assert fake.batches == [[0]]


def test_a_scene_that_fails_costs_no_other_session_its_picture(shared, fakes):
    drawing = shared(1, (1, 4))
    bad_scene = Scene.of(AVATAR, EngineConfig(size_px=128, steps=0, background="#ff0000"))
    drawers = [drawing.start(scene, StageTimes()) for scene in (SCENE, bad_scene, SCENE, SCENE)]
    (fake,) = fakes
    fake.bad = "#ff0000"
    fake.go.clear()
    first = drawers[3].submit(motion(9), FAR_S)
    assert fake.begun.acquire(timeout=SOON_S)
    futures = [drawer.submit(motion(n), FAR_S) for n, drawer in enumerate(drawers[:3])]
    fake.go.set()
    wait([first, *futures], SOON_S)
    with pytest.raises(RuntimeError, match="broken scene"):
        futures[1].result()
    assert [number(futures[n].result()) for n in (0, 2)] == [0, 2]
    assert number(drawers[0].submit(motion(5), FAR_S).result(SOON_S)) == 5


def test_a_scene_that_cannot_be_opened_is_told_at_the_start(shared):
    drawing = shared(2)
    with pytest.raises(BackendError, match="no such scene"):
        drawing.start(Scene(AVATAR, 128, "bad", "openvino", 0), StageTimes())
    drawer = drawing.start(SCENE, StageTimes())
    assert number(drawer.submit(motion(1), FAR_S).result(SOON_S)) == 1


def test_a_session_that_closes_waits_for_nothing(shared, fakes):
    drawing = shared()
    drawer = drawing.start(SCENE, StageTimes())
    (fake,) = fakes
    fake.go.clear()
    futures = [drawer.submit(motion(0), FAR_S)]
    assert fake.begun.acquire(timeout=SOON_S)
    futures.append(drawer.submit(motion(1), FAR_S))
    drawer.close()
    assert [each.result(SOON_S) for each in futures] == [None, None]
    assert drawer.draw(motion(2)) is None
    assert drawer.submit(motion(3)).result(0) is None
    drawer.close()


def test_closing_all_ends_every_wait_and_thread(shared, fakes):
    drawing = shared(2)
    drawer = drawing.start(SCENE, StageTimes())
    for fake in fakes:
        fake.go.clear()
    futures = [drawer.submit(motion(n), FAR_S) for n in range(3)]
    closing = threading.Thread(target=drawing.close)
    closing.start()
    assert [each.result(SOON_S) for each in futures] == [None, None, None]
    for fake in fakes:
        fake.go.set()
    closing.join(SOON_S)
    assert not closing.is_alive()
    assert not [each for each in drawing._threads if each.is_alive()]
    with pytest.raises(BackendError, match="closing"):
        drawing.start(SCENE, StageTimes())


def test_a_runner_that_never_returns_does_not_hold_up_the_end(shared, fakes, monkeypatch):
    monkeypatch.setattr("engine.drawing.CLOSE_S", 0.05)
    drawing = shared()
    drawer = drawing.start(SCENE, StageTimes())
    (fake,) = fakes
    fake.go.clear()
    drawer.submit(motion(0), FAR_S)
    assert fake.begun.acquire(timeout=SOON_S)
    drawing.close()
    assert not fake.go.is_set()


def test_figures_add_up(shared, fakes):
    metrics = ServerMetrics()
    drawing = shared(1, (1, 4), metrics=metrics)
    drawers = [drawing.start(SCENE, StageTimes()) for _ in range(3)]
    (fake,) = fakes
    fake.go.clear()
    futures = [drawers[0].submit(motion(0), FAR_S)]
    assert fake.begun.acquire(timeout=SOON_S)
    futures += [drawers[n].submit(motion(tick), FAR_S) for n in (1, 2) for tick in (1, 2)]
    fake.go.set()
    wait(futures, SOON_S)
    drawing.close()
    text = metrics.text().decode()
    assert 'visavis_scheduled_total{fate="wanted"} 5.0' in text
    assert 'visavis_scheduled_total{fate="drawn"} 3.0' in text
    assert 'visavis_scheduled_total{fate="replaced"} 2.0' in text
    assert "visavis_batch_size_sum 3.0" in text
    assert "visavis_batch_padding_total 2.0" in text
    assert "visavis_slack_ms_count 3.0" in text
    assert "visavis_sessions_lowered 0.0" in text
    assert drawers[0].share.stride == 1


def test_pictures_passed_over_are_told_to_the_scheduler(shared, monkeypatch):
    drawing = shared()
    drawer = drawing.start(SCENE, StageTimes())
    told = []
    want = drawing._scheduler.want

    def listen(session, payload, now_s, due_s=None, skipped=0):
        told.append(skipped)
        return want(session, payload, now_s, due_s, skipped)

    monkeypatch.setattr(drawing._scheduler, "want", listen)
    for index in (7, 8, 11, 0, 1, 90, 92):
        drawer.draw(motion(index))
    assert told == [0, 0, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(("runners", "sizes"), [(0, (1,)), (1, (4,)), (1, ())])
def test_no_runner_and_wrong_sizes_are_refused(runners, sizes):
    with pytest.raises(ValueError, match="expected"):
        Shared(runners, sizes)


def test_opencv_has_its_threads_divided_by_those_that_draw(shared):
    before = cv2.getNumThreads()
    drawing = shared(2)
    drawers = [drawing.start(SCENE, StageTimes())]
    assert cv2.getNumThreads() == before
    drawers += [drawing.start(SCENE, StageTimes()) for _ in range(2)]
    assert cv2.getNumThreads() == max(1, before // 2)
    for drawer in drawers:
        drawer.close()
    assert cv2.getNumThreads() == before


def test_nothing_runs_before_the_first_session():
    drawing = Shared(2)
    assert not [each for each in drawing._threads if each.is_alive()]
    drawing.close()
