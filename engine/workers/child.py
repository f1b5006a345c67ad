"""Where each process of `--workers` begins: `python -m engine.workers.child` (`process.py`)."""

import ctypes
import logging
import os
import signal
import socket
import sys
from typing import Final

from engine.config import SWITCH_S

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Runs until the front ends it, or ends itself."""
    kind, descriptor, front, level = sys.argv[1], *(int(text) for text in sys.argv[2:5])
    _die_with(front)
    sys.setswitchinterval(SWITCH_S)
    # The front decides: what stops a terminal's job or a whole service reaches it as well, and
    # it lets calls say that they end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=level, format=f"visavis {kind} {os.getpid()}: %(message)s")
    end = socket.socket(fileno=descriptor)
    end.setblocking(False)
    if kind == "media":
        from engine.workers.media import run
    else:
        from engine.workers.render import run
    run(end)


def _die_with(front: int) -> None:
    """Ends this process with its parent, however that ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != front:
        os._exit(1)


if __name__ == "__main__":
    main()
