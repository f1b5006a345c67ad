"""The HTTP server: the page, the avatars, the calls' signalling, health and figures."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from engine import avatar as avatar_files
from engine.calls import (
    ATTEMPTS_S,
    MAX_ATTEMPTS,
    SHUTDOWN_S,
    Avatars,
    Calls,
    Desk,
    NoRoomError,
    PipelineMaker,
    Shown,
)
from engine.config import SWITCH_S, EngineConfig, ServerConfig
from engine.errors import ConfigError, SignallingError
from engine.library import Library
from engine.onboarding import api
from engine.onboarding.make import Tools

logger = logging.getLogger(__name__)

MAX_OFFER_BYTES: Final = 64 * 1024
RETRY_AFTER_S: Final = 10
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)
WEB: Final = Path(__file__).resolve().parent.parent / "web"

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What the page may be made of; nothing else is served."""
_SAFETY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


CALLS: Final = web.AppKey("calls", Desk)
"""Where an application keeps its calls."""


def create_app(
    config: ServerConfig,
    engine_config: EngineConfig,
    avatars: Avatars | None = None,
    make_pipeline: PipelineMaker | None = None,
    prewarm: bool = True,
    open_tools: Callable[[], Tools] | None = None,
) -> web.Application:
    """Builds the application; avatars and pipeline can be given for tests.

    With a library as `avatars` and with `open_tools`, pictures can be brought and become avatars.

    Raises:
        AvatarError: there is no avatar, or one is damaged.
    """
    calls = _desk(config, engine_config, avatars or avatar_files, make_pipeline)
    app = web.Application(middlewares=[_guard], client_max_size=MAX_OFFER_BYTES)
    app[CALLS] = calls

    async def run(_: web.Application) -> AsyncIterator[None]:
        try:
            if prewarm:
                await calls.open()
            yield
        finally:
            await calls.close()

    app.cleanup_ctx.append(run)
    onboarding = None
    if isinstance(avatars, Library) and open_tools is not None:
        onboarding = api.Onboarding(calls, avatars, open_tools)
    api.add_to(app, onboarding)
    app.add_routes(
        [
            web.get("/api/avatars", _avatars),
            web.get("/api/avatars/{name}/picture", _picture),
            web.post("/api/call", _call),
            web.get("/api/call/{call}", _figures),
            web.delete("/api/call/{call}", _hang_up),
            web.get("/health", _health),
            web.get("/metrics", _metrics),
            web.get("/{path:.*}", _page),
        ]
    )
    return app


def _desk(
    config: ServerConfig,
    engine_config: EngineConfig,
    avatars: Avatars,
    make_pipeline: PipelineMaker | None,
) -> Desk:
    """Where calls run: here, or in processes of their own."""
    if config.workers:
        from engine.workers import check_system

        check_system(config.workers)
        from engine.workers.fleet import Fleet

        return Fleet(config, engine_config, avatars)
    return Calls(config, engine_config, avatars, make_pipeline)


def serve(
    config: ServerConfig,
    engine_config: EngineConfig,
    ready: Callable[[str], None] | None = None,
    avatars: Avatars | None = None,
    open_tools: Callable[[], Tools] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, then ends all calls.

    Args:
        ready: called with the page's address once calls can be made.
        avatars: those that can be called, the default first; the built-in ones if None.
        open_tools: opens what own pictures need, see `create_app`.

    Raises:
        AvatarError: there is no avatar, or one is damaged.
        ConfigError: the address cannot be listened on.
    """

    sys.setswitchinterval(SWITCH_S)

    async def main() -> None:
        stopped, starting = asyncio.Event(), asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            stopped.set()
            if starting is not None:
                starting.cancel()

        for number in _ENDS:
            loop.add_signal_handler(number, stop)
        try:
            app = create_app(config, engine_config, avatars, open_tools=open_tools)
            async with running(config, app) as url:
                # What is here now stays: left out, a collection takes less than a picture's time.
                gc.collect()
                gc.freeze()
                starting = None
                if ready is not None:
                    ready(url)
                await stopped.wait()
        finally:
            # uvloop leaves its own there when it is closed, and Ctrl-C does nothing any more.
            for number in _ENDS:
                loop.remove_signal_handler(number)

    # Stopped before it was ready.
    with suppress(asyncio.CancelledError):
        try:
            import uvloop
        except ImportError:
            asyncio.run(main())
        else:
            uvloop.run(main())


@asynccontextmanager
async def running(config: ServerConfig, app: web.Application) -> AsyncIterator[str]:
    """Runs an application for as long as the block; gives its address.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        # Listen first: an address in use should not cost the wait for the first compile.
        site_socket = _listen(config)
        stack.callback(site_socket.close)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, site_socket).start()
        port = site_socket.getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield f"http://{host}:{port}/"


