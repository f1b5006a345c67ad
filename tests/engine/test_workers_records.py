"""What passes between processes: everything that fits comes through, nothing else does."""

import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AvatarError
from engine.frames import EMBEDDING, Motion, Pose
from engine.renderer import Share
from engine.workers.channel import MAX_BYTES, Channel, ChannelClosed, ChannelError, pair
from engine.workers.frames import SLOTS, FrameMemory, memory_bytes
from engine.workers.portraits import avatar_of, descriptor_of
from engine.workers.records import (
    MAX_LIPS,
    MAX_STRIDE,
    MOTION_BYTES,
    RESULT_BYTES,
    Ask,
    Kind,
    RecordError,
    Result,
    pack_ask,
    pack_result,
    unpack_ask,
    unpack_result,
)

TOKEN = 0x1234_5678_9ABC
SIDE = 128

numbers = st.floats(-1e6, 1e6)
singles = st.floats(-1e6, 1e6, width=32)
pairs = st.tuples(numbers, numbers)


def floats(count):
    return st.lists(singles, min_size=count, max_size=count).map(
        lambda values: np.array(values, np.float32)
    )


motions = st.builds(
    Motion,
    st.integers(0, 2**40),
    st.integers(0, MAX_LIPS).flatmap(floats),
    st.builds(Pose, *[numbers] * 6),
    pairs,
    pairs,
    numbers,
    floats(EMBEDDING),
    numbers,
)
asks = st.builds(Ask, st.integers(1, 2**60), st.integers(0, SLOTS - 1), numbers, motions)
results = st.builds(
    Result,
    st.sampled_from(Kind),
    st.integers(0, 2**60),
    st.integers(0, SLOTS - 1),
    *[st.floats(0, 1e6, width=32)] * 4,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
    st.builds(Share, st.integers(1, MAX_STRIDE), st.integers(0, 2**60), st.integers(0, 2**60)),
)


def values(motion):
    return [*motion.lip_code, *motion.embedding, motion.pose, motion.blink, motion.gaze,
            motion.brow, motion.smile, motion.index]  # fmt: skip


@given(asks)
def test_a_motion_comes_through_bit_for_bit(ask):
    data = pack_ask(ask, TOKEN)
    found = unpack_ask(data, TOKEN, SLOTS)
    assert len(data) == MOTION_BYTES
    assert (found.number, found.slot, found.due_s) == (ask.number, ask.slot, ask.due_s)
    assert values(found.motion) == values(ask.motion)


@given(results)
def test_a_result_comes_through(result):
    data = pack_result(result, TOKEN)
    assert len(data) == RESULT_BYTES
    assert unpack_result(data, TOKEN, SLOTS) == result


@given(st.binary(max_size=2 * MOTION_BYTES))
def test_what_is_no_record_is_refused(data):
    with pytest.raises(RecordError):
        unpack_ask(data, TOKEN, SLOTS)
    with pytest.raises(RecordError):
        unpack_result(data, TOKEN, SLOTS)


@given(asks, st.integers(0, MOTION_BYTES - 1))
def test_a_record_that_is_cut_off_is_refused(ask, length):
    with pytest.raises(RecordError, match="bytes, expected"):
        unpack_ask(pack_ask(ask, TOKEN)[:length], TOKEN, SLOTS)


@given(asks, st.integers(0, MOTION_BYTES - 1), st.integers(1, 255))
def test_a_damaged_record_is_refused_or_in_its_limits(ask, at, flip):
    data = bytearray(pack_ask(ask, TOKEN))
    data[at] ^= flip
    try:
        found = unpack_ask(bytes(data), TOKEN, SLOTS)
    except RecordError:
        return
    assert found.slot < SLOTS
    assert len(found.motion.lip_code) <= MAX_LIPS
    assert np.isfinite(found.motion.embedding).all() and np.isfinite(found.motion.lip_code).all()


def test_another_sessions_record_is_refused():
    ask = Ask(1, 0, 0.0, Motion(0, np.zeros(8, np.float32)))
    with pytest.raises(RecordError, match="session"):
        unpack_ask(pack_ask(ask, TOKEN + 1), TOKEN, SLOTS)
    with pytest.raises(RecordError, match="session"):
        unpack_result(pack_result(Result(Kind.SHED), TOKEN + 1), TOKEN, SLOTS)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (Ask(1, SLOTS, 0.0, Motion(0, np.zeros(8, np.float32))), f"slot {SLOTS}, limit"),
        (Ask(1, 0, 0.0, Motion(7, np.full(8, np.nan, np.float32))), "motion 7 holds"),
        (Ask(1, 0, float("inf"), Motion(7, np.zeros(8, np.float32))), "motion 7 holds"),
    ],
)
def test_numbers_out_of_their_limits_are_named(ask, words):
    with pytest.raises(RecordError, match=words):
        unpack_ask(pack_ask(ask, TOKEN), TOKEN, SLOTS)


def test_a_motion_too_large_for_a_record_is_not_sent():
    with pytest.raises(RecordError, match=f"{MAX_LIPS + 1} lip coefficients"):
        pack_ask(Ask(1, 0, 0.0, Motion(0, np.zeros(MAX_LIPS + 1, np.float32))), TOKEN)


