"""What passes between a session and the render process, one record a message: fixed and binary.

Every record is checked when read, by whichever side reads it: magic, length, the session's token,
counts, finite numbers. What does not fit is a `RecordError`, and ends that line alone.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np

from engine.errors import VisavisError
from engine.frames import EMBEDDING, Motion, Pose
from engine.renderer import Share

MAX_LIPS: Final = 64
MAX_WORDS: Final = 240
MAX_STRIDE: Final = 1000
_ASK, _ANSWER = 0x4B534156, 0x53574156
_MOTION: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("slot", "<u4"),
        ("token", "<u8"),
        ("number", "<u8"),
        ("due_s", "<f8"),
        ("index", "<i8"),
        ("pose", "<f8", 6),
        ("blink", "<f8", 2),
        ("gaze", "<f8", 2),
        ("brow", "<f8"),
        ("smile", "<f8"),
        ("embedding", "<f4", EMBEDDING),
        ("lips", "<u4"),
        ("lip_code", "<f4", MAX_LIPS),
        ("end", "<u4"),
    ]
)
_RESULT: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("kind", "<u4"),
        ("token", "<u8"),
        ("number", "<u8"),
        ("slot", "<u4"),
        ("render_ms", "<f4"),
        ("composite_ms", "<f4"),
        ("wait_ms", "<f4"),
        ("took_ms", "<f4"),
        ("stride", "<u4"),
        ("shed", "<u8"),
        ("late", "<u8"),
        ("words", f"S{MAX_WORDS}"),
        ("end", "<u4"),
    ]
)
_TIMES: Final = ("render_ms", "composite_ms", "wait_ms", "took_ms")
MOTION_BYTES: Final = _MOTION.itemsize
RESULT_BYTES: Final = _RESULT.itemsize


class RecordError(VisavisError, ValueError):
    """A record is damaged, or another session's."""


