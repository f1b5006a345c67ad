"""Calls that run in media workers, drawn by a render process; the front's side of it all."""

import asyncio
import itertools
import logging
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from prometheus_client import Counter

from engine.avatar import Avatar
from engine.calls import ANSWER_TIMEOUT_S, SHUTDOWN_S, Avatars, Desk, NoRoomError, Shown
from engine.config import EngineConfig, ServerConfig
from engine.errors import AvatarError, BackendError, ConfigError, SignallingError
from engine.renderer import Scene
from engine.workers.channel import ChannelError, Message, Received, pair
from engine.workers.figures import Samples, added, lasting, samples_of, text_of
from engine.workers.portraits import descriptor_of, told_of
from engine.workers.process import Keeper, Process

RENDER_HANG_S: Final = 1.0
MEDIA_HANG_S: Final = 10.0
"""A worker that is killed loses its calls: it is given longer."""
TRIES: Final = 3
"""So often a process may end before the first is ready; then the server does not start."""
_QUESTION_S: Final = ANSWER_TIMEOUT_S + 5.0
_SAMPLES_S: Final = 2.0

logger = logging.getLogger(__name__)


class Fleet(Desk):
    """The processes, and the calls that they run.

    Args:
        config: with how many `workers`.
        engine_config, avatars: see `engine.calls.Calls`.

    Raises:
        AvatarError: there is no avatar, or one is damaged.
    """

    def __init__(self, config: ServerConfig, engine_config: EngineConfig, avatars: Avatars) -> None:
        super().__init__(config, engine_config, avatars)
        self._renders = [Keeper("render", RENDER_HANG_S, self) for _ in range(2)]
        self._workers = [Keeper("media", MEDIA_HANG_S, self) for _ in range(config.workers)]
        self._keeping: dict[Keeper, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._failed: Exception | None = None
        self._is_open = False
        self._closing = False
        self._joining = 0
        self._questions: dict[int, tuple[Process, asyncio.Future[Message]]] = {}
        self._numbers = itertools.count(1)
        self._samples: dict[int, Samples] = {}
        self._gone: Samples = []
        self._restarts = Counter(
            "visavis_restarts",
            "Processes started in place of one that ended, by kind",
            ["kind"],
            registry=self.metrics.registry,
        )

    @property
    def count(self) -> int:
        """See `Desk.count`."""
        return self._joining + sum(process.calls for process in self._ready(self._workers))

    async def open(self) -> None:
        """Starts the processes and waits until calls can be made.

        Raises:
            VisavisError: what was asked for cannot be had, as a worker found.
        """
        first, spare = self._renders
        for keeper in (first, *self._workers):
            self._keep(keeper)
        await self._all_ready([first, *self._workers])
        self._is_open = True
        # Only now: it would take its share of the processor from those that are waited for.
        self._keep(spare)

    async def close(self) -> None:
        """Ends all calls in bounded time, then all processes."""
        self._closing = True
        for keeper in self._workers:
            keeper.is_last = True
        workers = [keeper.process for keeper in self._workers if keeper.process is not None]
        for process in workers:
            with suppress(ChannelError):
                process.send({"verb": "end"})
        until_s = asyncio.get_running_loop().time() + SHUTDOWN_S + 1.0
        while any(keeper.process in workers for keeper in self._workers):
            if asyncio.get_running_loop().time() > until_s:
                logger.warning("a media worker did not end its calls: it is killed")
                break
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.25)
        for task in self._keeping.values():
            task.cancel()
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)

    async def start(
        self, offer: str, avatar: Avatar, config: EngineConfig | None = None
    ) -> tuple[str, str]:
        """See `Desk.start`; of the workers, the one with the fewest calls is asked."""
        question = {
            "verb": "call",
            "offer": offer,
            "engine": asdict(config or self.look({})),
        }
        memory = await asyncio.to_thread(descriptor_of, avatar)
        self._joining += 1
        try:
            for process in sorted(self._ready(self._workers), key=lambda one: one.load):
                # It runs no call yet of those that it is being asked for at this moment.
                process.joining += 1
                try:
                    told = await self._ask(process, question, [memory])
                except ChannelError as error:
                    logger.warning("a call is not taken: %s", error)
                else:
                    return f"{process.number}.{told['call']}", str(told["answer"])
                finally:
                    process.joining -= 1
        finally:
            self._joining -= 1
        raise NoRoomError("no media worker is there just now, try again in a moment")

    async def stop(self, call: str) -> bool:
        """See `Desk.stop`."""
        told = await self._ask_of(call, "stop")
        return bool(told.get("stopped"))

    async def figures(self, call: str) -> dict[str, Any] | None:
        """See `Desk.figures`."""
        found = (await self._ask_of(call, "figures")).get("figures")
        return found if isinstance(found, dict) else None

    def health(self) -> dict[str, Any]:
        """See `Desk.health`."""
        return {
            **super().health(),
            "workers": len(self._ready(self._workers)),
            "renderers": len(self._ready(self._renders)),
        }

    async def text(self) -> bytes:
        """See `Desk.text`: the sums of all workers, those that ended among them."""

        async def read(process: Process) -> None:
            with suppress(ChannelError, SignallingError, TimeoutError):
                async with asyncio.timeout(_SAMPLES_S):
                    told = await self._ask(process, {"verb": "samples"})
                    self._samples[process.number] = told["samples"]

        processes = self._ready([*self._workers, *self._renders])
        await asyncio.gather(*(read(process) for process in processes))
        own = samples_of(self.metrics.registry)
        return text_of(added([own, self._gone, *self._samples.values()]))

    def warm(self, avatar: Avatar) -> None:
        """See `Desk.warm`; the render processes do it by themselves once it is added."""

    def add(self, shown: Shown) -> None:
        """See `Desk.add`."""
        super().add(shown)
        for keeper in self._renders:
            if keeper.process is not None:
                self._keep_avatar(keeper.process, shown.avatar, first=False)

    def remove(self, name: str) -> None:
        """See `Desk.remove`."""
        super().remove(name)
        for keeper in self._renders:
            if keeper.process is not None:
                with suppress(ChannelError):
                    keeper.process.send({"verb": "forget", "name": name})

    def began(self, process: Process) -> None:
        """See `engine.workers.process.Owner`."""
        with suppress(ChannelError):
            if process.kind == "render":
                self._keep_avatar(process, self._first, first=True)
                for worker in _running(self._workers):
                    _join(worker, process)
            else:
                settings = {
                    "verb": "settings",
                    "server": asdict(self.config),
                    "engine": asdict(self.look({})),
                }
                process.send(settings, [descriptor_of(self._first)])
                for render in sorted(_running(self._renders), key=lambda one: one.number):
                    _join(process, render)

    def told(self, process: Process, received: Received) -> None:
        """See `engine.workers.process.Owner`."""
        message = received.message
        match message.get("verb"):
            case "ready":
                pass
            case "failed":
                self._fail(process, message)
            case "answer":
                _, future = self._questions.get(int(message["to"]), (None, None))
                if future is not None and not future.done():
                    future.set_result(message)
            case verb:
                raise ChannelError(f"it says {str(verb)[:40]!r}, which is unknown here")
        self._changed.set()

    def ended(self, process: Process) -> None:
        """See `engine.workers.process.Owner`."""
        if not self._closing:
            self._restarts.labels(process.kind).inc()
        self._gone = added([self._gone, lasting(self._samples.pop(process.number, []))])
        for asked, future in self._questions.values():
            if asked is process and not future.done():
                future.set_exception(ChannelError(f"{process.name} ended"))
        self._changed.set()

    @property
    def _first(self) -> Avatar:
        return next(iter(self.shown.values())).avatar

    def _keep(self, keeper: Keeper) -> None:
        self._keeping[keeper] = asyncio.create_task(keeper.keep(), name="keep a process")

    def _ready(self, keepers: list[Keeper]) -> list[Process]:
        return [process for process in _running(keepers) if process.is_ready]

    async def _all_ready(self, keepers: list[Keeper]) -> None:
        while len(self._ready(keepers)) < len(keepers):
            for keeper in keepers:
                if self._keeping[keeper].done():
                    self._keeping[keeper].result()
                if keeper.failures >= TRIES:
                    raise BackendError(
                        f"a process of --workers ended {keeper.failures} times before it was "
                        "ready: the log says how"
                    )
            if self._failed is not None:
                raise self._failed
            self._changed.clear()
            await self._changed.wait()

    def _fail(self, process: Process, message: Message) -> None:
        kind, words = str(message.get("kind")), str(message.get("error"))
        if self._is_open:
            logger.error("%s: %s", process.name, words)
            process.kill()
            return
        known = {error.__name__: error for error in (AvatarError, BackendError, ConfigError)}
        self._failed = known.get(kind, BackendError)(words)

    def _keep_avatar(self, process: Process, avatar: Avatar, first: bool) -> None:
        scene = told_of(Scene.of(avatar, self.look({})))
        told = {"verb": "keep", "first": first, **scene}
        with suppress(ChannelError):
            process.send(told, [descriptor_of(avatar)])

    async def _ask_of(self, call: str, verb: str) -> Message:
        """What the worker of a call answers; nothing where that worker is gone.

        Raises:
            NoRoomError: it is there, but does not answer just now.
        """
        number, _, name = call.partition(".")
        for process in self._ready(self._workers):
            if str(process.number) == number:
                try:
                    return await self._ask(process, {"verb": verb, "call": name})
                except ChannelError as error:
                    if process in self._ready(self._workers):
                        raise NoRoomError(f"{error}, try again in a moment") from error
        return {}

    async def _ask(
        self, process: Process, question: Message, descriptors: list[int] | None = None
    ) -> Message:
        """Asks a worker and waits for its answer.

        Raises:
            SignallingError: it refuses.
            ChannelError: it is gone, busy, or does not answer.
        """
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._questions[number] = process, future
        try:
            process.send({**question, "number": number}, descriptors or [])
            told = await asyncio.wait_for(future, _QUESTION_S)
        except TimeoutError as error:
            raise ChannelError(f"{process.name} did not answer") from error
        finally:
            del self._questions[number]
        if "busy" in told:
            raise ChannelError(f"{process.name} is busy: {told['busy']}")
        if "refused" in told:
            raise SignallingError(str(told["refused"]))
        if "failed" in told:
            raise RuntimeError(f"{process.name}: {told['failed']}")
        return told


def _running(keepers: list[Keeper]) -> list[Process]:
    return [keeper.process for keeper in keepers if keeper.process is not None]


def _join(worker: Process, render: Process) -> None:
    """Gives each an end of a pair: the worker opens its scenes over it."""
    ends = pair()
    try:
        with suppress(ChannelError):
            for process, end in zip((worker, render), ends, strict=True):
                process.send({"verb": "door"}, [end.fileno()])
    finally:
        for end in ends:
            end.close()
