"""From the microphone's RTP time to the session's media clock, without gaps and without delay."""

import numpy as np
import numpy.typing as npt

from engine.frames import SAMPLE_RATE_HZ, Pcm

_MS = SAMPLE_RATE_HZ // 1000
_PACKET = 10 * _MS
"""Where sound begins, silence before it ends on a multiple of this, so that a packet's end, and not
a part of the next one, completes what a picture needs."""
_EARLY_S = 0.02
_LONGEST_GAP = 1000 * _MS
_CONCEAL = 40 * _MS
_FADE = 2 * _MS
_DRIFT = 0.0005
"""How fast the expected arrival may slip later, seconds a second: above any clock's error."""
_SLIP_S = 0.02
_SLIP_WINDOW_S = 1.0
_SLIP_PACKETS = 10
"""Where all of a second's packets, ten at least, came so much later than expected, the next ones
are expected so much later."""
_JUDGE_LATE_S = 0.2
_BURST = 1.2
_LONGEST_PATIENCE_S = 0.2
_MARGIN_S = 0.02
_CALM = 0.002
"""How fast patience that lateness has raised wears off, seconds a second."""


class MicClock:
    """Turns microphone packets and the passing of time into one run of sound without gaps.

    Lost packets are concealed, and time without packets is filled with silence by the wall clock
    once they are `patience_ms` overdue. Packets that come after their time was filled are
    dropped, and so is what would make the sound run ahead of the wall clock, so that a network
    hiccup leaves no delay behind. But where one came no more than 200 ms late, the next ones are
    waited for as long as that one needed, and 20 ms more; this wears off by 2 ms a second.
    Packets that keep coming late at their normal pace (a slower path, a clock that stood still)
    are expected later after a second, and taken up again after 200 ms where they were dropped.

    Args:
        now_s: wall clock in seconds, monotonic, as in every other call.
        ahead_ms: silence given at once by the first `fill`, for the first picture.
        patience_ms: how long an overdue packet is waited for, as long as none came late.

    Attributes:
        lost, filled, late: samples concealed, filled by the clock, and dropped as too late.
        anchors: how often the microphone's clock was mapped anew.
        slipped_s: seconds by which the expected arrival was put off at once, in all.
        overdue: whether the last sound given stood in for packets that were waited for in vain.
    """

    def __init__(self, now_s: float, ahead_ms: float = 0.0, patience_ms: float = 100.0) -> None:
        self.lost = 0
        self.filled = 0
        self.late = 0
        self.anchors = 0
        self.slipped_s = 0.0
        self.overdue = False
        self._origin_s = now_s - ahead_ms / 1000.0
        self._least_patience_s = patience_ms / 1000.0
        self._raised = (self._least_patience_s, now_s)
        self._next = 0
        self._offset: int | None = None
        self._steady_s = self._earliest_s = self._origin_s
        self._window: list[float] = []
        self._window_from_s = now_s
        self._arrival_s = now_s
        self._late_from: tuple[float, int] | None = None
        self._tail: npt.NDArray[np.int16] = np.zeros(_CONCEAL, np.int16)

    @property
    def end(self) -> int:
        """Media time up to which sound was given, in samples."""
        return self._next

    def arrival_s(self, pts: int) -> float:
        """Wall time at which a sample of this media time was to be expected, in seconds."""
        return self._origin_s + pts / SAMPLE_RATE_HZ

    def push(self, pcm: Pcm, now_s: float) -> Pcm | None:
        """Takes one packet's sound; gives what follows the sound given so far, if anything.

        Args:
            pcm: pts in the microphone's own time, in samples at 48 kHz.
        """
        count = len(pcm.samples)
        if self._offset is None:
            self._anchor(pcm, now_s)
        assert self._offset is not None
        gap = pcm.pts + self._offset - self._next
        if gap > _LONGEST_GAP or (gap + count <= 0 and self._steady(pcm, now_s)):
            self._anchor(pcm, now_s)
        self._hold_back(pcm, now_s)
        start = pcm.pts + self._offset
        self._learn_lateness(now_s - self.arrival_s(start + count), now_s)
        if start + count <= self._next:
            self.late += count
            return None
        self._late_from = None
        self.overdue = False
        self._expect(start + count, now_s)
        samples = pcm.samples
        if start < self._next:
            self.late += self._next - start
            samples = samples[self._next - start :]
        elif start > self._next:
            self.lost += start - self._next
            samples = self._conceal(start - self._next, samples)
        return self._give(samples)

    def fill_s(self, now_s: float) -> float:
        """Wall time from which `fill` will give something, unless sound comes before."""
        patience_s = 0.0 if self._offset is None else self._patience_s(now_s)
        return self.arrival_s(self._next) + patience_s

    def fill(self, now_s: float) -> Pcm | None:
        """Gives silence for time that has passed without sound, if there is any."""
        patience_s = 0.0 if self._offset is None else self._patience_s(now_s)
        missing = int((now_s - patience_s - self._origin_s) * SAMPLE_RATE_HZ) - self._next
        if self._offset is None:
            missing -= (self._next + missing) % _PACKET
        if missing <= 0:
            return None
        if missing > _LONGEST_GAP:
            # The whole machine stood still: go on from here instead of replaying the time.
            self._origin_s += (missing - _LONGEST_GAP) / SAMPLE_RATE_HZ
            self._offset = None
            missing = _LONGEST_GAP
        self.filled += missing
        self.overdue = self._offset is not None
        return self._give(np.zeros(missing, np.int16))

    def _give(self, samples: npt.NDArray[np.int16]) -> Pcm:
        given = Pcm(self._next, samples)
        self._next = given.end
        self._tail = np.concatenate((self._tail, samples[-_CONCEAL:]))[-_CONCEAL:]
        return given

    def _anchor(self, pcm: Pcm, now_s: float) -> None:
        self._offset = self._next - pcm.pts
        origin_s = now_s - (self._next + len(pcm.samples)) / SAMPLE_RATE_HZ
        if self.anchors:
            self.slipped_s += max(0.0, origin_s - self._origin_s)
        self._origin_s = self._steady_s = origin_s
        self._earliest_s = self._origin_s - _EARLY_S
        self._window = []
        self._arrival_s = now_s
        self._late_from = None
        self.anchors += 1

    def _hold_back(self, pcm: Pcm, now_s: float) -> None:
        """Maps sound to later where it would run ahead of the wall clock: a burst that catches up.

        The limit follows the expected arrival, no faster than clocks differ.
        """
        assert self._offset is not None
        slack_s = _DRIFT * (now_s - self._arrival_s)
        self._earliest_s = max(self._steady_s - _EARLY_S, self._earliest_s - slack_s)
        origin_s = now_s - (pcm.end + self._offset) / SAMPLE_RATE_HZ
        if origin_s < self._earliest_s:
            self._offset -= round((self._earliest_s - origin_s) * SAMPLE_RATE_HZ)

    def _patience_s(self, now_s: float) -> float:
        raised_s, at_s = self._raised
        return max(self._least_patience_s, raised_s - _CALM * (now_s - at_s))

    def _learn_lateness(self, late_s: float, now_s: float) -> None:
        """Raises patience to what a packet needs; one that is very late teaches nothing."""
        wanted_s = late_s + _MARGIN_S
        if late_s <= _LONGEST_PATIENCE_S and wanted_s > self._patience_s(now_s):
            self._raised = (wanted_s, now_s)

    def _steady(self, pcm: Pcm, now_s: float) -> bool:
        """Whether packets have come late for a while at the pace of time, not in a burst."""
        if self._late_from is None:
            self._late_from = (now_s, pcm.pts)
            return False
        since_s, pts = self._late_from
        passed_s = now_s - since_s
        return passed_s >= _JUDGE_LATE_S and (pcm.pts - pts) / SAMPLE_RATE_HZ <= _BURST * passed_s

    def _expect(self, end: int, now_s: float) -> None:
        """Follows the earliest arrivals; later ones slowly, or by a second's worth of packets."""
        origin_s = now_s - end / SAMPLE_RATE_HZ
        slack_s = _DRIFT * (now_s - self._arrival_s)
        self._arrival_s = now_s
        self._origin_s = min(origin_s, self._origin_s + slack_s)
        self._steady_s = min(origin_s, self._steady_s + slack_s)
        if not self._window:
            self._window_from_s = now_s
        self._window.append(origin_s)
        if now_s - self._window_from_s < _SLIP_WINDOW_S:
            return
        slip_s = min(self._window) - self._origin_s
        if slip_s > _SLIP_S and len(self._window) >= _SLIP_PACKETS:
            self._origin_s += slip_s
            self.slipped_s += slip_s
        self._window = []

    def _conceal(self, gap: int, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Bridges a gap: what went before, mirrored and fading out; the new sound fading in."""
        bridge = np.zeros(gap, np.int16)
        mirrored = min(gap, _CONCEAL)
        fade_out = np.linspace(1.0, 0.0, mirrored, dtype=np.float32)
        bridge[:mirrored] = self._tail[::-1][:mirrored] * fade_out
        fade = min(_FADE, len(samples))
        fade_in = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        head = (samples[:fade] * fade_in).astype(np.int16)
        return np.concatenate((bridge, head, samples[fade:]))
