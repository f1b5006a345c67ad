import numpy as np
import pytest

from engine.frames import Pcm
from engine.voice import LEAD_MS, MAX_HOLD_MS, Voice


def packets(voice, count):
    return voice.push(Pcm(0, np.zeros(960 * count, np.int16)))


def test_sound_leaves_as_long_after_its_arrival_as_pictures_do_less_the_lead():
    voice = Voice(lambda pts: pts / 48_000, latency_ms=80)
    due_s = [voice.due_s(packet) for packet in packets(voice, 10)]
    expected = [(80 - LEAD_MS) / 1000 + 0.02 * number for number in range(10)]
    assert due_s == pytest.approx(expected)


def test_slower_pictures_hold_the_sound_longer_without_a_jump():
    voice = Voice(lambda pts: pts / 48_000, latency_ms=80)
    for _ in range(25):
        voice.follow(140)
    due_s = np.array([voice.due_s(packet) for packet in packets(voice, 100)])
    steps_ms = np.diff(due_s) * 1000
    assert steps_ms.max() <= 21.01
    assert voice.hold_ms == pytest.approx(140 - LEAD_MS)


def test_behind_very_late_pictures_the_sound_does_not_wait():
    voice = Voice(lambda pts: pts / 48_000, latency_ms=80)
    for _ in range(25):
        voice.follow(5000)
    for packet in packets(voice, 500):
        voice.due_s(packet)
    assert voice.hold_ms == MAX_HOLD_MS


def test_one_slow_picture_moves_nothing():
    voice = Voice(lambda pts: pts / 48_000, latency_ms=80)
    for latency_ms in [80, 80, 80, 400, 80]:
        voice.follow(latency_ms)
    due_s = [voice.due_s(packet) for packet in packets(voice, 20)]
    assert np.diff(due_s) * 1000 == pytest.approx([20] * 19)


def test_an_arrival_put_off_moves_no_packet():
    slipped_s = 0.0
    voice = Voice(lambda pts: slipped_s + pts / 48_000, latency_ms=80)
    for _ in range(25):
        voice.follow(110)
    queue = packets(voice, 100)
    due_s = [voice.due_s(packet) for packet in queue[:50]]
    slipped_s = 0.03
    voice.rebase(30)
    due_s += [voice.due_s(packet) for packet in queue[50:]]
    assert np.diff(due_s)[49:] * 1000 == pytest.approx([20] * 50)
    assert voice.hold_ms == pytest.approx(80 - LEAD_MS)


def test_the_hold_is_never_negative():
    voice = Voice(lambda pts: pts / 48_000, latency_ms=0)
    assert voice.due_s(packets(voice, 1)[0]) == 0.0
