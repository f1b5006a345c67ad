"""A picture becomes an avatar over HTTP, and what must not happen on the way."""

import asyncio
import errno
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest

from engine import avatar as files
from engine.avatar import find
from engine.config import EngineConfig, ServerConfig
from engine.library import Library
from engine.onboarding import api, drafts, photo
from engine.server import create_app, running
from tests.engine.portraits import encoded, photograph, tools
from tests.engine.stand_ins import CountingPipeline

MAYA, KOFI = find("maya"), find("kofi")
PHOTO, FACE = photograph(MAYA, tilt=6)
SECOND = photograph(KOFI, head_px=400, at=(0.8, 0.5))[1]
SMALL = EngineConfig(size_px=128, steps=0)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "own")


@asynccontextmanager
async def server(library, *faces):
    config = ServerConfig(port=0)
    app = create_app(
        config, SMALL, library, CountingPipeline, False, lambda: tools(*(faces or (FACE,)))
    )
    async with running(config, app) as url, aiohttp.ClientSession(url) as http:
        http.onboarding = app[api.ONBOARDING]
        yield http


async def refusal(response, status):
    (message,) = (await response.json()).values()
    assert response.status == status, message
    return message


async def brought(http, picture=PHOTO):
    async with http.post("/api/portraits", data=encoded(picture)) as response:
        told = await response.json()
        assert response.status == 201, told
        assert response.headers["Location"] == f"/api/portraits/{told['token']}"
        return f"/api/portraits/{told['token']}", told


async def test_a_picture_becomes_an_avatar_that_can_be_called(library):
    async with server(library) as http:
        at, told = await brought(http)
        assert len(told["landmarks"]) == 478
        assert told["faces"][0]["refused"] is None
        assert told["whole"] is None
        assert np.array(told["mesh"]).max() < 468
        async with http.get(told["picture"]) as response:
            assert response.content_type == "image/jpeg"
            assert (await response.read()).startswith(b"\xff\xd8")
        asked = {"title": "Mïa  Miller", "consent": True}
        async with http.post(at + "/keep", json=asked) as response:
            assert response.status == 201
            kept = await response.json()
        assert (kept["name"], kept["title"]) == ("mia-miller", "Mïa Miller")
        async with http.get("/api/avatars") as response:
            assert kept in await response.json()
            assert kept["own"]
        async with http.get(kept["picture"]) as response:
            assert response.status == 200
        # It is there for the next server too, with the consent in it.
        assert "confirmed at" in library.find("mia-miller").info.consent
        async with http.put(at, json={}) as response:
            assert "bring it again" in await refusal(response, 404)
        async with http.delete("/api/avatars/mia-miller") as response:
            assert response.status == 200
        async with http.get(kept["picture"]) as response:
            await refusal(response, 404)
    assert library.own() == []


async def test_dragged_points_take_the_landmarks_along(library):
    async with server(library) as http:
        at, told = await brought(http)
        x, y = told["anchors"]["chin"]
        async with http.put(at, json={"anchors": {"chin": [x, y + 20]}}) as response:
            moved = await response.json()
        assert moved["anchors"]["chin"] == pytest.approx([x, y + 20], abs=0.5)
        assert moved["anchors"]["left_eye"] == pytest.approx(told["anchors"]["left_eye"], abs=0.5)
        way = np.array(moved["landmarks"]) - np.array(told["landmarks"])
        assert 15 < way[:, 1].max() < 25
        async with http.post(at + "/keep", json={"title": "Mia", "consent": True}) as response:
            assert response.status == 201
        chin = library.find("mia").landmarks[152, 1]
        assert chin == pytest.approx(y + 20, abs=1)


async def test_of_several_faces_one_is_chosen(library):
    async with server(library, FACE, SECOND) as http:
        at, told = await brought(http)
        assert told["face"] == 1, "the larger one"
        async with http.get(told["whole"]) as response:
            assert response.content_type == "image/jpeg"
        async with http.put(at, json={"face": 2}) as response:
            other = await response.json()
        assert other["face"] == 2
        assert other["picture"] != told["picture"]
        for number in (0, 3):
            async with http.put(at, json={"face": number}) as response:
                assert f"face is {number}, expected 1 to 2" in await refusal(response, 422)