class Kind(IntEnum):
    """What a result says."""

    OPENED = 0
    """The scene is ready."""
    DRAWN = 1
    """The slot holds the picture."""
    SHED = 2
    """There was no time for the picture."""
    FAILED = 3
    """The scene cannot be opened, or the picture not drawn; `words` say why."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A motion that is to be drawn.

    Attributes:
        number: of the request in its session, from 1.
        slot: of the session's frame memory, where the picture is to go.
        due_s: when the picture is wanted, `time.monotonic`, which is one for all processes.
    """

    number: int
    slot: int
    due_s: float
    motion: Motion


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request.

    Attributes:
        number, slot: those of the `Ask`; 0 where a scene was opened.
        render_ms, composite_ms, wait_ms: of the drawing itself, and of the wait for it.
        took_ms: from the arrival of the request to this answer.
        words: of a failure.
        share: what the session gets at present.
    """

    kind: Kind
    number: int = 0
    slot: int = 0
    render_ms: float = 0.0
    composite_ms: float = 0.0
    wait_ms: float = 0.0
    took_ms: float = 0.0
    words: str = ""
    share: Share = field(default_factory=Share)


def pack_ask(ask: Ask, token: int) -> bytes:
    """One message of `MOTION_BYTES`.

    Raises:
        RecordError: the lip code or the embedding is of a size that no record holds.
    """
    motion = ask.motion
    if len(motion.lip_code) > MAX_LIPS or len(motion.embedding) != EMBEDDING:
        raise RecordError(
            f"a motion has {len(motion.lip_code)} lip coefficients and an embedding of "
            f"{len(motion.embedding)}, limits {MAX_LIPS} and {EMBEDDING}"
        )
    record = np.zeros((), _MOTION)
    pose = motion.pose
    record["magic"], record["end"] = _ASK, _ASK
    record["token"], record["number"], record["slot"] = token, ask.number, ask.slot
    record["due_s"], record["index"] = ask.due_s, motion.index
    record["pose"] = pose.yaw, pose.pitch, pose.roll, pose.x, pose.y, pose.scale
    record["blink"], record["gaze"] = motion.blink, motion.gaze
    record["brow"], record["smile"] = motion.brow, motion.smile
    record["embedding"] = motion.embedding
    record["lips"] = len(motion.lip_code)
    record["lip_code"][: len(motion.lip_code)] = motion.lip_code
    return record.tobytes()


def unpack_ask(data: bytes, token: int, slots: int) -> Ask:
    """The reverse of `pack_ask`.

    Raises:
        RecordError: it is no such record of this session.
    """
    record = _read(data, _MOTION, _ASK, token, slots)
    lips = int(record["lips"])
    if lips > MAX_LIPS:
        raise RecordError(f"a motion has {lips} lip coefficients, limit {MAX_LIPS}")
    blink, gaze = (tuple(record[name].tolist()) for name in ("blink", "gaze"))
    motion = Motion(
        int(record["index"]),
        record["lip_code"][:lips].copy(),
        Pose(*record["pose"].tolist()),
        (blink[0], blink[1]),
        (gaze[0], gaze[1]),
        float(record["brow"]),
        record["embedding"].copy(),
        float(record["smile"]),
    )
    numbers = [record[name] for name in ("pose", "blink", "gaze", "brow", "smile", "embedding")]
    if not all(np.isfinite(part).all() for part in [*numbers, motion.lip_code, record["due_s"]]):
        raise RecordError(f"motion {motion.index} holds a number that is not finite")
    return Ask(int(record["number"]), int(record["slot"]), float(record["due_s"]), motion)


def pack_result(result: Result, token: int) -> bytes:
    """One message of `RESULT_BYTES`; words that are too long are cut off."""
    record = np.zeros((), _RESULT)
    record["magic"], record["end"] = _ANSWER, _ANSWER
    record["token"], record["number"], record["slot"] = token, result.number, result.slot
    record["kind"] = result.kind
    record["render_ms"], record["composite_ms"] = result.render_ms, result.composite_ms
    record["wait_ms"], record["took_ms"] = result.wait_ms, result.took_ms
    share = result.share
    record["stride"], record["shed"], record["late"] = share.stride, share.shed, share.late
    record["words"] = result.words.encode()[:MAX_WORDS]
    return record.tobytes()


def unpack_result(data: bytes, token: int, slots: int) -> Result:
    """The reverse of `pack_result`.

    Raises:
        RecordError: it is no such record of this session.
    """
    record = _read(data, _RESULT, _ANSWER, token, slots)
    if int(record["kind"]) not in list(Kind):
        raise RecordError(f"a result is of kind {int(record['kind'])}, limit {max(Kind)}")
    times = [float(record[name]) for name in _TIMES]
    if not all(math.isfinite(ms) and ms >= 0 for ms in times):
        raise RecordError(f"a result's times are {times} ms, expected 0 and more")
    if not 1 <= int(record["stride"]) <= MAX_STRIDE:
        raise RecordError(f"a result's stride is {int(record['stride'])}, limit {MAX_STRIDE}")
    return Result(
        Kind(int(record["kind"])),
        int(record["number"]),
        int(record["slot"]),
        render_ms=times[0],
        composite_ms=times[1],
        wait_ms=times[2],
        took_ms=times[3],
        words=bytes(record["words"]).decode(errors="replace"),
        share=Share(*(int(record[name]) for name in ("stride", "shed", "late"))),
    )


def _read(data: bytes, dtype: "np.dtype[Any]", magic: int, token: int, slots: int) -> Any:
    if len(data) != dtype.itemsize:
        raise RecordError(f"a record has {len(data)} bytes, expected {dtype.itemsize}")
    record = np.frombuffer(data, dtype)[0]
    if int(record["magic"]) != magic or int(record["end"]) != magic:
        raise RecordError(f"a record begins with {int(record['magic']):#x}, expected {magic:#x}")
    if int(record["token"]) != token:
        raise RecordError(f"a record is of session {int(record['token']):#x}, not of {token:#x}")
    if int(record["slot"]) >= slots:
        raise RecordError(f"a record names slot {int(record['slot'])}, limit {slots - 1}")
    return record
