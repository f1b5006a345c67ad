"""Avatars in shared memory, one copy for all processes, which nobody can change; and scenes.

A call keeps its avatar in this form, and the render process is given it with the scene: an avatar
that was replaced or removed meanwhile is still the one that the call began with.
"""

import fcntl
import hashlib
import json
import mmap
import os
from dataclasses import asdict, fields
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary, finalize

import numpy as np

from engine.avatar import MAX_PX, Avatar, AvatarInfo
from engine.errors import AvatarError
from engine.renderer import Scene
from engine.workers.channel import Message
from models.topology import LANDMARKS

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MAGIC: Final = b"VISAVIS1"
_HEAD_BYTES: Final = 64 * 1024
_MAX_BYTES: Final = _HEAD_BYTES + MAX_PX * MAX_PX * 4 + LANDMARKS * 12

_sent: WeakKeyDictionary[Avatar, int] = WeakKeyDictionary()
_known: WeakValueDictionary[bytes, Avatar] = WeakValueDictionary()


def descriptor_of(avatar: Avatar) -> int:
    """Shared memory that holds an avatar; made once, and closed when the avatar is gone.

    Raises:
        AvatarError: what is told of it is longer than any avatar file's.
    """
    if avatar not in _sent:
        descriptor = _pack(avatar)
        _sent[avatar] = descriptor
        finalize(avatar, os.close, descriptor)
    return _sent[avatar]


def avatar_of(descriptor: int) -> Avatar:
    """The avatar that shared memory holds; the same object for the same avatar.

    It keeps the memory; the descriptor may be closed.

    Raises:
        AvatarError: it holds none, or can be changed.
    """
    size = os.fstat(descriptor).st_size
    if not _HEAD_BYTES < size <= _MAX_BYTES:
        raise AvatarError(f"avatar memory has {size} bytes, limit {_MAX_BYTES}")
    if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise AvatarError("avatar memory can be changed: its seals are missing")
    data = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    digest = hashlib.sha256(data).digest()
    known = _known.get(digest)
    if known is None:
        known = _unpack(data)
        _known[digest] = known
        # It is passed on as it is.
        _sent[known] = kept = os.dup(descriptor)
        finalize(known, os.close, kept)
    return known


def told_of(scene: Scene) -> Message:
    """All of a scene but its avatar."""
    return {each.name: getattr(scene, each.name) for each in fields(scene) if each.name != "avatar"}


def scene_of(avatar: Avatar, message: Message) -> Scene:
    """The scene that `told_of` told of.

    Raises:
        KeyError, TypeError: something is missing, or is of another type.
    """
    told = {each.name: message[each.name] for each in fields(Scene) if each.name != "avatar"}
    for name, value in told.items():
        wanted = int if name in ("size_px", "steps") else str
        if type(value) is not wanted:
            raise TypeError(f"a scene's {name} is {value!r}, expected {wanted.__name__}")
    return Scene(avatar, **told)


def _pack(avatar: Avatar) -> int:
    told = json.dumps({"side": avatar.portrait.shape[0], **asdict(avatar.info)}).encode()
    head = _MAGIC + len(told).to_bytes(4, "little") + told
    if len(head) > _HEAD_BYTES:
        raise AvatarError(
            f"avatar {avatar.info.name!r}: its origin takes {len(head)} bytes, limit {_HEAD_BYTES}"
        )
    parts = (avatar.portrait, avatar.matte, avatar.landmarks)
    descriptor = os.memfd_create("visavis-avatar", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(head.ljust(_HEAD_BYTES, b"\0"))
            for part in parts:
                memory.write(np.ascontiguousarray(part).data)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unpack(data: mmap.mmap) -> Avatar:
    length = int.from_bytes(data[8:12], "little")
    if data[:8] != _MAGIC or length > _HEAD_BYTES - 12:
        raise AvatarError("avatar memory does not begin as it should")
    try:
        told = json.loads(data[12 : 12 + length])
        side = int(told.pop("side"))
        info = AvatarInfo(**{str(key): str(value) for key, value in told.items()})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise AvatarError("avatar memory: what is told of it is not valid") from error
    sizes = [side * side * 3, side * side, LANDMARKS * 12]
    if side < 1 or _HEAD_BYTES + sum(sizes) != len(data):
        raise AvatarError(f"avatar memory has {len(data)} bytes, not those of {side} px")
    bytes_of = np.frombuffer(data, np.uint8, offset=_HEAD_BYTES)
    portrait, matte, landmarks = np.split(bytes_of, np.cumsum(sizes[:2]))
    return Avatar(
        info,
        portrait.reshape(side, side, 3),
        matte.reshape(side, side),
        landmarks.view(np.float32).reshape(LANDMARKS, 3),
    )
