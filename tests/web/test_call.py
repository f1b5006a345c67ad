"""The page in a real Chromium, against a real server."""

import numpy as np
import pytest

from bench import measure
from bench.browser import Caller, ProbeSettings
from tests.web.steps import text, wait_for_sessions

pytestmark = pytest.mark.browser

MOUTH = ProbeSettings(face=(0.3, 0.45, 0.4, 0.4), face_px=80)


def watch(caller: Caller, seconds: float) -> tuple[measure.Sound, measure.Sound, measure.Pictures]:
    """Microphone, sound received and pictures of the next seconds."""
    caller.drain()
    caller.page.wait_for_timeout(seconds * 1000)
    found = caller.drain()
    assert not found["errors"]
    mic, heard = measure.sound(found["mic"], True), measure.sound(found["sound"], False)
    return mic, heard, measure.pictures(found["pictures"])


def test_page_loads_without_complaints_and_asks_nobody_else(visit, server):
    caller = visit()
    caller.page.wait_for_selector("#call:not([disabled])")
    caller.page.wait_for_load_state("networkidle")
    assert caller.complaints == []
    assert [url for url in caller.requests if not url.startswith(server.url)] == []
    assert caller.page.title() == "Visavis"
    assert text(caller, "#call").startswith("Call ")


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_page_fits_every_screen(visit, width):
    caller = visit(viewport={"width": width, "height": 740})
    caller.page.wait_for_selector("#call:not([disabled])")
    assert caller.page.evaluate("document.documentElement.scrollWidth") <= width
    button = caller.page.locator("#call").bounding_box()
    assert button["y"] + button["height"] <= 740


def test_a_call_fits_the_narrowest_phone(visit):
    caller = visit(viewport={"width": 320, "height": 568})
    caller.call()
    assert caller.page.evaluate("document.documentElement.scrollWidth") <= 320
    end = caller.page.locator("#end").bounding_box()
    assert end["x"] >= 0 and end["x"] + end["width"] <= 320


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), (844, 390)])
def test_the_look_opens_in_sight(visit, size):
    width, height = size
    caller = visit(viewport={"width": width, "height": height})
    caller.page.wait_for_selector("#call:not([disabled])")
    assert caller.page.evaluate("document.documentElement.scrollHeight") <= height
    caller.page.click("#look summary")
    caller.page.wait_for_function(
        "() => document.getElementById('liveliness').getBoundingClientRect().bottom <= innerHeight"
    )
    assert text(caller, "#expression-says") == "usual"


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visit):
    caller = visit()
    caller.call()
    assert caller.page.evaluate("document.activeElement.id") == "mute"
    reached = []
    for _ in range(3):
        caller.page.keyboard.press("Tab")
        reached.append(caller.page.evaluate("document.activeElement.id"))
    assert reached == ["hear", "full", "end"]
    for name in ("Mute", "Sound", "Full screen", "Hang up"):
        assert caller.page.get_by_role("button", name=name, exact=True).count() == 1
    assert caller.page.get_by_role("meter", name="Microphone level").count() == 1
    assert caller.page.get_by_role("status").count() == 1


def test_speech_comes_back_as_a_moving_picture_with_its_sound(visit):
    caller = visit(probe=MOUTH)
    caller.call()
    mic, heard, pictures = watch(caller, 10)
    spoken = measure.onsets(mic)
    assert len(spoken) >= 3
    assert len(measure.paired(spoken, measure.onsets(heard), 0, 1000)) >= len(spoken) - 1
    # Only that it flows: a busy machine draws no fewer than 5, and `bench latency` measures.
    assert measure.fps(pictures) > 4
    moved = np.abs(np.diff(pictures.face.astype(np.int16), axis=0)).mean(axis=(1, 2))
    assert moved.max() > 0.5
    assert caller.counters()["video"]["frameWidth"] == 512
    assert caller.complaints == []


def test_live_figures_are_shown(visit):
    caller = visit()
    caller.call()
    caller.page.wait_for_function(
        "() => /\\d ms/.test(document.getElementById('f-latency').textContent)", timeout=15_000
    )
    assert text(caller, "#f-fps").endswith("fps")
    assert "b/s" in text(caller, "#f-rate")
    assert text(caller, "#clock").startswith("0:")


def test_a_lower_rate_is_told_in_one_calm_line_and_taken_back(visit):
    caller = visit()
    told = {"rate": 25.0}

    def answer(route):
        if route.request.method == "GET":
            route.fulfill(json=route.fetch().json() | told)
        else:
            route.continue_()

    caller.page.route("**/api/call/*", answer)
    caller.call()
    for rate, line in (
        (12.5, "The server is busy: 12 pictures a second."),
        (5.0, "The server is busy: 5 pictures a second."),
        (25.0, ""),
    ):
        told["rate"] = rate
        caller.page.wait_for_function(
            "line => document.getElementById('busy').textContent === line", arg=line
        )
    assert caller.page.locator("#notice").is_hidden()
    assert caller.complaints == []


