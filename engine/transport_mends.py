"""The mends that aiortc needs, all of them, and nothing else.

`apply` sets what is global, once. Everything else is set on one connection's own objects, so that
other users of aiortc in the process see the library as it is. Each mend touches private names;
`apply` checks that they are there and refuses to run on another aiortc.
"""

import asyncio
import logging
import queue
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aioice.ice
import aiortc
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, clock
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_header_extensions,
    unpack_header_extensions,
    unpack_remb_fci,
)

from engine.errors import BackendError

logger = logging.getLogger(__name__)

AIORTC_VERSION: Final = "1.16"
PLAYOUT_DELAY_URI: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

PLAYOUT_DELAY_MAX_MS: Final = 200

CONSENT_INTERVAL_S: Final = 0.8
CONSENT_FAILURES: Final = 3
"""Three missed answers, each 0.8 s +-20 % apart and 0.5 s in coming: at most 4.4 s."""

_PRIVATE: Final[tuple[tuple[type, str], ...]] = (
    (RTCRtpReceiver, "_handle_rtp_packet"),
    (RTCRtpReceiver, "_RTCRtpReceiver__stop_decoder"),
    (RTCRtpSender, "_handle_rtcp_packet"),
    (RTCRtpSender, "_send_keyframe"),
    (RTCRtpSender, "_send_rtcp"),
    (RTCRtpSender, "_run_rtp"),
    (RTCDtlsTransport, "_handle_rtp_data"),
    (RTCDtlsTransport, "_handle_rtcp_data"),
    (aioice.ice.Connection, "query_consent"),
    (HeaderExtensionsMap, "configure"),
    (HeaderExtensionsMap, "set"),
)
_RECEIVER_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
_RECEIVER_DECODER: Final = "_RTCRtpReceiver__decoder_queue"
_SENDER_LAST_REPORT: Final = "_RTCRtpSender__lsr"
_SENDER_EXTENSIONS: Final = "_RTCRtpSender__rtp_header_extensions_map"


def apply() -> None:
    """Checks aiortc and sets the consent timing; may be called any number of times.

    Raises:
        BackendError: aiortc is another version, or lacks a private name that a mend needs.
    """
    if ".".join(aiortc.__version__.split(".")[:2]) != AIORTC_VERSION:
        raise BackendError(
            f"aiortc is {aiortc.__version__}, expected {AIORTC_VERSION}: its mends need review"
        )
    for owner, name in _PRIVATE:
        if not hasattr(owner, name):
            raise BackendError(
                f"aiortc {aiortc.__version__} has no {owner.__name__}.{name}: its mends need review"
            )
    for name in ("CONSENT_INTERVAL", "CONSENT_FAILURES"):
        if not hasattr(aioice.ice, name):
            raise BackendError(f"aioice has no {name}: the consent mend needs review")
    # aioice gives the interval as a whole number; it only ever multiplies it.
    aioice.ice.CONSENT_INTERVAL = CONSENT_INTERVAL_S  # type: ignore[assignment]
    aioice.ice.CONSENT_FAILURES = CONSENT_FAILURES


def _has(owner: object, name: str) -> None:
    if not hasattr(owner, name):
        raise BackendError(
            f"aiortc {aiortc.__version__} has no {type(owner).__name__} {name}: "
            "its mends need review"
        )


