"""One WebRTC connection: answers an offer, hears the microphone, sends pictures and sound."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpReceiverInfo
from aiortc.sdp import MediaDescription, SessionDescription

from engine import transport_mends
from engine.encode import AnyPacket, SoundDecoder, VideoCodec
from engine.errors import SignallingError
from engine.frames import FRAME_SAMPLES, Pcm

PTIME_MS: Final = 10
MAX_CANDIDATES: Final = 100
SOUND_QUEUE_MS: Final = 1000
VIDEO_QUEUE: Final = 3
"""Encoded pictures that may wait; beyond it all of them are dropped and a keyframe follows."""

_SDP_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    LookupError,
    OperationError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What aiortc raises on an SDP that it cannot follow: it parses without checking."""


class BitrateControl:
    """The bitrate that the network allows, from REMB and from the loss in receiver reports.

    A receiver's estimate follows what is sent, so a small one says nothing while little is sent:
    it counts as a limit only when it comes near the rate in use.

    Args:
        kbps, min_kbps, max_kbps: start and limits.
        clock: seconds, monotonic.
    """

    _WINDOW_S = 1.0

    def __init__(
        self,
        kbps: int,
        min_kbps: int,
        max_kbps: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kbps = kbps
        self._min = min_kbps
        self._max = max_kbps
        self._clock = clock
        self._limit = float(max_kbps)
        self._wanted = float(kbps)
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_bytes = 0

    def on_sent(self, size: int) -> None:
        """Notes `size` bytes of video sent now."""
        self._sent.append((self._clock(), size))
        self._sent_bytes += size
        self._forget()

    def sent_kbps(self) -> float:
        """Rate of video over the last second."""
        self._forget()
        return self._sent_bytes * 8 / 1000 / self._WINDOW_S

    def on_remb(self, bps: int) -> int:
        """Takes a receiver's estimate in bits a second; returns the new target in kbit/s."""
        kbps = bps / 1000
        if kbps < 1.2 * self.sent_kbps() or kbps > self._limit:
            self._limit = kbps
        return self._settle()

    def on_loss(self, share: float) -> int:
        """Takes the share of packets lost, 0 to 1; returns the new target in kbit/s."""
        if share > 0.1:
            self._wanted *= 1.0 - share / 2
        elif share < 0.02:
            self._wanted *= 1.05
        return self._settle()

    def _settle(self) -> int:
        self._wanted = min(max(self._wanted, self._min), self._max)
        self.kbps = int(min(max(min(self._wanted, self._limit), self._min), self._max))
        return self.kbps

    def _forget(self) -> None:
        oldest = self._clock() - self._WINDOW_S
        while self._sent and self._sent[0][0] < oldest:
            self._sent_bytes -= self._sent.popleft()[1]


class _PacketTrack(MediaStreamTrack):
    """Hands encoded packets to aiortc, which then only cuts them up and sends them."""

    def __init__(self, kind: str, limit: int) -> None:
        super().__init__()
        self.kind = kind
        self.last_pts = 0
        self._limit = limit
        self._queue: asyncio.Queue[AnyPacket | None] = asyncio.Queue()

    def put(self, packets: Iterable[AnyPacket]) -> int:
        """Queues packets; returns how many waiting ones were dropped to keep the bound."""
        dropped = 0
        if self._queue.qsize() >= self._limit:
            dropped = self._queue.qsize()
            while not self._queue.empty():
                self._queue.get_nowait()
        for packet in packets:
            self._queue.put_nowait(packet)
        return dropped

    def finish(self) -> None:
        self._queue.put_nowait(None)

    async def recv(self) -> AnyPacket:
        packet = await self._queue.get()
        if packet is None:
            raise MediaStreamError
        self.last_pts = packet.pts or 0
        return packet


@dataclass(slots=True)
class PeerFigures:
    """What the connection has counted.

    Attributes:
        bytes_sent, bytes_received: on the wire, sound and video and feedback together.
        late_packets: microphone packets that came out of order and were dropped.
        bad_packets: packets that raised an error and were passed over.
        loss: share of our video packets lost, as last reported.
        rtt_ms: round trip, None until it was reported.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    late_packets: int = 0
    bad_packets: int = 0
    loss: float = 0.0
    rtt_ms: float | None = None


class Peer:
    """A browser at the other end.

    Args:
        bitrate: decides the video bitrate from the receiver's feedback.
        on_keyframe: called when the receiver has lost the picture.
        on_bitrate: called with a new video bitrate in kbit/s.
        age_s: seconds since the media of this media time, in samples at 48 kHz, was captured.
        on_sound: called with the browser's sound as it comes: 48 kHz, mono, pts from its RTP
            timestamps.

    Attributes:
        connected, ended: set once each, when media can flow and when it never will again.
        end: why it ended: "closed" by the browser or by us, or "lost".
        video_codec: what the offer's order decided; known after `answer`.
    """

    def __init__(
        self,
        bitrate: BitrateControl,
        on_keyframe: Callable[[], None],
        on_bitrate: Callable[[int], None],
        age_s: Callable[[int], float],
        on_sound: Callable[[Pcm], None],
    ) -> None:
        transport_mends.apply()
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.end = "closed"
        self.video_codec: VideoCodec = "vp8"
        self.figures = PeerFigures()
        self._bitrate = bitrate
        self._on_keyframe = on_keyframe
        self._on_bitrate = on_bitrate
        self._age_s = age_s
        self._on_sound = on_sound
        self._decoder = SoundDecoder()
        self._sound = _PacketTrack("audio", SOUND_QUEUE_MS // 20)
        self._video = _PacketTrack("video", VIDEO_QUEUE)
        self._buffer: transport_mends.InOrderBuffer | None = None
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.on("connectionstatechange", self._on_state)

    async def answer(self, offer: str) -> str:
        """Answers an SDP offer that holds its candidates.

        Returns:
            The SDP answer, with candidates.

        Raises:
            SignallingError: the offer cannot be answered; the message says why.
        """
        offer = transport_mends.open_bundled(offer)
        video = _check_offer(offer)
        connection = self._connection
        try:
            sound_out = connection.addTransceiver(self._sound, direction="sendrecv")
            video_out = connection.addTransceiver(self._video, direction="sendonly")
            capabilities = RTCRtpReceiver.getCapabilities("audio")
            assert capabilities is not None
            sound_out.setCodecPreferences([c for c in capabilities.codecs if c.name == "opus"])
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._mend(sound_out, video_out, video)
            await connection.setLocalDescription(await connection.createAnswer())
        except _SDP_FAULTS as error:
            raise SignallingError(
                f"the offer cannot be answered: {str(error) or type(error).__name__}"
            ) from error
        answer = str(connection.localDescription.sdp)
        self.video_codec = _first_video_codec(answer)
        return transport_mends.with_ptime(answer, PTIME_MS)

    def send_picture(self, packets: list[AnyPacket]) -> int:
        """Sends one encoded picture; never waits.

        Returns:
            How many encoded pictures were dropped because the network did not take them.
        """
        for packet in packets:
            self._bitrate.on_sent(packet.size)
        dropped = self._video.put(packets)
        if dropped:
            self._on_keyframe()
        return dropped

    def send_sound(self, packet: AnyPacket) -> int:
        """Sends one packet of sound; never waits. Returns how many were dropped, as above."""
        return self._sound.put([packet])

    async def measure(self) -> PeerFigures:
        """Brings `figures` up to date."""
        report = await self._connection.getStats()
        for stats in report.values():
            if stats.type == "transport":
                self.figures.bytes_sent = stats.bytesSent
                self.figures.bytes_received = stats.bytesReceived
            elif stats.type == "remote-inbound-rtp" and stats.roundTripTime is not None:
                self.figures.rtt_ms = stats.roundTripTime * 1000.0
        if self._buffer is not None:
            self.figures.late_packets = self._buffer.late
        return self.figures

    async def close(self) -> None:
        """Ends the connection in bounded time; may be called more than once."""
        self._sound.finish()
        self._video.finish()
        await transport_mends.close(self._connection)
        self.ended.set()

    def _mend(
        self, sound: RTCRtpTransceiver, video: RTCRtpTransceiver, offered: MediaDescription
    ) -> None:
        self._buffer = transport_mends.remove_audio_delay(sound.receiver)
        transport_mends.hand_over_undecoded(sound.receiver, self._hear)
        transport_mends.offer_playout_delay(video, offered.rtp.headerExtensions)
        transport_mends.route_feedback(
            video.sender,
            on_keyframe=self._on_keyframe,
            on_bitrate=lambda bps: self._on_bitrate(self._bitrate.on_remb(bps)),
            on_report=self._on_report,
        )
        for sender, track, rate in (
            (sound.sender, self._sound, 1),
            (video.sender, self._video, FRAME_SAMPLES),
        ):
            transport_mends.report_media_time(sender, partial(self._age_of_last, track, rate))
        for transport in {sound.receiver.transport, video.receiver.transport}:
            transport_mends.survive_bad_packets(transport, self._on_bad_packet)

    def _hear(self, payload: bytes, pts: int) -> None:
        """Not every packet has sound: one without a payload keeps a way through a NAT open."""
        if payload:
            self._on_sound(self._decoder.decode(payload, pts))

    def _age_of_last(self, track: _PacketTrack, samples: int) -> float:
        return self._age_s(track.last_pts * samples)

    def _on_report(self, report: RtcpReceiverInfo) -> None:
        self.figures.loss = report.fraction_lost / 256
        self._on_bitrate(self._bitrate.on_loss(self.figures.loss))

    def _on_bad_packet(self) -> None:
        self.figures.bad_packets += 1

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
        elif state in ("failed", "closed") and not self.ended.is_set():
            silent = self.connected.is_set() and transport_mends.consent_expired(self._connection)
            self.end = "lost" if silent or state == "failed" else "closed"
            self.ended.set()


def _check_offer(offer: str) -> MediaDescription:
    """Checks an offer and gives its video section.

    Raises:
        SignallingError: a section is missing, doubled, faces the wrong way, or lacks what a
            connection needs.
    """
    try:
        media = SessionDescription.parse(offer).media
    except _SDP_FAULTS as error:
        raise SignallingError(f"the offer of {len(offer)} characters is not a valid SDP") from error
    audio = _only(media, "audio", ("sendrecv", "sendonly"), "send the microphone")
    video = _only(media, "video", ("sendrecv", "recvonly"), "receive the picture")
    if not any(codec.name.lower() == "opus" for codec in audio.rtp.codecs):
        raise SignallingError("the offer's audio section lists no Opus, which every call uses")
    candidates = sum(len(section.ice_candidates) for section in media)
    if candidates > MAX_CANDIDATES:
        raise SignallingError(
            f"the offer has {candidates} candidates, expected at most {MAX_CANDIDATES}"
        )
    for section in (audio, video):
        if section.ice is None or not section.ice.usernameFragment or not section.ice.password:
            raise SignallingError(f"the offer's {section.kind} section has no ICE credentials")
        if section.dtls is None or not section.dtls.fingerprints:
            raise SignallingError(f"the offer's {section.kind} section has no DTLS fingerprint")
        if not section.rtcp_mux:
            raise SignallingError(f"the offer's {section.kind} section lacks a=rtcp-mux")
    return video


def _only(
    media: list[MediaDescription], kind: str, directions: tuple[str, ...], purpose: str
) -> MediaDescription:
    sections = [section for section in media if section.kind == kind and section.port != 0]
    if len(sections) != 1:
        found = len(sections) or "no"
        raise SignallingError(f"the offer has {found} {kind} sections, expected exactly one")
    direction = sections[0].direction or "sendrecv"
    if direction not in directions:
        raise SignallingError(
            f"the offer's {kind} section is {direction}, expected {' or '.join(directions)} "
            f"to {purpose}"
        )
    return sections[0]


def _first_video_codec(answer: str) -> VideoCodec:
    for section in SessionDescription.parse(answer).media:
        if section.kind == "video":
            name = section.rtp.codecs[0].name.lower()
            if name == "vp8":
                return "vp8"
            if name == "h264":
                return "h264"
            raise SignallingError(f"the offer led to {name!r}, expected VP8 or H264")
    raise SignallingError("the answer has no video section")
