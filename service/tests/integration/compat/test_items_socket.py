"""Format 4, real-time items, line by line on real sockets: `PROTOCOLS.md`, section 4."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import psycopg
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from livetally.client import Client
from livetally.compat.items import encode
from livetally.schema.keys import Role
from livetally.schema.live import LiveItem, Update
from service.tests.support.aws import Account, working
from service.tests.support.browser.chromium import find_chromium, launched
from service.tests.support.clients.items import delete, get, put
from service.tests.support.clients.websocket import end_of
from service.tests.support.postgres import make_key, make_keys, query
from service.tests.support.server import Service, serving

VALUE = b'{"lat":41.40,"tags":["a",1],"pos":{"x":-1E5},"on":true,"x":null,"s":"\\u00fc"}'
TYPED = (
    '{"vehicle-id":{"S":"3"},"lat":{"N":"41.40"},"tags":{"L":[{"S":"a"},{"N":"1"}]},'
    '"pos":{"M":{"x":{"N":"-1E5"}}},"on":{"BOOL":true},"x":{"NULL":true},"s":{"S":"ü"}}'
)


@contextlib.asynccontextmanager
async def watching(
    service: Service, path: str, **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket with the read key, unless `path` has another."""
    key = "" if "api_key" in path else f"&api_key={service.keys[Role.READ]}"
    head = {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.http.ws_connect(f"/ws?{path}{key}", headers=head) as socket:
        yield socket


async def receive(
    socket: aiohttp.ClientWebSocketResponse, after: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The next message; values are absolute, so the one `after` which it is may come again."""
    while True:
        message = await socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        if (got := json.loads(message.data)) != after:
            return got


async def refused(service: Service, path: str, **headers: str) -> tuple[int, str]:
    """The status and the message of a request that gets no websocket."""
    head = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    async with service.http.get(path, headers=head) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, (await response.json())["error"]["message"]


async def test_the_current_value_arrives_at_once_on_connect_as_dynamodb_types_it(
    service: Service,
) -> None:
    """Exact bytes: numbers as they were stored, every type, the key's own attribute first."""
    await put(service, "vehicle-id/3", VALUE)
    async with watching(service, "vehicle-id=3") as socket:
        assert await socket.receive_str(timeout=10) == TYPED


async def test_the_same_name_as_a_header(service: Service) -> None:
    """In any case of letters, and the API key as a header too."""
    await put(service, "vehicle-id/3", 1)
    for name in ("vehicle-id", "Vehicle-Id"):
        headers = {name: "3", "x-api-key": service.keys[Role.READ]}
        async with service.http.ws_connect("/ws", headers=headers) as socket:
            assert await receive(socket) == {"vehicle-id": {"S": "3"}, "value": {"N": "1"}}


async def test_push_on_insert_and_change(service: Service) -> None:
    """An item that isn't there yet is sent when it is, and at every change; others never."""
    async with watching(service, "vehicle-id=3") as socket:
        await put(service, "vehicle-id/4", {"n": 0})
        await put(service, "vehicle-id/3", {"n": 1})
        first = await receive(socket)
        assert first["n"] == {"N": "1"}
        await put(service, "vehicle-id/3", {"n": 2})
        assert (await receive(socket, first))["n"] == {"N": "2"}


async def test_nothing_is_sent_of_a_removed_item(service: Service) -> None:
    """Only the native protocol announces it; when it is there again, that is sent."""
    await put(service, "vehicle-id/3", "x")
    async with watching(service, "vehicle-id=3") as socket, service.live() as live:
        first = await receive(socket)
        assert first["value"] == {"S": "x"}
        await live.subscribe(1, {"item": ["vehicle-id", "3"]})
        await delete(service, "vehicle-id/3")
        assert (await live.receive())["items"][0]["removed"]
        await put(service, "vehicle-id/3", "y")
        assert (await receive(socket, first))["value"] == {"S": "y"}


async def test_several_items_and_any_number_of_keys(service: Service) -> None:
    """Each item that is named is sent; the key in each says which it is."""
    await put(service, "vehicle-id/3", 1)
    await put(service, "vehicle-id/4", 2)
    await put(service, "Station/3", 3)
    path = "vehicle-id=3&vehicle-id=4&vehicle-id=4&Station=3"
    async with watching(service, path) as socket:
        got: set[str] = set()
        while len(got) < 3:
            got.add(json.dumps(await receive(socket), sort_keys=True))
    assert sorted(got) == [
        '{"Station": {"S": "3"}, "value": {"N": "3"}}',
        '{"value": {"N": "1"}, "vehicle-id": {"S": "3"}}',
        '{"value": {"N": "2"}, "vehicle-id": {"S": "4"}}',
    ]


async def test_no_key_or_value_given_is_400_naming_what_is_missing(service: Service) -> None:
    """Before the handshake."""
    read = service.keys[Role.READ]
    status, message = await refused(service, f"/ws?api_key={read}")
    assert (status, "vehicle-id=3" in message) == (400, True)
    status, message = await refused(service, "/ws", x_api_key=read)
    assert (status, "No item is named" in message) == (400, True)
    for path in (f"/ws?vehicle-id=&api_key={read}", "/ws?vehicle-id="):
        status, message = await refused(service, path)
        assert status == 400
        assert message.startswith("`vehicle-id` has no value")
    await put(service, "vehicle-id/3", 1)
    status, message = await refused(service, "/ws", x_api_key=read, vehicle_id="")
    assert status == 400
    assert message.startswith("`vehicle-id` has no value")


async def test_a_key_is_required(service: Service) -> None:
    """None or an unknown one: 401; one that may only write: 403; another project's sees nothing."""
    await put(service, "vehicle-id/3", 1)
    status, message = await refused(service, "/ws?vehicle-id=3")
    assert (status, message[:10]) == (401, "No API key")
    assert (await refused(service, "/ws?vehicle-id=3&api_key=x"))[0] == 401
    write = service.keys[Role.WRITE]
    assert (await refused(service, f"/ws?vehicle-id=3&api_key={write}"))[0] == 403
    assert (await refused(service, "/ws", vehicle_id="3", x_api_key=write))[0] == 403
    other = (await make_keys(service.database_url, "other"))[Role.READ]
    query(
        service.database_url,
        "INSERT INTO items (project, key, id, value)"
        " SELECT id, 'vehicle-id', '3', '\"theirs\"' FROM projects WHERE name = 'other'",
    )
    async with watching(service, f"vehicle-id=3&api_key={other}") as socket:
        first = await receive(socket)
        assert first["value"] == {"S": "theirs"}
        await put(service, "vehicle-id/3", 2)
        query(service.database_url, "UPDATE items SET value = '\"new\"' WHERE project <> 1")
        assert (await receive(socket, first))["value"] == {"S": "new"}


async def test_a_header_that_is_also_an_item_key_confuses_nobody(service: Service) -> None:
    """With items called `host`, `origin` and `accept`, page views are still page views, an item
    named in the query is the only one, and `host` can be watched by the query."""
    for key in ("host", "origin", "accept", "user-agent", "connection"):
        await put(service, f"{key}/1", 1)
    host = service.url.removeprefix("http://")
    await put(service, f"host/{host}", "this server")
    await put(service, "vehicle-id/3", 1)
    write = service.keys[Role.WRITE]
    headers = {"Origin": "https://blog.example", "Accept": "1", "x-api-key": write}
    async with service.http.ws_connect("/ws", headers=headers) as socket:
        await socket.send_json({"message": "views", "articleId": "a"})
        assert (await receive(socket))["totalViews"] == 1
    async with watching(service, "vehicle-id=3", accept="1") as socket:
        assert "vehicle-id" in await receive(socket)
    async with watching(service, "host=1") as socket:
        assert await receive(socket) == {"host": {"S": "1"}, "value": {"N": "1"}}
    status, _ = await refused(service, "/ws", x_api_key=service.keys[Role.READ], accept="1")
    assert status == 400


async def test_other_names_in_the_query_do_no_harm(service: Service) -> None:
    """Beside a key of the project's items they mean nothing; nor to a page that sends views."""
    await put(service, "vehicle-id/3", 1)
    await put(service, "vehicle-id/3", 2)
    async with watching(service, "cache-buster=1&vehicle-id=3&v=2&x_y=1") as socket:
        assert (await receive(socket))["value"] == {"N": "2"}
    origin = ("https://blog.example",)
    await make_key(service.database_url, "demo", Role.WRITE, "web", origin)
    for path, headers in (
        (f"/ws?session=1&api_key={service.keys[Role.WRITE]}", {}),
        ("/ws?session=1", {"Origin": origin[0]}),
    ):
        async with service.http.ws_connect(path, headers=headers) as socket:
            await socket.send_json({"message": "views", "articleId": path[:9]})
            assert (await receive(socket))["articleId"] == path[:9]
    assert (await refused(service, "/ws?vehicle-id=3", origin=origin[0]))[0] == 401


async def test_rows_written_by_plain_sql_and_batches(service: Service) -> None:
    """psql's rows arrive, every item of a batch does, and latest version wins."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(watching(service, f"vehicle-id={n}")) for n in range(20)
        ]
        await put(service, "vehicle-id", [{"id": f"{n}", "value": n} for n in range(20)])
        for n, socket in enumerate(sockets):
            assert (await receive(socket))["value"] == {"N": f"{n}"}
        seventh = {"vehicle-id": {"S": "7"}, "value": {"N": "7"}}
        query(service.database_url, "UPDATE items SET value = '{\"by\": \"psql\"}' WHERE id = '7'")
        assert (await receive(sockets[7], seventh))["by"] == {"S": "psql"}


async def test_no_push_before_the_commit(service: Service) -> None:
    """What a transaction has written is sent when it commits, and never if it doesn't."""
    write = "INSERT INTO items (project, key, id, value) VALUES (1, 'van', '1', %s)"
    async with watching(service, "van=1") as socket, watching(service, "van=2") as other:
        with psycopg.connect(service.database_url) as writer:
            writer.execute(write, ('"undone"',))
            writer.rollback()
            writer.execute(write, ('"done"',))
            await put(service, "van/2", 1)
            assert (await receive(other))["value"] == {"N": "1"}
            status, _ = await get(service, "van/1")
            assert status == 404
            writer.commit()
        assert await receive(socket) == {"van": {"S": "1"}, "value": {"S": "done"}}


async def test_every_source_of_items_reaches_its_viewers(
    service: Service, account: Account, redis_url: str
) -> None:
    """REST, the SDK, the command line, SQS and SNS messages, an S3 object, a device's report, and
    plain SQL."""
    write = service.keys[Role.WRITE]
    report = {"vehicleId": 7, "from": "a device"}

    def rest() -> None:
        headers = {"x-api-key": write}
        url = f"{service.url}/v1/items/vehicle-id/7"
        requests.put(url, json={"from": "REST"}, headers=headers, timeout=10).raise_for_status()

    def sdk() -> None:
        with Client(service.url, write) as client:
            client.put("vehicle-id", "7", {"from": "the SDK"})

    def command() -> None:
        said = [sys.executable, "-m", "livetally", "put", "vehicle-id", "7"]
        environ = {**os.environ, "LIVETALLY_URL": service.url, "LIVETALLY_KEY": write}
        subprocess.run([*said, '{"from": "the command line"}'], env=environ, check=True)

    def told(source: str) -> str:
        return json.dumps({"key": "vehicle-id", "id": "7", "value": {"from": source}})

    def topic() -> None:
        account.sns.publish(TopicArn=account.made.topic_arn, Message=told("SNS"))

    def sql() -> None:
        row = '{"from": "plain SQL"}'
        query(service.database_url, "UPDATE items SET value = %s WHERE id = '7'", row)

    sources: dict[str, Callable[[], object]] = {
        "REST": rest,
        "the SDK": sdk,
        "the command line": command,
        "SQS": lambda: account.send(told("SQS")),
        "SNS": topic,
        "S3": lambda: account.put("inbox/a", told("S3").encode() + b"\n"),
        "a device": lambda: account.send(report),
        "plain SQL": sql,
    }
    async with (
        working(account, service.database_url, redis_url),
        watching(service, "vehicle-id=7") as socket,
    ):
        for source, write_item in sources.items():
            await asyncio.to_thread(write_item)
            async with asyncio.timeout(30):
                while (await receive(socket))["from"] != {"S": source}:
                    pass


async def test_twenty_writers_at_once_end_at_the_latest(service: Service) -> None:
    """Whatever comes between, the last message is what Postgres holds."""
    async with watching(service, "vehicle-id=3") as socket:
        await asyncio.gather(*(put(service, "vehicle-id/3", {"n": n}) for n in range(20)))
        (((stored),),) = query(service.database_url, "SELECT value ->> 'n' FROM items")
        while (await receive(socket))["n"] != {"N": stored}:
            pass


async def test_the_native_protocol_gives_the_same_item(service: Service) -> None:
    """As plain JSON, with its version."""
    await put(service, "vehicle-id/3", {"lat": 41.5})
    async with watching(service, "vehicle-id=3") as socket, service.live() as live:
        (item,) = (await live.subscribe(1, {"item": ["vehicle-id", "3"]}))["items"]
        assert (item["value"], item["version"]) == ({"lat": 41.5}, 1)
        assert (await receive(socket))["lat"] == {"N": "41.5"}


async def test_messages_of_the_client_are_not_part_of_it(service: Service) -> None:
    """They are ignored, whatever they are; a binary one ends the connection with 1003."""
    async with watching(service, "vehicle-id=3") as socket:
        for text in ('{"subscribe":"vehicle-id"}', '{"message":"views"}', "{", ""):
            await socket.send_str(text)
        await put(service, "vehicle-id/3", 1)
        assert (await receive(socket))["value"] == {"N": "1"}
        await socket.send_bytes(b"x")
        assert (await end_of(socket)).code == 1003


async def test_a_revoked_key_ends_it(service: Service) -> None:
    """Closed with 1008; what is sent before is only items."""
    key = await make_key(service.database_url, "demo", Role.READ, "short-lived")
    async with watching(service, f"vehicle-id=3&api_key={key}") as socket:
        query(service.database_url, "UPDATE keys SET revoked_at = now() WHERE name = 'short-lived'")
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("vehicle-id=" + "x" * 129, 400),
        ("vehicle-id=%00", 400),
        ("va=3", 400),
        ("vehicle_id=3", 400),
        ("=3", 400),
        ("&".join(f"vehicle-id={n}" for n in range(101)), 400),
        ("x" * 51 + "=3", 400),
    ],
)
async def test_bad_names_and_ids_are_refused(service: Service, path: str, status: int) -> None:
    """Before the handshake, with a reason."""
    got, message = await refused(service, f"/ws?{path}&api_key={service.keys[Role.READ]}")
    assert got == status
    assert message