def test_mute_silences_the_avatar_until_it_is_taken_back(visit):
    caller = visit(probe=ProbeSettings())
    caller.call()
    caller.page.keyboard.press("m")
    assert caller.page.get_attribute("#mute", "aria-pressed") == "true"
    assert text(caller, "#status") == "You are muted"
    caller.page.wait_for_timeout(1500)
    _, heard, _ = watch(caller, 3)
    assert heard.peak.max() < 100
    caller.page.click("#mute")
    assert caller.page.get_attribute("#mute", "aria-pressed") == "false"
    _, heard, _ = watch(caller, 8)
    assert heard.peak.max() > 1000


def test_hearing_can_be_turned_off_alone(visit):
    caller = visit()
    caller.call()
    assert not caller.page.evaluate("document.querySelector('video').muted")
    caller.page.keyboard.press("s")
    assert caller.page.evaluate("document.querySelector('video').muted")
    assert caller.page.get_attribute("#mute", "aria-pressed") == "false"


def test_full_screen_opens_and_closes(visit):
    caller = visit()
    caller.call()
    caller.page.keyboard.press("f")
    caller.page.wait_for_selector("#stage:fullscreen")
    caller.page.wait_for_selector("#full[aria-pressed=true]")
    caller.page.click("#full")
    caller.page.wait_for_selector("#full[aria-pressed=false]")


SLOW_LEAVE = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  await new Promise((resolve) => { window.allow = resolve; });
  window.stream = await ask(wanted);
  return window.stream;
};
"""


def test_call_cancelled_while_the_microphone_is_asked_for_leaves_it_closed(visit, server):
    caller = visit()
    caller.page.add_init_script(SLOW_LEAVE)
    caller.page.reload()
    caller.page.dblclick("#call:not([disabled])")
    caller.page.wait_for_selector("text=Please allow the microphone")
    caller.page.keyboard.press("Escape")
    caller.page.wait_for_selector("body[data-state=ended]")
    caller.page.evaluate("() => window.allow()")
    caller.page.wait_for_function("() => window.stream?.getTracks()[0].readyState === 'ended'")
    assert server.get("health")["sessions"] == 0
    assert text(caller, "#call") == "Call " + text(caller, "#title")


def test_hang_up_ends_the_session_at_once(visit, server):
    caller = visit()
    caller.call()
    assert server.get("health")["sessions"] == 1
    caller.hang_up()
    assert wait_for_sessions(server, 0, within_s=2) < 2
    assert text(caller, "#call") == "Call " + text(caller, "#title")


def test_closing_the_page_ends_the_session(chromium, server):
    caller = Caller(chromium, server.url)
    caller.call()
    caller.page.close(run_before_unload=True)
    wait_for_sessions(server, 0, within_s=5)
    caller.close()


def test_call_ended_by_the_server_says_so_and_can_be_made_again(visit, server):
    caller = visit()
    caller.call()
    caller.page.request.delete(server.url + caller.call_path.lstrip("/"))
    caller.page.wait_for_selector("body[data-state=ended]", timeout=15_000)
    assert "connection was lost" in text(caller, "#notice")
    assert text(caller, "#call") == "Call again"
    caller.call()
    assert caller.page.locator("#notice").is_hidden()


def test_full_server_is_explained_and_says_when_to_try_again(visit):
    first, second = visit(), visit()
    first.call()
    second.page.click("#call:not([disabled])")
    second.page.wait_for_selector("body[data-state=ended]")
    assert "All lines are busy" in text(second, "#notice")
    assert "try again in" in text(second, "#notice")
    assert second.page.get_attribute("#call", "aria-disabled") == "true"
    assert first.page.get_attribute("body", "data-state") == "live"


OFFER = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 9",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=20;useinbandfec=1",
        "a=rtpmap:9 G722/8000",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=rtpmap:96 VP8/90000",
        "",
    ]
)


def test_offer_asks_for_small_mono_packets_and_keeps_the_rest(visit):
    caller = visit()
    shaped = caller.page.evaluate(
        "async (sdp) => (await import('./sdp.js')).shapeOffer(sdp)", OFFER
    )
    audio, video = shaped.split("m=video")
    assert "a=fmtp:111 minptime=10;useinbandfec=1;stereo=0\r\n" in audio
    assert audio.endswith("a=ptime:10\r\n")
    assert video == OFFER.split("m=video")[1]
    assert (
        caller.page.evaluate("async (sdp) => (await import('./sdp.js')).shapeOffer(sdp)", "v=0\r\n")
        == "v=0\r\n"
    )
