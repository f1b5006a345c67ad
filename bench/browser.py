"""A real server and a real browser that calls it: for benches and for tests."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from engine.config import EngineConfig, ServerConfig
from engine.errors import BackendError

ROOT = Path(__file__).resolve().parent.parent
PROBE = Path(__file__).with_name("probe.js")
START_S = 120.0
CONNECT_S = 20.0
_STOP_S = 10.0

ALLOW_MICROPHONE = "--use-fake-ui-for-media-stream"
FAKE_MICROPHONE = "--use-fake-device-for-media-stream"
FLAGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


class Server:
    """A server in a process of its own, on a free port.

    Args:
        config, engine_config: the port is replaced by 0.
        command: what to run instead, see `serve_command`; it must print its address in a line.

    Attributes:
        url: its address, ends in a slash.
        pid: its process.
    """

    def __init__(
        self,
        config: ServerConfig | None = None,
        engine_config: EngineConfig | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        settings = {
            "server": {**asdict(config or ServerConfig()), "port": 0},
            "engine": asdict(engine_config or EngineConfig(live=True)),
        }
        self._command = command or [sys.executable, "-m", "bench.browser", json.dumps(settings)]
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.pid = self._process.pid
        try:
            self.url = self._read_address()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def get(self, path: str) -> Any:
        """The JSON that the server answers at a path such as `health`."""
        with urlopen(self.url + path.lstrip("/"), timeout=5) as response:
            return json.load(response)

    def _read_address(self) -> str:
        assert self._process.stdout is not None
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            ready, _, _ = select.select([self._process.stdout], [], [], 0.5)
            line = self._process.stdout.readline() if ready else ""
            if found := re.search(r"http://\S+", line):
                return found.group()
            if self._process.poll() is not None:
                status = self._process.returncode
                raise BackendError(f"the server ended with status {status} before it was ready")
        raise BackendError(f"the server was not ready within {START_S:.0f} s")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def serve_command(*flags: str) -> list[str]:
    """`visavis serve` on a free port, with flags: a command for `Server`."""
    return [sys.executable, "-m", "engine.cli", "serve", "--port", "0", *flags]


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome: the system's, else Playwright's own, else None."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        path = shutil.which(name)
        # Ubuntu's `chromium` may be a stub that only names a snap: run it to know.
        if path and not subprocess.run([path, "--version"], capture_output=True).returncode:
            return path
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What the measuring script in the page does.

    Attributes:
        raw: ask for the microphone without echo cancellation, noise suppression and gain control.
        face: (x, y, width, height) in picture widths of the part whose pixels are kept, or None.
        face_px: side of the kept pixels.
    """

    raw: bool = False
    face: tuple[float, float, float, float] | None = None
    face_px: int = 80

    def script(self) -> str:
        """The script with these settings in it."""
        values = {"raw": self.raw, "face": self.face, "facePx": self.face_px}
        return f"const __probeSettings = {json.dumps(values)};\n{PROBE.read_text(encoding='utf-8')}"


class Chromium:
    """A headless browser whose microphone is a sound file.

    Args:
        microphone: 16-bit WAV that the microphone repeats; None beeps as Chromium likes.
        allowed: whether pages may use the microphone.
        present: whether there is a microphone.

    Raises:
        BackendError: Playwright or a Chromium is missing.
    """

    def __init__(
        self, microphone: Path | None = None, allowed: bool = True, present: bool = True
    ) -> None:
        self._flags = [*FLAGS]
        if allowed:
            self._flags.append(ALLOW_MICROPHONE)
        if present:
            self._flags.append(FAKE_MICROPHONE)
        if microphone is not None:
            self._flags.append(f"--use-file-for-fake-audio-capture={microphone}")

    def __enter__(self) -> Self:
        path = find_chromium()
        if path is None:
            raise BackendError(
                "no Chromium was found: install the package 'chromium', or run `make venv-test` "
                "and `.venv/bin/playwright install chromium`"
            )
        try:
            from playwright.sync_api import sync_playwright
        except ImportError as error:
            raise BackendError("Playwright is not installed: run `make venv-test`") from error
        self._playwright = sync_playwright().start()
        try:
            self.browser = self._playwright.chromium.launch(
                executable_path=path, headless=True, args=self._flags
            )
        except BaseException:
            self._playwright.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.browser.is_connected():
                self.browser.close()
        finally:
            self._playwright.stop()

    def kill_tabs(self) -> None:
        """Kills the processes of all pages at once, as the system would when memory is short."""
        session = self.browser.new_browser_cdp_session()
        for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
            if process["type"] == "renderer":
                os.kill(process["id"], signal.SIGKILL)


