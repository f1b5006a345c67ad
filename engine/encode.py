"""Coding for the wire: pictures to VP8 or H.264, sound to and from Opus, a packet at a time."""

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from engine.errors import ConfigError
from engine.frames import FPS, SAMPLE_RATE_HZ, Pcm

VideoCodec = Literal["vp8", "h264"]
AnyPacket: TypeAlias = "av.Packet[Any]"

SOUND_KBPS = 48
SOUND_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
"""Samples in one Opus packet: 960, that is 20 ms."""

_SOUND_TIME_BASE = Fraction(1, SAMPLE_RATE_HZ)
_VBV_MS = 240
_KEYFRAME_EVERY_S = 0.4
_NEVER = 1_000_000
_FINEST = 8
"""libvpx's least quantiser, 0 to 63: below it bits and time buy what nobody sees."""
_STILL = 200
"""Squared difference below which libvpx leaves a block as it was."""
_SOUND_EFFORT = 5
"""Of libopus, 0 to 10."""


class VideoEncoder:
    """Encodes I420 pictures without delay: one picture in, one packet out.

    H.264 follows `set_bitrate` at the next picture. libvpx cannot change its bitrate while it
    runs, so VP8 starts a new encoder, which costs a keyframe: only for large changes, seldom, and
    never above the bitrate that it began with.

    Args:
        codec: "vp8" (libvpx, realtime, error resilient) or "h264" (x264, superfast, baseline).
        size: (width, height) in pixels, both even.
        fps: pictures a second; also the time base of the packets.
        kbps: starting bitrate.
        max_kbps: `set_bitrate` never goes above it.
        threads: of the encoder.
        clock: seconds, monotonic; limits how often keyframes and VP8 restarts may come.

    Raises:
        ConfigError: unknown codec, odd size, or a bitrate out of range.
    """

    VP8_DOWN, VP8_DOWN_EVERY_S = 0.75, 3.0
    VP8_UP, VP8_UP_EVERY_S = 1.5, 10.0

    def __init__(
        self,
        codec: VideoCodec,
        size: tuple[int, int],
        fps: int = FPS,
        kbps: int = 1200,
        *,
        max_kbps: int = 2500,
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if codec not in get_args(VideoCodec):
            raise ConfigError(f"video codec is {codec!r}, expected one of {get_args(VideoCodec)}")
        if size[0] % 2 or size[1] % 2 or min(size) < 2:
            raise ConfigError(f"video size is {size[0]}x{size[1]}, expected even sides")
        if not 1 <= kbps <= max_kbps:
            raise ConfigError(f"video bitrate is {kbps} kbit/s, expected 1 to {max_kbps}")
        self.codec: VideoCodec = codec
        self.size = size
        self.target_kbps = kbps
        self._fps = fps
        self._max_kbps = max_kbps
        self._threads = threads
        self._clock = clock
        self._running_kbps = kbps
        self._first_kbps = kbps
        self._context: VideoCodecContext | None = None
        self._started_s = clock()
        self._keyframe_s = float("-inf")
        self._keyframe_wanted = False

    def set_bitrate(self, kbps: int) -> None:
        """Sets the target in kbit/s, held within 1 and `max_kbps`. Safe from any thread."""
        self.target_kbps = max(1, min(kbps, self._max_kbps))

    def request_keyframe(self) -> None:
        """Asks for a keyframe as soon as the last one is 0.4 s old. Safe from any thread."""
        self._keyframe_wanted = True

    def encode(
        self, i420: npt.NDArray[np.uint8], index: int, keyframe: bool = False
    ) -> list[AnyPacket]:
        """Encodes one picture.

        Args:
            i420: (height * 3 // 2, width) uint8, contiguous.
            index: picture number, growing; becomes the pts in units of 1 / fps.
            keyframe: ask for a keyframe, as `request_keyframe` does.

        Returns:
            One packet, with pts and time base.

        Raises:
            ConfigError: the picture's shape or type is not the encoder's.
        """
        width, height = self.size
        if i420.shape != (height * 3 // 2, width) or i420.dtype != np.uint8:
            raise ConfigError(
                f"picture is {i420.shape} {i420.dtype}, expected {(height * 3 // 2, width)} uint8"
            )
        now = self._clock()
        context = self._prepare(now)
        # A frame object sent twice after a keyframe would stay a keyframe: make one each time.
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(i420), format="yuv420p")
        frame.pts = index
        frame.time_base = context.time_base
        self._keyframe_wanted |= keyframe
        if self._keyframe_wanted and now - self._keyframe_s >= _KEYFRAME_EVERY_S:
            frame.pict_type = PictureType.I
        packets = context.encode(frame)
        for packet in packets:
            packet.time_base = context.time_base
            if packet.is_keyframe:
                self._keyframe_s = now
                self._keyframe_wanted = False
        return packets

    def _prepare(self, now: float) -> VideoCodecContext:
        if self._context is None:
            return self._open(now)
        if self.codec == "h264":
            if self.target_kbps != self._running_kbps:
                self._context.bit_rate = self.target_kbps * 1000
                self._running_kbps = self.target_kbps
            return self._context
        change = min(self.target_kbps, self._first_kbps) / self._running_kbps
        age_s = now - self._started_s
        if (change <= self.VP8_DOWN and age_s >= self.VP8_DOWN_EVERY_S) or (
            change >= self.VP8_UP and age_s >= self.VP8_UP_EVERY_S
        ):
            return self._open(now)
        return self._context

    def _open(self, now: float) -> VideoCodecContext:
        h264 = self.codec == "h264"
        context = av.CodecContext.create("libx264" if h264 else "libvpx", "w")
        context.width, context.height = self.size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self._fps)
        context.framerate = Fraction(self._fps, 1)
        context.gop_size = _NEVER
        context.thread_count = self._threads
        if h264:
            # x264 takes new bitrates only in constant-bitrate mode and never above the one it was
            # opened with, so it opens at the limit and is turned down before the first picture.
            context.bit_rate = self._max_kbps * 1000
            context.profile = "Baseline"
            context.options = {
                "preset": "superfast",
                "tune": "zerolatency",
                "forced-idr": "1",
                "maxrate": str(self._max_kbps * 1000),
                "bufsize": str(self._max_kbps * _VBV_MS),
            }
            context.open()
            context.bit_rate = self.target_kbps * 1000
            self._running_kbps = self.target_kbps
        else:
            self._running_kbps = min(self.target_kbps, self._first_kbps)
            bps = str(self._running_kbps * 1000)
            context.bit_rate = self._running_kbps * 1000
            context.qmin, context.qmax = _FINEST, 56
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-12",
                "lag-in-frames": "0",
                "error-resilient": "default",
                "static-thresh": str(_STILL),
                "minrate": bps,
                "maxrate": bps,
                "bufsize": bps,
                "undershoot-pct": "100",
                "overshoot-pct": "15",
            }
            context.open()
        self._context = context
        self._started_s = now
        return context


