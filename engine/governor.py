"""Who gives way when the machine is short: the newest sessions, at a lower but even rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.frames import FPS

FLOOR_FPS: Final = 5
"""Pictures a second that every session is to have before any has more."""
LOWEST: Final = FPS // FLOOR_FPS
"""The largest stride: every so-manieth picture is drawn."""

PERIOD_S: Final = 1.0
SHORT: Final = 0.05
"""A period in which more than this share of the pictures was missed is short; three outweighing
the others lower a rate."""
CALM: Final = 0.02
STRIKES: Final = 3
ROOM: Final = 0.1
"""Share of a picture's time that must be left, in the mean, before rates are raised."""
PATIENCE: Final = 5
"""Calm periods before a rate is raised; twice as many each time that this turns out too early."""
MOST_PATIENCE: Final = 60
GENTLE: Final = 3
"""The stride that one begins with who comes where there may be no room."""
CLIMB: Final = 1
"""Calm periods before a rate is raised, until the first shortage after such a one has come."""
_TOO_EARLY_S: Final = 10.0
_RAISED_AT_ONCE: Final = 0.04


@dataclass(slots=True)
class _Period:
    """What one session had: pictures due, missed and made; sum of the shares of time left."""

    due: int = 0
    missed: int = 0
    room: float = 0.0
    made: int = 0


class Governor:
    """Sets each session's stride by what was missed in the last seconds.

    A session's stride is never smaller than an older one's, and the oldest keeps its full rate.
    Where some session is lowered, one that joins begins at the floor, so that nobody older pays
    for it; where there may be no room it begins with few pictures, and rises until they are missed.

    Args:
        now_s: seconds, monotonic, as in every other call.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._strides: dict[int, int] = {}
        self._periods: dict[int, _Period] = {}
        self._ends_s = now_s + PERIOD_S
        self._strikes = 0
        self._missed = self._due = 0
        self._calm = 0
        self._patience = PATIENCE
        self._raised_s: float | None = None
        self._settling = False
        self._climbing = False

    def join(self, session: int, gently: bool = False) -> None:
        """A session begins; it is the newest. `gently` where there may be no room for it."""
        if self.lowered:
            self._strides[session] = LOWEST
        else:
            self._strides[session] = GENTLE if gently else 1
            self._climbing = gently
        self._periods[session] = _Period()

    def leave(self, session: int) -> None:
        """A session has ended: there may be room again."""
        del self._strides[session], self._periods[session]
        self._strikes = self._missed = self._due = 0
        self._patience = PATIENCE
        for oldest in self._strides:
            self._strides[oldest] = 1
            break

    def stride(self, session: int) -> int:
        """Every so-manieth picture of this session is to be drawn: 1 to `LOWEST`."""
        return self._strides[session]

    @property
    def lowered(self) -> int:
        """Sessions that have less than their full rate."""
        return sum(stride > 1 for stride in self._strides.values())

    def made(self, session: int, left: float) -> None:
        """A picture was drawn with this share of its time left; below 0 it was late.

        Late ones are shown all the same: only if there is no room in the mean do they count, in
        that nothing is raised.
        """
        period = self._periods[session]
        period.due += 1
        period.made += 1
        period.room += left

    def missed(self, session: int, count: int = 1) -> None:
        """So many pictures that were due were not drawn."""
        period = self._periods[session]
        period.due += count
        period.missed += count

    def settle(self, now_s: float) -> bool:
        """Judges the period once it is over; True where strides have changed."""
        if now_s < self._ends_s:
            return False
        self._ends_s = now_s + PERIOD_S
        periods = list(self._periods.values())
        due, missed = _sums(periods)
        full = [self._periods[key] for key, stride in self._strides.items() if stride == 1]
        lowered = [self._periods[key] for key, stride in self._strides.items() if stride > 1]
        # Apart: those at a lower rate let the others pass, and have fewer pictures due.
        short = any(lost > SHORT * asked for asked, lost in map(_sums, (full, lowered)))
        made = sum(period.made for period in periods)
        room = sum(period.room for period in periods) / made if made else 0.0
        self._periods = {session: _Period() for session in self._periods}
        if self._settling or not due:
            # What was asked for before the last change says nothing of it.
            self._settling = False
            return False
        self._settling = self._judge(now_s, missed, due, short, room)
        return self._settling

    def _judge(self, now_s: float, missed: int, due: int, short: bool, room: float) -> bool:
        if short:
            self._strikes += 1
            self._calm = 0
            self._missed += missed
            self._due += due
        else:
            self._strikes = max(0, self._strikes - 1)
            self._calm = self._calm + 1 if missed < CALM * due and room >= ROOM else 0
        if not self._strikes:
            self._missed = self._due = 0
        if self._strikes >= STRIKES:
            return self._lower(now_s, self._missed / self._due)
        if self.lowered and self._calm >= (CLIMB if self._climbing else self._patience):
            return self._raise(now_s)
        return False

    def _lower(self, now_s: float, share: float) -> bool:
        """Takes away as much as was missed, from the newest first.

        From a quarter of the sessions at a time: what an overload costs says little of what is
        missed without it. From older ones only a step that is no more than twice what is still
        missed: a picture now and then is a smaller loss than half of them.
        """
        self._strikes = self._missed = self._due = self._calm = 0
        self._climbing = False
        if self._raised_s is not None and now_s - self._raised_s < _TOO_EARLY_S:
            self._patience = min(MOST_PATIENCE, 2 * self._patience)
        self._raised_s = None
        before = list(self._strides.values())
        wanted = (1 - share) * sum(1 / stride for stride in before)
        newest, given = [*self._strides][-1], set[int]()
        for session in [*self._strides][:0:-1]:
            if len(given) >= max(1, len(before) // 4):
                break
            while (stride := self._strides[session]) < LOWEST:
                missing = sum(1 / each for each in self._strides.values()) - wanted
                step = 1 / stride - 1 / (stride + 1)
                if missing <= 0 or (session != newest and step > 2 * missing):
                    return list(self._strides.values()) != before
                self._strides[session] += 1
                given.add(session)
        return list(self._strides.values()) != before

    def _raise(self, now_s: float) -> bool:
        """Gives back a little, to the oldest first; at least one step."""
        self._calm = 0
        if self._raised_s is not None and now_s - self._raised_s >= _TOO_EARLY_S:
            self._patience = max(PATIENCE, self._patience // 2)
        self._raised_s = now_s
        wanted = (1 + _RAISED_AT_ONCE) * sum(1 / stride for stride in self._strides.values())
        for session in self._strides:
            while self._strides[session] > 1:
                self._strides[session] -= 1
                if sum(1 / stride for stride in self._strides.values()) >= wanted:
                    return True
        return True


def _sums(periods: Iterable[_Period]) -> tuple[int, int]:
    """Pictures due and missed in all."""
    due = missed = 0
    for period in periods:
        due += period.due
        missed += period.missed
    return due, missed
