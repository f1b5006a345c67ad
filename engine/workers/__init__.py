"""Calls spread over media processes, drawn by one render process: `visavis serve --workers N`.

The front answers HTTP and starts and watches the others. A media worker runs sessions: sound,
motion, encoding, transport. The render process draws for all of them; a second one stands by with
the same scenes open, and takes over where the first one ends. Nothing between them has a name that
others could open: sockets and shared memory are handed down, or sent, as descriptors.
"""

import os
import socket

from engine.errors import ConfigError


def check_system(workers: int) -> None:
    """Whether processes can share memory and sockets here as these do.

    Raises:
        ConfigError: they cannot.
    """
    try:
        os.close(os.memfd_create("visavis-check", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            end.close()
    except (AttributeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"workers is {workers}, but this system shares no sealed memory and socket pairs "
            f"({reason}), as Linux does: expected 0"
        ) from error
