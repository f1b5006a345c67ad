import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.frames import Pcm
from engine.ring import RingBuffer

RING_MS = 100
SIZE = RING_MS * 48


def count(start: int, size: int) -> Pcm:
    """Sound whose samples tell their own time."""
    return Pcm(start, (np.arange(start, start + size) % 30_000 + 1).astype(np.int16))


@given(st.lists(st.integers(0, 2 * SIZE), max_size=12))
def test_any_cut_reads_back_the_newest_sound(sizes: list[int]) -> None:
    ring, at = RingBuffer(RING_MS), 0
    for size in sizes:
        ring.write(count(at, size))
        at += size
    assert (ring.end, ring.start) == (at, max(0, at - SIZE))
    held = ring.read(ring.start, ring.end - ring.start)
    assert (held.samples == count(ring.start, ring.end - ring.start).samples).all()
    assert ring.gap_samples == ring.late_samples == 0


def test_a_lost_packet_becomes_silence_and_is_counted() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(0, 960))
    ring.write(count(1920, 960))
    assert (ring.read(960, 960).samples == 0).all()
    assert (ring.read(1920, 960).samples == count(1920, 960).samples).all()
    assert ring.gap_samples == 960


def test_a_gap_longer_than_the_ring_leaves_silence() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(0, 960))
    ring.write(count(10 * SIZE, 480))
    assert (ring.read(10 * SIZE - 960, 960).samples == 0).all()
    assert (ring.read(10 * SIZE, 480).samples == count(10 * SIZE, 480).samples).all()
    assert ring.gap_samples == 10 * SIZE - 960


def test_a_late_packet_is_dropped_and_counted() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(0, 960))
    ring.write(count(1920, 960))
    ring.write(Pcm(960, np.full(960, 7, np.int16)))
    assert (ring.read(960, 960).samples == 0).all()
    assert ring.late_samples == 960


def test_a_packet_half_late_keeps_its_new_half() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(0, 960))
    ring.write(count(480, 960))
    assert (ring.read(0, 1440).samples == count(0, 1440).samples).all()
    assert (ring.end, ring.late_samples) == (1440, 480)


def test_outside_what_is_held_there_is_silence() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(0, SIZE + 10))
    got = ring.read(0, SIZE + 20).samples
    assert (got[:10] == 0).all()
    assert (got[10:-10] == count(10, SIZE).samples).all()
    assert (got[-10:] == 0).all()


def test_reset_is_as_new() -> None:
    ring = RingBuffer(RING_MS)
    ring.write(count(500, 960))
    ring.reset()
    assert (ring.end, ring.gap_samples) == (0, 0)
    assert (ring.read(500, 960).samples == 0).all()


def test_a_silly_capacity_is_refused() -> None:
    with pytest.raises(ConfigError, match="capacity_ms is 5, expected 40 to 60000"):
        RingBuffer(5)
