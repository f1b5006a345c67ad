"""The calls that run at one time, and what they share: avatars, limits and figures."""

import asyncio
import gc
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import cv2
import numpy as np

from engine.avatar import Avatar
from engine.config import EngineConfig, ServerConfig
from engine.drawing import Shared, shared_for
from engine.errors import AvatarError, ConfigError, SignallingError
from engine.frames import SAMPLE_RATE_HZ, Pcm
from engine.metrics import ServerMetrics
from engine.pace import Pace
from engine.pipeline import Pipeline
from engine.renderer import rig_of
from engine.session import PipelineLike, Session

ANSWER_TIMEOUT_S: Final = 10.0
SHUTDOWN_S: Final = 8.0
MAX_ATTEMPTS: Final = 50
ATTEMPTS_S: Final = 10.0
"""Span in which at most `MAX_ATTEMPTS` offers are looked at: each costs a key and a parse."""

_PICTURE_PX: Final = 512

PipelineMaker = Callable[[Avatar, EngineConfig], PipelineLike]


class Avatars(Protocol):
    """Where avatars come from; `engine.avatar` is one such place."""

    def names(self) -> list[str]:
        """Names in the order in which people see them, the default first."""
        ...

    def find(self, name: str) -> Avatar:
        """Loads one."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """An avatar and its picture as JPEG."""

    avatar: Avatar
    picture: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What the page is told of it."""
        info = self.avatar.info
        own = bool(info.consent)
        # Browsers keep pictures for a minute: one that took another's name has another address.
        version = "?v=" + re.sub(r"\D", "", info.created) if own else ""
        address = f"/api/avatars/{info.name}/picture{version}"
        return {"name": info.name, "title": info.title, "picture": address, "own": own}


class NoRoomError(SignallingError):
    """Nobody is there to take a call just now."""


class Desk(ABC):
    """What the server asks of calls, wherever they run: what can be called, and each call.

    Args:
        config, engine_config: settings of the server and of each call's pipeline.
        avatars: where avatars come from; all are loaded at once.

    Attributes:
        shown: avatars that can be called, by name, the default first.
        metrics: figures of the server.

    Raises:
        AvatarError: there is none, or one is damaged.
    """

    def __init__(self, config: ServerConfig, engine_config: EngineConfig, avatars: Avatars) -> None:
        self.config = config
        self.metrics = ServerMetrics()
        self._engine_config = replace(engine_config, live=True)
        self._pace = Pace(MAX_ATTEMPTS, ATTEMPTS_S)
        self.shown = {name: show(avatars.find(name)) for name in avatars.names()}
        if not self.shown:
            raise AvatarError("there is no avatar, expected at least one")

    @property
    @abstractmethod
    def count(self) -> int:
        """Calls that run or are being answered."""

    @abstractmethod
    async def open(self) -> None:
        """Makes everything ready, so that the first call finds it so."""

    @abstractmethod
    async def close(self) -> None:
        """Ends all calls in bounded time."""

    @abstractmethod
    async def start(
        self, offer: str, avatar: Avatar, config: EngineConfig | None = None
    ) -> tuple[str, str]:
        """Answers an offer and lets the call run.

        Args:
            offer: SDP.
            avatar: who speaks.
            config: see `look`.

        Returns:
            The call's id and the SDP answer.

        Raises:
            SignallingError: the offer cannot be answered.
            NoRoomError: nobody is there to answer it just now.
        """

    @abstractmethod
    async def stop(self, call: str) -> bool:
        """Ends a call and waits until it is gone; False if there is no such call."""

    @abstractmethod
    async def figures(self, call: str) -> dict[str, Any] | None:
        """A call's live figures; None if there is no such call."""

    @abstractmethod
    async def text(self) -> bytes:
        """All figures in the Prometheus text format."""

    @abstractmethod
    def warm(self, avatar: Avatar) -> None:
        """Makes an avatar ready before it is called; takes its time, off the event loop."""

    def health(self) -> dict[str, Any]:
        """Whether calls can be made; JSON types only."""
        return {"status": "ok", "sessions": self.count, "max_sessions": self.config.max_sessions}

    def too_fast(self) -> bool:
        """Notes an attempt to call; True if there were too many of late to look at this one."""
        return self._pace.too_fast()

    def add(self, shown: Shown) -> None:
        """Lets an avatar be called; one of its name is called no more, calls that run go on."""
        self.shown[shown.avatar.info.name] = shown

    def remove(self, name: str) -> None:
        """Lets an avatar be called no more; calls that run go on."""
        self.shown.pop(name, None)

    def look(self, query: Mapping[str, str]) -> EngineConfig:
        """The settings of a call that asks for a `liveliness` or an `expression`.

        Raises:
            ConfigError: a value is no number, unknown, or out of its range.
        """
        changes: dict[str, Any] = {}
        if "expression" in query:
            changes["expression"] = query["expression"]
        if "liveliness" in query:
            try:
                changes["liveliness"] = float(query["liveliness"])
            except ValueError:
                text = query["liveliness"][:40]
                raise ConfigError(f"liveliness is {text!r}, expected 0.0 to 2.0") from None
        return replace(self._engine_config, **changes)


