"""The scheduler against a fake backend with a manual clock, in any order of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import SIZES
from engine.frames import FPS
from engine.scheduler import FRAME_S, PATIENCE_S, Scheduler

TICK_S = 0.001


class Backend:
    """Runners that take as long as they are told, in time that only the test moves.

    Every promise that can be checked at an event is checked there.
    """

    def __init__(self, sizes=(1,), runners=1, cost_s=lambda batch: 0.01):
        self.now_s = 0.0
        self.sizes = sizes
        self.scheduler = Scheduler(sizes, runners)
        self.idle = runners
        self.cost_s = cost_s
        self.running = []
        self.kinds = {}
        self.next = {}
        self.fates = {}
        self.shown = {}
        self.batches = []

    def join(self, session, kind="a"):
        self.scheduler.join(session, kind, self.now_s)
        self.kinds[session] = kind
        self.fates[session] = {}
        self.shown[session] = []
        self.next[session] = 0

    def leave(self, session):
        for job in self.scheduler.leave(session):
            self.settle(job, "left")
        del self.kinds[session]

    def want(self, session, due_s=None, skipped=0):
        self.next[session] += skipped
        number = self.next[session]
        self.next[session] += 1
        self.fates[session][number] = None
        job, gone = self.scheduler.want(
            session, (session, number), self.now_s, due_s, skipped=skipped
        )
        for each in gone:
            self.settle(each, "shed" if each is job else "replaced")
        assert self.scheduler.waiting <= len(self.kinds)
        self.feed()
        return number

    def settle(self, job, fate):
        session, number = job.payload
        assert session == job.session
        assert self.fates[session][number] is None, "each picture has one fate"
        self.fates[session][number] = fate

    def feed(self):
        """A runner that is free takes what waits, at once."""
        while self.idle:
            batch, gone = self.scheduler.take(self.now_s)
            for job in gone:
                assert job.due_s - self.now_s < 10, "only what is urgent is given up"
                self.settle(job, "expired")
            if batch is None:
                break
            self.idle -= 1
            self.check(batch)
            self.batches.append(batch)
            self.running.append((self.now_s + self.cost_s(batch), len(self.batches), batch))

    def check(self, batch):
        sessions = [job.session for job in batch.jobs]
        assert len(set(sessions)) == len(sessions)
        assert {self.kinds[session] for session in sessions} == {batch.kind}
        assert batch.size in self.sizes and len(batch.jobs) <= batch.size
        assert batch.size == min(size for size in self.sizes if size >= len(batch.jobs))
        for _, _, other in self.running:
            assert not set(sessions) & {
                job.session for job in other.jobs if job.session in self.kinds
            }, "one picture of a session at a time"

    def advance(self, span_s):
        until_s = self.now_s + span_s
        while self.running:
            ends_s, _, batch = entry = min(self.running, key=lambda each: each[:2])
            if ends_s > until_s:
                break
            self.running.remove(entry)
            self.now_s = ends_s
            self.idle += 1
            for job, left_s in self.scheduler.done(batch, ends_s):
                session, number = job.payload
                assert left_s == pytest.approx(job.due_s - ends_s)
                # The promise itself: what comes after its deadline is counted as late.
                self.settle(job, "late" if ends_s > job.due_s else "drawn")
                assert all(number > before for before, _ in self.shown[session]), "in order"
                self.shown[session].append((number, ends_s))
            self.feed()
        self.now_s = until_s

    def finish(self):
        self.advance(1000.0)
        assert not self.running

    def counts_add_up(self):
        fates = [fate for each in self.fates.values() for fate in each.values()]
        total = self.scheduler.total
        assert total.wanted == len(fates)
        for fate in ("drawn", "late", "shed", "expired", "replaced", "failed", "left"):
            assert getattr(total, fate) == fates.count(fate), fate
        under_way = sum(fate is None for fate in fates)
        assert total.settled + under_way == total.wanted
        for session in self.kinds:
            counts, mine = self.scheduler.counts(session), list(self.fates[session].values())
            assert counts.wanted == len(mine)
            assert counts.settled == sum(fate is not None for fate in mine)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from("ab")),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("want"), st.integers(0, 9), st.integers(1, 120), st.integers(0, 3)),
        st.tuples(st.just("advance"), st.integers(0, 90)),
    ),
    max_size=120,
)
COSTS = st.lists(st.integers(1, 150), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(EVENTS, COSTS, st.sampled_from([(1,), (1, 2, 3), SIZES]), st.integers(1, 3))
def test_promises_hold_whatever_happens(events, costs, sizes, runners):
    backend = Backend(sizes, runners)
    backend.cost_s = lambda batch: costs[len(backend.batches) % len(costs)] * TICK_S
    joined = 0
    for what, *values in events:
        sessions = list(backend.kinds)
        if what == "join":
            backend.join(joined, values[0])
            joined += 1
        elif what == "advance":
            backend.advance(values[0] * TICK_S)
        elif sessions and what == "leave":
            backend.leave(sessions[values[0] % len(sessions)])
        elif sessions:
            number, due, skipped = values
            due_s = None if due > 100 else backend.now_s + due * TICK_S
            backend.want(sessions[number % len(sessions)], due_s, skipped)
        backend.counts_add_up()
        strides = [backend.scheduler.stride(session) for session in backend.kinds]
        assert strides == sorted(strides), "an older session never has less than a newer one"
    backend.finish()
    backend.counts_add_up()
    assert backend.scheduler.total.settled == backend.scheduler.total.wanted


def talk(backend, seconds, sessions=None, offset_s=0.0, wait_s=None):
    """Each session wants a picture every 40 ms, each at a moment of its own.

    It waits so long for it, or leaves that to the scheduler.
    """
    chosen = list(backend.kinds) if sessions is None else sessions
    begin_s = backend.now_s
    moments = sorted(
        (begin_s + (tick + place / len(chosen)) * FRAME_S + offset_s, session)
        for tick in range(round(seconds * FPS))
        for place, session in enumerate(chosen)
    )
    for at_s, session in moments:
        backend.advance(max(0.0, at_s - backend.now_s))
        backend.want(session, None if wait_s is None else backend.now_s + wait_s)


def rate(backend, session, since_s):
    shown = [at_s for _, at_s in backend.shown[session] if at_s >= since_s]
    return len(shown) / (backend.now_s - since_s)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(2, 12),
    st.floats(0.001, 0.035),
    st.sampled_from([((1,), 1), ((1,), 2), (SIZES, 1)]),
)
def test_no_session_starves_and_older_ones_have_no_less(count, cost_s, shape):
    sizes, runners = shape
    backend = Backend(sizes, runners, lambda batch: cost_s * (1 + 0.05 * batch.size))
    for session in range(count):
        backend.join(session)
    talk(backend, 20)
    since_s = backend.now_s
    talk(backend, 5)
    turn_s = 2 * count * cost_s * (1 + 0.05 * sizes[-1]) / runners
    longest_s = PATIENCE_S + 2 * FRAME_S + turn_s
    for session in range(count):
        seen = [since_s] + [at_s for _, at_s in backend.shown[session] if at_s >= since_s]
        gaps = [b - a for a, b in zip(seen, [*seen[1:], backend.now_s], strict=True)]
        assert max(gaps) <= longest_s, (session, max(gaps))


def test_a_machine_with_room_draws_every_picture_in_time():
    backend = Backend((1,), 2)
    for session in range(3):
        backend.join(session)
    talk(backend, 20)
    backend.finish()
    assert backend.scheduler.total.drawn == backend.scheduler.total.wanted == 3 * 20 * FPS


def test_what_waits_is_drawn_together_and_nothing_waits_for_a_batch():
    backend = Backend(SIZES, 1, lambda batch: 0.002 + 0.0003 * batch.size)
    for session in range(6):
        backend.join(session)
    backend.want(0)
    assert [len(batch.jobs) for batch in backend.batches] == [1]
    for session in range(1, 6):
        backend.want(session)
    backend.advance(0.003)
    assert [(len(batch.jobs), batch.size) for batch in backend.batches] == [(1, 1), (5, 16)]


def test_free_runners_share_what_waits():
    backend = Backend((1, 2, 4), 2)
    backend.idle = 0
    for session in range(4):
        backend.join(session)
        backend.want(session)
    backend.idle = 2
    backend.feed()
    assert [len(batch.jobs) for batch in backend.batches] == [2, 2]


def test_the_earliest_deadline_goes_first():
    backend = Backend()
    for session in range(4):
        backend.join(session)
    backend.want(0)
    for session, due_s in ((1, 0.09), (2, 0.05), (3, 0.07)):
        backend.want(session, due_s)
    backend.finish()
    assert [batch.jobs[0].session for batch in backend.batches] == [0, 2, 3, 1]


def test_a_batch_is_cut_to_what_its_most_urgent_picture_bears():
    backend = Backend((1, 4), 1, lambda batch: 0.005 if batch.size == 1 else 0.03)
    for session in range(4):
        backend.join(session)
        backend.want(session)
    backend.advance(0.1)
    assert [batch.size for batch in backend.batches] == [1, 4]
    backend.want(0)
    for session in (1, 2, 3):
        backend.want(session, backend.now_s + 0.022)
    backend.advance(0.1)
    assert [batch.size for batch in backend.batches[2:]] == [1, 1, 1, 1]
    assert backend.scheduler.total.late == 0


def test_the_newest_of_a_session_replaces_what_waits():
    backend = Backend()
    backend.join(0)
    backend.join(1)
    backend.want(0)
    numbers = [backend.want(1) for _ in range(3)]
    backend.finish()
    assert [backend.fates[1][number] for number in numbers] == ["replaced", "replaced", "drawn"]


def test_what_cannot_be_done_in_time_is_not_begun():
    backend = Backend((1,), 1, lambda batch: 0.02)
    backend.join(0)
    backend.join(1)
    backend.want(0)
    backend.advance(0.03)
    backend.want(0)
    backend.want(1, backend.now_s + 0.03)
    backend.finish()
    assert backend.fates[1] == {0: "expired"}
    assert len(backend.batches) == 2


def test_a_session_that_was_given_nothing_for_long_is_served_late():
    # What others are given takes nearly all there is.
    backend = Backend((1,), 1, lambda batch: 0.05)
    for session in range(8):
        backend.join(session)
    talk(backend, 10)
    backend.finish()
    for session in range(8):
        assert backend.scheduler.counts(session).late >= 4
        assert backend.scheduler.counts(session).expired >= 4


@pytest.mark.parametrize("wait_s", [None, FRAME_S])
def test_a_picture_slower_than_its_tick_is_given_the_time_it_takes(wait_s):
    backend = Backend((1,), 1, lambda batch: 0.06)
    backend.join(0)
    talk(backend, 10, wait_s=wait_s)
    backend.finish()
    assert rate(backend, 0, 0.0) > 0.01
    assert len(backend.shown[0]) > 10 * 12
    assert backend.scheduler.counts(0).late <= 2


def test_time_without_result_is_given_up_only_while_it_waits():
    backend = Backend()
    backend.join(0)
    job, _ = backend.scheduler.want(0, "first", 0.0)
    assert backend.scheduler.give_up(job)
    assert not backend.scheduler.give_up(job)
    job, _ = backend.scheduler.want(0, "second", 0.0)
    batch, _ = backend.scheduler.take(0.0)
    assert not backend.scheduler.give_up(job)
    assert [each for each, _ in backend.scheduler.done(batch, 0.01)] == [job]


def test_a_session_that_left_gets_nothing_any_more():
    backend = Backend()
    backend.join(0)
    backend.want(0)
    backend.want(0)
    backend.leave(0)
    assert list(backend.fates[0].values()) == ["left", "left"]
    backend.finish()
    assert backend.shown[0] == []
    assert backend.idle == 1


@pytest.mark.parametrize(("sizes", "runners"), [((), 1), ((2, 4), 1), ((1, 4, 4), 1), ((1,), 0)])
def test_wrong_sizes_and_no_runner_are_refused(sizes, runners):
    with pytest.raises(ValueError, match="expected"):
        Scheduler(sizes, runners)
