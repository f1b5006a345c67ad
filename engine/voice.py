"""The sound that goes with the pictures: held back as long as they take, at an even pace."""

from collections import deque
from collections.abc import Callable
from typing import Final

from engine.encode import AnyPacket, SoundEncoder
from engine.frames import Pcm

LEAD_MS: Final = 30.0
"""How much later a browser plays sound than it shows a picture that left at the same time."""
MAX_HOLD_MS: Final = 300.0
STALE_MS: Final = 500.0
"""Sound this late was overtaken by a stall; playing it would only delay what follows."""

_SLEW_MS: Final = 1.0
_RECENT: Final = 25


class Voice:
    """Encodes the session's sound and says when each packet is to leave.

    A packet leaves `hold_ms` after its sound arrived. The hold follows the pictures' own latency,
    less the lead, by at most 1 ms a packet, so that a slow picture never makes the sound jump,
    and never above 300 ms: behind pictures later than that nobody wants to wait.

    Args:
        arrival_s: wall time at which sound of a media time (samples) arrived, in seconds.
        latency_ms: what pictures are expected to take, until the first ones are known.
    """

    def __init__(self, arrival_s: Callable[[int], float], latency_ms: float) -> None:
        self.hold_ms = max(0.0, latency_ms - LEAD_MS)
        self._arrival_s = arrival_s
        self._encoder = SoundEncoder()
        self._latencies: deque[float] = deque([latency_ms], maxlen=_RECENT)

    def push(self, pcm: Pcm) -> list[AnyPacket]:
        """Takes sound that follows the last; gives a packet for each full 20 ms."""
        return self._encoder.push(pcm)

    def follow(self, latency_ms: float) -> None:
        """Notes how long after the arrival of its sound a picture left."""
        self._latencies.append(latency_ms)

    def rebase(self, slipped_ms: float) -> None:
        """Arrivals are expected later from now on: what was held back for that is so no more."""
        self.hold_ms = max(0.0, self.hold_ms - slipped_ms)
        self._latencies = deque((ms - slipped_ms for ms in self._latencies), maxlen=_RECENT)

    def due_s(self, packet: AnyPacket) -> float:
        """Wall time at which a packet is to leave; to be asked once for each, in order."""
        median = sorted(self._latencies)[len(self._latencies) // 2]
        wanted = min(MAX_HOLD_MS, max(0.0, median - LEAD_MS))
        self.hold_ms += max(-_SLEW_MS, min(_SLEW_MS, wanted - self.hold_ms))
        return self._arrival_s(packet.pts or 0) + self.hold_ms / 1000.0