async def test_a_sample_is_a_film(library):
    async with server(library) as http:
        at, _ = await brought(http)
        async with http.post(at + "/sample?kind=webm&liveliness=0.5") as response:
            assert response.status == 200
            assert response.content_type == "video/webm"
            assert (await response.read()).startswith(b"\x1aE\xdf\xa3")
        for query, words in (
            ("kind=gif", "expected one of mp4, webm"),
            ("liveliness=9", "liveliness is 9.0, expected 0.0 to 2.0"),
            ("liveliness=x", "liveliness is 'x'"),
            ("expression=cross", "expression 'cross' is unknown"),
        ):
            async with http.post(f"{at}/sample?{query}") as response:
                assert words in await refusal(response, 400)


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"title": "Mia"}, 422, "consent is null, expected true"),
        ({"title": "Mia", "consent": False}, 422, "consent is false, expected true"),
        ({"title": "Mia", "consent": "yes"}, 422, 'consent is "yes", expected true'),
        ({"title": " ", "consent": True}, 422, "the title has 0 letters, expected 1 to 60"),
        ({"title": "x" * 61, "consent": True}, 422, "the title has 61 letters"),
        ({"name": "../x", "title": "x", "consent": True}, 422, "is not valid"),
        ({"name": "maya", "title": "x", "consent": True}, 409, "is built in"),
        ({"title": "x", "consent": True, "path": "/"}, 400, "not an object of consent, name"),
        ([], 400, "is not an object"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_can_be_mended(library, asked, status, words):
    async with server(library) as http:
        at, _ = await brought(http)
        async with http.post(at + "/keep", json=asked) as response:
            assert words in await refusal(response, status)
        assert library.own() == []
        async with http.put(at, json={}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the picture is empty"),
        (b"PK\x03\x04zip", "a ZIP archive"),
        (b"<svg/>", "an SVG drawing"),
        (encoded(PHOTO)[:3000], "it is cut off"),
        (bytes(1000), "no picture at all"),
    ],
)
async def test_what_is_no_picture_is_refused(library, body, words):
    async with server(library) as http:
        async with http.post("/api/portraits", data=body) as response:
            assert words in await refusal(response, 422)
        assert len(http.onboarding.drafts) == 0


async def test_a_picture_without_a_usable_face_is_refused(library):
    tiny = photograph(MAYA, head_px=150)[1]
    async with (
        server(library, tiny) as http,
        http.post("/api/portraits", data=encoded(PHOTO)) as response,
    ):
        assert "px wide, expected at least 90" in await refusal(response, 422)


async def test_too_many_bytes_are_refused_told_or_not(library, monkeypatch):
    monkeypatch.setattr(photo, "MAX_BYTES", 100_000)

    async def untold():
        for _ in range(30):
            yield bytes(10_000)

    async with server(library) as http:
        for body in (bytes(100_001), untold()):
            async with http.post("/api/portraits", data=body) as response:
                assert "limit" in await refusal(response, 413)


async def test_pictures_do_not_come_faster_than_they_may(library, monkeypatch):
    monkeypatch.setattr(api, "PICTURES", 2)
    async with server(library) as http:
        statuses = []
        for _ in range(4):
            async with http.post("/api/portraits", data=b"x") as response:
                statuses.append(response.status)
        assert statuses == [422, 422, 429, 429]
        assert int(response.headers["Retry-After"]) > 0


async def test_more_pictures_at_once_than_places_are_turned_away(library, monkeypatch):
    monkeypatch.setattr(api, "MAX_WAITING", 1)
    gate, begun = asyncio.Event(), asyncio.Event()

    async def slow():
        yield b"x"
        begun.set()
        await gate.wait()

    async with server(library) as http:
        first = asyncio.create_task(http.post("/api/portraits", data=slow()).__aenter__())
        await begun.wait()
        # The server has read the first piece once another answer has come.
        async with http.get("/api/portraits") as response:
            assert response.status == 200
        async with http.post("/api/portraits", data=b"x") as response:
            assert "try again in a moment" in await refusal(response, 503)
        gate.set()
        await refusal(await first, 422)


async def test_a_page_that_goes_away_leaves_no_place_taken_and_no_trace(library, caplog):
    async with server(library) as http:
        address = http._base_url
        _, writer = await asyncio.open_connection(address.host, address.port)
        head = f"POST /api/portraits HTTP/1.1\r\nHost: {address.authority}\r\n"
        writer.write(f"{head}Content-Length: 9999\r\n\r\nhalf".encode())
        await writer.drain()
        while not http.onboarding._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
        writer.close()
        while http.onboarding._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert caplog.records == []