class Calls(Desk):
    """Calls that run in this process.

    Args:
        config, engine_config, avatars: see `Desk`.
        make_pipeline: builds one call's pipeline; if None, one whose pictures are drawn in one
            place for all calls.

    Raises:
        AvatarError: see `Desk`.
    """

    def __init__(
        self,
        config: ServerConfig,
        engine_config: EngineConfig,
        avatars: Avatars,
        make_pipeline: PipelineMaker | None = None,
    ) -> None:
        super().__init__(config, engine_config, avatars)
        self._drawing: Shared | None = None
        if make_pipeline is None:
            backend, kernels = engine_config.backend, engine_config.kernels
            self._drawing = shared_for(backend, kernels, self.metrics)
            make_pipeline = partial(Pipeline, drawing=self._drawing)
        self._make_pipeline = make_pipeline
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._joining = 0
        # Threads outlive calls: new ones would each bring memory that malloc does not give back.
        self._executor = ThreadPoolExecutor(config.max_sessions, thread_name_prefix="pipeline")

    @property
    def count(self) -> int:
        """See `Desk.count`."""
        return len(self._sessions) + self._joining

    async def figures(self, call: str) -> dict[str, Any] | None:
        """See `Desk.figures`."""
        session = self._sessions.get(call)
        return None if session is None else session.figures()

    def measure(self) -> None:
        """Brings the figures of the moment up to date."""
        rates = [session.figures()["fps"] for session in self.sessions()]
        self.metrics.fps.set(sum(rates) / len(rates) if rates else 0.0)

    async def text(self) -> bytes:
        """See `Desk.text`."""
        self.measure()
        return self.metrics.text()

    def warm(self, avatar: Avatar) -> None:
        """See `Desk.warm`."""
        rig_of(avatar, self._engine_config.size_px)

    async def idle(self) -> None:
        """Waits until no call runs."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def sessions(self) -> list[Session]:
        """All running calls."""
        return list(self._sessions.values())

    async def start(
        self, offer: str, avatar: Avatar, config: EngineConfig | None = None
    ) -> tuple[str, str]:
        """See `Desk.start`."""
        call = secrets.token_urlsafe(12)
        config = config or self._engine_config
        session = Session(
            f"call-{call[:6]}",
            partial(self._make_pipeline, avatar, config),
            config,
            self.config,
            self.metrics,
            self._executor,
        )
        self._joining += 1
        try:
            answer = await asyncio.wait_for(session.answer(offer), ANSWER_TIMEOUT_S)
        except BaseException as error:
            await session.close()
            if isinstance(error, TimeoutError):
                raise SignallingError(
                    f"the offer was not answered within {ANSWER_TIMEOUT_S:.0f} s"
                ) from error
            raise
        finally:
            self._joining -= 1
        self._sessions[call] = session
        self._tasks[call] = asyncio.create_task(self._run(call, session), name=session.name)
        return call, answer

    async def stop(self, call: str) -> bool:
        """See `Desk.stop`."""
        session, task = self._sessions.get(call), self._tasks.get(call)
        if session is None or task is None:
            return False
        session.hang_up("deleted")
        await asyncio.wait([task])
        return True

    async def close(self) -> None:
        """See `Desk.close`."""
        for session in self.sessions():
            session.hang_up("shutdown")
        if self._tasks:
            _, hanging = await asyncio.wait(list(self._tasks.values()), timeout=SHUTDOWN_S)
            for task in hanging:
                task.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._drawing is not None:
            await asyncio.to_thread(self._drawing.close)

    async def open(self) -> None:
        """Runs a pipeline once, so that the first call finds everything compiled."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._try)

    def _try(self) -> None:
        avatar = next(iter(self.shown.values())).avatar
        pipeline = self._make_pipeline(avatar, self._engine_config)
        try:
            silence = np.zeros(SAMPLE_RATE_HZ // 4, np.int16)
            pipeline.push(Pcm(0, silence))
        finally:
            pipeline.close()

    async def _run(self, call: str, session: Session) -> None:
        self.metrics.sessions.inc()
        try:
            await session.run()
        finally:
            del self._sessions[call], self._tasks[call]
            self.metrics.sessions.dec()
            self.metrics.sessions_total.labels(session.end).inc()
            del session
            # A call is full of cycles around large buffers; the collector's own time comes late.
            gc.collect()


def show(avatar: Avatar) -> Shown:
    """Makes the picture that stands for an avatar."""
    portrait = cv2.cvtColor(avatar.portrait, cv2.COLOR_RGB2BGR)
    if portrait.shape[0] > _PICTURE_PX:
        portrait = cv2.resize(portrait, (_PICTURE_PX, _PICTURE_PX), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise AvatarError(f"the portrait of {avatar.info.name!r} cannot be written as JPEG")
    return Shown(avatar, data.tobytes())
