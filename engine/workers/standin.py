"""A pool of threads that draw: stands in for `engine.drawing.Shared` until that is merged."""

import queue
import threading
from concurrent.futures import Future

from engine.composite import Planes
from engine.frames import Motion
from engine.metrics import StageTimes
from engine.renderer import Renderer, Scene


class Pooled:
    """See `engine.workers.render.SharedDrawing`."""

    def __init__(self, threads: int) -> None:
        self._queue: queue.SimpleQueue[tuple[Scene, Motion, StageTimes, Future[Planes | None]]] = (
            queue.SimpleQueue()
        )
        self._ready = Renderer()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"draw-{number}", daemon=True).start()

    def start(self, scene: Scene, timings: StageTimes) -> "PooledDrawer":
        """See `SharedDrawing.start`."""
        self._ready.open(scene)
        return PooledDrawer(self._queue, scene, timings)

    def _work(self) -> None:
        renderers = {}
        while True:
            scene, motion, timings, future = self._queue.get()
            try:
                if timings not in renderers:
                    renderers[timings] = Renderer(timings)
                (planes,) = renderers[timings].render([(scene, motion)])
                future.set_result(planes)
            except Exception as error:  # noqa: BLE001 - goes to whoever waits
                future.set_exception(error)


class PooledDrawer:
    """See `engine.workers.render.SharedDrawer`."""

    def __init__(
        self,
        tasks: "queue.SimpleQueue[tuple[Scene, Motion, StageTimes, Future[Planes | None]]]",
        scene: Scene,
        timings: StageTimes,
    ) -> None:
        self._tasks, self._scene, self._timings = tasks, scene, timings

    def submit(self, motion: Motion, _due_s: float | None = None) -> Future[Planes | None]:
        """See `SharedDrawer.submit`."""
        future: Future[Planes | None] = Future()
        self._tasks.put((self._scene, motion, self._timings, future))
        return future

    def close(self) -> None:
        """Nothing is kept."""
