"""Format 5, the event collector, line by line on real sockets: `PROTOCOLS.md`, section 5."""

import asyncio
import base64
import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from livetally.base.errors import MissingKey
from livetally.compat.collector.routes import _login
from livetally.schema.keys import Role
from service.tests.support.archives import archive_all, check_archive, manifest_entries, worker
from service.tests.support.postgres import make_key, make_keys, query, totals_in
from service.tests.support.server import Service, serving
from service.tests.support.waiting import until

CLICK = {"session_id": "s1", "button_id": "buy"}
VIEW = {"session_id": "s1", "url": "https://shop.example/a?b=1"}


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def ask(
    service: Service, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any, Any]:
    """(status, answer, headers) with the admin key's login, unless `authorization` is given."""
    head = {"authorization": basic("demo", service.keys[Role.ADMIN]), **headers}
    head = {name.replace("_", "-"): value for name, value in head.items() if value}
    options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
    if isinstance(body, bytes):
        head["content-type"] = "application/json"
    if body is None:
        options = {}
    async with service.http.request(method, path, headers=head, **options) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json(), response.headers


async def status_of(service: Service, authorization: str) -> int:
    path = "/button/click/count?button_id=buy"
    return (await ask(service, "GET", path, authorization=authorization))[0]


async def test_post_button_click_and_its_count(service: Service) -> None:
    """200 {"message":"Received"}; the count is the button's, 0 of one that is unknown."""
    for _ in range(5):
        status, answer, _ = await ask(service, "POST", "/button/click", CLICK)
        assert (status, answer) == (200, {"message": "Received"})
    await ask(service, "POST", "/button/click", {**CLICK, "button_id": "other"})
    for button, count in (("buy", 5), ("other", 1), ("unknown", 0), ("", 0), ("%00", 0)):
        status, answer, _ = await ask(service, "GET", f"/button/click/count?button_id={button}")
        assert (status, answer) == (200, {"count": count})


async def test_post_page_view_and_its_count(service: Service) -> None:
    """The optional fields are kept as properties, the session as the event's."""
    more = {"referral_url": "https://x.example", "ipaddress": "::1", "useragent": "curl"}
    for body in (VIEW, {**VIEW, **more, "unknown": [1]}, {**VIEW, "useragent": None}):
        status, answer, _ = await ask(service, "POST", "/web/page_view", body)
        assert (status, answer) == (200, {"message": "Received"})
    _, answer, _ = await ask(service, "GET", f"/web/page_view/count?url={quote(VIEW['url'])}")
    assert answer == {"count": 3}
    _, answer, _ = await ask(service, "GET", "/web/page_view/count?url=https://shop.example/a")
    assert answer == {"count": 0}
    rows = query(service.database_url, "SELECT session, properties FROM events ORDER BY seq")
    assert rows == [("s1", {}), ("s1", more), ("s1", {})]


async def test_raw_events_are_archived_by_user_type_and_hour(
    service: Service, tmp_path: Path
) -> None:
    """Each event is in object storage once, under its user, type and hour; the counts a type and
    user that can be read are the same: archive and counter come from one commit."""
    other = basic("other", (await make_keys(service.database_url, "other"))[Role.READ_WRITE])
    for body in (CLICK, CLICK, {**CLICK, "id": "c1"}, {**CLICK, "id": "c1"}):
        assert (await ask(service, "POST", "/button/click", body))[0] == 200
    for login in ("", other):
        given = {"authorization": login} if login else {}
        assert (await ask(service, "POST", "/web/page_view", VIEW, **given))[0] == 200
    async with worker(service.database_url, tmp_path) as archive:
        await archive_all(archive)
    check_archive(tmp_path, service.database_url)
    counted: Counter[tuple[str, ...]] = Counter()
    for entry in manifest_entries(tmp_path):
        place = re.fullmatch(
            r"project=(\w+)/type=(\w+)/year=\d{4}/month=\d\d/day=\d\d/hour=\d\d/.+", entry.object
        )
        assert place, entry.object
        counted[place.groups()] += entry.events
    assert counted == {
        ("demo", "button_click"): 3,
        ("demo", "page_view"): 1,
        ("other", "page_view"): 1,
    }
    for login, user in (("", "demo"), (other, "other")):
        given = {"authorization": login} if login else {}
        types = (await ask(service, "GET", "/v1/types", **given))[1]["types"]
        shown = {(user, each["type"]): each["total"] for each in types}
        assert shown == {key: n for key, n in counted.items() if key[0] == user}


