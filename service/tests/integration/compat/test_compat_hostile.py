"""Hostile input, the same for all five older formats: the right refusal, nothing of it taken for
markup or SQL, and the process goes on as if nothing had been.

What is special to one format stands in that format's own file.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from livetally.base.config import MAX_BODY_BYTES, MAX_SUBSCRIPTIONS
from livetally.live import connections
from livetally.schema.keys import Role
from service.tests.support.clients.compat import opened
from service.tests.support.postgres import query
from service.tests.support.server import Service, serving

WRONG: list[Any] = [1, -1.5, 10**400, True, [], {}, [["a"]], {"a": {"b": []}}]
NASTY = (
    "'; DROP TABLE totals; --",
    "\" OR ''='",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{constructor}}${7*7}%s%n",
    "\u2028\u202e\ufeff💥",
)
#: Websockets by what speaks there: (path, a message that is right).
SOCKETS = {
    "format 1": ("/ws", {"action": "live", "api_key": "KEY", "event_type": "click"}),
    "format 2": (
        "/v1/events/cable?api_key=KEY",
        {"command": "subscribe", "identifier": '{"channel":"ClicksChannel"}'},
    ),
    "format 3": ("/ws?api_key=KEY", {"message": "views", "articleId": "a1"}),
    "format 4": ("/ws?vehicle-id=3&api_key=KEY", {}),
    "native": ("/v1/live?api_key=KEY", {"type": "ping"}),
}


@pytest.fixture(autouse=True)
async def unharmed(service: Service, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Afterwards the process is well, and nothing has failed inside it."""
    yield
    async with service.http.get("/healthz") as response:
        assert response.status == 200
    assert (await service.post({"type": "still", "subject": "here"}))[0] == 200
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


def key_of(service: Service) -> str:
    return service.keys[Role.READ_WRITE]


def filled(service: Service, name: str) -> tuple[str, Any]:
    path, message = SOCKETS[name]
    text = json.dumps(message).replace("KEY", key_of(service))
    return path.replace("KEY", key_of(service)), json.loads(text)