@pytest.mark.parametrize("id", ["<b>", "'; DROP TABLE items; --", "🚐", 'a"b', "a b"])
async def test_ids_are_sent_as_they_are(service: Service, id: str) -> None:
    """SQL, HTML and quotes in an id are an id."""
    await put(service, "van", [{"id": id, "value": {"<i>": "'; --"}}])
    async with service.http.ws_connect(
        "/ws", params={"van": id, "api_key": service.keys[Role.READ]}
    ) as socket:
        assert await receive(socket) == {"van": {"S": id}, "<i>": {"S": "'; --"}}


async def test_a_value_that_only_sql_can_write_harms_nobody(service: Service) -> None:
    """Nested without end: not sent; half a surrogate pair: sent as it is; the next one comes."""
    async with watching(service, "van=1") as socket:
        for value in ("[" * 4_000 + "]" * 4_000, '{"a":"\\ud800"}'):
            query(
                service.database_url,
                "INSERT INTO items (project, key, id, value) VALUES (1, 'van', '1', %s)"
                " ON CONFLICT (project, key, id) DO UPDATE SET value = excluded.value",
                value,
            )
        half = {"van": {"S": "1"}, "a": {"S": "\ud800"}}
        assert await receive(socket) == half
        await put(service, "van/1", {"van": "not this", "value": 2})
        assert await receive(socket, half) == {"van": {"S": "1"}, "value": {"N": "2"}}


