from collections import deque

import av
import numpy as np
import pytest

from engine.encode import SoundDecoder, SoundEncoder, VideoEncoder
from engine.errors import ConfigError
from engine.frames import Pcm

SIDE = 128
CODECS = ["vp8", "h264"]


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def moving(index):
    """A picture that takes any bitrate: a pattern under fresh grain."""
    rng = np.random.default_rng(index)
    pattern = 128 + 60 * np.sin(np.add.outer(np.arange(SIDE * 3 // 2), np.arange(SIDE) + index) / 9)
    return (pattern + rng.normal(0, 12, pattern.shape)).clip(16, 235).astype(np.uint8)


class Run:
    def __init__(self, codec, **settings):
        self.clock = Clock()
        self.encoder = VideoEncoder(codec, (SIDE, SIDE), clock=self.clock, **settings)
        self.index = 0

    def pictures(self, count, still=False):
        packets = []
        for _ in range(count):
            picture = moving(0 if still else self.index)
            packets += self.encoder.encode(picture, self.index)
            self.index += 1
            self.clock.now_s += 0.04
        return packets

    def kbps(self, packets):
        return sum(packet.size for packet in packets) * 8 / len(packets) * 25 / 1000


@pytest.mark.parametrize("codec", CODECS)
def test_one_picture_in_is_one_packet_out_at_its_own_time(codec):
    packets = Run(codec).pictures(10)
    assert [packet.pts * packet.time_base for packet in packets] == [
        pytest.approx(index * 0.04) for index in range(10)
    ]
    assert [packet.is_keyframe for packet in packets] == [True] + [False] * 9


@pytest.mark.parametrize(("codec", "decoder"), [("vp8", "libvpx"), ("h264", "h264")])
def test_what_is_encoded_decodes_to_the_picture(codec, decoder):
    encoder = VideoEncoder(codec, (SIDE, SIDE), kbps=2000)
    picture = np.full((SIDE * 3 // 2, SIDE), 128, np.uint8)
    picture[20:60, 20:60] = 200
    context = av.CodecContext.create(decoder, "r")
    frames = [
        frame
        for index in range(5)
        for packet in encoder.encode(picture, index)
        for frame in context.decode(packet)
    ]
    frames += context.decode(None)
    assert len(frames) == 5
    error = np.abs(frames[-1].to_ndarray(format="yuv420p").astype(int) - picture)
    assert error.mean() < 2


@pytest.mark.parametrize("codec", CODECS)
def test_a_requested_keyframe_comes_once_and_pictures_after_it_stay_small(codec):
    run = Run(codec)
    run.pictures(30)
    run.encoder.request_keyframe()
    packets = run.pictures(10, still=True)
    assert [packet.is_keyframe for packet in packets] == [True] + [False] * 9
    assert max(packet.size for packet in packets[5:]) < packets[0].size / 2


@pytest.mark.parametrize("codec", CODECS)
def test_a_storm_of_keyframe_requests_is_held_to_one_in_400_ms(codec):
    run = Run(codec)
    keyframes = 0
    for _ in range(50):
        run.encoder.request_keyframe()
        keyframes += run.pictures(1)[0].is_keyframe
    assert keyframes == 5


@pytest.mark.parametrize("target", [400, 2000])
def test_h264_follows_the_bitrate_without_a_keyframe(target):
    run = Run("h264", kbps=1000, max_kbps=2500)
    run.pictures(50)
    run.encoder.set_bitrate(target)
    run.pictures(50)
    packets = run.pictures(100)
    assert run.kbps(packets) == pytest.approx(target, rel=0.15)
    assert not any(packet.is_keyframe for packet in packets)


def test_vp8_restarts_for_a_large_drop_and_not_for_small_changes():
    run = Run("vp8", kbps=1600)
    run.pictures(100)
    run.encoder.set_bitrate(1400)
    assert not any(packet.is_keyframe for packet in run.pictures(100))
    run.encoder.set_bitrate(600)
    packets = run.pictures(125)
    assert [packet.is_keyframe for packet in packets] == [True] + [False] * 124
    assert run.kbps(packets[50:]) == pytest.approx(600, rel=0.25)


def test_vp8_does_not_restart_to_spend_more_than_it_began_with():
    run = Run("vp8", kbps=600, max_kbps=2500)
    run.pictures(1)
    run.encoder.set_bitrate(2500)
    assert not any(packet.is_keyframe for packet in run.pictures(300))


def test_vp8_restarts_are_rate_limited():
    run = Run("vp8", kbps=2000)
    targets = deque([300, 2000])
    keyframes = 0
    for _ in range(60):
        run.encoder.set_bitrate(targets[0])
        targets.rotate()
        keyframes += sum(packet.is_keyframe for packet in run.pictures(25))
    assert keyframes <= 60 / 3


def test_h264_is_constrained_baseline_with_headers_at_each_keyframe():
    run = Run("h264")
    first = bytes(run.pictures(1)[0])
    units = {chunk[0] & 31: chunk for chunk in first.split(b"\0\0\1")[1:]}
    assert set(units) >= {5, 7, 8}
    assert units[7][1] == 66
    assert units[7][2] & 0x40
    run.clock.now_s += 1
    run.encoder.request_keyframe()
    again = bytes(run.pictures(1)[0])
    assert {chunk[0] & 31 for chunk in again.split(b"\0\0\1")[1:]} >= {5, 7, 8}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vp9", (128, 128)), "'vp9'"),
        (("vp8", (127, 128)), "127x128"),
        (("vp8", (128, 128), 25, 9000), "9000 kbit/s"),
    ],
)
def test_wrong_settings_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        VideoEncoder(*arguments)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ConfigError, match=r"\(96, 64\)"):
        VideoEncoder("vp8", (SIDE, SIDE)).encode(np.zeros((96, 64), np.uint8), 0)


def test_sound_in_pieces_gives_the_packets_of_the_whole(speech):
    whole = SoundEncoder().push(Pcm(1920, speech[:48_000]))
    encoder = SoundEncoder()
    pieces = []
    start = 0
    for size in [100, 480, 1, 2000, 960] * 20:
        pieces += encoder.push(Pcm(1920 + start, speech[start : min(start + size, 48_000)]))
        start = min(start + size, 48_000)
    assert start == 48_000
    assert [bytes(packet) for packet in pieces] == [bytes(packet) for packet in whole]
    assert [packet.pts for packet in pieces] == [1920 + 960 * n for n in range(50)]


def test_sound_decodes_to_what_was_said(speech):
    said = speech[48_000:96_000]
    decoder = SoundDecoder()
    runs = [decoder.decode(bytes(p), p.pts) for p in SoundEncoder().push(Pcm(0, said))]
    assert [(run.pts, len(run.samples)) for run in runs] == [(960 * n, 960) for n in range(50)]
    heard = np.concatenate([run.samples for run in runs])
    delay = 312  # samples that Opus itself takes
    match = np.corrcoef(said[:-delay], heard[delay : len(said)])[0, 1]
    assert match > 0.8


def test_what_is_no_sound_is_refused():
    decoder = SoundDecoder()
    with pytest.raises(av.FFmpegError):
        decoder.decode(b"\xff" * 40, 0)
