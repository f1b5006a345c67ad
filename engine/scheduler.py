"""Which pictures are drawn next, and which together. No clock, no thread: time is an argument."""

from collections.abc import Hashable, Sequence
from dataclasses import astuple, dataclass
from typing import Final, Generic, TypeVar

from engine.frames import FPS, FRAME_MS
from engine.governor import FLOOR_FPS, LOWEST, Governor

P = TypeVar("P")

FRAME_S: Final = FRAME_MS / 1000
PATIENCE_S: Final = 1 / FLOOR_FPS
"""A session without a picture for so long comes first, and gets one even if it will be late."""
_SPARE: Final = 1.5
_CROWDED: Final = 0.4
"""Share of the time of those who draw: on a CPU sound and encoding take about as much again."""
_TIGHT: Final = 0.5
_RISE, _FALL = 0.1, 0.5
"""How far an estimate follows a longer and a shorter time: one hiccup tells little."""


@dataclass(slots=True, eq=False)
class Job(Generic[P]):
    """A picture that a session wants.

    Attributes:
        session: whose.
        payload: what the caller gave.
        asked_s, due_s: when it was asked for, and when it must be done.
    """

    session: int
    payload: P
    asked_s: float
    due_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Generic[P]):
    """Pictures to draw together.

    Attributes:
        jobs: at most one a session, all of one kind, the most urgent first.
        size: the least captured size that holds them.
        kind: theirs.
        started_s: when it was handed out.
    """

    jobs: tuple[Job[P], ...]
    size: int
    kind: Hashable
    started_s: float


@dataclass(slots=True)
class Counts:
    """What became of pictures; `wanted` is the sum of those below it and of those under way.

    Attributes:
        wanted: asked for.
        drawn: done in time.
        late: done, but after they were due.
        shed: left out to keep a lower, even rate.
        expired: given up because they could not be done in time any more.
        replaced: given up for a newer one of the same session.
        failed: could not be drawn.
        left: given up because their session ended.
    """

    wanted: int = 0
    drawn: int = 0
    late: int = 0
    shed: int = 0
    expired: int = 0
    replaced: int = 0
    failed: int = 0
    left: int = 0

    @property
    def settled(self) -> int:
        """Pictures whose fate is known."""
        return int(sum(astuple(self))) - self.wanted


@dataclass(slots=True, eq=False)
class _Session(Generic[P]):
    kind: Hashable
    counts: Counts
    waiting: Job[P] | None = None
    drawing: Job[P] | None = None
    since: int = LOWEST
    """Pictures since the last one that was let through."""
    served_s: float = 0.0
    tight: bool = False
    """Whether its last picture took most of its time, or was not drawn."""


