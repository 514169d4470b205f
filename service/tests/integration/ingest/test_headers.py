"""What every answer says to browsers: nothing here is to be guessed at, framed, or run."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from livetally.base.config import Config
from livetally.schema.keys import Role
from livetally.server.app import create_app
from livetally.site.reference.routes import handlers_of
from service.tests.support.postgres import make_keys
from service.tests.support.server import Service, serving

APP = create_app(Config(database_url="postgresql://127.0.0.1/x", redis_url="redis://127.0.0.1"))
ROUTES = sorted({(method, path) for method, path, _ in handlers_of(APP)})
#: What is in the place of a path's parameters; the last one is nobody's.
PLACES = (
    {"name": "a.js", "version": "v2", "key": "van", "id": "1"},
    {"name": "page.css", "version": "v3", "key": "van", "id": "1"},
    {"name": "search.js", "version": "v2", "key": "x", "id": "%00"},
    {"name": "nothing", "version": "v9", "key": "%2e%2e", "id": "%2f"},
)


@pytest.fixture
async def built(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with pages, an asset and a script."""
    for name in ("index.html", "overview.html", "assets/a.js", "js/a.js"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("/* <!doctype html> */")
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, pages_dir=str(tmp_path)) as service:
        yield service


def assert_safe(about: str, headers: "aiohttp.typedefs.CIMultiDictProxy[str]") -> None:
    assert headers["X-Content-Type-Options"] == "nosniff", about
    assert headers["Referrer-Policy"] in ("no-referrer", "same-origin"), about
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy, about
    assert "frame-ancestors 'none'" in policy, about
    assert "unsafe" not in policy, about
    assert "*" not in policy, about
    assert headers["Server"] == "livetally", about
    assert "Set-Cookie" not in headers, about
    own = headers.get("Cross-Origin-Resource-Policy") == "same-origin"
    assert headers.get("Access-Control-Allow-Origin") == (None if own else "*"), about
    assert "Access-Control-Allow-Credentials" not in headers, about


@pytest.mark.parametrize("key", [None, "lt_read_nobodys", Role.ADMIN])
async def test_every_answer_is_safe_to_show(built: Service, key: str | None) -> None:
    """Every route, with and without what it needs, good answers and refusals: each forbids
    sniffing, frames, scripts and what comes from elsewhere; none sets a cookie, none is a 500."""
    headers = {"Accept": "text/html"}
    if key is not None:
        headers["x-api-key"] = built.keys[Role.ADMIN] if key == Role.ADMIN else key
    statuses = set()
    for method, path in ROUTES:
        for places in PLACES if "{" in path else PLACES[:1]:
            filled = re.sub(r"{(\w+)}", lambda m, p=places: p.get(m[1], "x"), path)
            query = "?totals=click" if path.endswith("/sse") else ""
            async with built.http.request(method, filled + query, headers=headers) as answer:
                assert_safe(f"{method} {filled}: {answer.status}", answer.headers)
                assert answer.status != 500
                statuses.add(answer.status)
    assert statuses >= {200, 400, 404} | ({401} if key != Role.ADMIN else {422}), statuses


async def test_answers_to_no_route_are_safe_too(built: Service) -> None:
    """What isn't there, a method that isn't taken, a preflight, and what is no HTTP's business."""
    for method, path in (
        ("GET", "/nothing"),
        ("DELETE", "/v1/events"),
        ("OPTIONS", "/v1/events"),
        ("TRACE", "/"),
        ("PROPFIND", "/"),
        ("HEAD", "/docs"),
    ):
        async with built.http.request(method, path) as answer:
            assert_safe(f"{method} {path}", answer.headers)


@pytest.mark.parametrize(
    "path", ["/", "/overview", "/page.json", "/examples", "/docs", "/docs/api", "/assets/a.js"]
)
async def test_no_other_site_reads_a_page(built: Service, path: str) -> None:
    """Pages may have keys in them: not even who asks from the same browser gets to see one. What
    other sites are for, the SDK and the API, they may read."""
    headers = {"Accept": "text/html", "Origin": "https://elsewhere.example"}
    async with built.http.get(path, headers=headers) as answer:
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        if answer.content_type == "text/html":
            policy = answer.headers["Content-Security-Policy"]
            host = built.url.removeprefix("http://")
            assert f"connect-src 'self' ws://{host} wss://{host};" in policy
            assert "require-trusted-types-for 'script'" in policy
    for open_path in ("/js/a.js", "/openapi.json", "/v1/stats"):
        async with built.http.get(open_path, headers=headers) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
