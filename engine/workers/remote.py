"""Drawing that happens in the render process: what a media worker's pipelines are given."""

import logging
import select
import threading
import time
from contextlib import suppress
from typing import Final

from engine.composite import Planes
from engine.errors import BackendError
from engine.frames import FRAME_MS, Motion
from engine.metrics import StageTimes
from engine.renderer import Scene, Share
from engine.workers.channel import Channel, ChannelError
from engine.workers.line import ENDS, Line
from engine.workers.records import Result

OPEN_S: Final = 4.0
"""How long a call waits for its scene; then it begins, and gets its pictures later."""
DRAW_S: Final = 2.0
"""How long a picture is waited for; a process that hangs is killed before."""
REOPEN_S: Final = 1.0
_LOOK_S: Final = 0.05

logger = logging.getLogger(__name__)


class Remote:
    """Draws for all sessions of this process, elsewhere; see `engine.renderer.Drawing`.

    Render processes come and go (`attach`). Every session opens its scene at all of them and is
    drawn by the oldest, so that another can go on at once where that one ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doors: list[Channel] = []
        self._drawers: set[RemoteDrawer] = set()

    def attach(self, door: Channel) -> None:
        """Another render process is there; sessions open their scenes at it."""
        with self._lock:
            gone = [old for old in self._doors if _hung_up(old)]
            self._doors = [old for old in self._doors if old not in gone] + [door]
            drawers = list(self._drawers)
        for old in gone:
            old.close()
        for drawer in drawers:
            drawer.open_at(door)

    def start(self, scene: Scene, timings: StageTimes) -> "RemoteDrawer":
        """See `engine.renderer.Drawing.start`; waits for the scene, for `OPEN_S` at most.

        Raises:
            BackendError: the scene cannot be opened.
        """
        drawer = RemoteDrawer(self, scene, timings)
        with self._lock:
            # Together, so that a process attached meanwhile is neither left out nor taken twice.
            self._drawers.add(drawer)
            for door in self._doors:
                drawer.open_at(door)
        try:
            drawer.wait_open(OPEN_S)
        except BaseException:
            drawer.close()
            raise
        return drawer

    def doors(self) -> list[Channel]:
        """Where scenes can be opened, oldest first."""
        with self._lock:
            return [door for door in self._doors if not _hung_up(door)]

    def leave(self, drawer: "RemoteDrawer") -> None:
        """A session has ended."""
        with self._lock:
            self._drawers.discard(drawer)


class RemoteDrawer:
    """One session's pictures; see `engine.renderer.Drawer`."""

    def __init__(self, remote: Remote, scene: Scene, timings: StageTimes) -> None:
        self._remote, self._scene, self._timings = remote, scene, timings
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._gone = Share()
        self._tried_s = time.monotonic()
        self._was_open = False
        self._closed = False

    def open_at(self, door: Channel) -> None:
        """Opens the scene at one more render process; any thread may call it."""
        try:
            line = Line(door, self._scene)
        except (ChannelError, OSError) as error:
            logger.info("a scene is not opened: %s", error)
            return
        with self._lock:
            if not self._closed:
                self._lines.append(line)
                return
        line.close()

    def wait_open(self, wait_s: float) -> None:
        """Waits until the scene is open somewhere; goes on without after a time.

        Raises:
            BackendError: it cannot be opened.
        """
        until_s = time.monotonic() + wait_s
        while time.monotonic() < until_s:
            lines = self._alive()
            if any(line.is_open for line in lines):
                return
            if lines and all(line.refused for line in lines):
                raise BackendError(lines[0].refused)
            if not lines:
                self._reopen()
            time.sleep(_LOOK_S if not lines else 0)
            for line in lines[:1]:
                with suppress(*ENDS):
                    line.wait(_LOOK_S)
        logger.info("no picture yet: the scene was not opened within %.0f s", wait_s)

    def draw(self, motion: Motion) -> Planes | None:
        """See `engine.renderer.Drawer.draw`; None too while no render process is there.

        Raises:
            BackendError: the picture cannot be drawn, or the scene was never opened anywhere.
        """
        began_s = time.monotonic()
        due_s = began_s + FRAME_MS / 1000

        def drawn(result: Result) -> None:
            self._timings.record("wait", result.wait_ms)
            self._timings.record("render", result.render_ms)
            self._timings.record("composite", result.composite_ms)
            all_ms = (time.monotonic() - began_s) * 1000.0
            self._timings.record("hop", max(0.0, all_ms - result.took_ms))

        lines = self._alive()
        for line in lines:
            if line.is_open:
                try:
                    return line.draw(motion, due_s, DRAW_S, drawn)
                except ENDS as error:
                    self._drop(line, error)
        if lines and all(line.refused for line in lines):
            if not self._was_open:
                raise BackendError(lines[0].refused)
            # It was drawn before: this process is at fault, and the next one may do better.
            for line in lines:
                self._drop(line, BackendError(line.refused))
        self._reopen()
        return None

    @property
    def share(self) -> Share:
        """See `engine.renderer.Drawer.share`: the rate at the process which draws now, and what
        was left out or late at all that did."""
        with self._lock:
            drawing = [line.share for line in self._lines if line.is_open]
            told = [self._gone, *drawing]
        stride = drawing[0].stride if drawing else 1
        return Share(stride, sum(one.shed for one in told), sum(one.late for one in told))

    def close(self) -> None:
        """See `engine.renderer.Drawer.close`."""
        self._remote.leave(self)
        with self._lock:
            lines, self._lines, self._closed = self._lines, [], True
        for line in lines:
            line.close()

    def _alive(self) -> list[Line]:
        """The lines that still lead somewhere, oldest first, news of them taken in."""
        with self._lock:
            lines = list(self._lines)
        alive = []
        for line in lines:
            try:
                line.catch_up()
            except ENDS as error:
                self._drop(line, error)
            else:
                alive.append(line)
                self._was_open = self._was_open or line.is_open
        return alive

    def _drop(self, line: Line, error: Exception) -> None:
        logger.info("a session is drawn elsewhere: %s", error)
        with self._lock:
            if line in self._lines:
                shed, late = self._gone.shed + line.share.shed, self._gone.late + line.share.late
                self._gone = Share(shed=shed, late=late)
                self._lines.remove(line)
        line.close()

    def _reopen(self) -> None:
        """Where all lines ended but a process is there, tries again, now and then."""
        now_s = time.monotonic()
        with self._lock:
            wanted = not self._lines and now_s - self._tried_s >= REOPEN_S
        if wanted:
            self._tried_s = now_s
            for door in self._remote.doors():
                self.open_at(door)


def _hung_up(door: Channel) -> bool:
    poll = select.poll()
    poll.register(door.socket, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
