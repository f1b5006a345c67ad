"""One process of `--workers`: started, watched, and started again when it ends."""

import asyncio
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from engine.workers.channel import Channel, ChannelClosed, ChannelError, Message, Received, pair

PING_S: Final = 0.25
START_S: Final = 60.0
"""How long a process may take until it says a first word."""
WARM_HANG_S: Final = 20.0
"""Sign of life of a process that is not ready yet: libraries that are loaded may hold it up."""
STUCK_S: Final = 10.0
"""How long a picture may be under way before its render process counts as hung."""
STEADY_S: Final = 30.0
"""A process that lived so long is started again at once when it ends."""
PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0
_ROOT: Final = Path(__file__).resolve().parent.parent.parent

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """Who is told of processes."""

    def began(self, process: "Process") -> None:
        """It runs, and takes messages."""
        ...

    def told(self, process: "Process", received: Received) -> None:
        """It says something that is not part of the watch.

        Raises:
            ChannelError: what it says makes no sense.
        """
        ...

    def ended(self, process: "Process") -> None:
        """It is gone, and nothing of it is left."""
        ...


class Process:
    """One life of a process, from its making to the end of `run`.

    Args:
        kind: "media" or "render".
        number: tells it from all others that the front ever started.
        hang_s: without a sign of life for so long, it is killed.
        owner: see `Owner`.

    Attributes:
        calls: that it runs, as it last said.
        joining: calls that it is being asked to take.
        is_ready: for work.

    Raises:
        OSError: the system starts no more processes.
    """

    def __init__(self, kind: str, number: int, hang_s: float, owner: Owner) -> None:
        self.kind, self.number = kind, number
        self.calls = self.joining = 0
        self.is_ready = False
        self._began_s = time.monotonic()
        self._hang_s, self._owner = hang_s, owner
        self._heard = False
        self._unanswered = 0
        self._gone = asyncio.Event()
        here, there = pair()
        try:
            self._popen = _start(kind, there)
        except OSError:
            here.close()
            raise
        finally:
            there.close()
        self._channel = Channel(here)

    @property
    def pid(self) -> int:
        """The system's number of it."""
        return self._popen.pid

    @property
    def age_s(self) -> float:
        """Since its start."""
        return time.monotonic() - self._began_s

    @property
    def load(self) -> int:
        """Calls that it runs, or soon will."""
        return self.calls + self.joining

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.kind} process {self.pid}"

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Tells it something.

        Raises:
            ChannelError: it is gone, or has not read for long.
        """
        self._channel.send(message, descriptors)

    def kill(self) -> None:
        """Ends it at once."""
        self._popen.kill()

    async def run(self) -> int:
        """Watches it until it is gone, by itself or because this is cancelled.

        Returns:
            Its exit status; a signal's number below zero.

        Raises:
            OSError: what it is to be told at first cannot be made.
        """
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.socket.fileno(), self._follow)
        try:
            self._owner.began(self)
            while not self._gone.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), PING_S)
                    break
                self._ping()
        finally:
            loop.remove_reader(self._channel.socket.fileno())
            self._channel.close()
            self.kill()
            # Not on the loop: the system may take a while to take back what a process had.
            status = await asyncio.to_thread(self._popen.wait)
            self._owner.ended(self)
        return status

    def _follow(self) -> None:
        try:
            self._channel.drain(self._take)
        except ChannelError as error:
            if not isinstance(error, ChannelClosed):
                logger.error("%s is not understood: %s", self.name, error)
            self._gone.set()

    def _take(self, received: Received) -> None:
        message = received.message
        self.calls = int(message.get("calls", self.calls))
        match message.get("verb"):
            case "hello":
                self._heard = True
            case "pong":
                self._unanswered = 0
                if float(message.get("waiting_s", 0.0)) > STUCK_S:
                    logger.error("%s draws nothing any more: it is killed", self.name)
                    self.kill()
            case "ready":
                self.is_ready = True
                self._owner.told(self, received)
            case _:
                self._owner.told(self, received)

    def _ping(self) -> None:
        if not self._heard:
            if self.age_s > START_S:
                logger.error("%s says nothing for %.0f s: it is killed", self.name, START_S)
                self.kill()
            return
        # Ticks are counted, not time: where the front itself stood still, nobody else is to blame.
        hang_s = self._hang_s if self.is_ready else max(self._hang_s, WARM_HANG_S)
        if self._unanswered * PING_S >= hang_s:
            logger.error("%s gives no sign of life for %.1f s: it is killed", self.name, hang_s)
            self.kill()
            return
        self._unanswered += 1
        with suppress(ChannelError):
            self.send({"verb": "ping"})


class Keeper:
    """Keeps one process of a kind alive.

    Args:
        kind, hang_s, owner: see `Process`.

    Attributes:
        process: the one that runs now, if any.
        failures: how often it ended before it was steady, one after the other.
        is_last: the process that runs now is followed by no other.
    """

    _numbers = itertools.count(1)

    def __init__(self, kind: str, hang_s: float, owner: Owner) -> None:
        self.process: Process | None = None
        self.failures = 0
        self.is_last = False
        self._kind, self._hang_s, self._owner = kind, hang_s, owner

    async def keep(self) -> None:
        """Starts the process, and again whenever it ends; until cancelled.

        A process that ends at once, again and again, is started ever more seldom.
        """
        while True:
            began_s = time.monotonic()
            try:
                process = Process(self._kind, next(self._numbers), self._hang_s, self._owner)
                self.process = process
                status = await process.run()
                ended = f"{process.name} {_ending(status)} after {process.age_s:.1f} s"
            except OSError as error:
                ended = f"a {self._kind} process cannot be started: {error.strerror}"
            finally:
                self.process = None
            if self.is_last:
                return
            steady = time.monotonic() - began_s >= STEADY_S
            self.failures = 0 if steady else self.failures + 1
            pause_s = 0.0
            if self.failures > 1:
                pause_s = min(MAX_PAUSE_S, PAUSE_S * 2 ** min(self.failures - 2, 10))
            logger.warning("%s; another is started %s", ended, _when(pause_s, self.failures))
            await asyncio.sleep(pause_s)


def _start(kind: str, end: socket.socket) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    level = logging.getLogger().getEffectiveLevel()
    words = [kind, end.fileno(), os.getpid(), level]
    return subprocess.Popen(
        # Without -P a folder named like one of ours, where the command is run, would come first.
        [sys.executable, "-P", "-m", "engine.workers.child", *map(str, words)],
        stdin=subprocess.DEVNULL,
        pass_fds=[end.fileno()],
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C in a terminal is for the front alone.
        start_new_session=True,
    )


def _ending(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _when(pause_s: float, failures: int) -> str:
    return f"in {pause_s:.1f} s, for it ended {failures} times" if pause_s else "at once"
