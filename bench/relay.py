"""A small UDP relay between a browser and the server, that loses packets on purpose."""

import random
import re
import select
import socket
import threading
from types import TracebackType
from typing import Self

_CANDIDATE = re.compile(
    r"^a=candidate:\S+ 1 udp \d+ (?P<host>\S+) (?P<port>\d+) typ host.*$", re.IGNORECASE
)
_PACKET_BYTES = 65_536
_RTP_VERSION = 2
_RTCP_TYPES = range(64, 96)
"""Values of a packet's second byte, less its top bit, that mean RTCP: RFC 5761, section 4."""


class Relay:
    """Carries one call's packets both ways on loopback, in a thread of its own.

    The browser is told one address (`rewrite_answer`), the server another (`rewrite_offer`), so
    that neither finds a way around the relay.

    Args:
        loss: share of packets lost each way, 0 to 1; connectivity checks are lost like media.
        seed: of the losses.

    Attributes:
        up, down: packets from the browser and to it, lost ones included.
        lost: packets lost, both ways together.
    """

    def __init__(self, loss: float = 0.0, seed: int = 0) -> None:
        self.up = 0
        self.down = 0
        self.lost = 0
        self._loss = loss
        self._random = random.Random(seed)
        self._drop_sound = threading.Event()
        self._dropped = threading.Event()
        self._stop = threading.Event()
        self._browser: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._to_browser = _bind()
        self._to_server = _bind()
        self._thread = threading.Thread(target=self._carry, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._to_browser.close()
        self._to_server.close()

    def rewrite_offer(self, sdp: str) -> str:
        """The browser's offer as the server may see it: the relay in the browser's place."""
        return _with_candidate(sdp, self._to_server.getsockname()[1])

    def rewrite_answer(self, sdp: str) -> str:
        """The server's answer as the browser may see it; remembers where the server listens.

        Raises:
            ValueError: the answer has no UDP candidate that loopback reaches.
        """
        self._server = _first_candidate(sdp)
        return _with_candidate(sdp, self._to_browser.getsockname()[1])

    def drop_one_microphone_packet(self, timeout_s: float = 5.0) -> bool:
        """Loses exactly the next packet of the browser's sound; false if none came."""
        self._dropped.clear()
        self._drop_sound.set()
        came = self._dropped.wait(timeout_s)
        self._drop_sound.clear()
        return came

    def _carry(self) -> None:
        sockets = [self._to_browser, self._to_server]
        while not self._stop.is_set():
            readable, _, _ = select.select(sockets, [], [], 0.1)
            for source in readable:
                data, sender = source.recvfrom(_PACKET_BYTES)
                if source is self._to_browser:
                    self._browser = sender
                    self.up += 1
                    if not self._loses(data, up=True) and self._server is not None:
                        self._to_server.sendto(data, self._server)
                else:
                    self.down += 1
                    if not self._loses(data, up=False) and self._browser is not None:
                        self._to_browser.sendto(data, self._browser)

    def _loses(self, data: bytes, up: bool) -> bool:
        if up and self._drop_sound.is_set() and _is_rtp(data):
            self._drop_sound.clear()
            self._dropped.set()
            self.lost += 1
            return True
        lost = self._random.random() < self._loss
        self.lost += lost
        return lost


def _bind() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
    endpoint.bind(("127.0.0.1", 0))
    return endpoint


def _is_rtp(data: bytes) -> bool:
    """The browser sends no video, so its RTP is the microphone's."""
    return len(data) > 12 and data[0] >> 6 == _RTP_VERSION and (data[1] & 0x7F) not in _RTCP_TYPES


def _first_candidate(sdp: str) -> tuple[str, int]:
    for line in sdp.splitlines():
        found = _CANDIDATE.match(line)
        if found and ":" not in found["host"]:
            return found["host"], int(found["port"])
    raise ValueError("the answer has no IPv4 host candidate over UDP")


def _with_candidate(sdp: str, port: int) -> str:
    """Replaces every candidate by one on loopback, once a media section that had any."""
    lines: list[str] = []
    done = False
    for line in sdp.splitlines():
        if line.startswith("m="):
            done = False
        if not line.startswith("a=candidate:"):
            lines.append(line)
        elif not done:
            lines.append(f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host")
            done = True
    return "\r\n".join(lines) + "\r\n"
