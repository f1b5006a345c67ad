"""Draws for all sessions of a process: threads that a scheduler feeds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from itertools import count
from typing import Final, Protocol

import cv2

from engine import backends
from engine.composite import Planes
from engine.config import TRANSPARENT
from engine.errors import BackendError
from engine.frames import FPS, Motion
from engine.machine import cores
from engine.metrics import ServerMetrics, StageTimes
from engine.renderer import Renderer, Scene, Share, rig_of
from engine.scheduler import Batch, Job, Scheduler
from models import weights

MOST_RUNNERS: Final = 4
CLOSE_S: Final = 5.0
"""How long the end waits for a picture that is being drawn."""
_OWN: Final = ("avatar", "background")
_LONGEST_SKIP: Final = FPS
"""A longer step in the numbers of pictures is a new beginning, not pictures passed over."""


class Renders(Protocol):
    """What a runner needs of `engine.renderer.Renderer`."""

    def open(self, scene: Scene) -> None:
        """See `Renderer.open`."""
        ...

    def render(self, batch: Sequence[tuple[Scene, Motion]]) -> list[Planes]:
        """See `Renderer.render`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Want:
    motion: Motion
    drawer: "SharedDrawer"
    future: "Future[Planes | None]"


_Done = tuple[Job[_Want], "Planes | Exception | None"]