async def test_user_is_the_project_and_pass_the_key(service: Service) -> None:
    """The scheme in any case, the parts URL-quoted or not."""
    key = service.keys[Role.ADMIN]
    quoted = "".join(f"%{byte:02x}" for byte in key.encode())
    for authorization in (
        basic("demo", key),
        basic("demo", key, "basic"),
        basic("demo", key, "BASIC"),
        basic("d%65mo", quoted),
    ):
        assert await status_of(service, authorization) == 200


async def test_wrong_is_403(service: Service) -> None:
    """Another user, another key, another project's key, one that was revoked, no key at all."""
    other = (await make_keys(service.database_url, "other"))[Role.ADMIN]
    gone = await make_key(service.database_url, "demo", Role.ADMIN, "gone")
    query(service.database_url, "UPDATE keys SET revoked_at = now() WHERE name = 'gone'")
    key = service.keys[Role.ADMIN]
    for user, password in (
        ("demo", "x"),
        ("demo", ""),
        ("", key),
        ("other", key),
        ("demo", other),
        ("demo", gone),
        ("Demo", key),
        ("demo:", key),
        ("<b>", "'; DROP TABLE keys; --"),
        ("%00", "%00"),
        ("demo", "x" * 5000),
    ):
        assert await status_of(service, basic(user, password)) == 403, (user, password)


async def test_missing_or_malformed_is_401_with_www_authenticate(service: Service) -> None:
    """On every route, before anything else is looked at, with CORS headers."""
    key = service.keys[Role.ADMIN]
    for authorization in (
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        f"Bearer {key}",
        key,
    ):
        for method, path in (
            ("POST", "/button/click"),
            ("GET", "/button/click/count"),
            ("POST", "/web/page_view"),
            ("GET", "/web/page_view/count"),
        ):
            status, answer, headers = await ask(service, method, path, authorization=authorization)
            assert (status, headers["WWW-Authenticate"]) == (401, "Basic"), authorization
            assert isinstance(answer["detail"], str)


async def test_roles_hold(service: Service) -> None:
    """A read_write key is the old login, a write key only counts, a read key only asks."""
    for role, posts, gets in (
        (Role.READ_WRITE, 200, 200),
        (Role.ADMIN, 200, 200),
        (Role.WRITE, 200, 403),
        (Role.READ, 403, 200),
    ):
        login = basic("demo", service.keys[role])
        got = await ask(service, "POST", "/button/click", CLICK, authorization=login)
        assert got[0] == posts
        assert await status_of(service, login) == gets
    bound = await make_key(
        service.database_url, "demo", Role.WRITE, "bound", ("https://shop.example",)
    )
    for origin, status in (("https://shop.example", 200), ("https://evil.test", 403)):
        login = basic("demo", bound)
        got = await ask(service, "POST", "/button/click", CLICK, authorization=login, origin=origin)
        assert got[0] == status


async def test_get_root_is_json_unless_html_is_asked_for(service: Service) -> None:
    """{"message":"Hello World"} for curl and requests, the page for a browser."""
    for accept in ("application/json", "*/*"):
        async with service.http.get("/", headers={"Accept": accept}) as response:
            assert (response.status, await response.read()) == (200, b'{"message":"Hello World"}')
            assert response.headers["Vary"] == "Accept"
    async with service.http.get("/", headers={"Accept": "text/html,*/*;q=0.8"}) as response:
        assert response.content_type == "text/html"


MISSING = {"msg": "field required", "type": "value_error.missing"}


