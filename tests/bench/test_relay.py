import select
import socket
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from bench.relay import Relay

OFFER = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host generation 0",
        "a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:1",
        "",
    ]
)
SOUND = bytes([0x80, 0xEF]) + bytes(60)
RTCP = bytes([0x80, 200]) + bytes(60)


def answer_from(server: socket.socket) -> str:
    port = server.getsockname()[1]
    return f"v=0\r\nm=audio 9 X 111\r\na=candidate:0 1 udp 1 127.0.0.1 {port} typ host\r\n"


def port_in(sdp: str) -> int:
    (line,) = [line for line in sdp.splitlines() if line.startswith("a=candidate:")]
    assert "127.0.0.1" in line
    return int(line.split()[5])


def empty(end: socket.socket) -> None:
    """Reads what waits, so that no buffer overflows while more is sent."""
    while select.select([end], [], [], 0.02)[0]:
        end.recv(100)


@pytest.fixture
def ends():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as browser,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        for end in (browser, server):
            end.bind(("127.0.0.1", 0))
            end.settimeout(2)
        yield browser, server


def test_both_sides_are_told_the_relay_alone_and_reach_each_other(ends):
    browser, server = ends
    with Relay() as relay:
        to_server = ("127.0.0.1", port_in(relay.rewrite_answer(answer_from(server))))
        as_browser = port_in(relay.rewrite_offer(OFFER))
        browser.sendto(b"hello", to_server)
        data, sender = server.recvfrom(100)
        assert (data, sender[1]) == (b"hello", as_browser)
        server.sendto(b"hello yourself", sender)
        assert browser.recv(100) == b"hello yourself"


def test_exactly_one_microphone_packet_is_lost_and_feedback_is_spared(ends):
    browser, server = ends
    with Relay() as relay:
        to_server = ("127.0.0.1", port_in(relay.rewrite_answer(answer_from(server))))
        assert not relay.drop_one_microphone_packet(timeout_s=0.01)
        browser.sendto(RTCP, to_server)
        assert server.recv(100) == RTCP
        with ThreadPoolExecutor(1) as pool:
            dropped = pool.submit(relay.drop_one_microphone_packet)
            sent = 0
            while not dropped.done():
                browser.sendto(SOUND + bytes([sent]), to_server)
                sent += 1
                wait([dropped], 0.01)
        assert dropped.result()
        assert relay.lost == 1
        came = [server.recv(100)[-1] for _ in range(sent - 1)]
        assert len(set(range(sent)) - set(came)) == 1


def test_loss_is_close_to_what_was_asked(ends):
    browser, server = ends
    with Relay(loss=0.2, seed=1) as relay:
        to_server = ("127.0.0.1", port_in(relay.rewrite_answer(answer_from(server))))
        for number in range(2000):
            browser.sendto(SOUND + number.to_bytes(2, "big"), to_server)
            if number % 100 == 99:
                empty(server)
        assert relay.up == 2000
        assert relay.lost == pytest.approx(400, abs=60)


def test_answer_without_an_address_on_ipv4_is_refused():
    with Relay() as relay, pytest.raises(ValueError, match="no IPv4 host candidate"):
        relay.rewrite_answer("v=0\r\nm=audio 9 X 111\r\n")
