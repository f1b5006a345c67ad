import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from engine.calls import MAX_ATTEMPTS
from engine.config import ServerConfig
from engine.errors import AvatarError, ConfigError
from engine.server import MAX_OFFER_BYTES, create_app, running, serve
from tests.engine.stand_ins import CONFIG, CountingPipeline, OneAvatar

SDP = {"Content-Type": "application/sdp"}


@asynccontextmanager
async def server(**settings):
    config = ServerConfig(port=0, **settings)
    app = create_app(config, CONFIG, OneAvatar(), CountingPipeline)
    async with running(config, app) as url, aiohttp.ClientSession(url) as http:
        yield http


async def refusal(response, status):
    assert response.status == status
    assert response.content_type == "application/json"
    (message,) = (await response.json()).values()
    return message


async def test_the_page_is_served_strictly_and_never_stale():
    async with server() as http, http.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "<html" in await response.text()


async def test_scripts_and_styles_have_their_types():
    async with server() as http:
        for path, kind in [("/main.js", "text/javascript"), ("/style.css", "text/css")]:
            async with http.get(path) as response:
                assert response.status == 200
                assert response.content_type == kind


@pytest.mark.parametrize(
    "path",
    [
        "/none.js",
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/%2e%2e/engine/server.py",
        "/x",
        "/a%00.js",
    ],
)
async def test_nothing_outside_the_page_is_served(path):
    async with server() as http, http.get(aiohttp.client.URL(path, encoded=True)) as response:
        assert "there is no" in await refusal(response, 404)


async def test_avatars_are_listed_with_their_pictures():
    async with server() as http:
        async with http.get("/api/avatars") as response:
            (shown,) = await response.json()
        assert shown == {
            "name": "grey",
            "title": "Grey",
            "picture": "/api/avatars/grey/picture",
            "own": False,
        }
        async with http.get(shown["picture"]) as response:
            assert response.content_type == "image/jpeg"
            assert (await response.read()).startswith(b"\xff\xd8")


async def test_an_unknown_avatar_is_named():
    async with server() as http:
        async with http.get("/api/avatars/none/picture") as response:
            assert "avatar 'none' is unknown, expected one of grey" in await refusal(response, 404)
        async with http.post("/api/call?avatar=none", data="v=0", headers=SDP) as response:
            assert "avatar 'none' is unknown" in await refusal(response, 404)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ("liveliness=2.1", "liveliness is 2.1, expected 0.0 to 2.0"),
        ("liveliness=nan", "liveliness is nan, expected 0.0 to 2.0"),
        ("liveliness=much", "liveliness is 'much', expected 0.0 to 2.0"),
        ("expression=cross", "expression 'cross' is unknown, expected one of"),
    ],
)
async def test_a_look_out_of_range_is_named(look, words):
    at = f"/api/call?{look}"
    async with server() as http, http.post(at, data="v=0", headers=SDP) as response:
        assert words in await refusal(response, 400)


async def test_an_unknown_call_is_named():
    async with server() as http:
        for method in ("GET", "DELETE"):
            async with http.request(method, "/api/call/none") as response:
                assert "there is no call 'none'" in await refusal(response, 404)


async def test_another_content_type_is_refused():
    async with server() as http, http.post("/api/call", json={}) as response:
        assert "application/json, expected application/sdp" in await refusal(response, 415)


async def test_an_offer_too_large_is_refused():
    body = b"v" * (MAX_OFFER_BYTES + 1)
    async with server() as http, http.post("/api/call", data=body, headers=SDP) as response:
        assert f"at most {MAX_OFFER_BYTES} bytes" in await refusal(response, 413)


@pytest.mark.parametrize("body", [b"", b"hello", b"\xff\xfe\x00", b"v=0\r\nm=audio\r\n"])
async def test_a_broken_offer_is_refused_and_holds_no_place(body):
    async with server(max_sessions=1) as http:
        for _ in range(3):
            async with http.post("/api/call", data=body, headers=SDP) as response:
                assert "offer" in await refusal(response, 400)
        async with http.get("/health") as response:
            assert await response.json() == {"status": "ok", "sessions": 0, "max_sessions": 1}


async def test_a_flood_of_offers_is_turned_away():
    async with server() as http:
        statuses = []
        for _ in range(MAX_ATTEMPTS + 2):
            async with http.post("/api/call", data=b"v=0", headers=SDP) as response:
                statuses.append(response.status)
        assert statuses == [400] * MAX_ATTEMPTS + [503] * 2
        assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
async def test_a_page_of_another_site_may_not_call(headers):
    async with server() as http:
        for method, path in (("POST", "/api/call"), ("DELETE", "/api/call/x")):
            async with http.request(method, path, headers={**SDP, **headers}) as response:
                assert "may not call this server" in await refusal(response, 403)


async def test_a_method_that_is_not_served_is_refused_in_json():
    async with server() as http, http.put("/health") as response:
        await refusal(response, 405)


async def test_figures_are_prometheus_text():
    async with server() as http, http.get("/metrics") as response:
        assert response.content_type == "text/plain"
        text = await response.text()
    for name in ("sessions", "fps", "stage_ms", "dropped_total", "bytes_total", "pictures_total"):
        assert f"# TYPE visavis_{name}" in text or f"# TYPE visavis_{name[:-6]}" in text


async def test_the_pipeline_is_warm_before_the_first_call():
    made = []

    def make(avatar, config):
        made.append(CountingPipeline(avatar, config))
        return made[-1]

    config = ServerConfig(port=0)
    async with running(config, create_app(config, CONFIG, OneAvatar(), make)):
        assert len(made) == 1
        assert made[0].pushed
        assert made[0].config.live


async def test_a_port_in_use_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = ServerConfig(port=port)
        app = create_app(config, CONFIG, OneAvatar(), CountingPipeline)
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1: it is in use"):
            async with running(config, app):
                pass


def test_a_server_without_avatars_does_not_start():
    class NoAvatar(OneAvatar):
        def names(self):
            return []

    with pytest.raises(AvatarError, match="there is no avatar"):
        create_app(ServerConfig(), CONFIG, NoAvatar(), CountingPipeline)


def test_an_address_that_is_not_ours_is_one_clear_error():
    with pytest.raises(ConfigError, match="no such address"):
        serve(ServerConfig(host="203.0.113.1", port=0), CONFIG)