class Scheduler(Generic[P]):
    """Collects the pictures that sessions want and hands them out in batches.

    The most urgent goes first (the earliest deadline, but a session at a lower rate lets those at
    their full rate pass), others of its kind with it. Whoever asks for a batch gets what
    waits, divided by how many could ask, so batches form where pictures come faster than they are
    drawn. A session has at most one picture waiting, the newest, and one being drawn, so its
    pictures keep their order. What cannot be done in time any more is never handed out, but for a
    session that has had nothing for `PATIENCE_S`: it comes first, and its picture may be late.

    Args:
        sizes: that batches are padded to, growing; the last is the largest batch.
        runners: how many ask for batches.
        now_s: seconds, monotonic, as in every other call.

    Attributes:
        total: counts over all sessions, ended ones included.

    Raises:
        ValueError: sizes that do not grow from 1 on, or no runner.
    """

    def __init__(self, sizes: Sequence[int] = (1,), runners: int = 1, now_s: float = 0.0) -> None:
        if not sizes or sizes[0] != 1 or list(sizes) != sorted(set(sizes)):
            raise ValueError(f"sizes are {tuple(sizes)}, expected growing ones from 1 on")
        if runners < 1:
            raise ValueError(f"runners is {runners}, expected at least 1")
        self.total = Counts()
        self._sizes = tuple(sizes)
        self._runners = self._free = runners
        self._governor = Governor(now_s)
        self._sessions: dict[int, _Session[P]] = {}
        self._waiting: dict[int, Job[P]] = {}
        self._cost_s: dict[tuple[Hashable, int], float] = {}

    @property
    def lowered(self) -> int:
        """Sessions that have less than their full rate."""
        return self._governor.lowered

    @property
    def waiting(self) -> int:
        """Pictures that nobody draws yet."""
        return len(self._waiting)

    def join(self, session: int, kind: Hashable, now_s: float) -> None:
        """A session begins. Only pictures of equal kinds are drawn together."""
        self._sessions[session] = _Session(kind, Counts(), served_s=now_s)
        self._governor.join(session, self._crowded(kind))

    def leave(self, session: int) -> list[Job[P]]:
        """A session has ended; gives its pictures that nobody waits for any more."""
        state = self._sessions.pop(session)
        self._waiting.pop(session, None)
        self._governor.leave(session)
        gone = [job for job in (state.waiting, state.drawing) if job is not None]
        self._count(state, "left", len(gone))
        return gone

    def stride(self, session: int) -> int:
        """Every so-manieth picture of a session is drawn."""
        return self._governor.stride(session)

    def counts(self, session: int) -> Counts:
        """What became of a session's pictures so far."""
        return self._sessions[session].counts

    def want(
        self,
        session: int,
        payload: P,
        now_s: float,
        due_s: float | None = None,
        skipped: int = 0,
    ) -> tuple[Job[P], list[Job[P]]]:
        """A session wants a picture.

        Args:
            due_s: 40 ms from now if None; later in either case where drawing takes longer.
            skipped: pictures that its session passed over just before it.

        Returns:
            The picture, and those that will now not be drawn, it itself perhaps among them.
        """
        state = self._sessions[session]
        wanted_s = now_s + FRAME_S if due_s is None else due_s
        due_s = max(wanted_s, now_s + _SPARE * self._cost(state.kind, 1))
        job = Job(session, payload, now_s, due_s)
        self._count(state, "wanted")
        state.since += 1 + skipped
        self._governor.settle(now_s)
        stride = self._governor.stride(session)
        if state.since < stride:
            self._count(state, "shed")
            return job, [job]
        # Sound that a network holds up and brings in a burst is no sign of a busy machine.
        if state.tight:
            self._governor.missed(session, min(skipped, state.since - stride))
        state.since = 0
        gone = []
        if state.waiting is not None:
            gone.append(state.waiting)
            self._count(state, "replaced")
            self._governor.missed(session)
        state.waiting = self._waiting[session] = job
        return job, gone

    def give_up(self, job: Job[P]) -> bool:
        """Nobody waits for a picture any more; False where it is no longer waiting itself."""
        if self._waiting.get(job.session) is not job:
            return False
        self._expire(job)
        return True

    def take(self, now_s: float) -> tuple[Batch[P] | None, list[Job[P]]]:
        """The next batch for one who draws, None where there is nothing to do.

        Returns:
            The batch, for which `done` must be called, and pictures that will not be drawn.
        """
        gone = [job for job in self._waiting.values() if self._hopeless(job, now_s)]
        for job in gone:
            self._expire(job)
        ready = [job for job in self._waiting.values() if not self._sessions[job.session].drawing]
        if not ready or not self._free:
            return None, gone
        order = sorted(ready, key=lambda job: self._urgency(job, now_s))
        jobs = self._together(order, now_s)
        for job in jobs:
            state = self._sessions[job.session]
            state.waiting, state.drawing = None, job
            del self._waiting[job.session]
        self._free -= 1
        kind = self._sessions[jobs[0].session].kind
        return Batch(tuple(jobs), self._padded(len(jobs)), kind, now_s), gone

    def done(
        self, batch: Batch[P], now_s: float, failed: Sequence[Job[P]] = ()
    ) -> list[tuple[Job[P], float]]:
        """A batch is drawn, but for what failed.

        Returns:
            Each picture that somebody still waits for, with the seconds that were left; below 0 it
            is late.
        """
        self._free += 1
        if not failed:
            self._learn(batch, now_s - batch.started_s)
        wanted = []
        for job in batch.jobs:
            state = self._sessions.get(job.session)
            if state is None or state.drawing is not job:
                continue
            state.drawing = None
            state.served_s = now_s
            left_s = job.due_s - now_s
            room = left_s / max(job.due_s - job.asked_s, 1e-3)
            state.tight = room < _TIGHT
            wanted.append((job, left_s))
            if job in failed:
                self._count(state, "failed")
                continue
            self._count(state, "drawn" if left_s >= 0 else "late")
            self._governor.made(job.session, room)
        return wanted

    def _together(self, order: list[Job[P]], now_s: float) -> list[Job[P]]:
        """The first, and as many after it of its kind as its deadline bears."""
        kind = self._sessions[order[0].session].kind
        alike = [job for job in order if self._sessions[job.session].kind == kind]
        share = -(-len(order) // self._free)
        most = min(share, len(alike), self._sizes[-1])
        for count in range(most, 1, -1):
            ends_s = now_s + self._cost(kind, self._padded(count))
            if all(ends_s <= job.due_s or self._starves(job, now_s) for job in alike[:count]):
                return alike[:count]
        return alike[:1]

    def _hopeless(self, job: Job[P], now_s: float) -> bool:
        ends_s = now_s + self._cost(self._sessions[job.session].kind, 1)
        return ends_s > job.due_s and not self._starves(job, now_s)

    def _urgency(self, job: Job[P], now_s: float) -> tuple[bool, float]:
        """Least first: whoever starves, in turns; then by deadline, lower rates last."""
        if self._starves(job, now_s):
            return False, self._sessions[job.session].served_s
        return True, job.due_s + FRAME_S * (self._governor.stride(job.session) - 1)

    def _starves(self, job: Job[P], now_s: float) -> bool:
        return now_s - self._sessions[job.session].served_s >= PATIENCE_S

    def _expire(self, job: Job[P]) -> None:
        state = self._sessions[job.session]
        state.waiting = None
        del self._waiting[job.session]
        # The next one makes up for it.
        state.since = self._governor.stride(job.session)
        state.tight = True
        self._count(state, "expired")
        self._governor.missed(job.session)

    def _padded(self, count: int) -> int:
        return next(size for size in self._sizes if size >= count)

    def _cost(self, kind: Hashable, size: int) -> float:
        """Seconds that a batch is expected to take: at least what smaller ones take."""
        known = (self._cost_s.get((kind, each)) for each in self._sizes if each <= size)
        return max((cost for cost in known if cost is not None), default=0.0)

    def _crowded(self, kind: Hashable) -> bool:
        """Whether all at their full rate would keep those who draw too long from other work."""
        known = [cost_s / size for (other, size), cost_s in self._cost_s.items() if other == kind]
        busy = len(self._sessions) * FPS * min(known, default=0.0) / self._runners
        return busy > _CROWDED

    def _learn(self, batch: Batch[P], took_s: float) -> None:
        key = (batch.kind, batch.size)
        known_s = self._cost_s.setdefault(key, took_s)
        self._cost_s[key] += (_RISE if took_s > known_s else _FALL) * (took_s - known_s)

    def _count(self, state: _Session[P], what: str, count: int = 1) -> None:
        for counts in (state.counts, self.total):
            setattr(counts, what, getattr(counts, what) + count)
