from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import signals
from bench.browser import Caller, Chromium, Server, find_chromium
from engine.avatar import names
from engine.config import ServerConfig


@pytest.fixture(scope="module", autouse=True)
def _needs() -> None:
    pytest.importorskip("playwright.sync_api")
    if find_chromium() is None:
        pytest.skip("no Chromium was found: neither the system's nor Playwright's own")
    if not names():
        pytest.skip("no avatar is built in")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A real server that takes one call at a time."""
    with Server(ServerConfig(max_sessions=1)) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser into whose microphone somebody speaks: syllables with silence between."""
    wav: Path = tmp_path_factory.mktemp("microphone") / "bursts.wav"
    with Chromium(signals.write_wav(wav, signals.bursts(60))) as running:
        yield running


@pytest.fixture
def visit(chromium: Chromium, server: Server) -> Iterator[Callable[..., Caller]]:
    """Opens the page; closed again, with its call, when the test ends."""
    opened: list[Caller] = []

    def visit(**options: Any) -> Caller:
        opened.append(Caller(chromium, server.url, **options))
        return opened[-1]

    yield visit
    for caller in opened:
        if caller.call_path:
            caller.page.request.delete(server.url + caller.call_path.lstrip("/"))
        caller.close()