async def test_drafts_are_bounded_and_forgotten(library, monkeypatch):
    monkeypatch.setattr(drafts, "MAX_DRAFTS", 2)
    async with server(library) as http:
        at = [(await brought(http))[0] for _ in range(3)]
        async with http.put(at[0], json={}) as response:
            await refusal(response, 404)
        async with http.delete(at[1]) as response:
            assert response.status == 200
        async with http.delete(at[1]) as response:
            await refusal(response, 404)
        assert len(http.onboarding.drafts) == 1


def test_a_draft_ends_with_its_time():
    now = 0.0
    store = drafts.Drafts(lambda: now)
    draft = drafts.Draft.of(encoded(PHOTO), tools(FACE))
    store.add(draft)
    now = drafts.KEPT_S - 1
    assert store.get(draft.token) is draft, "using it prolongs it"
    now += drafts.KEPT_S - 1
    assert len(store) == 1
    now += 2
    assert store.get(draft.token) is None
    assert len(store) == 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"anchors": {"chin": [1]}}, 400, "anchor 'chin' is [1], expected [x, y]"),
        ({"anchors": {"chin": ["a", 2]}}, 400, "expected [x, y] in pixels"),
        ({"anchors": {"chin": [1e300, 2]}}, 400, "expected [x, y] in pixels"),
        ({"anchors": {"chin": [True, 2]}}, 400, "expected [x, y] in pixels"),
        ({"anchors": {"ear": [1, 2]}}, 422, "anchor 'ear' is unknown"),
        ({"anchors": {"chin": [0, 0]}}, 422, "chin was dragged by"),
        ({"anchors": [1]}, 400, "anchors is not an object"),
        ({"face": "1"}, 400, "face is '1', expected a number"),
        ({"face": 7}, 422, "face is 7, expected 1 to 1"),
        ({"other": 1}, 400, "the request is not an object of anchors, face alone"),
    ],
)
async def test_wrong_changes_are_named_and_change_nothing(library, body, status, words):
    async with server(library) as http:
        at, told = await brought(http)
        async with http.put(at, json=body) as response:
            assert words in await refusal(response, status)
        async with http.put(at, json={}) as response:
            assert (await response.json())["landmarks"] == told["landmarks"]


async def test_broken_json_is_refused(library):
    async with server(library) as http:
        at, _ = await brought(http)
        for body in (b"", b"{", b"\xff", b"[" * 100_0):
            async with http.put(at, data=body) as response:
                await refusal(response, 400)


async def test_a_full_disk_is_said_and_harms_nothing(library, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with server(library) as http:
        at, _ = await brought(http)
        with monkeypatch.context() as disk:
            disk.setattr(files.tempfile, "NamedTemporaryFile", full)
            asked = {"title": "Mia", "consent": True}
            async with http.post(at + "/keep", json=asked) as response:
                said = await refusal(response, 507)
                assert said == "the avatar cannot be kept: no space left on device"
        async with http.get("/api/avatars") as response:
            assert not any(shown["own"] for shown in await response.json())
        assert list(library.folder.iterdir()) == []
        async with http.post(at + "/keep", json=asked) as response:
            assert response.status == 201


async def test_built_in_and_unknown_avatars_cannot_be_removed(library):
    async with server(library) as http:
        async with http.delete("/api/avatars/maya") as response:
            assert "is built in" in await refusal(response, 403)
        for name in ("nobody", "..%2f..%2fmaya"):
            async with http.delete(f"/api/avatars/{name}") as response:
                await refusal(response, 404)
    assert "maya" in files.names()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/portraits"),
        ("PUT", "/api/portraits/x"),
        ("POST", "/api/portraits/x/keep"),
        ("DELETE", "/api/avatars/x"),
    ],
)
async def test_a_page_of_another_site_may_do_nothing(library, method, path):
    async with server(library) as http:
        headers = {"Origin": "https://evil.example"}
        async with http.request(method, path, headers=headers, data=b"x") as response:
            assert "may not call this server" in await refusal(response, 403)


async def test_a_server_without_a_library_offers_nothing():
    config = ServerConfig(port=0)
    app = create_app(config, SMALL, None, CountingPipeline, False)
    async with running(config, app) as url, aiohttp.ClientSession(url) as http:
        async with http.get("/api/portraits") as response:
            assert not (await response.json())["offered"]
        async with http.post("/api/portraits", data=b"x") as response:
            assert response.status in (404, 405)
