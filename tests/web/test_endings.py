"""Calls that fail or end badly; each in a browser of its own."""

import os
import signal

import pytest

from bench.browser import Caller, Chromium, Server
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


def test_a_server_that_stops_ends_the_call_at_once():
    with Chromium() as browser, Server() as stopped:
        caller = Caller(browser, stopped.url)
        caller.call()
        caller.page.evaluate(
            """() => {
                window.states = [];
                new MutationObserver(() => window.states.push(document.body.dataset.state))
                    .observe(document.body, {attributeFilter: ["data-state"]});
            }"""
        )
        os.kill(stopped.pid, signal.SIGTERM)
        caller.page.wait_for_selector("body[data-state=ended]")
        # Not "weak" before it: nothing is held on to.
        assert caller.page.evaluate("window.states") == ["ended"]
        assert "The connection was lost" in text(caller, "#notice")
