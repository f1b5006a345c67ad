"""Compiled engines on disk: one file for each network, library, GPU and way to build it."""

import hashlib
import json
import logging
import os
import platform
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from engine.errors import BackendError

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

_MAGIC = b"visavis engine 1\n"
_DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that an engine depends on: where anything differs, it is another engine.

    Attributes:
        network: SHA-256 of the ONNX file.
        library, version: what builds it, exactly.
        flags: of the builder.
        sizes: batches that it has a profile for.
        gpu: its name, or `any` where the architecture is enough.
        architecture: such as `sm_89`.
        system, machine: operating system and architecture.
    """

    network: str
    library: str
    version: str
    flags: tuple[str, ...]
    sizes: tuple[int, ...]
    gpu: str
    architecture: str
    system: str = platform.system()
    machine: str = platform.machine()

    @property
    def key(self) -> str:
        """Of 64 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_folder() -> Path:
    """`VISAVIS_ENGINES`, else `visavis/engines` in the user's cache."""
    if given := os.environ.get("VISAVIS_ENGINES"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "visavis" / "engines"


class EngineCache:
    """A folder of engines. Several processes may use it at once.

    Args:
        folder: made when the first engine is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, stem: str, recipe: Recipe) -> Path:
        """Where an engine is kept: a name to read, and the key."""
        words = re.sub(r"[^a-z0-9_]+", "-", f"{stem}-{recipe.gpu}-{recipe.architecture}".lower())
        return self.folder / f"{words.strip('-')}-{recipe.key[:24]}.engine"

    def read(self, path: Path) -> bytes | None:
        """What was kept; None where there is nothing that can be read, or not what was written."""
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            _log.warning("%s cannot be read: %s", path, error)
            return None
        head = len(_MAGIC) + _DIGEST_BYTES
        engine = data[head:]
        if data[:head] != _MAGIC + hashlib.sha256(engine).digest():
            _log.warning("%s is damaged: the engine is built anew", path)
            return None
        return engine

    def write(self, path: Path, engine: bytes) -> None:
        """Keeps an engine: readers see the old file or the whole new one.

        Raises:
            BackendError: it cannot be written.
        """
        data = _MAGIC + hashlib.sha256(engine).digest() + engine
        # Not `tempfile`, whose files are their maker's alone: who builds need not be who serves.
        part = self.folder / f".{path.name}.{secrets.token_hex(8)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise BackendError(f"{path}: the engine cannot be kept: {error}") from error

    def get(
        self,
        path: Path,
        build: Callable[[], bytes],
        open_engine: Callable[[bytes], T | None],
    ) -> T:
        """An engine, opened; built and kept where there is none that can be opened.

        Args:
            path: see `path`.
            build: makes it; at most one process at a time does.
            open_engine: makes an object of it, None where it is refused.

        Raises:
            BackendError: it cannot be built or kept, or what was just built cannot be opened.
        """
        if (kept := self._opened(path, open_engine)) is not None:
            return kept
        with self._only_one(path):
            # Another process may have built it meanwhile.
            if (kept := self._opened(path, open_engine)) is not None:
                return kept
            engine = build()
            self.write(path, engine)
            if (made := open_engine(engine)) is None:
                raise BackendError(f"{path}: the engine was built, but cannot be opened here")
            return made

    def keep(self, path: Path, build: Callable[[], bytes], again: bool) -> None:
        """Builds an engine and keeps it, where there is none, or again.

        Args:
            path: see `path`.
            build: makes it; at most one process at a time does.
            again: whatever is there.

        Raises:
            BackendError: it cannot be built or kept.
        """
        with self._only_one(path):
            # Another process may have built it meanwhile.
            if again or self.read(path) is None:
                self.write(path, build())

    def _opened(self, path: Path, open_engine: Callable[[bytes], T | None]) -> T | None:
        engine = self.read(path)
        found = None if engine is None else open_engine(engine)
        if engine is not None and found is None:
            _log.warning("%s cannot be opened here: the engine is built anew", path)
        return found

    @contextmanager
    def _only_one(self, path: Path) -> Iterator[None]:
        """Waits for other processes that build the same; the system lets go of the dead's lock."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = path.with_suffix(".lock").open("wb")
        except OSError as error:
            raise BackendError(f"{path}: the engine cannot be kept: {error}") from error
        with lock:
            # On Windows, and on disks that know no locks, two may build: the last one's stays.
            if sys.platform != "win32":
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                except OSError as error:
                    _log.warning("%s: nothing keeps others from building it too: %s", path, error)
                else:
                    self._tidy(path)
            yield

    def _tidy(self, path: Path) -> None:
        """Removes what the dead left of an engine half written."""
        for left in self.folder.glob(f".{path.name}.*.part"):
            with suppress(OSError):
                left.unlink()