class Shared:
    """One place that draws for all sessions; see `engine.renderer.Drawing`.

    While it is open, the whole process's OpenCV has its threads divided by those that draw.

    Args:
        runners: threads, each with a renderer; as many as cores, at most 4, if None.
        sizes: of batches, see `engine.scheduler.Scheduler`.
        metrics: where figures of all sessions go, if anywhere.
        make_renderer: makes a runner's renderer, given where its times go.
        clock: seconds, monotonic.

    Raises:
        ValueError: no runner, or sizes that do not grow from 1 on.
    """

    def __init__(
        self,
        runners: int | None = None,
        sizes: Sequence[int] = (1,),
        metrics: ServerMetrics | None = None,
        make_renderer: Callable[[StageTimes], Renders] = Renderer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        runners = min(cores(), MOST_RUNNERS) if runners is None else runners
        self._clock = clock
        self._metrics = metrics
        self._scheduler: Scheduler[_Want] = Scheduler(sizes, runners, clock())
        self._threads_before = cv2.getNumThreads()
        self._numbers = count()
        # Guards all that follows, and the scheduler; notified when there is something to do.
        self._turn = threading.Condition()
        self._errands: list[deque[tuple[Scene, Future[None]]]] = [deque() for _ in range(runners)]
        self._drawers: dict[int, SharedDrawer] = {}
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._run, args=(errands, make_renderer), name=f"draw-{number}", daemon=True
            )
            for number, errands in enumerate(self._errands)
        ]
        if metrics is not None:
            metrics.watch_drawing(self._figures)

    def start(self, scene: Scene, timings: StageTimes) -> "SharedDrawer":
        """A session begins; its scene is made ready by one runner after the other.

        Raises:
            ConfigError, BackendError: see `Renderer.open`; or all is closed.
        """
        # The long part is done here, where it keeps no runner from its pictures.
        rig_of(scene.avatar, scene.size_px)
        with self._turn:
            self._refuse_if_closed()
            for thread in self._threads:
                if thread.ident is None:
                    thread.start()
        for errands in self._errands:
            opened: Future[None] = Future()
            with self._turn:
                self._refuse_if_closed()
                errands.append((scene, opened))
                self._turn.notify_all()
            opened.result()
        with self._turn:
            self._refuse_if_closed()
            drawer = SharedDrawer(self, next(self._numbers), scene, timings)
            self._drawers[drawer.number] = drawer
            self._scheduler.join(drawer.number, _kind(scene), self._clock())
            self._share_cores()
        return drawer

    def close(self) -> None:
        """Ends all sessions and threads; gives up after `CLOSE_S` on one that does not return."""
        with self._turn:
            self._closed = True
            drawers = list(self._drawers.values())
            refused = [opened for errands in self._errands for _, opened in errands]
            for errands in self._errands:
                errands.clear()
            self._turn.notify_all()
        for opened in refused:
            opened.set_exception(BackendError("a session cannot begin: the server is closing"))
        for drawer in drawers:
            drawer.close()
        ends_s = self._clock() + CLOSE_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, ends_s - self._clock()))

    def submit(
        self, drawer: "SharedDrawer", motion: Motion, due_s: float | None, skipped: int
    ) -> Job[_Want] | None:
        """See `SharedDrawer.submit`; None where the session has ended."""
        want = _Want(motion, drawer, Future())
        want.future.set_running_or_notify_cancel()
        with self._turn:
            if drawer.number not in self._drawers:
                return None
            job, gone = self._scheduler.want(drawer.number, want, self._clock(), due_s, skipped)
            drawer.share = self._share(drawer)
            if not gone or gone[0] is not job:
                self._turn.notify()
        self._settle((each, None) for each in gone)
        return job

    def give_up(self, job: Job[_Want]) -> None:
        """A picture that still waits is waited for no more."""
        with self._turn:
            gone = self._scheduler.give_up(job)
        if gone:
            self._settle([(job, None)])

    def leave(self, drawer: "SharedDrawer") -> None:
        """See `SharedDrawer.close`."""
        with self._turn:
            if self._drawers.pop(drawer.number, None) is None:
                return
            gone = self._scheduler.leave(drawer.number)
            self._share_cores()
        self._settle((job, None) for job in gone)

    def _run(
        self,
        errands: deque[tuple[Scene, "Future[None]"]],
        make_renderer: Callable[[StageTimes], Renders],
    ) -> None:
        took: dict[str, float] = {}

        def add(stage: str, ms: float) -> None:
            took[stage] = took.get(stage, 0.0) + ms

        renderer = make_renderer(StageTimes(observe=add))
        while True:
            with self._turn:
                batch: Batch[_Want] | None = None
                gone: list[Job[_Want]] = []
                while not self._closed and not errands and batch is None and not gone:
                    batch, gone = self._scheduler.take(self._clock())
                    if batch is None and not gone:
                        self._turn.wait()
                if self._closed and batch is None:
                    return
                errand = errands.popleft() if errands and batch is None else None
            self._settle((job, None) for job in gone)
            if errand is not None:
                _open(renderer, *errand)
            if batch is not None:
                took.clear()
                self._draw(renderer, batch, took)

    def _draw(self, renderer: Renders, batch: Batch[_Want], took: dict[str, float]) -> None:
        results: list[Planes | Exception] = _rendered(renderer, batch.jobs)
        if len(results) > 1 and isinstance(results[0], Exception):
            # One scene must not cost the others of its batch their pictures.
            results = [each for job in batch.jobs for each in _rendered(renderer, [job])]
        made = dict(zip(batch.jobs, results, strict=True))
        failed = [job for job, result in made.items() if isinstance(result, Exception)]
        with self._turn:
            wanted = self._scheduler.done(batch, self._clock(), failed)
            for job, _ in wanted:
                job.payload.drawer.share = self._share(job.payload.drawer)
            if self._scheduler.waiting:
                self._turn.notify()
        for job, _ in wanted:
            timings = job.payload.drawer.timings
            timings.record("wait", (batch.started_s - job.asked_s) * 1000.0)
            for stage, ms in took.items():
                timings.record(stage, ms / len(batch.jobs))
        if self._metrics is not None:
            self._metrics.observe_batch(
                len(batch.jobs),
                batch.size,
                [left_s * 1000.0 for job, left_s in wanted if job not in failed],
            )
        self._settle((job, made[job]) for job, _ in wanted)

    def _share_cores(self) -> None:
        """OpenCV's own threads quicken one session's pictures, and only cost where more draw."""
        drawing = max(1, min(len(self._threads), len(self._drawers)))
        cv2.setNumThreads(max(1, self._threads_before // drawing))

    def _share(self, drawer: "SharedDrawer") -> Share:
        counts = self._scheduler.counts(drawer.number)
        return Share(self._scheduler.stride(drawer.number), counts.shed, counts.late)

    def _figures(self) -> tuple[dict[str, int], int]:
        with self._turn:
            return asdict(self._scheduler.total), self._scheduler.lowered

    def _settle(self, done: Iterable[_Done]) -> None:
        """Hands results over, without the lock: a future may call its owner back."""
        for job, result in done:
            future = job.payload.future
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BackendError("a session cannot begin: the server is closing")


def shared_for(backend: str, kernels: str, metrics: ServerMetrics) -> Shared:
    """What suits where pictures are drawn.

    On a CPU every core draws one picture after the other. A GPU does one thing at a time: one
    runner hands it batches, of the sizes that its networks are ready for.

    Args:
        backend, kernels: see `EngineConfig`.
        metrics: see `Shared`.

    Raises:
        BackendError: there is no such backend here.
    """
    sizes = backends.SIZES if on_gpu(backend, kernels) else (1,)
    return Shared(1 if kernels == "cuda" else None, sizes, metrics)


def on_gpu(backend: str, kernels: str) -> bool:
    """Whether networks or kernels run on a GPU.

    Raises:
        BackendError: there is no such backend here.
    """
    return kernels == "cuda" or backends.takes_batches(backend, weights.path(weights.PAINTER))


class SharedDrawer:
    """One session's part of `Shared`; see `engine.renderer.Drawer`."""

    def __init__(self, shared: Shared, number: int, scene: Scene, timings: StageTimes) -> None:
        self.number, self.scene, self.timings = number, scene, timings
        self.share = Share()
        self._shared = shared
        self._last: int | None = None

    def draw(self, motion: Motion) -> Planes | None:
        """See `Drawer.draw`. Not to be called again before it returns."""
        job = self._submit(motion, None)
        if job is None:
            return None
        future = job.payload.future
        try:
            return future.result(max(0.0, job.due_s - job.asked_s))
        except TimeoutError:
            # Nobody was free to even look at it: the session goes on without.
            self._shared.give_up(job)
            return future.result()

    def submit(self, motion: Motion, due_s: float | None = None) -> "Future[Planes | None]":
        """Asks for a picture without waiting for it.

        Of pictures that wait, only a session's newest is drawn; the others become None.

        Args:
            due_s: when it must be done, monotonic seconds; see `Scheduler.want`.

        Returns:
            The picture, None where there was no time for it, or the error.
        """
        job = self._submit(motion, due_s)
        if job is not None:
            return job.payload.future
        ended: Future[Planes | None] = Future()
        ended.set_result(None)
        return ended

    def close(self) -> None:
        """See `Drawer.close`; what is waited for becomes None."""
        self._shared.leave(self)

    def _submit(self, motion: Motion, due_s: float | None) -> Job[_Want] | None:
        step = motion.index - (motion.index - 1 if self._last is None else self._last)
        self._last = motion.index
        skipped = step - 1 if 1 < step <= _LONGEST_SKIP else 0
        return self._shared.submit(self, motion, due_s, skipped)


def _open(renderer: Renders, scene: Scene, opened: "Future[None]") -> None:
    try:
        renderer.open(scene)
    except Exception as error:  # noqa: BLE001 - raised again where the session begins
        opened.set_exception(error)
    else:
        opened.set_result(None)


def _rendered(renderer: Renders, jobs: Sequence[Job[_Want]]) -> list[Planes | Exception]:
    """A picture a job, or the same error for each."""
    try:
        return [*renderer.render([(job.payload.drawer.scene, job.payload.motion) for job in jobs])]
    except Exception as error:  # noqa: BLE001 - raised again in the sessions that it concerns
        return [error for _ in jobs]


def _kind(scene: Scene) -> tuple[Hashable, ...]:
    """Equal for scenes that can be drawn together: all but who, and before what."""
    told = (getattr(scene, each.name) for each in fields(scene) if each.name not in _OWN)
    return (*told, scene.background == TRANSPARENT)
