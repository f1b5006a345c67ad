"""Calls that fail or end badly; each in a browser of its own."""

import pytest

from bench.browser import Caller, Chromium
from tests.web.steps import text, wait_for_sessions

pytestmark = pytest.mark.browser


def test_killed_tab_leaves_no_ghost(server):
    with Chromium() as browser:
        caller = Caller(browser, server.url)
        caller.call()
        browser.kill_tabs()
        wait_for_sessions(server, 0, within_s=5)


@pytest.mark.parametrize(
    ("allowed", "present", "words"),
    [(False, True, "The microphone is blocked"), (True, False, "No microphone was found")],
)
def test_missing_microphone_is_explained(server, allowed, present, words):
    with Chromium(allowed=allowed, present=present) as browser:
        caller = Caller(browser, server.url)
        caller.page.click("#call:not([disabled])")
        caller.page.wait_for_selector("body[data-state=ended]")
        assert words in text(caller, "#notice")
        assert text(caller, "#call") == "Call again"
        assert server.get("health")["sessions"] == 0
