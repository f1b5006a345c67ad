"""How the page keeps pictures with late sound, in a real Chromium."""

import pytest

from bench.browser import ProbeSettings

pytestmark = pytest.mark.browser

FOLLOW = """
async (waits) => {
  const { LipSync, USUAL_MS } = await import("./lipsync.js");
  const sync = new LipSync();
  return waits.map((late) => sync.follow(late === null ? null : late + USUAL_MS));
}
"""
ANSWER = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=msid:one sound",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=msid:one picture",
        "a=ssrc:5 msid:one picture",
        "a=ssrc:5 cname:one",
        "",
    ]
)


@pytest.fixture
def follow(visit):
    """Readings of how late sound is, in ms; gives what the page asks for after each."""
    page = visit().page
    return lambda *late_ms: page.evaluate(FOLLOW, list(late_ms))


def test_usual_sound_holds_no_picture(follow):
    assert follow(0, -20, 10, 15, -5, 12) == [None] * 6


def test_one_late_reading_changes_nothing(follow):
    assert follow(0, 0, 300, 0, 0, 0) == [None] * 6


def test_late_sound_holds_pictures_and_they_are_let_go_with_it(follow):
    asked = [ms for ms in follow(100, 100, 100, 101, 60, 60, 60, 5, 5, 5) if ms is not None]
    assert len(asked) == 3
    assert asked[0] > asked[1] > asked[2] == 0
    assert asked[0] == pytest.approx(100, abs=20)


def test_a_far_headset_holds_no_picture_for_ever(follow):
    assert max(ms for ms in follow(*[5000] * 5) if ms is not None) == 200


def test_readings_without_sound_are_passed_over(follow):
    asked = follow(None, None, 100, 100, None, 100)
    assert asked[:5] == [None] * 5
    assert asked[5] > 0


def test_picture_gets_a_stream_of_its_own(visit):
    parted = visit().page.evaluate(
        "async (sdp) => (await import('./sdp.js')).partStreams(sdp)", ANSWER
    )
    audio, video = parted.split("m=video")
    assert "a=msid:one sound\r\n" in audio
    assert "a=msid:one-picture picture\r\n" in video
    assert "a=ssrc:5 msid:one-picture picture\r\n" in video
    assert "a=ssrc:5 cname:one\r\n" in video


def test_sound_that_is_late_delays_the_picture_in_a_call(visit):
    caller = visit(probe=ProbeSettings())
    caller.call()
    receiver = "window.__probe.connection.getReceivers().find((r) => r.track.kind === '{}')"
    target = receiver + ".jitterBufferTarget"
    caller.page.evaluate(f"{target.format('audio')} = 300")
    caller.page.wait_for_function(f"() => {target.format('video')} > 150", timeout=30_000)