class InOrderBuffer:
    """Stands in for aiortc's jitter buffer: each packet is handed over as it comes.

    aiortc's own holds sound back by 80 ms, and by 200 ms more after each lost packet (aiortc
    #543). Here a packet older than the newest is dropped; what is missing shows in the RTP
    timestamps.
    """

    RESTART_AFTER = 25
    """Packets in a row that all seem late: the sender has started a new count."""

    def __init__(self) -> None:
        self.late = 0
        self._newest: int | None = None
        self._late_run = 0

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Takes one packet and returns (False, its frame), or (False, None) if it is late."""
        sequence = packet.sequence_number
        if self._newest is not None and not 0 < (sequence - self._newest) % 65_536 < 32_768:
            self.late += 1
            self._late_run += 1
            if self._late_run < self.RESTART_AFTER:
                return False, None
        self._late_run = 0
        self._newest = sequence
        data: bytes = packet._data  # type: ignore[attr-defined]
        return False, JitterFrame(data=data, timestamp=packet.timestamp)


def remove_audio_delay(receiver: RTCRtpReceiver) -> InOrderBuffer:
    """Gives an audio receiver the buffer that does not hold packets back."""
    _has(receiver, _RECEIVER_BUFFER)
    buffer = InOrderBuffer()
    setattr(receiver, _RECEIVER_BUFFER, buffer)
    return buffer


class _Undecoded(queue.Queue[Any]):
    """Stands in for the queue to aiortc's decoder thread, which is told of the end alone."""

    def __init__(self, take: Callable[[bytes, int], None]) -> None:
        super().__init__()
        self._hand_over = take

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:
            super().put(item, block, timeout)
        else:
            _, frame = item
            self._hand_over(frame.data, frame.timestamp)


def hand_over_undecoded(receiver: RTCRtpReceiver, take: Callable[[bytes, int], None]) -> None:
    """Gives a receiver's packets to `take` on the event loop, as they come.

    aiortc decodes on a thread of its own and comes back through the event loop's lock, a hundred
    times a second; to be called before its receiver starts.

    Args:
        take: gets the payload and its RTP time, counted from the first packet's and never wrapped;
            what it raises is raised where the packet is handled.
    """
    _has(receiver, _RECEIVER_DECODER)
    setattr(receiver, _RECEIVER_DECODER, _Undecoded(take))