def test_a_result_of_an_unknown_kind_is_refused():
    data = bytearray(pack_result(Result(Kind.SHED), TOKEN))
    struct.pack_into("<I", data, 4, 9)
    with pytest.raises(RecordError, match="kind 9"):
        unpack_result(bytes(data), TOKEN, SLOTS)


@pytest.fixture
def sides():
    """A session's frame memory, as both processes see it."""
    ours, descriptor = FrameMemory.make(SIDE, TOKEN)
    theirs = FrameMemory(descriptor, SIDE, TOKEN)
    os.close(descriptor)
    return ours, theirs


def picture(number):
    return np.full((SIDE * 3 // 2, SIDE), number % 251, np.uint8)


def test_slots_are_used_again_and_again_and_old_pictures_never_taken_for_new(sides):
    ours, theirs = sides
    for number in range(1, 5 * SLOTS):
        slot = number % SLOTS
        with pytest.raises(RecordError, match=f"slot {slot} holds"):
            ours.read(slot, number)
        theirs.write(slot, number, picture(number))
        assert (ours.read(slot, number) == picture(number)).all()
        if number > SLOTS:
            with pytest.raises(RecordError, match=f"expected {number - SLOTS} of"):
                ours.read(slot, number - SLOTS)


def test_what_was_read_stays_when_the_slot_is_written_again(sides):
    ours, theirs = sides
    theirs.write(0, 1, picture(1))
    first = ours.read(0, 1)
    theirs.write(0, 2, picture(2))
    assert (first == picture(1)).all()


def test_a_picture_of_another_size_is_not_written(sides):
    with pytest.raises(RecordError, match=r"picture is \(24, 16\)"):
        sides[1].write(0, 1, np.zeros((24, 16), np.uint8))


@pytest.mark.parametrize("side", [0, 8, 130, 1088, 2**31])
def test_frame_memory_of_no_size_is_refused(side):
    with pytest.raises(RecordError, match=f"side is {side} px"):
        memory_bytes(side)


def test_frame_memory_that_is_too_small_or_could_shrink_is_refused():
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    try:
        with pytest.raises(RecordError, match="has 0 bytes, expected"):
            FrameMemory(descriptor, SIDE, TOKEN)
        os.ftruncate(descriptor, memory_bytes(SIDE))
        with pytest.raises(RecordError, match="seals are missing"):
            FrameMemory(descriptor, SIDE, TOKEN)
    finally:
        os.close(descriptor)


def test_an_avatar_is_the_same_one_wherever_it_arrives(avatar):
    found = avatar_of(descriptor_of(avatar))
    assert found.info == avatar.info
    for name in ("portrait", "matte", "landmarks"):
        assert (getattr(found, name) == getattr(avatar, name)).all()
        assert not getattr(found, name).flags.writeable
    # Passed on from there to a third process it costs nothing and stays itself.
    assert avatar_of(descriptor_of(found)) is found


def test_avatar_memory_that_can_be_changed_or_is_none_is_refused(avatar):
    whole = os.pread(descriptor_of(avatar), 2**24, 0)
    for data, words in [(whole, "seals"), (b"x" * 70_000, "seals"), (b"", "0 bytes")]:
        descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        try:
            os.write(descriptor, data)
            with pytest.raises(AvatarError, match=words):
                avatar_of(descriptor)
        finally:
            os.close(descriptor)


def test_messages_stay_apart_and_carry_descriptors():
    ours, theirs = (Channel(end) for end in pair())
    read, write = os.pipe()
    ours.send({"verb": "first"}, [write])
    ours.send({"verb": "second", "text": "é" * 20_000})
    os.close(write)
    with theirs.receive() as received:
        assert received.message == {"verb": "first"}
        os.write(received.look(0), b"hello")
        with pytest.raises(ChannelError, match="carries 1 descriptors, expected 2"):
            received.look(1)
    assert os.read(read, 10) == b"hello"
    assert os.read(read, 10) == b""
    os.close(read)
    assert len(theirs.receive().message["text"]) == 20_000
    with pytest.raises(BlockingIOError):
        theirs.receive()
    with pytest.raises(ChannelError, match=f"limit {MAX_BYTES}"):
        ours.send({"text": "x" * MAX_BYTES})
    ours.close()
    with pytest.raises(ChannelClosed):
        theirs.receive()
    with pytest.raises(ChannelClosed):
        theirs.send({})
    theirs.close()


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff\xfe"])
def test_what_is_no_message_is_refused(data):
    ours, theirs = pair()
    ours.send(data)
    with pytest.raises(ChannelError):
        Channel(theirs).receive()
    ours.close()
    theirs.close()


def test_a_side_that_does_not_read_never_makes_the_other_wait():
    ours, theirs = (Channel(end) for end in pair())
    with pytest.raises(ChannelError, match="has not read"):  # noqa: PT012 - how many, who knows
        for _ in range(1000):
            ours.send({"text": "x" * 10_000})
    ours.close()
    theirs.close()
