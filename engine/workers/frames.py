"""Pictures in shared memory: a few slots a session, written by one process, read by another.

The session makes the memory, sealed to its size, so that neither side can shrink it under the
other; it has no name, and is gone with the last process that holds it. A slot tells whose picture
it holds and the number of its request, so that an old one is never taken for a new one.
"""

import fcntl
import mmap
import os
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from engine.workers.records import RecordError

SLOTS: Final = 3
"""Requests that may be under way in a session: one, and those that nobody waits for any more."""
MAX_PX: Final = 1080
_HEAD: Final = np.dtype([("token", "<u8"), ("number", "<u8"), ("side", "<u4"), ("spare", "<u4")])
_ALIGN: Final = 64
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

U8 = npt.NDArray[np.uint8]


class FrameMemory:
    """The slots of one session, on either side.

    Args:
        descriptor: of the memory; it is not needed after.
        side: of the square pictures, in pixels.
        token: of the session.

    Raises:
        RecordError: the memory is not what it should be.
    """

    def __init__(self, descriptor: int, side: int, token: int) -> None:
        size = memory_bytes(side)
        found = os.fstat(descriptor).st_size
        if found != size:
            raise RecordError(f"frame memory has {found} bytes, expected {size} for {side} px")
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise RecordError("frame memory can change its size: its seals are missing")
        self.side, self.token = side, token
        # Never closed by hand: the last array that looks into it keeps it.
        whole = np.frombuffer(mmap.mmap(descriptor, size), np.uint8).reshape(SLOTS, -1)
        self._heads = [row[: _HEAD.itemsize].view(_HEAD) for row in whole]
        end = _ALIGN + side * side * 3 // 2
        self._planes = [row[_ALIGN:end].reshape(side * 3 // 2, side) for row in whole]

    @classmethod
    def make(cls, side: int, token: int) -> tuple[Self, int]:
        """New memory, and its descriptor, which the caller closes once it is sent.

        Raises:
            OSError: the system has none.
        """
        descriptor = os.memfd_create("visavis-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, memory_bytes(side))
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(descriptor, side, token), descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def write(self, slot: int, number: int, i420: U8) -> None:
        """Puts a picture into a slot, (side * 3 // 2, side) uint8.

        Raises:
            RecordError: it is of another size.
        """
        planes, head = self._planes[slot], self._heads[slot]
        if i420.shape != planes.shape or i420.dtype != np.uint8:
            raise RecordError(f"picture is {i420.shape} {i420.dtype}, expected {planes.shape}")
        # While it is being written the slot is nobody's.
        head["number"] = 0
        planes[:] = i420
        head["token"], head["side"] = self.token, self.side
        head["number"] = number

    def read(self, slot: int, number: int) -> U8:
        """A copy of the picture of that request.

        Raises:
            RecordError: the slot holds another, or none.
        """
        head = self._heads[slot][0]
        found = int(head["token"]), int(head["number"]), int(head["side"])
        if found != (self.token, number, self.side):
            raise RecordError(
                f"slot {slot} holds picture {found[1]} of {found[2]} px, "
                f"expected {number} of {self.side} px"
            )
        return self._planes[slot].copy()


def memory_bytes(side: int) -> int:
    """What the slots of a session take, for pictures of a side in pixels.

    Raises:
        RecordError: no picture is of that size.
    """
    if not 16 <= side <= MAX_PX or side % 16:
        raise RecordError(f"side is {side} px, expected a multiple of 16 up to {MAX_PX}")
    slot = _ALIGN + side * side * 3 // 2
    return SLOTS * (slot + -slot % _ALIGN)