@pytest.mark.parametrize(
    ("path", "body", "problems"),
    [
        ("/button/click", b'{"button_id":"b"}', [{"loc": ["body", "session_id"], **MISSING}]),
        (
            "/button/click",
            b"{}",
            [{"loc": ["body", "session_id"], **MISSING}, {"loc": ["body", "button_id"], **MISSING}],
        ),
        (
            "/web/page_view",
            b'{"referral_url":1}',
            [
                {"loc": ["body", "url"], **MISSING},
                {"loc": ["body", "session_id"], **MISSING},
                {
                    "loc": ["body", "referral_url"],
                    "msg": "str type expected",
                    "type": "type_error.str",
                },
            ],
        ),
        ("/button/click", b"", [{"loc": ["body"], **MISSING}]),
        (
            "/button/click",
            b"[]",
            [{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}],
        ),
    ],
)
async def test_a_bad_body_is_422_in_fastapis_shape(
    service: Service, path: str, body: bytes, problems: list[Any]
) -> None:
    """`detail` is a list of loc, msg and type, and nothing else is in the answer."""
    status, answer, _ = await ask(service, "POST", path, body)
    assert (status, answer) == (422, {"detail": problems})


async def test_a_bad_query_is_422(service: Service) -> None:
    """Without its parameter a count says which."""
    for path, name in (("/button/click/count", "button_id"), ("/web/page_view/count", "url")):
        status, answer, _ = await ask(service, "GET", f"{path}?other=1")
        assert (status, answer) == (422, {"detail": [{"loc": ["query", name], **MISSING}]})


@pytest.mark.parametrize("field", ["session_id", "url", "referral_url", "ipaddress", "id"])
async def test_a_wrong_type_or_size_is_422_for_that_field(service: Service, field: str) -> None:
    """Numbers, lists, objects, what is too long and U+0000: the entry names the field, or the
    body; nothing is counted."""
    for value in (5, 1.5, True, [], {}, ["a"], "x" * 20_000, "a\0b"):
        status, answer, _ = await ask(service, "POST", "/web/page_view", {**VIEW, field: value})
        assert status == 422, value
        (problem,) = answer["detail"]
        assert problem.keys() == {"loc", "msg", "type"}
        assert problem["loc"] == ["body", field] or value == "a\0b"
    assert totals_in(service.database_url, "page_view") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"session_id":"\\ud800"}',
        b'{"a":1,"a":2}',
        b"1e999",
        b"null",
        b'{"session_id":' + b"9" * 10_000 + b"}",
    ],
)
async def test_what_is_no_json_is_422(service: Service, body: bytes) -> None:
    """In the same shape; nothing of it is echoed."""
    status, answer, _ = await ask(service, "POST", "/button/click", body)
    assert status == 422
    assert answer["detail"][0]["loc"][0] == "body"


async def test_too_large_and_not_json_at_all(service: Service) -> None:
    """413, and 422 for what is no JSON, whatever it says it is; with `detail` too."""
    status, answer, _ = await ask(service, "POST", "/button/click", b" " * (2 << 20))
    assert (status, answer["error"]["code"]) == (413, "too_large")
    login = {"Authorization": basic("demo", service.keys[Role.ADMIN])}
    async with service.http.post("/button/click", data={"a": "b"}, headers=login) as response:
        assert response.status == 422
        assert (await response.json())["detail"]


async def test_strings_are_only_strings(service: Service) -> None:
    """SQL, HTML and odd characters in every field are counted as they are."""
    odd = "'; DROP TABLE totals; -- <script>alert(1)</script> 🚐 %00"
    body = dict.fromkeys(("session_id", "url", "referral_url", "ipaddress", "useragent"), odd)
    assert (await ask(service, "POST", "/web/page_view", body))[0] == 200
    _, answer, _ = await ask(service, "GET", f"/web/page_view/count?url={quote(odd)}")
    assert answer == {"count": 1}
    assert (await ask(service, "POST", "/button/click", {**CLICK, "session_id": ""}))[0] == 200


async def test_preflights_let_other_origins_ask(service: Service) -> None:
    """A page of another origin may send `Authorization`. (`ask` looks at errors' headers.)"""
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for path in ("/button/click", "/web/page_view", "/web/page_view/count"):
        async with service.http.options(path, headers=headers) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            allowed = response.headers["Access-Control-Allow-Headers"].lower()
            assert {"authorization", "content-type"} <= set(allowed.split(", "))
            assert "POST" in response.headers["Access-Control-Allow-Methods"]


