"""A picture becomes an avatar over HTTP; see the README for the requests.

Pictures are decoded in a process apart, all else runs on one thread beside the calls: what a
stranger sends is bounded in bytes, pixels, number and time, and never holds up the event loop.
"""

import asyncio
import ctypes
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from aiohttp import ClientPayloadError, web

from engine.avatar import Avatar
from engine.calls import Desk, Shown, show
from engine.errors import AvatarError, ConfigError, PortraitError
from engine.library import Library
from engine.onboarding import make, photo, sample
from engine.onboarding.anchors import anchors
from engine.onboarding.drafts import Draft, Drafts, jpeg, mesh
from engine.pace import Pace

MAX_TITLE: Final = 60
MAX_WAITING: Final = 4
"""Pictures that come in, or wait for the thread, at one time."""
PICTURES: Final = 20
PICTURES_S: Final = 60.0
"""So many pictures may be brought within this time."""
RETRY_AFTER_S: Final = 5
UPLOAD_S: Final = 60.0
_SWEEP_S: Final = 60.0
_NICE: Final = 5
"""Calls that run come first."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Onboarding:
    """Drafts, the library they end in, and the one thread that works on them.

    Args:
        calls: what can be called; kept avatars are added to it.
        library: where avatars are kept.
        open_tools: opens the networks; called once, for the first picture.
    """

    def __init__(self, calls: Desk, library: Library, open_tools: Callable[[], make.Tools]) -> None:
        self.calls, self.library = calls, library
        self.drafts = Drafts()
        self.pace = Pace(PICTURES, PICTURES_S)
        self._open = open_tools
        self._tools: make.Tools | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "portraits", _be_nice)
        self._warming: set[asyncio.Task[None]] = set()

    def tools(self) -> make.Tools:
        """The networks, opened on the worker thread when they are first needed."""
        if self._tools is None:
            self._tools = self._open()
        return self._tools

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the few places for requests that bring or need much.

        Raises:
            HTTPServiceUnavailable: all are taken.
        """
        if self._waiting >= MAX_WAITING:
            raise _busy(f"{MAX_WAITING} pictures are being worked on, try again in a moment")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def work(self, job: Callable[..., T], *args: Any) -> T:
        """Runs a job on the thread."""

        def run() -> T:
            try:
                return job(*args)
            finally:
                _give_back()

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def read(self, data: bytes) -> Draft:
        """On the thread: a draft of a picture."""
        return Draft.of(data, self.tools())

    def warm(self, avatar: Avatar) -> None:
        """Makes an avatar's rig before it is called."""

        async def make_ready() -> None:
            try:
                await self.work(self.calls.warm, avatar)
            except Exception:  # the call itself will say it again
                logger.exception("avatar %s cannot be made ready", avatar.info.name)

        task = asyncio.create_task(make_ready(), name=f"warm {avatar.info.name}")
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Forgets old drafts while the application runs."""

        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_S)
                self.drafts.sweep()

        sweeping = asyncio.create_task(sweep(), name="sweep drafts")
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        self._thread.shutdown(wait=False, cancel_futures=True)


ONBOARDING: Final = web.AppKey("onboarding", Onboarding)


def add_to(app: web.Application, onboarding: Onboarding | None) -> None:
    """Serves the requests of this module; without an onboarding, the one that says so."""
    app.router.add_get("/api/portraits", _offer)
    if onboarding is None:
        return
    app[ONBOARDING] = onboarding
    app.cleanup_ctx.append(onboarding.run)
    at = "/api/portraits/{token}"
    app.add_routes(
        [
            web.post("/api/portraits", _bring),
            web.put(at, _change),
            web.delete(at, _forget),
            web.get(at + "/picture", _picture),
            web.get(at + "/whole", _whole),
            web.post(at + "/sample", _sample),
            web.post(at + "/keep", _keep),
            web.delete("/api/avatars/{name}", _remove),
        ]
    )


async def _offer(request: web.Request) -> web.Response:
    onboarding = request.app.get(ONBOARDING)
    return web.json_response(
        {
            "offered": onboarding is not None,
            "kinds": photo.KINDS,
            "max_bytes": photo.MAX_BYTES,
            "max_title": MAX_TITLE,
        }
    )


async def _bring(request: web.Request) -> web.Response:
    here = request.app[ONBOARDING]
    if here.pace.too_fast():
        raise _too_fast()
    async with here.place():
        data = await _body(request)
        try:
            draft = await here.work(here.read, data)
        except PortraitError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
    here.drafts.add(draft)
    return web.json_response(
        {**await here.work(_told, draft), "mesh": mesh()},
        status=201,
        headers={"Location": f"/api/portraits/{draft.token}"},
    )


async def _change(request: web.Request) -> web.Response:
    here, draft = request.app[ONBOARDING], _draft(request)
    wanted = await _json(request, {"face", "anchors"})
    number = wanted.get("face")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise web.HTTPBadRequest(text=f"face is {str(number)[:40]!r}, expected a number")
    async with here.place():
        try:
            await here.work(draft.change, number, _places(wanted.get("anchors", {})))
        except PortraitError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
    return web.json_response(await here.work(_told, draft))


async def _sample(request: web.Request) -> web.Response:
    here, draft = request.app[ONBOARDING], _draft(request)
    kind = request.query.get("kind", "mp4")
    try:
        config = here.calls.look(request.query)
    except ConfigError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    if kind not in sample.KINDS:
        known = ", ".join(sample.KINDS)
        raise web.HTTPBadRequest(text=f"kind is {kind[:20]!r}, expected one of {known}")
    async with here.place():

        def made() -> bytes:
            return sample.film(draft.avatar(here.tools().matte), config, kind)

        film = await here.work(made)
    return web.Response(body=film, content_type=f"video/{kind}")


async def _keep(request: web.Request) -> web.Response:
    here, draft = request.app[ONBOARDING], _draft(request)
    wanted = await _json(request, {"name", "title", "consent"})
    title, name = (" ".join(str(wanted.get(key) or "").split()) for key in ("title", "name"))
    if wanted.get("consent") is not True:
        raise web.HTTPUnprocessableEntity(
            text=f"consent is {json.dumps(wanted.get('consent'))[:20]}, expected true: "
            "the person shown has to agree"
        )
    if not 1 <= len(title or name) <= MAX_TITLE:
        raise web.HTTPUnprocessableEntity(
            text=f"the title has {len(title or name)} letters, expected 1 to {MAX_TITLE}"
        )
    async with here.place():

        def made() -> Shown:
            info = make.confirmed(
                name or here.library.free_name(title),
                title,
                f"{make.user()} by the page, from {request.remote}",
                "a picture brought to the page",
            )
            here.library.check(info.name)
            avatar = draft.avatar(here.tools().matte, info)
            here.library.add(avatar)
            return show(avatar)

        try:
            shown = await here.work(made)
        except AvatarError as error:
            raise _refusal(error) from error
    here.calls.add(shown)
    here.warm(shown.avatar)
    here.drafts.drop(draft.token)
    at = f"/api/avatars/{shown.avatar.info.name}"
    return web.json_response(shown.told, status=201, headers={"Location": at})


async def _remove(request: web.Request) -> web.Response:
    here, name = request.app[ONBOARDING], request.match_info["name"]
    try:
        await here.work(here.library.remove, name)
    except AvatarError as error:
        built_in = name in here.calls.shown
        kind = web.HTTPForbidden if built_in else web.HTTPNotFound
        raise kind(text=str(error)) from error
    here.calls.remove(name)
    return web.json_response({"removed": True})


async def _forget(request: web.Request) -> web.Response:
    if not request.app[ONBOARDING].drafts.drop(request.match_info["token"]):
        raise _unknown(request)
    return web.json_response({"removed": True})


async def _picture(request: web.Request) -> web.Response:
    here, draft = request.app[ONBOARDING], _draft(request)
    return web.Response(body=await here.work(jpeg, draft.square.picture), content_type="image/jpeg")


async def _whole(request: web.Request) -> web.Response:
    here, draft = request.app[ONBOARDING], _draft(request)
    whole = await here.work(draft.whole)
    if whole is None:
        raise web.HTTPNotFound(text="there is one face in the picture, nothing to choose")
    return web.Response(body=await here.work(jpeg, whole), content_type="image/jpeg")


def _told(draft: Draft) -> dict[str, Any]:
    """What the page is told of a draft; places are pixels of its square picture."""
    at = f"/api/portraits/{draft.token}"
    return {
        "token": draft.token,
        "picture": f"{at}/picture?face={draft.face.number}",
        "size_px": draft.square.picture.shape[0],
        "face": draft.face.number,
        "faces": [
            {"number": face.number, "box": face.box, "refused": face.refused}
            for face in draft.faces
        ],
        "whole": None if draft.photo is None else f"{at}/whole",
        "landmarks": draft.landmarks[:, :2].round(1).tolist(),
        "anchors": anchors(draft.landmarks),
        "warnings": draft.warnings(),
    }


def _draft(request: web.Request) -> Draft:
    draft = request.app[ONBOARDING].drafts.get(request.match_info["token"])
    if draft is None:
        raise _unknown(request)
    return draft


def _unknown(request: web.Request) -> web.HTTPNotFound:
    token = request.match_info["token"][:30]
    return web.HTTPNotFound(text=f"there is no picture {token!r} any more: bring it again")


async def _body(request: web.Request) -> bytes:
    limit = photo.MAX_BYTES
    length = request.content_length
    if length is not None and length > limit:
        raise web.HTTPRequestEntityTooLarge(
            limit, length, text=f"the picture has {length} bytes, limit {limit}"
        )
    data = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_S):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > limit:
                    raise web.HTTPRequestEntityTooLarge(
                        limit, len(data), text=f"the picture has over {limit} bytes, the limit"
                    )
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(
            text=f"the picture did not come within {UPLOAD_S:.0f} s"
        ) from error
    except (ConnectionError, ClientPayloadError) as error:  # nobody hears this any more
        raise web.HTTPBadRequest(text="the picture broke off on its way") from error
    return bytes(data)


async def _json(request: web.Request, known: set[str]) -> dict[str, Any]:
    try:
        wanted = await request.json()
    except (ValueError, LookupError, RecursionError) as error:
        raise web.HTTPBadRequest(text="the request is not JSON") from error
    if not isinstance(wanted, dict) or set(wanted) - known:
        raise web.HTTPBadRequest(
            text=f"the request is not an object of {', '.join(sorted(known))} alone"
        )
    return wanted


def _places(wanted: object) -> Mapping[str, tuple[float, float]]:
    if not isinstance(wanted, dict) or len(wanted) > 16:
        raise web.HTTPBadRequest(text="anchors is not an object of names and places")
    places = {}
    for name, at in wanted.items():
        good = isinstance(at, list) and len(at) == 2
        if not good or not all(type(x) in (int, float) and abs(x) < 1e6 for x in at):
            raise web.HTTPBadRequest(
                text=f"anchor {name[:40]!r} is {str(at)[:40]}, expected [x, y] in pixels"
            )
        places[name] = (float(at[0]), float(at[1]))
    return places


def _refusal(error: AvatarError) -> web.HTTPException:
    if isinstance(error.__cause__, OSError):
        # The error itself names the server's folder: the log's business alone.
        logger.error("%s", error)
        reason = (error.__cause__.strerror or "it cannot be written").lower()
        return web.HTTPInsufficientStorage(text=f"the avatar cannot be kept: {reason}")
    if "already" in str(error) or "built in" in str(error):
        return web.HTTPConflict(text=str(error))
    return web.HTTPUnprocessableEntity(text=str(error))


def _busy(sentence: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=sentence, headers={"Retry-After": str(RETRY_AFTER_S)})


def _too_fast() -> web.HTTPTooManyRequests:
    return web.HTTPTooManyRequests(
        text=f"more than {PICTURES} pictures came within {PICTURES_S:.0f} s",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _give_back() -> None:
    """Hands freed memory to the system: glibc would keep what large pictures took."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _be_nice() -> None:
    with suppress(OSError):
        # Of this thread alone, on Linux.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
