import asyncio

import aioice.ice
import aiortc
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    HeaderExtensions,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
    unpack_header_extensions,
)

from engine import transport_mends
from engine.errors import BackendError


def rtp(sequence, timestamp=None):
    packet = RtpPacket(sequence_number=sequence % 65_536, timestamp=timestamp or sequence * 480)
    packet._data = b"%d" % sequence
    return packet


def through(buffer, sequences):
    frames = [buffer.add(rtp(sequence))[1] for sequence in sequences]
    return [int(frame.data) for frame in frames if frame is not None]


@pytest.fixture
async def connection():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("audio", direction="sendrecv")
    connection.addTransceiver("video", direction="sendonly")
    yield connection
    await connection.close()


def test_apply_may_be_called_again_and_shortens_consent():
    transport_mends.apply()
    transport_mends.apply()
    slowest_s = aioice.ice.CONSENT_FAILURES * (aioice.ice.CONSENT_INTERVAL * 1.2 + 0.5)
    assert slowest_s < 4.5


def test_another_aiortc_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(aiortc, "__version__", "1.17.2")
    with pytest.raises(BackendError, match=r"aiortc is 1\.17\.2, expected 1\.16"):
        transport_mends.apply()


def test_a_missing_private_name_is_refused_by_name(monkeypatch):
    monkeypatch.delattr(aiortc.RTCRtpSender, "_send_keyframe")
    with pytest.raises(BackendError, match=r"RTCRtpSender\._send_keyframe"):
        transport_mends.apply()


def test_packets_in_order_are_handed_over_at_once():
    assert through(transport_mends.InOrderBuffer(), range(50)) == list(range(50))


def test_after_a_lost_packet_the_next_is_handed_over_at_once():
    buffer = transport_mends.InOrderBuffer()
    assert through(buffer, [0, 1, 3, 4]) == [0, 1, 3, 4]


def test_late_and_doubled_packets_are_dropped():
    buffer = transport_mends.InOrderBuffer()
    assert through(buffer, [0, 2, 1, 2, 3]) == [0, 2, 3]
    assert buffer.late == 2


def test_sequence_numbers_wrap():
    buffer = transport_mends.InOrderBuffer()
    assert through(buffer, [65_534, 65_535, 65_536, 65_537]) == [65_534, 65_535, 65_536, 65_537]


def test_a_sender_that_counts_anew_is_followed():
    buffer = transport_mends.InOrderBuffer()
    through(buffer, range(30_000, 30_010))
    assert len(through(buffer, range(100, 150))) == 50 - buffer.RESTART_AFTER + 1


async def test_the_receiver_takes_the_buffer(connection):
    receiver = connection.getTransceivers()[0].receiver
    buffer = transport_mends.remove_audio_delay(receiver)
    assert receiver._RTCRtpReceiver__jitter_buffer is buffer


async def test_a_receiver_hands_packets_over_undecoded_and_its_thread_hears_of_the_end(connection):
    receiver = connection.getTransceivers()[0].receiver
    taken = []
    transport_mends.hand_over_undecoded(receiver, lambda data, at: taken.append((data, at)))
    waiting = receiver._RTCRtpReceiver__decoder_queue
    waiting.put((None, JitterFrame(data=b"sound", timestamp=480)))
    assert taken == [(b"sound", 480)]
    assert waiting.empty()
    waiting.put(None)
    assert waiting.get_nowait() is None


@pytest.mark.parametrize("offered", [True, False])
async def test_playout_delay_is_sent_where_it_was_offered(connection, offered):
    transceiver = connection.getTransceivers()[1]
    extension = RTCRtpHeaderExtensionParameters(id=5, uri=transport_mends.PLAYOUT_DELAY_URI)
    transceiver._headerExtensions = []
    took = transport_mends.offer_playout_delay(transceiver, [extension] if offered else [])
    assert took is offered
    mid = RTCRtpHeaderExtensionParameters(id=1, uri="urn:ietf:params:rtp-hdrext:sdes:mid")
    written = transceiver.sender._RTCRtpSender__rtp_header_extensions_map
    written.configure(RTCRtpSendParameters(headerExtensions=[mid, *transceiver._headerExtensions]))
    extensions = unpack_header_extensions(*written.set(HeaderExtensions(mid="1")))
    assert extensions == [(1, b"1"), *([(5, b"\0\0\x14")] if offered else [])]


def test_ptime_goes_into_the_audio_section_alone():
    answer = "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n"
    assert transport_mends.with_ptime(answer, 10) == (
        "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\na=ptime:10\r\nm=video 9 X 96\r\na=mid:1\r\n"
    )
    assert transport_mends.with_ptime("v=0\r\nm=audio 9 X\r\n", 10).endswith("a=ptime:10\r\n")
    assert transport_mends.with_ptime("v=0\r\n", 10) == "v=0\r\n"


async def test_wishes_of_the_receiver_reach_our_encoder(connection):
    sender = connection.getTransceivers()[1].sender
    heard = []
    transport_mends.route_feedback(
        sender,
        on_keyframe=lambda: heard.append("keyframe"),
        on_bitrate=heard.append,
        on_report=lambda report: heard.append(report.fraction_lost),
    )
    ours, others = sender._ssrc, sender._ssrc ^ 1
    report = RtcpReceiverInfo(ours, 64, 3, 100, 0, 0, 0)
    for packet in (
        RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ours),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(400_000, [ours])),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(1, [others])),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=b"junk"),
        RtcpRrPacket(ssrc=1, reports=[report]),
    ):
        await sender._handle_rtcp_packet(packet)
    assert heard == ["keyframe", pytest.approx(400_000, rel=0.01), 64]


async def test_sender_reports_tell_the_time_of_capture(connection):
    sender = connection.getTransceivers()[0].sender
    sent = []

    async def send(packets):
        sent.extend(packets)

    sender._send_rtcp = send
    transport_mends.report_media_time(sender, lambda: 2.5)
    before = aiortc.clock.current_ntp_time()
    await sender._send_rtcp([RtcpSrPacket(ssrc=1, sender_info=RtcpSenderInfo(7, 8, 9, 10))])
    told = sent[0].sender_info
    assert (before - told.ntp_timestamp) / 2**32 == pytest.approx(2.5, abs=0.5)
    assert told.rtp_timestamp == 8
    assert sender._RTCRtpSender__lsr == told.ntp_timestamp >> 16 & 0xFFFFFFFF


async def test_a_packet_that_raises_does_not_end_the_connection(connection, caplog):
    transport = connection.getTransceivers()[0].receiver.transport
    handled = []

    async def handle(data, arrival_time_ms=0):
        handled.append(data)
        raise KeyError(data)

    transport._handle_rtp_data = handle
    errors = []
    transport_mends.survive_bad_packets(transport, lambda: errors.append(1))
    for _ in range(3):
        await transport._handle_rtp_data(b"bad", arrival_time_ms=1)
    assert len(handled) == len(errors) == 3
    assert len(caplog.records) == 1


async def test_a_close_that_hangs_is_cut_short(connection, monkeypatch):
    async def hang():
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(connection, "close", hang)
        assert not await transport_mends.close(connection, timeout_s=0.01)
    states = {t.receiver.transport.transport.state for t in connection.getTransceivers()}
    assert states == {"closed"}
