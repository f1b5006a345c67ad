"""The avatars there are: those that are built in, and a person's own in a folder."""

import logging
import re
import unicodedata
from pathlib import Path
from typing import Final

from engine import avatar as files
from engine.avatar import SUFFIX, Avatar
from engine.errors import AvatarError

MAX_OWN: Final = 50
"""A server holds all of them ready: up to 5 MB each."""
_log = logging.getLogger(__name__)


class Library:
    """Built-in avatars, which nobody changes, and a folder of one's own.

    Args:
        own: the folder; it need not be there before something is added.
        first: the avatar that is listed first, the default of calls.

    Raises:
        AvatarError: `own` is a file, or there is no avatar named `first`.
    """

    def __init__(self, own: Path, first: str | None = None) -> None:
        if own.exists() and not own.is_dir():
            raise AvatarError(f"avatars folder {own} is a file, expected a folder")
        self.folder = own
        self._first = first
        if first is not None:
            self.find(first)

    def names(self) -> list[str]:
        """All that can be loaded: `first`, the built-in ones, then one's own."""
        known = [*files.names(), *self.own()]
        return sorted(known, key=lambda name: name != self._first)

    def own(self) -> list[str]:
        """Names in the folder, in alphabetical order; damaged files are told of in the log."""
        found = []
        for name in files.names(self.folder):
            if name in files.names():
                _log.warning("avatar %s in %s has a built-in one's name", name, self.folder)
                continue
            try:
                files.find(name, self.folder)
            except AvatarError as error:
                _log.warning("%s", error)
            else:
                found.append(name)
        return found

    def find(self, name: str) -> Avatar:
        """Loads one.

        Raises:
            AvatarError: there is none of that name, or its file is damaged.
        """
        if name in files.names():
            return files.find(name)
        if name in files.names(self.folder):
            return files.find(name, self.folder)
        known = ", ".join([*files.names(), *files.names(self.folder)])
        raise AvatarError(f"avatar {name!r} is unknown, expected one of {known}")

    def check(self, name: str, replace: bool = False) -> None:
        """Whether an avatar of this name may be added.

        Raises:
            AvatarError: the name is not valid or is taken, or there are `MAX_OWN` already.
        """
        files.check_name(name)
        if name in files.names():
            raise AvatarError(f"avatar {name!r} is built in, choose another name")
        own = files.names(self.folder)
        if name in own and not replace:
            raise AvatarError(f"avatar {name!r} is there already, choose another name")
        if name not in own and len(own) >= MAX_OWN:
            raise AvatarError(f"there are {len(own)} own avatars, limit {MAX_OWN}: remove one")

    def free_name(self, title: str) -> str:
        """A name that is not taken, after a title such as "Ada Lovelace"."""
        plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-") or "portrait"
        taken = {*files.names(), *files.names(self.folder)}
        numbered = (f"{stem}-{number}" for number in range(2, MAX_OWN + 3))
        return next(name for name in (stem, *numbered) if name not in taken)

    def add(self, avatar: Avatar, replace: bool = False) -> Path:
        """Writes an avatar into the folder, whole or not at all; gives the file.

        Raises:
            AvatarError: see `check`; nobody confirmed consent; or it cannot be written.
        """
        self.check(avatar.info.name, replace)
        if not avatar.info.consent:
            raise AvatarError(f"avatar {avatar.info.name!r} carries no consent of the person shown")
        return avatar.save(self.folder)

    def remove(self, name: str) -> None:
        """Deletes one's own avatar.

        Raises:
            AvatarError: it is built in, there is none, or it cannot be deleted.
        """
        if name in files.names():
            raise AvatarError(f"avatar {name!r} is built in and cannot be removed")
        own = files.names(self.folder)
        if name not in own:
            known = f"expected one of {', '.join(own)}" if own else "nor any other"
            raise AvatarError(f"there is no own avatar {name!r}, {known}")
        try:
            (self.folder / f"{name}{SUFFIX}").unlink()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise AvatarError(f"avatar {name!r} cannot be removed: {reason}") from error