class SoundEncoder:
    """Encodes a run of sound to Opus: 48 kHz mono, 20 ms a packet, with data to mend losses."""

    def __init__(self, kbps: int = SOUND_KBPS) -> None:
        context = av.CodecContext.create("libopus", "w")
        context.bit_rate = kbps * 1000
        context.format = "s16"
        context.layout = "mono"
        context.sample_rate = SAMPLE_RATE_HZ
        context.time_base = _SOUND_TIME_BASE
        context.options = {
            "application": "voip",
            "compression_level": str(_SOUND_EFFORT),
            "frame_duration": "20",
            "fec": "1",
            "packet_loss": "5",
        }
        self._context = context
        self._rest = Pcm(0, np.zeros(0, np.int16))

    def push(self, pcm: Pcm) -> list[AnyPacket]:
        """Takes sound that follows the last; gives a packet, with its pts, for each full 20 ms."""
        start, samples = self._rest.pts, np.concatenate((self._rest.samples, pcm.samples))
        if len(self._rest.samples) == 0:
            start = pcm.pts
        packets: list[AnyPacket] = []
        while len(samples) >= SOUND_FRAME_SAMPLES:
            block, samples = samples[:SOUND_FRAME_SAMPLES], samples[SOUND_FRAME_SAMPLES:]
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            frame.pts = start
            frame.time_base = _SOUND_TIME_BASE
            for packet in self._context.encode(frame):
                # libopus counts from its own delay; the wire wants the time of the sound.
                packet.pts = start
                packet.time_base = _SOUND_TIME_BASE
                packets.append(packet)
            start += SOUND_FRAME_SAMPLES
        self._rest = Pcm(start, samples)
        return packets


class SoundDecoder:
    """Decodes Opus to 48 kHz mono."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        context.format = "s16"
        context.layout = "mono"
        context.sample_rate = SAMPLE_RATE_HZ
        self._context = context

    def decode(self, payload: bytes, pts: int) -> Pcm:
        """The sound of one packet, whose first sample has this pts.

        Raises:
            av.FFmpegError: it is no Opus packet.
        """
        frames = self._context.decode(av.Packet(payload))
        heard = [
            np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples) for frame in frames
        ]
        return Pcm(pts, np.concatenate(heard))