async def test_twenty_at_once_are_exact_and_other_formats_agree(service: Service) -> None:
    """Every click is counted once; stats, the live protocol and the count say the same."""

    async def click() -> None:
        for _ in range(10):
            assert (await ask(service, "POST", "/button/click", CLICK))[0] == 200

    async with service.live() as live:
        await live.subscribe(1, {"totals": "button_click"})
        await asyncio.gather(*(click() for _ in range(20)))
        assert await live.until_total(200) == {"buy": 200}
    assert (await service.stats(type="button_click", subject="buy"))["total"] == 200
    _, answer, _ = await ask(service, "GET", "/button/click/count?button_id=buy")
    assert answer == {"count": 200}
    await service.post({"type": "button_click", "subject": "buy"})
    assert (await ask(service, "GET", "/button/click/count?button_id=buy"))[1] == {"count": 201}


async def test_a_click_sent_again_with_its_id_counts_once(service: Service) -> None:
    """`id` is ours: with it a retry is safe."""
    for _ in range(3):
        assert (await ask(service, "POST", "/button/click", {**CLICK, "id": "c1"}))[0] == 200
    assert totals_in(service.database_url, "button_click")["buy"] == 1


async def test_no_other_projects_counts(service: Service) -> None:
    """The same button in two projects is two."""
    other = basic("other", (await make_keys(service.database_url, "other"))[Role.ADMIN])
    await ask(service, "POST", "/button/click", CLICK)
    path = "/button/click/count?button_id=buy"
    assert (await ask(service, "GET", path, authorization=other))[1] == {"count": 0}


async def test_received_means_committed(database_url: str, redis_url: str) -> None:
    """While Postgres commits nothing nothing is answered, and nobody is told."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys) as service, service.live() as live:
        await live.subscribe(1, {"totals": "button_click"})
        with contextlib.closing(psycopg.connect(database_url)) as lock:
            lock.execute("LOCK TABLE slots IN EXCLUSIVE MODE")
            click = asyncio.create_task(ask(service, "POST", "/button/click", CLICK))
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            await until(lambda: query(database_url, waits), 10)
            await live.send(type="ping")
            assert (await live.receive())["type"] == "pong"
            assert not click.done()
            lock.rollback()
        assert (await click)[0] == 200
        assert (await live.receive())["totals"] == {"buy": 1}


@given(st.text(max_size=40))
def test_no_authorization_header_raises_anything_else(text: str) -> None:
    """Whatever stands there, it is a login or it is malformed."""
    encoded = base64.b64encode(text.encode()).decode()
    for header in (text, "Basic " + text, "basic " + encoded):
        with contextlib.suppress(MissingKey):
            _login(header)


@pytest.mark.parametrize("role", [Role.READ_WRITE, Role.ADMIN])
async def test_requests_with_auth_user_pass(service: Service, role: Role) -> None:
    """`requests` with `auth=(user, pass)`, plain and URL-quoted: sends, counts, is refused."""
    key = service.keys[role]
    quoted = "".join(f"%{byte:02X}" for byte in key.encode())
    clicks, views = f"{service.url}/button/click", f"{service.url}/web/page_view"

    def talk(user: str, password: str) -> list[Any]:
        with requests.Session() as old:
            old.auth = (user, password)
            answers = [
                old.get(service.url),
                old.post(clicks, json=CLICK),
                old.get(f"{clicks}/count", params={"button_id": "buy"}),
                old.post(views, json=VIEW),
                old.get(f"{views}/count", params={"url": VIEW["url"]}),
                old.get(f"{views}/count", params={"url": "https://nowhere.example/"}),
            ]
            assert [answer.status_code for answer in answers] == [200] * 6
            return [answer.json() for answer in answers]

    for n, login in enumerate((("demo", key), ("d%65mo", quoted)), 1):
        assert await asyncio.to_thread(talk, *login) == [
            {"message": "Hello World"},
            {"message": "Received"},
            {"count": n},
            {"message": "Received"},
            {"count": n},
            {"count": 0},
        ]
    for login, status in (
        (("demo", "wrong"), 403),
        (("other", key), 403),
        (("demo", quoted.replace("%", "%25")), 403),
        (None, 401),
    ):
        refused = await asyncio.to_thread(requests.post, clicks, json=CLICK, auth=login, timeout=10)
        assert refused.status_code == status, login
        assert ("WWW-Authenticate" in refused.headers) == (status == 401)
    assert totals_in(service.database_url, "button_click") == {"buy": 2, "": 2}
