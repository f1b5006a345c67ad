"""What several browser tests do."""

import time

from bench.browser import Caller, Server


def wait_for_sessions(server: Server, count: int, within_s: float) -> float:
    """Seconds until the server has so many calls."""
    begin = time.monotonic()
    while server.get("health")["sessions"] != count:
        waited = time.monotonic() - begin
        assert waited < within_s, f"{server.get('health')} after {waited:.1f} s"
        time.sleep(0.05)
    return time.monotonic() - begin


def text(caller: Caller, selector: str) -> str:
    return str(caller.page.inner_text(selector))