def _listen(config: ServerConfig) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family, backlog=128)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "it is in use",
            errno.EACCES: "it needs more rights",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise ConfigError(
            f"cannot listen on port {config.port} of {config.host}: {reason}"
        ) from error


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses other sites' pages, turns errors into JSON, adds the safety headers."""
    try:
        if request.method not in ("GET", "HEAD"):
            _same_origin(request)
        response = await handler(request)
    except web.HTTPException as error:
        response = _error(error.status, error.text or error.reason)
        for name in ("Allow", "Retry-After"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
    except NoRoomError as error:
        response = _error(503, str(error))
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    except Exception:  # the server goes on, and the caller gets words instead of a page
        logger.exception("%s %s failed", request.method, request.path[:100])
        response = _error(500, "the server failed on this request; its log says why")
    response.headers.update(_SAFETY)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _same_origin(request: web.Request) -> None:
    """A page of another site could otherwise start calls on a server on this machine."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise web.HTTPForbidden(
            text=f"origin {origin[:100]} may not call this server, expected {request.host[:100]}"
        )
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise web.HTTPForbidden(text="a page of another site may not call this server")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


async def _avatars(request: web.Request) -> web.Response:
    return web.json_response([shown.told for shown in request.app[CALLS].shown.values()])


async def _picture(request: web.Request) -> web.Response:
    shown = _shown(request, request.match_info["name"])
    return web.Response(
        body=shown.picture,
        content_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=60"},
    )


async def _call(request: web.Request) -> web.Response:
    calls = request.app[CALLS]
    if request.content_type != "application/sdp":
        return _error(
            415, f"content type is {request.content_type[:100]}, expected application/sdp"
        )
    shown = _shown(request, request.query.get("avatar") or next(iter(calls.shown)))
    try:
        config = calls.look(request.query)
    except ConfigError as error:
        return _error(400, str(error))
    try:
        offer = await request.text()
    except web.HTTPRequestEntityTooLarge:
        return _error(413, f"the offer is too large, expected at most {MAX_OFFER_BYTES} bytes")
    except (UnicodeDecodeError, LookupError):
        return _error(400, "the offer is not UTF-8 text")
    if calls.count >= calls.config.max_sessions:
        sentence = f"all {calls.config.max_sessions} calls are taken, try again in a moment"
        return _busy(calls, "full", sentence)
    if calls.too_fast():
        sentence = f"more than {MAX_ATTEMPTS} offers came within {ATTEMPTS_S:.0f} s"
        return _busy(calls, "fast", sentence)
    try:
        call, answer = await calls.start(offer, shown.avatar, config)
    except NoRoomError as error:
        return _busy(calls, "down", str(error))
    except SignallingError as error:
        calls.metrics.refused_total.labels("offer").inc()
        return _error(400, str(error))
    return web.Response(
        status=201,
        text=answer,
        content_type="application/sdp",
        headers={"Location": f"/api/call/{call}"},
    )


def _busy(calls: Desk, reason: str, sentence: str) -> web.Response:
    calls.metrics.refused_total.labels(reason).inc()
    response = _error(503, sentence)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _figures(request: web.Request) -> web.Response:
    figures = await request.app[CALLS].figures(request.match_info["call"])
    if figures is None:
        return _error(404, f"there is no call {request.match_info['call'][:40]!r}")
    return web.json_response(figures)


async def _hang_up(request: web.Request) -> web.Response:
    if not await request.app[CALLS].stop(request.match_info["call"]):
        return _error(404, f"there is no call {request.match_info['call'][:40]!r}")
    return web.json_response({"ended": True})


async def _health(request: web.Request) -> web.Response:
    return web.json_response(request.app[CALLS].health())


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=await request.app[CALLS].text(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _page(request: web.Request) -> web.StreamResponse:
    name = request.match_info["path"].replace("\0", "") or "index.html"
    path = (WEB / name).resolve()
    content_type = _TYPES.get(path.suffix)
    if content_type is None or not path.is_relative_to(WEB) or not path.is_file():
        return _error(404, f"there is no {request.path[:100]!r}")
    return web.FileResponse(
        path,
        headers={"Content-Type": f"{content_type}; charset=utf-8", "Cache-Control": "no-cache"}
        if content_type.startswith(("text/", "application/"))
        else {"Content-Type": content_type, "Cache-Control": "no-cache"},
    )


def _shown(request: web.Request, name: str) -> Shown:
    shown = request.app[CALLS].shown
    if name not in shown:
        raise web.HTTPNotFound(
            text=f"avatar {name[:40]!r} is unknown, expected one of {', '.join(shown)}"
        )
    return shown[name]
