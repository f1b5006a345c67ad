"""A person's own picture on the page, in a real Chromium: from the file to a call."""

import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.browser import Caller, Server
from engine.avatar import find
from engine.library import Library
from tests.engine.portraits import encoded, photograph
from tests.web.steps import text

pytestmark = pytest.mark.browser

PLACES = {"maya": (0.28, 0.55), "kofi": (0.74, 0.55)}
HEAD_PX = 560


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def picture(folder: Path) -> Path:
    """Both built-in avatars side by side, taken with a telephone that lay on its side."""
    both = [photograph(find(n), at=PLACES[n], head_px=HEAD_PX)[0] for n in PLACES]
    left = np.arange(both[0].shape[1])[None, :, None] < 600
    path = folder / "photo.jpg"
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(encoded(np.rot90(np.where(left, *both)).copy(), "JPEG", exif=exif))
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.web.own_server", str(folder / "own")]
    with Server(command=command) as running:
        yield running


def drag(caller: Caller, name: str, right: float, down: float) -> None:
    box = caller.page.locator(f"[data-anchor={name}]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    caller.page.mouse.move(x, y)
    caller.page.mouse.down()
    caller.page.mouse.move(x + right / 2, y + down / 2)
    caller.page.mouse.move(x + right, y + down)
    caller.page.mouse.up()


def spot(caller: Caller, name: str) -> np.ndarray:
    """Place of a point in shares of the picture."""
    style = "(e) => [parseFloat(e.style.left), parseFloat(e.style.top)]"
    return np.array(caller.page.eval_on_selector(f"[data-anchor={name}]", style)) / 100


def test_a_picture_is_brought_fitted_heard_kept_and_called(visit, picture, folder):
    caller = visit()
    page = caller.page
    page.click("#add")
    page.set_input_files("#file", picture)
    page.wait_for_selector("#own[data-step=fit]")
    # Two faces: the larger one is shown, a click chooses the other.
    assert page.get_by_role("group", name="Several faces").get_by_role("button").count() == 2
    with page.expect_response("**/api/portraits/*") as changed:
        page.get_by_role("button", name="Face 1 from the left").click()
    assert changed.value.json()["face"] == 1
    page.wait_for_selector("[data-face='1'][aria-pressed=true]")
    # A point is dragged by the mouse, another by the keys; the mesh follows.
    before, mesh = spot(caller, "chin"), page.get_attribute("#fit-mesh path", "d")
    with page.expect_response("**/api/portraits/*") as changed:
        drag(caller, "chin", 6, 18)
    told = changed.value.json()
    page.wait_for_function(
        "(d) => document.querySelector('#fit-mesh path').getAttribute('d') !== d", arg=mesh
    )
    wide = page.locator("#fit").bounding_box()["width"]
    moved = spot(caller, "chin")
    assert moved - before == pytest.approx(np.array([6, 18]) / wide, abs=0.004)
    assert np.array(told["anchors"]["chin"]) / told["size_px"] == pytest.approx(moved, abs=0.004)
    page.focus("[data-anchor=left_mouth]")
    before = spot(caller, "left_mouth")
    with page.expect_response("**/api/portraits/*"):
        page.keyboard.press("Shift+ArrowLeft")
    assert (spot(caller, "left_mouth") - before)[0] == pytest.approx(-0.015, abs=0.002)
    # It says a sentence, with sound.
    page.click("#play")
    page.wait_for_selector("#sample:not([hidden])", timeout=60_000)
    page.wait_for_function("() => document.getElementById('sample').currentTime > 0.5")
    film = "document.getElementById('sample')"
    assert page.evaluate(f"{film}.videoWidth") == 512
    assert not page.evaluate(f"{film}.muted")
    # Nothing is kept without a name and consent.
    page.click("#keep")
    assert page.get_by_text("Without this, the picture cannot be kept.").is_visible()
    assert page.evaluate("document.activeElement.id") == "own-name"
    page.fill("#own-name", "Mia Miller")
    page.check("#consent")
    page.click("#keep")
    page.wait_for_selector("#own", state="hidden", timeout=30_000)
    page.wait_for_function("() => document.getElementById('title').textContent === 'Mia Miller'")
    assert page.evaluate("document.activeElement.id") == "call"
    kept = Library(folder / "own").find("mia-miller")
    assert "by the page" in kept.info.consent
    # It is called with the look that was chosen.
    page.click("#look summary")
    page.focus("#expression")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#expression", "aria-valuetext") == "warm"
    caller.call()
    (asked,) = [url for url in caller.requests if "/api/call?" in url]
    assert "avatar=mia-miller" in asked
    assert "expression=warm" in asked
    # Nobody moved it, so it is the server's own.
    assert "liveliness" not in asked
    caller.hang_up()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#remove")
    page.wait_for_function("() => document.getElementById('title').textContent !== 'Mia Miller'")
    assert Library(folder / "own").own() == []
    assert caller.complaints == []


def test_a_bad_picture_is_explained_and_another_can_be_brought(visit, folder, picture):
    caller = visit(viewport={"width": 360, "height": 740})
    page = caller.page
    page.click("#add")
    broken = folder / "broken.jpg"
    broken.write_bytes(picture.read_bytes()[:5000])
    page.set_input_files("#file", broken)
    page.wait_for_selector("#own-notice:not([hidden])")
    assert "This picture cannot be used" in text(caller, "#own-notice")
    assert "It is cut off" in text(caller, "#own-notice") or "cut off" in text(
        caller, "#own-notice"
    )
    page.set_input_files("#file", picture)
    page.wait_for_selector("#own[data-step=fit]")
    assert page.locator("#own-notice").is_hidden()
    assert page.evaluate("document.getElementById('own').scrollWidth") <= 360
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "add"


DROP = """
(base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "me.jpg", { type: "image/jpeg" }));
  for (const kind of ["dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
    document.getElementById("portrait").dispatchEvent(event);
  }
}
"""


def test_a_picture_dropped_anywhere_is_brought(visit, picture):
    page = visit().page
    page.wait_for_selector("#add:not([hidden])")
    page.evaluate(DROP, b64encode(picture.read_bytes()).decode())
    page.wait_for_selector("#own[data-step=fit]")
    assert page.locator("[data-anchor]").count() == 5


def test_a_picture_can_be_taken_with_the_camera(visit):
    caller = visit()
    page = caller.page
    page.click("#add")
    page.click("#use-camera")
    page.wait_for_selector("#shoot:not([disabled])")
    # The test browser's camera sees a green clock: what matters is that it is brought and let go.
    with page.expect_response("**/api/portraits") as brought:
        page.click("#shoot")
    assert brought.value.status in (201, 422)
    assert page.evaluate("document.getElementById('camera').srcObject") is None
