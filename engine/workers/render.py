"""The render process: opens scenes and draws motions for the sessions of all media workers."""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from engine.avatar import Avatar
from engine.composite import Planes
from engine.drawing import Shared, SharedDrawer, on_gpu, shared_for
from engine.errors import AvatarError, VisavisError
from engine.metrics import ServerMetrics, StageTimes
from engine.renderer import Scene, Share
from engine.workers import records
from engine.workers.channel import (
    Channel,
    ChannelClosed,
    ChannelError,
    Received,
    send_with,
)
from engine.workers.figures import samples_of
from engine.workers.frames import SLOTS, FrameMemory
from engine.workers.portraits import avatar_of, scene_of
from engine.workers.records import Ask, Kind, RecordError, Result

logger = logging.getLogger(__name__)


class Room:
    """One session's place in this process.

    Args:
        end: its line.
        frames: where its pictures go.
        leave: ends this process; called where a GPU has failed.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        end: socket.socket,
        frames: FrameMemory,
        leave: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.end = end
        self._frames = frames
        self._leave = leave
        self._on_gpu = False
        self._clock = clock
        self._lock = threading.Lock()
        self._drawer: SharedDrawer | None = None
        self._closed = False
        self._asked: dict[int, float] = {}
        self._took: dict[str, float] = {}

    def open(self, drawing: Callable[[Scene], Shared], scene: Scene) -> None:
        """Makes the scene ready and says so, or why it cannot be; on a thread of its own."""
        try:
            self._on_gpu = on_gpu(scene.backend, scene.kernels)
            drawer = drawing(scene).start(scene, StageTimes(observe=self._took.__setitem__))
        except VisavisError as error:
            self._send(Result(Kind.FAILED, words=str(error)))
            return
        except Exception as error:  # of a library: the session is told, the others go on
            logger.exception("a scene of %s cannot be opened", scene.avatar.info.name)
            self._send(Result(Kind.FAILED, words=f"{type(error).__name__}: {error}"))
            return
        with self._lock:
            closed = self._closed
            self._drawer = None if closed else drawer
        if closed:
            drawer.close()
        self._send(Result(Kind.OPENED))

    def waiting_s(self) -> float:
        """How long the oldest picture is under way."""
        return max((self._clock() - at for at in list(self._asked.values())), default=0.0)

    def take(self) -> None:
        """Takes the motions that have come: the newest is drawn, those before it are too late.

        Raises:
            ChannelClosed: the session has ended.
            RecordError: what came is no motion of this session.
        """
        asks: list[Ask] = []
        while (data := self._receive()) is not None:
            asks.append(records.unpack_ask(data, self._frames.token, SLOTS))
        for ask in asks[:-1]:
            self._send(Result(Kind.SHED, ask.number, ask.slot))
        for ask in asks[-1:]:
            self._draw(ask)

    def close(self) -> None:
        """The session has ended."""
        with self._lock:
            self._closed = True
            self.end.close()
            drawer, self._drawer = self._drawer, None
        if drawer is not None:
            drawer.close()

    def _receive(self) -> bytes | None:
        try:
            data = self.end.recv(records.MOTION_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(f"the session is gone: {error.strerror}") from error
        if not data:
            raise ChannelClosed("the session is gone")
        return data

    def _draw(self, ask: Ask) -> None:
        drawer = self._drawer
        if drawer is None:
            self._send(Result(Kind.SHED, ask.number, ask.slot))
            return
        self._asked[ask.number] = self._clock()
        try:
            future = drawer.submit(ask.motion, ask.due_s)
        except Exception as error:  # the session is told, the others go on
            logger.exception("a picture is not taken")
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda done: self._answer(ask, done))

    def _answer(self, ask: Ask, done: Future[Planes | None]) -> None:
        kind, words = Kind.DRAWN, ""
        try:
            planes = done.result()
            if planes is None:
                kind = Kind.SHED
            else:
                self._frames.write(ask.slot, ask.number, planes.i420)
        except CancelledError:
            kind = Kind.SHED
        except Exception as error:  # the session is told, the others go on
            logger.exception("a picture cannot be drawn")
            if self._on_gpu and not isinstance(error, VisavisError):
                # After most faults a GPU refuses all else in this process: the next one goes on.
                self._leave()
                return
            kind, words = Kind.FAILED, f"{error}" or type(error).__name__
        took_ms = (self._clock() - self._asked.pop(ask.number)) * 1000.0
        render, composite, wait = (
            self._took.get(name, 0.0) for name in ("render", "composite", "wait")
        )
        drawer = self._drawer
        share = Share() if drawer is None else drawer.share
        self._send(
            Result(kind, ask.number, ask.slot, render, composite, wait, took_ms, words, share)
        )

    def _send(self, result: Result) -> None:
        data = records.pack_result(result, self._frames.token)
        with self._lock:
            # A thread that draws must not write to what the descriptor's number is by then.
            if self._closed:
                return
            try:
                send_with(self.end, data)
            except ChannelError as error:
                logger.info("a result is not told: %s", error)


class RenderProcess:
    """Serves the front's control, the workers' doors and the sessions' lines from one thread.

    Args:
        control: of the front, whose end ends this process.
        make_drawing: makes what draws all scenes, given the first of them.
        metrics: its figures.
        leave: see `Room`.
    """

    def __init__(
        self,
        control: Channel,
        make_drawing: Callable[[Scene], Shared],
        metrics: ServerMetrics,
        leave: Callable[[], None],
    ) -> None:
        self._control = control
        self._make_drawing = make_drawing
        self._drawing: Shared | None = None
        self._metrics = metrics
        self._leave = leave
        self._opener = ThreadPoolExecutor(1, "open")
        self._selector = selectors.DefaultSelector()
        self._selector.register(control.socket, selectors.EVENT_READ, self._follow_front)
        self._rooms: set[Room] = set()
        self._kept: dict[str, Avatar] = {}

    def run(self) -> None:
        """Serves for good.

        Raises:
            ChannelClosed: the front is gone.
        """
        self._control.send({"verb": "hello"})
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _follow_front(self) -> None:
        self._control.drain(self._told)

    def _told(self, received: Received) -> None:
        message = received.message
        match message.get("verb"):
            case "ping":
                waiting_s = max((room.waiting_s() for room in self._rooms), default=0.0)
                self._control.send(
                    {"verb": "pong", "calls": len(self._rooms), "waiting_s": waiting_s}
                )
            case "door":
                self._attach(received)
            case "keep":
                avatar = avatar_of(received.look(0))
                self._kept[avatar.info.name] = avatar
                self._opener.submit(self._warm, scene_of(avatar, message), bool(message["first"]))
            case "samples":
                samples = samples_of(self._metrics.registry)
                told = {"verb": "answer", "to": message["number"], "samples": samples}
                self._control.send(told)
            case "forget":
                self._kept.pop(str(message["name"]), None)
            case verb:
                raise ChannelError(f"the front says {verb!r}, which is unknown here")

    def _attach(self, received: Received) -> None:
        try:
            door = Channel(received.take_socket(0))
        except ChannelError as error:
            # No descriptors are left: those whom it draws for already lose nothing.
            logger.error("a media worker is not reached: %s", error)
            return
        door.socket.setblocking(False)
        self._selector.register(door.socket, selectors.EVENT_READ, lambda: self._follow_door(door))

    def _drawing_of(self, scene: Scene) -> Shared:
        """On the opener's thread alone."""
        if self._drawing is None:
            self._drawing = self._make_drawing(scene)
        return self._drawing

    def _warm(self, scene: Scene, first: bool) -> None:
        try:
            self._drawing_of(scene).start(scene, StageTimes()).close()
        except Exception as error:  # the front decides what becomes of it
            name = scene.avatar.info.name
            if not isinstance(error, VisavisError):
                logger.exception("%s cannot be made ready", name)
            elif not first:
                logger.error("%s cannot be made ready: %s", name, error)
            if not first:
                return
            told = {"verb": "failed", "kind": type(error).__name__, "error": str(error)}
            self._control.send(told)
        else:
            if first:
                self._control.send({"verb": "ready"})

    def _follow_door(self, door: Channel) -> None:
        try:
            door.drain(self._open)
        except ChannelError as error:
            if not isinstance(error, ChannelClosed):
                logger.error("a media worker is heard no more: %s", error)
            self._selector.unregister(door.socket)
            door.close()

    def _open(self, received: Received) -> None:
        message = received.message
        try:
            scene = scene_of(avatar_of(received.look(2)), message)
            frames = FrameMemory(received.look(1), scene.size_px, int(message["token"]))
            # Last: until then it belongs to the message, and is closed with it.
            end = received.take_socket(0)
        except (ChannelError, OSError) as error:
            # No descriptors are left: the session finds its line closed, and tries again.
            logger.error("a scene is not opened: %s", error)
            return
        except (AvatarError, RecordError, KeyError, TypeError, ValueError) as error:
            raise ChannelError(f"a scene is not described as it should be: {error}") from error
        end.setblocking(False)
        room = Room(end, frames, self._leave)
        self._rooms.add(room)
        self._selector.register(end, selectors.EVENT_READ, lambda: self._follow_room(room))
        self._opener.submit(room.open, self._drawing_of, scene)

    def _follow_room(self, room: Room) -> None:
        try:
            room.take()
        except (ChannelClosed, RecordError) as error:
            if isinstance(error, RecordError):
                logger.error("a session is heard no more: %s", error)
            self._selector.unregister(room.end)
            self._rooms.discard(room)
            room.close()


def run(end: socket.socket) -> None:
    """Serves until the front is gone."""
    metrics = ServerMetrics()

    def drawing(scene: Scene) -> Shared:
        return shared_for(scene.backend, scene.kernels, metrics)

    try:
        RenderProcess(Channel(end), drawing, metrics, leave=lambda: os._exit(1)).run()
    except ChannelClosed:
        # Threads may be in the midst of a picture that nobody wants any more.
        os._exit(0)
