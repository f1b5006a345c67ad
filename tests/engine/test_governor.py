"""Rates under load, over minutes of a manual clock."""

import itertools

import pytest

from engine.frames import FPS
from engine.governor import GENTLE, LOWEST, PERIOD_S, Governor
from engine.scheduler import FRAME_S
from tests.engine.test_scheduler import Backend, rate, talk


def strides(backend):
    return [backend.scheduler.stride(session) for session in backend.kinds]


def crowd(count, cost_s, runners=1):
    backend = Backend((1,), runners, lambda batch: cost_s)
    for session in range(count):
        backend.join(session)
    return backend


def test_the_newest_gives_way_and_the_older_keep_their_rate():
    backend = crowd(3, 1 / 62)
    talk(backend, 60)
    since_s = backend.now_s
    talk(backend, 30)
    assert rate(backend, 0, since_s) > 24.5
    assert rate(backend, 1, since_s) > 24.5
    assert 5 <= rate(backend, 2, since_s) < 13
    assert strides(backend)[:2] == [1, 1]


def test_a_lower_rate_is_an_even_one():
    backend = crowd(3, 1 / 62)
    talk(backend, 60)
    stride, since_s = strides(backend)[2], backend.now_s
    assert stride > 1
    talk(backend, 2)
    numbers = [number for number, at_s in backend.shown[2] if at_s >= since_s]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    assert steps == {stride}


def test_everyone_has_the_floor_before_anyone_has_all():
    backend = crowd(8, 1 / 60)
    talk(backend, 120)
    since_s = backend.now_s
    talk(backend, 30)
    assert all(rate(backend, session, since_s) > 4.5 for session in range(8))
    assert rate(backend, 0, since_s) > 20
    assert strides(backend)[-1] == LOWEST


def test_one_call_alone_is_never_lowered():
    backend = crowd(1, 0.07)
    talk(backend, 60)
    assert strides(backend) == [1]


@pytest.mark.parametrize("stall_s", [0.1, 0.3, 0.9])
def test_one_hiccup_lowers_nobody(stall_s):
    backend = crowd(3, 0.01)
    talk(backend, 5)
    backend.cost_s = lambda batch: stall_s
    talk(backend, FRAME_S)
    backend.cost_s = lambda batch: 0.01
    for _ in range(20):
        talk(backend, 1)
        assert strides(backend) == [1, 1, 1]


def test_rates_come_back_when_there_is_room_again():
    backend = crowd(3, 1 / 50)
    talk(backend, 30)
    assert strides(backend)[2] == LOWEST
    backend.cost_s = lambda batch: 0.005
    talk(backend, 120)
    assert strides(backend) == [1, 1, 1]


def test_rates_come_back_when_a_session_ends():
    backend = crowd(3, 1 / 60)
    talk(backend, 60)
    assert strides(backend)[2] > 1
    backend.leave(0)
    talk(backend, 60)
    assert strides(backend) == [1, 1]


def test_who_comes_while_the_machine_is_short_begins_at_the_floor():
    backend = crowd(3, 1 / 60)
    talk(backend, 60)
    before = strides(backend)
    backend.join(3)
    assert strides(backend) == [*before, LOWEST]


@pytest.mark.parametrize(("cost_s", "first"), [(0.004, 1), (0.01, GENTLE), (1 / 62, GENTLE)])
def test_who_comes_where_there_may_be_no_room_begins_with_few_pictures(cost_s, first):
    backend = crowd(2, cost_s)
    talk(backend, 5)
    backend.join(2)
    assert strides(backend) == [1, 1, first]


def test_who_began_with_few_pictures_has_all_soon_where_there_is_room():
    backend = crowd(2, 0.01)
    talk(backend, 5)
    backend.join(2)
    talk(backend, 3)
    assert strides(backend)[2] < GENTLE
    talk(backend, 3)
    assert strides(backend) == [1, 1, 1]


def test_who_rises_takes_nothing_from_those_who_were_there():
    backend = crowd(2, 1 / 62)
    talk(backend, 5)
    backend.join(2)
    for _ in range(30):
        since_s = backend.now_s
        talk(backend, 2)
        assert strides(backend)[:2] == [1, 1]
        assert all(rate(backend, session, since_s) > 20 for session in (0, 1))
    assert 5 <= rate(backend, 2, since_s) < 13


def test_a_machine_at_its_limit_tries_more_and_more_seldom():
    backend = crowd(3, 1 / 70)
    talk(backend, 30)
    changes, last = [], strides(backend)
    for second in range(240):
        talk(backend, 1)
        if strides(backend) != last:
            changes.append(second)
            last = strides(backend)
    early = sum(second < 80 for second in changes)
    late = sum(second >= 160 for second in changes)
    assert late <= early
    assert late <= 6


@pytest.mark.parametrize(("cost_s", "lowered"), [(0.005, False), (0.025, True)])
def test_pictures_passed_over_count_where_drawing_took_most_of_the_time(cost_s, lowered):
    backend = crowd(3, cost_s, runners=3)
    for _ in range(FPS * 10):
        for session in (0, 1, 2):
            backend.want(session, skipped=1)
            backend.advance(2 * FRAME_S / 3)
    assert (strides(backend)[2] > 1) is lowered


def test_an_older_call_is_not_halved_for_a_picture_now_and_then():
    governor = Governor()
    for session in range(3):
        governor.join(session)
    now_s = 0.0
    for _ in range(60):
        # One of ten is missed by all, however little the newest takes.
        for session in range(3):
            due = 25 // governor.stride(session)
            governor.missed(session, round(0.1 * due))
            for _ in range(due - round(0.1 * due)):
                governor.made(session, 0.3)
        now_s += PERIOD_S
        governor.settle(now_s)
    assert [governor.stride(session) for session in range(3)] == [1, 1, LOWEST]