class _PlayoutDelayMap(HeaderExtensionsMap):
    """Adds playout-delay to what a sender writes: show each picture when it arrives.

    The greatest delay leaves the browser room to hold pictures back where a bad network makes its
    sound late; on a good one it costs nothing.
    """

    _VALUE = (PLAYOUT_DELAY_MAX_MS // 10).to_bytes(3, "big")

    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY_URI:
                self._id = extension.id

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, value = super().set(values)
        if self._id is None:
            return profile, value
        extensions = unpack_header_extensions(profile, value)
        return pack_header_extensions([*extensions, (self._id, self._VALUE)])


def offer_playout_delay(
    transceiver: aiortc.RTCRtpTransceiver, offered: list[RTCRtpHeaderExtensionParameters]
) -> bool:
    """Accepts playout-delay in the answer and sends it, where the offer has it.

    To be called after `setRemoteDescription` and before `createAnswer`.

    Args:
        offered: the header extensions of the offer's video section.

    Returns:
        Whether the offer had it.
    """
    _has(transceiver, "_headerExtensions")
    _has(transceiver.sender, _SENDER_EXTENSIONS)
    wanted = [e for e in offered if e.uri == PLAYOUT_DELAY_URI]
    if wanted:
        transceiver._headerExtensions = [*transceiver._headerExtensions, wanted[0]]
        setattr(transceiver.sender, _SENDER_EXTENSIONS, _PlayoutDelayMap())
    return bool(wanted)


def open_bundled(sdp: str) -> str:
    """Gives sections that share the first one's port a port of their own, if only in name.

    Firefox offers them as `m=video 0` with `a=bundle-only` (RFC 8843, 6), which aiortc does not
    know; without that line port 0 means that a section is refused.
    """
    sections = re.split(r"(?m)^(?=m=)", sdp)
    return "".join(
        re.sub(r"^(m=\w+) 0 ", r"\1 9 ", section)
        if re.search(r"(?m)^a=bundle-only\r?$", section)
        else section
        for section in sections
    )


def with_ptime(sdp: str, ptime_ms: int) -> str:
    """Adds `a=ptime` to the audio section of an answer: the browser sends packets that long."""
    head, mark, tail = sdp.partition("m=audio ")
    if not mark:
        return sdp
    line, end, rest = tail.partition("\r\n")
    section, next_mark, others = rest.partition("m=")
    return f"{head}{mark}{line}{end}{section}a=ptime:{ptime_ms}\r\n{next_mark}{others}"


def route_feedback(
    sender: RTCRtpSender,
    on_keyframe: Callable[[], None],
    on_bitrate: Callable[[int], None],
    on_report: Callable[[RtcpReceiverInfo], None],
) -> None:
    """Sends a receiver's wishes to our own encoder; aiortc knows only the encoder it made.

    Args:
        on_keyframe: on PLI and FIR.
        on_bitrate: on REMB, with bits a second.
        on_report: on each receiver report of this sender's stream.
    """
    handle = sender._handle_rtcp_packet

    async def handle_and_tell(packet: Any) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bps, ssrcs = unpack_remb_fci(packet.fci)
            except ValueError:
                return
            if sender._ssrc in ssrcs:
                on_bitrate(bps)
            return
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    on_report(report)
        await handle(packet)

    sender._handle_rtcp_packet = handle_and_tell  # type: ignore[method-assign]
    sender._send_keyframe = on_keyframe  # type: ignore[method-assign]


def report_media_time(sender: RTCRtpSender, age_s: Callable[[], float]) -> None:
    """Makes sender reports tell when the last packet's media was captured, not when it was sent.

    aiortc pairs the RTP timestamp with the time of sending, so a receiver takes whatever hold
    there is between sound and picture for a difference in their content (aiortc #901).

    Args:
        age_s: seconds since the media of the packet last sent was captured.
    """
    _has(sender, _SENDER_LAST_REPORT)
    send = sender._send_rtcp

    async def send_mended(packets: list[Any]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                info.ntp_timestamp = clock.current_ntp_time() - int(age_s() * 2**32)
                setattr(sender, _SENDER_LAST_REPORT, info.ntp_timestamp >> 16 & 0xFFFFFFFF)
        await send(packets)

    sender._send_rtcp = send_mended  # type: ignore[method-assign]


def survive_bad_packets(transport: RTCDtlsTransport, on_error: Callable[[], None]) -> None:
    """Keeps an exception over one packet from closing the whole connection."""

    def guard(handle: Callable[..., Awaitable[None]], what: str) -> Callable[..., Awaitable[None]]:
        warned = False

        async def guarded(*args: Any, **kwargs: Any) -> None:
            nonlocal warned
            try:
                await handle(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  whatever one packet does, the call goes on
                on_error()
                if not warned:
                    logger.warning("%s packet could not be handled: %r", what, error)
                    warned = True

        return guarded

    transport._handle_rtp_data = guard(  # type: ignore[method-assign, assignment]
        transport._handle_rtp_data, "an RTP"
    )
    transport._handle_rtcp_data = guard(  # type: ignore[method-assign, assignment]
        transport._handle_rtcp_data, "an RTCP"
    )


def consent_expired(connection: RTCPeerConnection) -> bool:
    """Whether a connection that stood has ended because the other side stopped answering.

    aiortc closes on it without saying why; aioice forgets its consent task then and only then.
    """
    checks = [
        transceiver.receiver.transport.transport._connection
        for transceiver in connection.getTransceivers()
    ]
    return any(check._query_consent_task is None for check in checks)


async def close(connection: RTCPeerConnection, timeout_s: float = 3.0) -> bool:
    """Closes a connection in bounded time, also where aiortc's own close would hang (#283).

    Returns:
        Whether aiortc closed in time; if not, sockets and decoder threads were ended by force.
    """
    transports = {
        transceiver.receiver.transport
        for transceiver in connection.getTransceivers()
        if transceiver.receiver.transport is not None
    }
    try:
        await asyncio.wait_for(connection.close(), timeout_s)
        return True
    except TimeoutError:
        logger.warning("a connection did not close within %.1f s, ending it", timeout_s)
    for transceiver in connection.getTransceivers():
        transceiver.receiver._handle_disconnect()
    for transport in transports:
        await _end(transport, timeout_s)
    return False


async def _end(transport: RTCDtlsTransport, timeout_s: float) -> None:
    ice: RTCIceTransport = transport.transport
    for stop in (transport.stop, ice.stop, ice._connection.close):
        try:
            await asyncio.wait_for(stop(), timeout_s)
        except (TimeoutError, ConnectionError, OSError) as error:
            logger.warning("%s failed: %r", stop.__qualname__, error)
