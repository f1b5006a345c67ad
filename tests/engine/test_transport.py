import re

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from engine.errors import SignallingError
from engine.transport import BitrateControl, Peer


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


async def offer_of(*sections):
    """An offer with the given (kind, direction) sections."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, direction in sections:
        connection.addTransceiver(kind, direction=direction)
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


async def answer(offer):
    peer = Peer(
        BitrateControl(1200, 250, 2500),
        on_keyframe=lambda: None,
        on_bitrate=lambda kbps: None,
        age_s=lambda pts: 0.0,
        on_sound=lambda pcm: None,
    )
    try:
        return await peer.answer(offer), peer.video_codec
    finally:
        await peer.close()


GOOD = (("audio", "sendrecv"), ("video", "recvonly"))


async def test_a_good_offer_is_answered_for_low_delay():
    sdp, codec = await answer(await offer_of(*GOOD))
    audio, video = sdp.split("m=")[1:]
    assert "a=ptime:10" in audio
    assert "a=sendrecv" in audio
    assert "opus" in audio
    assert "PCMU" not in audio
    assert "a=sendonly" in video
    assert codec == "vp8"


async def test_playout_delay_is_accepted_where_the_browser_offers_it():
    uri = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    offer = (await offer_of(*GOOD)).replace("a=mid:1", f"a=extmap:9 {uri}\r\na=mid:1")
    sdp, _ = await answer(offer)
    assert f"a=extmap:9 {uri}" in sdp


async def test_a_section_that_shares_a_port_is_answered_and_a_refused_one_is_not():
    offer = await offer_of(*GOOD)
    line = next(line for line in offer.split("\r\n") if line.startswith("m=video"))
    kind, _, rest = line.split(" ", 2)
    firefox = offer.replace(line, f"{kind} 0 {rest}\r\na=bundle-only")
    sdp, codec = await answer(firefox)
    assert codec == "vp8"
    assert re.search(r"m=video [1-9]", sdp)
    with pytest.raises(SignallingError, match="no video sections"):
        await answer(offer.replace(line, f"{kind} 0 {rest}"))


async def test_the_order_of_the_offer_decides_the_codec():
    offer = await offer_of(*GOOD)
    line = next(line for line in offer.split("\r\n") if line.startswith("m=video"))
    head, formats = line.split(" ")[:3], line.split(" ")[3:]
    swapped = " ".join(head + formats[2:] + formats[:2])
    maps = [line for line in offer.split("\r\n") if line.startswith(f"a=rtpmap:{formats[0]} ")]
    offer = offer.replace(line, swapped).replace(maps[0] + "\r\n", "")
    offer = offer.replace("a=rtpmap:101", maps[0] + "\r\na=rtpmap:101")
    _, codec = await answer(offer)
    assert codec == "h264"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ((("video", "recvonly"),), "no audio sections, expected exactly one"),
        ((("audio", "sendrecv"),), "no video sections, expected exactly one"),
        ((("audio", "recvonly"), ("video", "recvonly")), "audio section is recvonly"),
        ((("audio", "sendrecv"), ("video", "sendonly")), "video section is sendonly"),
        ((*GOOD, ("video", "recvonly")), "2 video sections"),
        ((*GOOD, ("audio", "sendrecv")), "2 audio sections"),
    ],
)
async def test_an_offer_with_the_wrong_sections_is_refused(sections, words):
    with pytest.raises(SignallingError, match=words):
        await answer(await offer_of(*sections))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "offer of 0 characters"),
        ("hello", "no audio sections"),
        ("v=0\r\nm=audio\r\n", "not a valid SDP"),
        ("v=zero\r\n", "not a valid SDP"),
        ("\0" * 100, "no audio sections"),
    ],
)
async def test_what_is_no_offer_is_refused(text, words):
    with pytest.raises(SignallingError, match=words if text else "audio"):
        await answer(text)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("a=ice-ufrag", "no ICE credentials"),
        ("a=fingerprint", "no DTLS fingerprint"),
        ("a=rtcp-mux", "lacks a=rtcp-mux"),
        ("a=rtpmap:96 opus", "no Opus"),
    ],
)
async def test_an_offer_that_lost_a_line_is_refused(lost, words):
    lines = (await offer_of(*GOOD)).split("\r\n")
    assert any(line.startswith(lost) for line in lines)
    cut = "\r\n".join(line for line in lines if not line.startswith(lost))
    with pytest.raises(SignallingError, match=words):
        await answer(cut)


async def test_an_offer_with_too_many_candidates_is_refused():
    offer = await offer_of(*GOOD)
    line = next(line for line in offer.split("\r\n") if line.startswith("a=candidate"))
    with pytest.raises(SignallingError, match="candidates, expected at most 100"):
        await answer(offer.replace(line, "\r\n".join([line] * 200), 1))


async def _outcome(offer):
    try:
        return (await answer(offer))[0]
    except SignallingError as error:
        return str(error)


async def test_every_truncation_of_an_offer_is_answered_or_refused():
    offer = await offer_of(*GOOD)
    outcomes = [await _outcome(offer[:length]) for length in range(0, len(offer), 397)]
    assert all(outcomes)
    assert outcomes[0].startswith("the offer has no audio sections")


def control(sent_kbps=0.0):
    clock = Clock()
    control = BitrateControl(1200, 250, 2500, clock)
    control.on_sent(int(sent_kbps * 125))
    return control, clock


def test_a_low_estimate_while_little_is_sent_is_no_limit():
    bitrate, _ = control(sent_kbps=150)
    assert bitrate.on_remb(400_000) == 1200


def test_an_estimate_near_the_rate_in_use_is_a_limit():
    bitrate, _ = control(sent_kbps=1000)
    assert bitrate.on_remb(600_000) == 600


def test_the_rate_recovers_with_the_estimate():
    bitrate, clock = control(sent_kbps=1000)
    bitrate.on_remb(400_000)
    for _ in range(10):
        clock.now_s += 1.5
        bitrate.on_sent(bitrate.kbps * 125)
        bitrate.on_remb(int(bitrate.kbps * 1.5 * 1000))
    assert bitrate.kbps == 1200


def test_limits_hold():
    bitrate, _ = control(sent_kbps=1000)
    assert bitrate.on_remb(1000) == 250
    bitrate, _ = control()
    for _ in range(100):
        bitrate.on_loss(0.0)
    assert bitrate.kbps == 2500


def test_heavy_loss_lowers_the_rate_and_light_loss_does_not():
    bitrate, _ = control()
    assert bitrate.on_loss(0.03) == 1200
    assert bitrate.on_loss(0.2) == 1080