async def post(service: Service, path: str, body: object, method: str = "POST") -> int:
    """The status; what is answered is JSON, and says that it is nothing else."""
    login = base64.b64encode(f"demo:{key_of(service)}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    data = json.dumps(body).encode()
    async with service.http.request(method, path, data=data, headers=headers) as response:
        if response.status != 204:
            assert response.content_type == "application/json"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            await response.json()
        return response.status


def events_in(service: Service) -> int:
    ((n,),) = query(service.database_url, "SELECT count(*) FROM events WHERE type <> 'still'")
    return int(n)


#: Each HTTP body that is right; and in which of its fields anything goes.
BODIES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "format 1": ("/v1/events", {"action": "click", "color": "red", "extra": "x"}, {"extra"}),
    "format 2": ("/v1/events", {"action_color": "", "action_name": "click"}, set()),
    "format 5 click": ("/button/click", {"session_id": "s", "button_id": "b", "id": "i"}, set()),
    "format 5 view": (
        "/web/page_view",
        {
            "url": "u",
            "session_id": "s",
            "referral_url": "r",
            "ipaddress": "i",
            "useragent": "a",
            "id": "i",
        },
        set(),
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_wrong_json_types_in_every_field_of_a_body(service: Service, name: str) -> None:
    """Each field with each wrong type, and each wrong type for a body: 4xx, nothing stored."""
    path, right, free = BODIES[name]
    for field, wrong in itertools.product(right.keys() - free, WRONG):
        assert await post(service, path, {**right, field: wrong}) in (400, 422), (field, wrong)
    for inner, wrong in itertools.product(("action_name", "color_name"), WRONG):
        if name == "format 2":
            rails = {"action_name": "click", "color_name": "red", inner: wrong}
            assert await post(service, path, {"action_color": rails}) in (400, 422), (inner, wrong)
    for body in (1, "text", None, True, [[]]):
        assert await post(service, path, body) in (400, 422), body
    assert events_in(service) == 0


@pytest.mark.parametrize(
    "field",
    ["id", "articleId", "articleTitle", "previousPage", "currentPage", "refreshed", "referrer"],
)
async def test_wrong_json_types_in_every_field_of_a_view(service: Service, field: str) -> None:
    """Format 3: a short text each time, nothing counted, and the socket goes on."""
    path, right = filled(service, "format 3")
    wrongs = [*WRONG, "yes"] if field == "refreshed" else WRONG
    wrongs = [wrong for wrong in wrongs if not (field == "refreshed" and wrong is True)]
    async with opened(service, path) as socket:
        for wrong in wrongs:
            await socket.send({**right, field: wrong})
            assert len(await socket.text()) < 200, wrong
        assert events_in(service) == 0
        await socket.send(right)
        assert (await socket.receive())["totalViews"] == 1


@pytest.mark.parametrize("name", ["format 1", "format 3"])
async def test_unknown_commands_on_ws(service: Service, name: str) -> None:
    """Said in a short text; the right message is answered after them."""
    path, right = filled(service, name)
    field = "action" if name == "format 1" else "message"
    async with opened(service, path) as socket:
        await socket.send(right)
        await socket.receive()
        for text in (*NASTY, "", "__proto__", "VIEWS", "x" * 100_000):
            await socket.send({**right, field: text})
            said = await socket.text()
            assert len(said) < 500
            if name == "format 1":  # JSON, as the reader of its pages expects; a quote is escaped
                assert json.loads(said)["error"]["code"] == "bad_request"
            else:
                assert not text or text not in said
        await socket.send(right)
        await socket.receive()


@pytest.mark.parametrize("name", ["format 1", "format 3"])
async def test_what_says_nothing_decides_nothing(service: Service, name: str) -> None:
    """/ws is told apart by the first message that can tell; from then on it speaks that format."""
    path, right = filled(service, name)
    _, other = filled(service, {"format 1": "format 3", "format 3": "format 1"}[name])
    async with opened(service, path) as socket:
        for text in ("", "{", "{}", "[]", "5", '{"type":"ping"}', '{"Action":"live"}'):
            await socket.socket.send_str(text)
            assert "expected" in await socket.text()
        await socket.send(right)
        first = await socket.receive()
        assert first == ([] if name == "format 1" else {**first, "totalViews": 1})
        await socket.send(other)
        said = await socket.text()
        assert ("error" in json.loads(said)) if name == "format 1" else ("known here" in said)


@pytest.mark.parametrize("text", NASTY)
async def test_sql_and_html_in_every_string(service: Service, text: str) -> None:
    """They are counted as what they are: text, in each format's every field, and shown as JSON."""
    fields = {"action": text, "color": text, "extra": {text: text}}
    assert await post(service, "/v1/events", fields) == 200
    rails = {"action_color": {"action_name": text, "color_name": text, text: text}}
    assert await post(service, "/v3/events", rails) == 204
    assert await post(service, "/button/click", {"session_id": text, "button_id": text}) == 200
    view = dict.fromkeys(("session_id", "url", "referral_url", "ipaddress", "useragent"), text)
    assert await post(service, "/web/page_view", view) == 200
    assert await post(service, "/v1/items/van/1", {text: text}, "PUT") == 200
    path, _ = filled(service, "format 3")
    async with opened(service, path) as socket:
        names = ("articleId", "articleTitle", "previousPage", "currentPage", "referrer", "id")
        await socket.send({"message": "views", **dict.fromkeys(names, text)})
        assert (await socket.receive())["articleId"] == text
    async with opened(service, f"/ws?van=1&api_key={key_of(service)}") as socket:
        assert (await socket.receive())[text] == {"S": text}
    async with opened(service, "/ws") as socket:
        message = {"action": "live", "api_key": key_of(service), "event_type": text}
        await socket.send(message)
        assert await socket.receive() == [{"action": text, "color": text, "count": 2}]
        await socket.send({"action": "add_api_key", "api_key": text})
        assert text not in await socket.text()
        assert await socket.close_code() == 1008
    stored = "SELECT count(*) FROM events WHERE subject = %s AND type IN (%s, %s, %s)"
    rows = query(service.database_url, stored, text, text, "button_click", "article_view")
    assert rows == [(4,)]


@pytest.mark.parametrize("path", ["/ws", "/v1/events/cable", "/v1/live"])
async def test_no_handshake_or_half_of_one(service: Service, path: str) -> None:
    """What isn't a websocket's handshake is told so, in JSON, and nothing of it is echoed."""
    whole = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for wrong in ({}, *({**whole, name: "<b>"} for name in whole)):
        async with service.http.get(path, headers=wrong) as response:
            assert response.status == 400, wrong
            assert "websocket" in (await response.json())["error"]["message"]
            assert "<b>" not in await response.text()


@pytest.mark.parametrize("name", SOCKETS)
async def test_binary_frames(service: Service, name: str) -> None:
    """Closed with 1003, before and after the first message."""
    path, right = filled(service, name)
    for first in ([], [right]):
        async with opened(service, path) as socket:
            for message in first:
                await socket.send(message)
            await socket.socket.send_bytes(b"\x00\xff" * 1000)
            assert await socket.close_code() == 1003


@pytest.mark.parametrize("name", SOCKETS)
async def test_pings_are_answered(service: Service, name: str) -> None:
    """The websocket protocol's own, with their payload."""
    path, right = filled(service, name)
    async with opened(service, path, autoping=False) as socket:
        await socket.send(right)
        await socket.socket.ping(b"abc")
        while (message := await socket.socket.receive(timeout=10)).type is WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (WSMsgType.PONG, b"abc")


async def test_dead_connections_are_ended_and_living_ones_stay(
    service: Service, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who answers no ping costs nothing for long; who only answers pings stays, in each format."""
    monkeypatch.setattr(connections, "RECHECK_S", 0.1)
    living, dead = [], []
    async with (
        serving(service.database_url, redis_url, service.keys, ping_interval_s=0.5) as impatient,
        contextlib.AsyncExitStack() as stack,
    ):
        for name in SOCKETS:
            path, right = filled(impatient, name)
            for sockets, answers in ((living, True), (dead, False)):
                opening = opened(impatient, path, autoping=answers)
                sockets.append(await stack.enter_async_context(opening))
                await sockets[-1].send(right)
        reading = [asyncio.create_task(socket.close_code()) for socket in living]
        assert await asyncio.gather(*(socket.close_code() for socket in dead)) == [1006] * len(dead)
        assert not any(each.done() for each in reading)
        for each in reading:
            each.cancel()


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_message_over_a_mebibyte(service: Service, name: str) -> None:
    """Closed with 1009: no memory is spent on it."""
    path, right = filled(service, name)
    async with opened(service, path) as socket:
        await socket.send({**right, "x": "x" * MAX_BODY_BYTES})
        assert await socket.close_code() == 1009


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("format 1", "action"),
        ("format 1", "api_key"),
        ("format 1", "event_type"),
        ("native", "type"),
        ("native", "topic"),
    ],
)
async def test_huge_identifiers_are_not_echoed(service: Service, name: str, field: str) -> None:
    """Refused in a few words, not in as many as were sent."""
    path, right = filled(service, name)
    async with opened(service, path) as socket:
        if name == "native":
            await socket.receive()
        await socket.send({**right, field: "x" * 1_000_000})
        assert len(await socket.text()) < 500


async def test_huge_identifiers_of_formats_3_and_4(service: Service) -> None:
    """An article's in a few words; an item's as 400, whether in the query or in a header."""
    path, right = filled(service, "format 3")
    async with opened(service, path) as socket:
        await socket.send({**right, "articleId": "x" * 1_000_000})
        assert len(await socket.text()) < 200
    await post(service, "/v1/items/vehicle-id/3", 1, "PUT")
    for path, headers in (
        (f"/ws?vehicle-id={'x' * 15_000}", {}),
        (f"/ws?{'x' * 15_000}=3", {}),
        (f"/ws?vehicle-id={'x' * 100_000}", {}),
        ("/ws", {"vehicle-id": "x" * 7_000}),
        ("/ws", {"vehicle-id": "x" * 100_000}),
    ):
        read = {"x-api-key": service.keys[Role.READ]}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await service.http.ws_connect(path, headers=read | headers)
        assert refused.value.status in (400, 431), path[:20]


# 10,000 subscriptions on one socket. (Formats 1 and 2: in their own files.)


async def test_more_articles_than_it_follows(service: Service) -> None:
    """Format 3, three times what it follows (each waits for its own commit: not 10,000): all are
    counted and answered; only the last hundred are still followed."""
    path, _ = filled(service, "format 3")
    async with opened(service, path) as socket:

        async def view() -> None:
            for n in range(300):
                await socket.send({"message": "views", "articleId": f"a{n}", "refreshed": True})

        viewing = asyncio.create_task(view())
        for n in range(300):
            said = await socket.receive()
            assert (said["articleId"], said["totalViews"]) == (f"a{n}", 1)
        await viewing
        older, newer = f"a{299 - MAX_SUBSCRIPTIONS}", f"a{300 - MAX_SUBSCRIPTIONS}"
        await service.post([{"type": "article_view", "subject": each} for each in (older, newer)])
        assert (await socket.receive())["articleId"] == newer


async def test_10000_items_in_one_request(service: Service) -> None:
    """Format 4: refused before the handshake, by their number or by the size of the request."""
    for count, gap in ((MAX_SUBSCRIPTIONS + 1, ""), (10_000, "")):
        query_string = "&".join(f"van{gap}={n}" for n in range(count))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await service.http.ws_connect(f"/ws?api_key={key_of(service)}&{query_string}")
        assert refused.value.status == 400
    await post(service, "/v1/items/vehicle-id/3", 1, "PUT")
    headers = [("x-api-key", key_of(service)), *(("vehicle-id", f"{n}") for n in range(10_000))]
    with pytest.raises((aiohttp.WSServerHandshakeError, aiohttp.ClientError)):
        await service.http.ws_connect("/ws", headers=headers)


async def test_10000_subscriptions_on_the_native_socket(service: Service) -> None:
    """A hundred are taken, each further one is refused by its id, and those there are go on."""
    async with opened(service, f"/v1/live?api_key={key_of(service)}") as socket:

        async def ask(numbers: range) -> Counter[str]:
            """What is said of so many, and how often."""

            async def send() -> None:
                for n in numbers:
                    topic = {"totals": f"t{n}"}
                    await socket.send({"type": "subscribe", "id": n, "topic": topic})

            asking = asyncio.create_task(send())
            said: list[dict[str, Any]] = []
            while len(said) < len(numbers):
                said += [each for each in [await socket.receive()] if each["type"] != "ready"]
            await asking
            return Counter(each.get("code", each["type"]) for each in said)

        assert await ask(range(MAX_SUBSCRIPTIONS)) == {"snapshot": MAX_SUBSCRIPTIONS}
        others = range(MAX_SUBSCRIPTIONS, 10_000)
        assert await ask(others) == {"too_many_subscriptions": len(others)}
        await service.post({"type": "t99", "subject": "red"})
        await socket.until({"type": "update", "id": 99, "totals": {"red": 1}, "total": 1})
