"""One session's way to one render process: motions there, pictures back."""

import os
import secrets
import select
from collections.abc import Callable
from typing import Final

from engine.composite import Planes
from engine.errors import BackendError
from engine.frames import Motion
from engine.renderer import Scene, Share
from engine.workers import records
from engine.workers.channel import Channel, ChannelClosed, ChannelError, pair, send_with
from engine.workers.frames import SLOTS, FrameMemory
from engine.workers.portraits import descriptor_of, told_of
from engine.workers.records import Ask, Kind, RecordError, Result

ENDS: Final = (ChannelClosed, RecordError)
"""After one of these a line is of no more use."""


class Line:
    """Opens a scene at a render process, which takes its time; then asks for pictures.

    Not for several threads at once. Each line has memory and a token of its own, so that nothing
    that an earlier process still writes can come out of it.

    Args:
        door: of the render process.
        scene: what is drawn.

    Attributes:
        is_open: the scene is ready there.
        refused: why the scene cannot be opened there, or nothing.
        share: what the session gets there, as it was last said.

    Raises:
        ChannelError: the process is gone, or does not listen.
        OSError: the system has no memory or sockets left.
    """

    def __init__(self, door: Channel, scene: Scene) -> None:
        self.is_open = False
        self.refused = ""
        self.share = Share()
        self._token = secrets.randbits(63)
        self._count = 0
        self._free = list(range(SLOTS))
        self._asked: dict[int, int] = {}
        self._frames, memory = FrameMemory.make(scene.size_px, self._token)
        told = {"verb": "open", "token": self._token, **told_of(scene)}
        try:
            self._end, there = pair()
            try:
                door.send(told, [there.fileno(), memory, descriptor_of(scene.avatar)])
            except BaseException:
                self._end.close()
                raise
            finally:
                there.close()
        finally:
            os.close(memory)
        self._poll = select.poll()
        self._poll.register(self._end, select.POLLIN)

    def close(self) -> None:
        """The session has ended, or does without this process; it is told by the end itself."""
        self._end.close()

    def wait(self, wait_s: float) -> Result | None:
        """The next result, or None if none comes in time; slots of results are free again.

        Raises:
            ChannelClosed: the render process is gone.
            RecordError: what came is no result of this line.
        """
        if not self._poll.poll(wait_s * 1000):
            return None
        try:
            data = self._end.recv(records.RESULT_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(f"the render process is gone: {error.strerror}") from error
        if not data:
            raise ChannelClosed("the render process is gone")
        result = records.unpack_result(data, self._token, SLOTS)
        self._take(result)
        return result

    def catch_up(self) -> None:
        """Takes in whatever has come, late pictures among it.

        Raises:
            ChannelClosed, RecordError: see `wait`.
        """
        while self.wait(0) is not None:
            pass

    def draw(
        self, motion: Motion, due_s: float, wait_s: float, drawn: Callable[[Result], None]
    ) -> Planes | None:
        """One picture; None where it was shed, does not come in time, or all slots are waited for.

        Args:
            due_s: see `Ask.due_s`.
            wait_s: how long to wait for it.
            drawn: told of the picture's times.

        Raises:
            ChannelClosed, RecordError: see `wait`.
            BackendError: the picture cannot be drawn.
        """
        self.catch_up()
        if not self._free:
            return None
        self._count += 1
        number, slot = self._count, self._free.pop()
        try:
            send_with(self._end, records.pack_ask(Ask(number, slot, due_s, motion), self._token))
        except ChannelClosed:
            raise
        except ChannelError:
            self._free.append(slot)
            return None
        self._asked[number] = slot
        while number in self._asked:
            result = self.wait(wait_s)
            if result is None:
                return None
            if result.number == number:
                return self._planes(result, slot, drawn)
        return None

    def _planes(self, result: Result, slot: int, drawn: Callable[[Result], None]) -> Planes | None:
        if result.kind is Kind.FAILED:
            raise BackendError(f"a picture cannot be drawn: {result.words}")
        if result.kind is not Kind.DRAWN:
            return None
        drawn(result)
        return Planes(self._frames.read(slot, result.number), None)

    def _take(self, result: Result) -> None:
        self.share = result.share
        if result.number == 0:
            self.is_open = result.kind is Kind.OPENED
            self.refused = "" if self.is_open else result.words or "its log says why"
            return
        slot = self._asked.pop(result.number, None)
        if slot is None or slot != result.slot:
            raise RecordError(f"nobody waits for picture {result.number} in slot {result.slot}")
        self._free.append(slot)
