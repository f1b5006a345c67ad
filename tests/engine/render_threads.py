"""Render processes that are threads of the tests' own; drawing is a fake."""

import threading
from concurrent.futures import Future

import numpy as np

from engine.composite import Planes
from engine.frames import Motion
from engine.metrics import ServerMetrics
from engine.renderer import Share
from engine.workers.channel import Channel, ChannelClosed, pair
from engine.workers.render import RenderProcess

SIDE = 128


class Drawing:
    """Draws pictures of one brightness; can be held up, and can refuse."""

    def __init__(self, level):
        self.level = level
        self.refuse = None
        self.fail = None
        self.held = None
        self.seen = []
        self.open = 0
        self.share = Share(2, 30, 4)

    def start(self, scene, timings):
        if self.refuse is not None:
            raise self.refuse
        self.open += 1
        self._timings = timings
        return self

    def submit(self, motion, due_s=None):
        self.seen.append((motion, due_s))
        future = Future()
        if self.held is None:
            self.finish(future)
        else:
            self.held.append(future)
        return future

    def finish(self, future):
        if self.fail is not None:
            future.set_exception(self.fail)
            return
        self._timings.record("render", 3.0)
        self._timings.record("composite", 2.0)
        self._timings.record("wait", 1.0)
        level = self.level
        future.set_result(
            None if level is None else Planes(np.full((SIDE * 3 // 2, SIDE), level, np.uint8), None)
        )

    def close(self):
        self.open -= 1


class Renderer:
    """A render process that is a thread of this one."""

    def __init__(self, level):
        self.drawing = Drawing(level)
        here, front = pair()
        self.left = threading.Event()
        self._process = RenderProcess(
            Channel(here), lambda scene: self.drawing, ServerMetrics(), self.left.set
        )
        self.front = Channel(front)
        self._here = here
        self._thread = threading.Thread(target=self._run, name="renderer")
        self._thread.start()

    def _run(self):
        try:
            self._process.run()
        except ChannelClosed:
            # As the system does with a process that was killed.
            for key in list(self._process._selector.get_map().values()):
                key.fileobj.close()

    def door(self):
        ours, theirs = pair()
        self.front.send({"verb": "door"}, [theirs.fileno()])
        theirs.close()
        return Channel(ours)

    def kill(self):
        self.front.close()
        self._thread.join()


def motion(number):
    return Motion(number, np.zeros(8, np.float32))


def level(planes):
    return None if planes is None else int(planes.i420[0, 0])
