"""Messages between the front and its processes: small JSON objects that may carry descriptors.

They go over a socket pair that keeps messages apart (SOCK_SEQPACKET); its end is the first thing
that tells of the other side's death.
"""

import array
import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from engine.errors import VisavisError

MAX_BYTES: Final = 256 * 1024
MAX_DESCRIPTORS: Final = 4

Message = dict[str, Any]


class ChannelError(VisavisError, RuntimeError):
    """The other side is gone, does not listen, or sends what is no message."""


class ChannelClosed(ChannelError):  # noqa: N818 - an end, which is no error
    """The other side is gone."""


class Received:
    """A message and its descriptors, which are closed with it unless they are taken.

    Attributes:
        message: the JSON object.
    """

    def __init__(self, message: Message, descriptors: list[int]) -> None:
        self.message = message
        self._descriptors = descriptors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def look(self, number: int) -> int:
        """A descriptor that goes on belonging to the message.

        Raises:
            ChannelError: there are fewer.
        """
        if number >= len(self._descriptors):
            raise ChannelError(
                f"a message carries {len(self._descriptors)} descriptors, expected {number + 1}"
            )
        return self._descriptors[number]

    def take_socket(self, number: int) -> socket.socket:
        """A descriptor as a socket that belongs to the caller.

        Raises:
            ChannelError: there are fewer, or it is no socket.
        """
        try:
            return socket.socket(fileno=os.dup(self.look(number)))
        except OSError as error:
            raise ChannelError(f"descriptor {number} of a message is no socket") from error


class Channel:
    """One end. Sending never waits; receiving does where the socket does.

    Args:
        end: of a pair of SOCK_SEQPACKET; the channel closes it.
    """

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        # Linux gives what it may give, and twice that.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_BYTES)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Sends at once.

        Raises:
            ChannelClosed: the other side is gone.
            ChannelError: the message is too large, or the other side has not read for long.
        """
        data = json.dumps(message, ensure_ascii=False).encode(errors="replace")
        if len(data) > MAX_BYTES:
            raise ChannelError(f"a message has {len(data)} bytes, limit {MAX_BYTES}")
        send_with(self.socket, data, descriptors)

    def receive(self) -> Received:
        """The next message.

        Raises:
            BlockingIOError: there is none, and the socket does not wait.
            ChannelClosed: the other side is gone.
            ChannelError: what came is no message.
        """
        data, descriptors = _receive(self.socket)
        try:
            message = json.loads(data)
        except ValueError as error:
            _close(descriptors)
            raise ChannelError("what came is no JSON") from error
        if not isinstance(message, dict):
            _close(descriptors)
            raise ChannelError(f"what came is {type(message).__name__}, expected an object")
        return Received(message, descriptors)

    def drain(self, each: Callable[[Received], None]) -> None:
        """All messages that have come, where the socket does not wait.

        Raises:
            ChannelClosed, ChannelError: see `receive`.
        """
        while True:
            try:
                received = self.receive()
            except BlockingIOError:
                return
            with received:
                each(received)

    def close(self) -> None:
        """Ends this side."""
        self.socket.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart; neither waits.

    Raises:
        OSError: the system has none.
    """
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def send_with(end: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Sends one message at once.

    Raises:
        ChannelClosed: the other side is gone.
        ChannelError: it has not read for long.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    try:
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        end.sendmsg([data], rights if descriptors else [], flags)
    except BlockingIOError as error:
        raise ChannelError("the other side has not read for long") from error
    except OSError as error:
        raise ChannelClosed(f"the other side is gone: {error.strerror}") from error


def _receive(end: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    try:
        data, extra, flags, _ = end.recvmsg(MAX_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        raise
    except OSError as error:
        raise ChannelClosed(f"the other side is gone: {error.strerror}") from error
    descriptors = array.array("i")
    for level, kind, content in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            usable = len(content) - len(content) % descriptors.itemsize
            descriptors.frombytes(content[:usable])
    # Descriptors for which this process has no room are left out: who looks for them is told.
    if flags & socket.MSG_TRUNC:
        _close(descriptors.tolist())
        raise ChannelError(f"a message is longer than {MAX_BYTES} bytes")
    if not data:
        _close(descriptors.tolist())
        raise ChannelClosed("the other side is gone")
    return data, descriptors.tolist()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