async def test_two_processes_show_each_others_items(database_url: str, redis_url: str) -> None:
    """What one process stores another one's viewers see."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys) as one,
        serving(database_url, redis_url, keys) as two,
        watching(one, "van=1") as socket,
    ):
        await put(two, "van/1", 5)
        assert (await receive(socket))["value"] == {"N": "5"}


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _untyped(typed: dict[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return json.loads(value)
        case "M":
            return {name: _untyped(each) for name, each in value.items()}
        case "L":
            return [_untyped(each) for each in value]
        case "NULL":
            return None
    return value


@given(st.dictionaries(st.text(), _json))
def test_every_value_comes_back_from_its_types(value: dict[str, Any]) -> None:
    """Any object, read as DynamoDB's clients read it, is the one that was stored."""
    stored = Raw(json.dumps({**value, "van": "1"}).encode())
    frame = encode(Update(id=1, items=[LiveItem(key="van", id="1", version=1, value=stored)]))
    size = frame[1]
    payload = frame[2 if size < 126 else 4 if size == 126 else 10 :]
    got = {name: _untyped(each) for name, each in json.loads(payload).items()}
    assert got == {**value, "van": "1"}


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found")
async def test_a_plain_browser_websocket(service: Service) -> None:
    """A page's `WebSocket` is sent the item, and its change."""
    await put(service, "vehicle-id/3", VALUE)
    async with launched() as browser:
        # What is tested is the server, not what a page of its own may do.
        page = await browser.new_page(bypass_csp=True)
        await page.goto(f"{service.url}/healthz")
        await page.evaluate(
            """(query) => {
              window.got = [];
              const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws?" + query);
              socket.onmessage = (event) => got.at(-1) === event.data || got.push(event.data);
            }""",
            f"vehicle-id=3&api_key={service.keys[Role.READ]}",
        )
        await page.wait_for_function("() => got.length == 1")
        await put(service, "vehicle-id/3", [1.50])
        await page.wait_for_function("() => got.length == 2")
        got = await page.evaluate("got")
    assert got == [TYPED, '{"vehicle-id":{"S":"3"},"value":{"L":[{"N":"1.5"}]}}']
