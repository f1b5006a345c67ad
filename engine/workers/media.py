"""A media worker: the sessions of some of the calls; pictures are drawn in the render process."""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final

from engine.avatar import Avatar
from engine.calls import Calls
from engine.config import EngineConfig, ServerConfig
from engine.errors import SignallingError, VisavisError
from engine.pipeline import Pipeline
from engine.workers.channel import Channel, ChannelClosed, ChannelError, Message, Received
from engine.workers.figures import samples_of
from engine.workers.portraits import avatar_of
from engine.workers.remote import Remote

_AT_ONCE: Final = 64
"""Questions that are being answered; who asks more is told to come again."""

logger = logging.getLogger(__name__)


class One:
    """The avatar that the first pipeline is tried with; see `engine.calls.Avatars`."""

    def __init__(self, avatar: Avatar) -> None:
        self._avatar = avatar

    def names(self) -> list[str]:
        """Its name."""
        return [self._avatar.info.name]

    def find(self, _name: str) -> Avatar:
        """The avatar."""
        return self._avatar


class MediaWorker:
    """Does what the front asks for, until that ends or says so.

    Args:
        control: of the front.
    """

    def __init__(self, control: Channel) -> None:
        self.done = asyncio.Event()
        self._control = control
        self._remote = Remote()
        self._calls: Calls | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self) -> None:
        """Takes all messages that have come."""
        try:
            self._control.drain(self._told)
        except ChannelClosed:
            self.done.set()
        except (ChannelError, VisavisError, KeyError, TypeError, ValueError):
            logger.exception("the front is not understood")
            self.done.set()

    async def close(self) -> None:
        """Ends all calls in bounded time."""
        if self._calls is not None:
            await self._calls.close()

    def _told(self, received: Received) -> None:
        message = received.message
        match message.get("verb"):
            case "ping":
                self._tell({"verb": "pong"})
            case "settings":
                self._start(self._open(message, avatar_of(received.look(0))))
            case "door":
                self._attach(received)
            case "call" | "figures" | "stop" | "samples":
                self._asked(received)
            case "end":
                self.done.set()
            case verb:
                raise ChannelError(f"the front says {verb!r}, which is unknown here")

    def _attach(self, received: Received) -> None:
        try:
            door = Channel(received.take_socket(0))
        except ChannelError as error:
            # Calls that run are worth more than a process that may draw them one day.
            logger.error("a render process is not reached: %s", error)
            return
        door.socket.setblocking(False)
        self._remote.attach(door)

    def _asked(self, received: Received) -> None:
        """Answers a question, or says that there is no room for it: calls that run go on."""
        question = received.message
        try:
            if len(self._tasks) >= _AT_ONCE:
                raise ChannelError(f"{len(self._tasks)} questions are open, limit {_AT_ONCE}")
            self._start(self._answer(question, self._work(question, received)))
        except (ChannelError, OSError) as error:
            self._tell({"verb": "answer", "to": question["number"], "busy": str(error)})

    def _work(self, question: Message, received: Received) -> Awaitable[Message]:
        match question["verb"]:
            case "call":
                return self._call(question, avatar_of(received.look(0)))
            case "figures":
                return self._figures(str(question["call"]))
            case "stop":
                return self._stop(str(question["call"]))
            case _:
                return self._samples()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, message: Message) -> None:
        calls = 0 if self._calls is None else len(self._calls.sessions())
        try:
            self._control.send({**message, "calls": calls})
        except ChannelClosed:
            self.done.set()

    async def _answer(self, question: Message, work: Awaitable[Message]) -> None:
        try:
            told = await work
        except SignallingError as error:
            told = {"refused": str(error)}
        except Exception as error:  # the call fails, the others go on
            logger.exception("%s failed", question.get("verb"))
            told = {"failed": f"{type(error).__name__}: {error}"}
        self._tell({"verb": "answer", "to": question["number"], **told})

    async def _open(self, message: Message, avatar: Avatar) -> None:
        config, engine_config = ServerConfig(**message["server"]), engine_config_of(message)
        try:
            self._calls = Calls(
                config,
                engine_config,
                One(avatar),
                lambda who, look: Pipeline(who, look, self._remote),
            )
            await self._calls.open()
        except Exception as error:  # the front decides what becomes of it
            if not isinstance(error, VisavisError):
                logger.exception("a first pipeline fails")
            self._tell({"verb": "failed", "kind": type(error).__name__, "error": str(error)})
            return
        # What is here now stays: left out, a collection takes less than a picture's time.
        gc.collect()
        gc.freeze()
        self._tell({"verb": "ready"})

    async def _call(self, message: Message, avatar: Avatar) -> Message:
        call, answer = await self._running.start(
            str(message["offer"]), avatar, engine_config_of(message)
        )
        return {"call": call, "answer": answer}

    async def _figures(self, call: str) -> Message:
        return {"figures": await self._running.figures(call)}

    async def _stop(self, call: str) -> Message:
        return {"stopped": await self._running.stop(call)}

    async def _samples(self) -> Message:
        self._running.measure()
        return {"samples": samples_of(self._running.metrics.registry)}

    @property
    def _running(self) -> Calls:
        if self._calls is None:
            raise ChannelError("a question came before the settings")
        return self._calls


def engine_config_of(message: Message) -> EngineConfig:
    """The settings of a call, as a message carries them.

    Raises:
        ConfigError: one is out of its range.
        TypeError: one is unknown.
    """
    known: dict[str, Any] = message["engine"]
    return replace(EngineConfig(**known), live=True)


def run(end: socket.socket) -> None:
    """Serves until the front is gone, or ends it."""
    import uvloop

    uvloop.run(_main(Channel(end)))
    # A thread may be in the midst of a step that nobody wants any more.
    os._exit(0)


async def _main(control: Channel) -> None:
    worker = MediaWorker(control)
    loop = asyncio.get_running_loop()
    loop.add_reader(control.socket.fileno(), worker.follow)
    control.send({"verb": "hello"})
    await worker.done.wait()
    await worker.close()
    loop.remove_reader(control.socket.fileno())