class Caller:
    """One page, from which one call is made at a time.

    Args:
        chromium: the browser.
        url: the page's address.
        probe: the measuring script, if any.
        change_offer, change_answer: applied to the session descriptions on their way.

    Attributes:
        page: Playwright's page.
        complaints: errors that the page's console showed.
        requests: addresses that the page asked for.
        call_path: where the server keeps the last call made, such as `/api/call/ID`.
    """

    def __init__(
        self,
        chromium: Chromium,
        url: str,
        probe: ProbeSettings | None = None,
        change_offer: Callable[[str], str] | None = None,
        change_answer: Callable[[str], str] | None = None,
        **context: Any,
    ) -> None:
        options = {"viewport": {"width": 1024, "height": 900}, "reduced_motion": "reduce"}
        self.context = chromium.browser.new_context(**(options | context))
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.call_path = ""
        self.page.on("response", self._on_response)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        if probe is not None:
            self.page.add_init_script(probe.script())
        if change_offer is not None or change_answer is not None:
            self._change_descriptions(change_offer or str, change_answer or str)
        self.page.goto(url)

    def call(self, timeout_s: float = CONNECT_S) -> None:
        """Presses the button; returns when the first picture is shown.

        Raises:
            BackendError: the call was not connected in time; says what the page says.
        """
        from playwright.sync_api import TimeoutError as TooLate

        self.page.click("#call:not([disabled])")
        try:
            self.page.wait_for_selector("body[data-state=live]", timeout=timeout_s * 1000)
            self.page.wait_for_selector(".showing", timeout=timeout_s * 1000)
        except TooLate:
            words = self.page.inner_text("main").replace("\n", " ")
            raise BackendError(
                f"the call was not connected within {timeout_s:.0f} s; the page says: {words[:300]}"
            ) from None

    def hang_up(self) -> None:
        """Presses the button that ends the call."""
        self.page.click("#end")
        self.page.wait_for_selector("body[data-state=ended]")

    def drain(self) -> dict[str, list[Any]]:
        """What the measuring script has collected since the last time."""
        text = self.page.evaluate("() => JSON.stringify(window.__probe.drain())")
        found: dict[str, list[Any]] = json.loads(text)
        return found

    def counters(self) -> dict[str, dict[str, Any]]:
        """The browser's inbound-rtp counters by kind, "audio" and "video"."""
        text = self.page.evaluate("async () => JSON.stringify(await window.__probe.counters())")
        found: dict[str, dict[str, Any]] = json.loads(text)
        return found

    def page_clock_ms(self) -> float:
        """The page's clock now, `performance.now()`."""
        return float(self.page.evaluate("() => performance.now()"))

    def close(self) -> None:
        """Closes the page, as a person closes a tab."""
        self.context.close()

    def _on_response(self, response: Any) -> None:
        if response.status == 201:
            self.call_path = response.headers.get("location", "")

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _change_descriptions(
        self, change_offer: Callable[[str], str], change_answer: Callable[[str], str]
    ) -> None:
        def carry(route: Any) -> None:
            if route.request.method != "POST":
                route.continue_()
                return
            response = route.fetch(post_data=change_offer(route.request.post_data))
            body = response.text()
            if response.ok:
                body = change_answer(body)
            route.fulfill(response=response, body=body)

        self.page.route("**/api/call?*", carry)


def _serve(text: str) -> None:
    from engine import server

    settings = json.loads(text)

    def ready(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    server.serve(ServerConfig(**settings["server"]), EngineConfig(**settings["engine"]), ready)


if __name__ == "__main__":
    _serve(sys.argv[1])
