"""Format 1: colour tracking over HTTP and API Gateway's websockets, line by line."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from livetally.base.errors import DatabaseUnavailable
from livetally.compat.colors.encoders import Cells, Lists
from livetally.compat.colors.http import Colors
from livetally.db.database import Database
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from livetally.schema.live import Snapshot, Update
from livetally.web import keys
from service.tests.support.clients.compat import (
    NO_NAMES,
    ORIGIN,
    Socket,
    commits_held,
    opened,
    other_project,
    until_a_commit_waits,
)
from service.tests.support.clients.node import needs_node, running
from service.tests.support.postgres import make_key, make_keys, query, totals_in, unreachable
from service.tests.support.process import Process, free_port
from service.tests.support.server import Service, serving

RED_CLICK = {"action": "click", "color": "red"}
NO_CLICKS = {"stats": [], "event_type": "click"}
NO_HOVERS = {"stats": [], "event_type": "hover"}


async def post(
    service: Service, body: object = RED_CLICK, key: str | None = None, **headers: str
) -> tuple[int, Any]:
    headers = {"Authorization": key or service.keys[Role.WRITE], **headers}
    async with service.http.post("/v1/events", json=body, headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json()


async def post_until_stored(service: Service) -> None:
    async with asyncio.timeout(30):
        while (await post(service))[0] == 503:
            pass


async def get(service: Service, path: str, role: Role | None = Role.READ) -> tuple[int, Any]:
    headers = {"Authorization": service.keys[role]} if role else {}
    async with service.http.get(path, headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json()


async def bind(socket: Socket, key: str) -> list[Any]:
    """Bind a connection to a project; the two lists that come at once, by event type."""
    await socket.send({"action": "add_api_key", "api_key": key})
    lists = [await socket.receive(), await socket.receive()]
    return sorted(lists, key=lambda each: each["event_type"])


# HTTP.


@pytest.mark.parametrize("name", ["Authorization", "authorization", "x-api-key", "X-API-KEY"])
async def test_key_in_authorization_raw_or_x_api_key_in_any_case(
    service: Service, name: str
) -> None:
    """Key in `Authorization: <key>` (raw) or `x-api-key`, header names in any case."""
    headers = {name: service.keys[Role.WRITE]}
    async with service.http.post("/v1/events", json=RED_CLICK, headers=headers) as response:
        assert response.status == 200
    assert totals_in(service.database_url) == {"red": 1, "": 1}


async def test_post_events_answers_a_message_and_keeps_extra_fields(service: Service) -> None:
    """200 `{"message":"…successfully."}`, also accepted/duplicates; extra fields are properties."""
    status, answer = await post(service, {**RED_CLICK, "page": "/a", "n": 1.50})

    assert status == 200
    assert answer["message"].endswith("successfully.")
    assert (answer["accepted"], answer["duplicates"]) == (1, 0)
    ((type_, subject, properties),) = query(
        service.database_url, "SELECT type, subject, properties FROM events"
    )
    assert (type_, subject, properties) == ("click", "red", {"page": "/a", "n": 1.5})


async def test_its_front_end_sends_a_cross_origin_xhr(service: Service) -> None:
    """A cross-origin XHR with JSON: the preflight is answered, success and errors can be read."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with service.http.options("/v1/events", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-type"} <= set(allowed)
    assert (await post(service, Origin=ORIGIN))[0] == 200  # `post` looks at the CORS headers
    assert (await post(service, key="nobody's", Origin=ORIGIN))[0] == 401
    assert (await post(service, {"action": 1, "color": "red"}, Origin=ORIGIN))[0] == 422


async def test_get_stats_lists_an_actions_colours(service: Service) -> None:
    """`GET /v1/stats?action=click` -> 200 `{"stats":[{"action","color","count"},…]}`."""
    for color in ("red", "blue", "red"):
        await post(service, {"action": "click", "color": color})
    await post(service, {"action": "hover", "color": "red"})
    headers = {"Authorization": service.keys[Role.READ]}
    async with service.http.get("/v1/stats?action=click", headers=headers) as response:
        assert await response.text() == (
            '{"stats":[{"action":"click","color":"red","count":2},'
            '{"action":"click","color":"blue","count":1}]}'
        )
    assert await get(service, "/v1/stats?action=never") == (200, {"stats": []})


async def test_get_stats_without_action_or_key(service: Service) -> None:
    """no `action` -> 400, no key -> 401, with its messages; native clients find our error too."""
    status, answer = await get(service, "/v1/stats")
    assert (status, answer["message"]) == (400, "Bad Request: Missing `action` query parameter")
    assert answer["error"]["code"] == "bad_request"

    status, answer = await get(service, "/v1/stats?action=click", None)
    assert (status, answer["message"]) == (401, "Unauthorized: Missing `Authorization` header")
    assert answer["error"]["code"] == "missing_key"


async def test_get_admin_stats_lists_every_project(service: Service) -> None:
    """A hover and a click entry a project, open socket or not; its name, never a secret."""
    other = await other_project(service, "other")
    await post(service, {"action": "hover", "color": "blue"})
    await post(service, key=other[Role.WRITE])

    status, answer = await get(service, "/admin/v1/stats", Role.ADMIN)

    assert status == 200
    assert answer == {
        "stats": [
            {
                "api_key": "demo",
                "action": "hover",
                "counts": [{"action": "hover", "color": "blue", "count": 1}],
            },
            {"api_key": "demo", "action": "click", "counts": []},
            {"api_key": "other", "action": "hover", "counts": []},
            {"api_key": "other", "action": "click", "counts": [{**RED_CLICK, "count": 1}]},
        ]
    }
    assert (await get(service, "/admin/v1/stats", Role.READ))[0] == 403
    assert (await get(service, "/admin/v1/stats", None))[0] == 401


# One path, several systems.


async def test_a_json_array_or_ndjson_may_mix_formats(service: Service) -> None:
    """`POST /v1/events`: what an event holds decides, also within an array or NDJSON."""
    mixed = [
        {"type": "click", "subject": "red"},
        RED_CLICK,
        {"action_color": {"action_name": "click", "color_name": "red"}},
        {"action": "click"},
    ]
    lines = b"\n".join(json.dumps(each).encode() for each in mixed)
    for body in (mixed, lines):
        status, answer = await service.post(body)
        assert (status, answer["accepted"]) == (200, 3)
        assert [each["index"] for each in answer["rejected"]] == [3]
    assert totals_in(service.database_url) == {"red": 6, "": 6}


async def test_stats_by_action_is_format_1_and_by_type_native(service: Service) -> None:
    """`GET /v1/stats?action=` is format 1, `?type=` native."""
    await post(service)
    assert (await get(service, "/v1/stats?action=click"))[1] == {
        "stats": [{**RED_CLICK, "count": 1}]
    }
    assert (await get(service, "/v1/stats?type=click"))[1]["total"] == 1


@pytest.mark.parametrize(
    ("authorization", "shape"),
    [
        ("nobody", {"message": "Unauthorized: This API key is not known, or it has been revoked."}),
        ("Token token=nobody", {"status": "error", "message": "Bad credentials"}),
        ("Bearer nobody", {}),
    ],
)
async def test_a_401_takes_the_shape_of_the_scheme(
    service: Service, authorization: str, shape: dict[str, str]
) -> None:
    """A 401 takes the shape of the scheme that was used, and has our error beside."""
    headers = {"Authorization": authorization}
    for method, path in (("POST", "/v1/events"), ("GET", "/v1/stats?action=click")):
        async with service.http.request(method, path, headers=headers) as response:
            answer = await response.json()
            assert response.status == 401
            assert answer.pop("error")["code"] == "unknown_key"
            assert answer == shape
            rails = response.headers["WWW-Authenticate"] == 'Token realm="Application"'
            assert rails == authorization.startswith("Token")


# The websocket.


async def test_add_api_key_binds_and_shows_both_lists_at_once(service: Service) -> None:
    """`add_api_key` binds the connection to K; snapshot at once on binding."""
    await post(service)
    async with opened(service, "/ws") as socket:
        assert await bind(socket, service.keys[Role.READ]) == [
            {"stats": [{**RED_CLICK, "count": 1}], "event_type": "click"},
            NO_HOVERS,
        ]


async def test_live_answers_the_bare_array_to_that_connection(service: Service) -> None:
    """`{"action":"live",…}` asks for the current list: the bare array, here only."""
    await post(service)
    async with opened(service, "/ws") as socket, opened(service, "/ws") as other:
        await bind(other, service.keys[Role.READ])
        await socket.send(
            {"action": "live", "api_key": service.keys[Role.READ], "event_type": "click"}
        )
        assert await socket.text() == '[{"action":"click","color":"red","count":1}]'
        await post(service)
        assert (await other.receive())["stats"] == [{**RED_CLICK, "count": 2}]


async def test_each_change_pushes_the_whole_list_of_that_action(service: Service) -> None:
    """After each counted change: `{"stats":[…],"event_type":…}`, the whole list."""
    await post(service)
    async with opened(service, "/ws") as socket:
        await bind(socket, service.keys[Role.READ])
        await post(service, {"action": "click", "color": "blue"})
        assert await socket.text() == (
            '{"stats":[{"action":"click","color":"red","count":1},'
            '{"action":"click","color":"blue","count":1}],"event_type":"click"}'
        )
        await post(service, {"action": "hover", "color": "red"})
        assert await socket.text() == (
            '{"stats":[{"action":"hover","color":"red","count":1}],"event_type":"hover"}'
        )


async def test_who_comes_later_sees_the_same(service: Service) -> None:
    """Connections of a project share what is encoded, and each gets its lists and all changes."""
    async with opened(service, "/ws") as first, opened(service, "/ws") as second:
        await bind(first, service.keys[Role.READ])
        for n in range(1, 4):
            await post(service, {"action": "click", "color": f"c{n}"})
            assert len((await first.receive())["stats"]) == n
        assert len((await bind(second, service.keys[Role.READ]))[0]["stats"]) == 3
        await post(service)
        for socket in (first, second):
            assert len((await socket.receive())["stats"]) == 4
        await first.socket.close()
        await post(service)
        assert (await second.receive())["stats"][0] == {**RED_CLICK, "count": 2}


async def test_when_the_database_is_away_a_client_is_told_to_return(
    service: Service, postgres: LocalPostgres
) -> None:
    """A binding that can't be served ends with 1013, so that clients that reconnect try again."""
    async with opened(service, "/ws") as socket, opened(service, "/ws") as later:
        await bind(socket, service.keys[Role.READ])
        with unreachable(postgres, service.database_url):
            live = {"action": "live", "api_key": service.keys[Role.READ], "event_type": "click"}
            await later.send(live)
            assert (await later.receive())["error"]["code"] == "database_unavailable"
            assert await later.close_code() == 1013
        await post_until_stored(service)
        await socket.until({"stats": [{**RED_CLICK, "count": 1}], "event_type": "click"})


async def test_an_admin_gets_one_cell_a_message_of_every_project(service: Service) -> None:
    """To admins: `{"api_key":"A",…,"count":"15"}`, one cell a message, `count` a string; also of a
    project that is made later."""
    await post(service)
    async with opened(service, "/ws") as socket:
        await socket.send({"action": "add_api_key", "api_key": service.keys[Role.ADMIN]})
        assert await socket.text() == (
            '{"api_key":"demo","action":"click","color":"red","count":"1"}'
        )
        later = await other_project(service, "later")
        for color in ("red", "blue"):
            await post(service, {"action": "hover", "color": color}, later[Role.WRITE])
        cells = [await socket.receive(), await socket.receive()]
        await post(service)
        assert sorted(cells, key=lambda cell: cell["color"]) == [
            {"api_key": "later", "action": "hover", "color": "blue", "count": "1"},
            {"api_key": "later", "action": "hover", "color": "red", "count": "1"},
        ]
        assert (await socket.receive())["count"] == "2"


async def test_an_admins_connection_outlives_the_database(
    service: Service, postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Projects that are made after Postgres was away are followed too."""
    ask, failed = Colors.projects, asyncio.Event()

    async def projects(self: Colors) -> dict[int, str]:
        try:
            return await ask(self)
        except DatabaseUnavailable:
            failed.set()
            raise

    monkeypatch.setattr(Colors, "projects", projects)
    await post(service)
    async with opened(service, "/ws") as socket:
        await socket.send({"action": "add_api_key", "api_key": service.keys[Role.ADMIN]})
        assert (await socket.receive())["api_key"] == "demo"
        with unreachable(postgres, service.database_url):
            await failed.wait()
        later = await other_project(service, "later")
        async with asyncio.timeout(30):
            while (await post(service, key=later[Role.WRITE]))[0] != 200:
                pass
        await socket.until({"api_key": "later", **RED_CLICK, "count": "1"})


def test_a_cell_that_an_admin_knows_is_not_told_again() -> None:
    """A snapshot, which follows when its connection read too slowly, brings only what is new."""
    cells = Cells()

    def told(kind: type[Snapshot | Update], **totals: int) -> list[bytes]:
        frame = cells(kind(id="demo click", totals=totals))
        return re.findall(rb'"color":"(\w+)","count":"(\d+)"', frame)

    assert told(Snapshot, red=1, blue=2) == [(b"blue", b"2"), (b"red", b"1")]
    assert told(Update, red=2) == [(b"red", b"2")]
    assert told(Snapshot, red=2, blue=3, green=1) == [(b"blue", b"3"), (b"green", b"1")]


def test_a_snapshot_replaces_the_whole_list() -> None:
    """A colour that is no longer among the 1,000 largest leaves the list."""
    lists = Lists()
    for totals in ({"red": 1, "blue": 2}, {"red": 1}):
        told = re.findall(rb'"color":"(\w+)"', lists(Snapshot(id="click", totals=totals)))
        assert told == [color.encode() for color in ("red", "blue") if color in totals]


async def test_a_key_must_exist(service: Service) -> None:
    """A key must exist, and may read: otherwise the connection is told and, if unknown, ended."""
    for action in ("add_api_key", "live"):
        async with opened(service, "/ws") as socket:
            await socket.send({"action": action, "api_key": "1", "event_type": "click"})
            answer = await socket.receive()
            assert answer["message"].startswith("Unauthorized: ")
            assert answer["error"]["code"] == "unknown_key"
            assert await socket.close_code() == 1008
    async with opened(service, "/ws") as socket:
        await socket.send({"action": "add_api_key", "api_key": service.keys[Role.WRITE]})
        assert (await socket.receive())["error"]["code"] == "wrong_role"
        assert await bind(socket, service.keys[Role.READ]) == [NO_CLICKS, NO_HOVERS]


async def test_key_1_never_sees_key_10s(service: Service) -> None:
    """Projects `1` and `10`, whatever their names share: each connection sees its own."""
    one, ten = await other_project(service, "1"), await other_project(service, "10")
    async with opened(service, "/ws") as socket:
        await bind(socket, one[Role.READ])
        await post(service, key=ten[Role.WRITE])
        await post(service, {"action": "click", "color": "blue"}, one[Role.WRITE])
        assert await socket.receive() == {
            "stats": [{"action": "click", "color": "blue", "count": 1}],
            "event_type": "click",
        }
        # Nor is there a way to bind a second one.
        await socket.send({"action": "add_api_key", "api_key": ten[Role.READ]})
        assert (await socket.receive())["error"]["code"] == "bad_request"


async def test_a_revoked_key_ends_the_connection(service: Service) -> None:
    """A key that is revoked sees nothing more."""
    async with opened(service, "/ws") as socket:
        await bind(socket, service.keys[Role.READ])
        database = Database(service.database_url, 2)
        await database.open()
        await keys.revoke(database, "demo", "read")
        await database.close()
        assert (await socket.receive())["error"]["code"] == "unknown_key"
        assert await socket.close_code() == 1008


async def test_no_push_before_the_commit(service: Service) -> None:
    """While the commit waits nothing is pushed; the push follows it."""
    async with opened(service, "/ws") as socket:
        await bind(socket, service.keys[Role.READ])
        async with commits_held(service):
            posting = asyncio.create_task(post(service))
            await until_a_commit_waits(service)
            await socket.send(
                {"action": "live", "api_key": service.keys[Role.READ], "event_type": "click"}
            )
            assert await socket.receive() == []  # and nothing was pushed before this answer
        assert (await posting)[0] == 200
        assert (await socket.receive())["stats"] == [{**RED_CLICK, "count": 1}]


async def test_counts_are_never_behind_the_store_for_good(
    database_url: str, redis_url: str
) -> None:
    """What another process counted, whose message was lost on the way, is shown all the same."""
    own = await make_keys(database_url)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    async with (
        serving(database_url, redis_url, own, resync_interval_ms=100) as service,
        serving(database_url, nowhere, own) as elsewhere,
        opened(service, "/ws") as socket,
    ):
        await bind(socket, own[Role.READ])
        assert (await post(elsewhere))[0] == 200
        await socket.until({"stats": [{**RED_CLICK, "count": 1}], "event_type": "click"})


async def test_counts_agree_with_the_other_formats(service: Service) -> None:
    """An event sent here shows in the native stats and live protocol; a native one shows here."""
    async with opened(service, "/ws") as socket, service.live() as viewer:
        await bind(socket, service.keys[Role.READ])
        await viewer.subscribe(1, {"totals": "click"})
        await post(service)
        assert (await viewer.receive())["totals"] == {"red": 1}
        assert (await socket.receive())["stats"] == [{**RED_CLICK, "count": 1}]
        await service.post({"type": "click", "subject": "red"})
        assert (await viewer.receive())["totals"] == {"red": 2}
        assert (await socket.receive())["stats"] == [{**RED_CLICK, "count": 2}]
        assert (await service.stats(type="click"))["total"] == 2
        assert (await get(service, "/v1/stats?action=click"))[1]["stats"][0]["count"] == 2


async def test_20_writers_at_once_are_counted_exactly(service: Service) -> None:
    """Nothing is lost under concurrency: the truth, the stats and the pushes agree."""
    colors = ["red", "blue", "green"]

    async def write(n: int) -> None:
        for i in range(30):
            await post(service, {"action": "hover", "color": colors[(n + i) % 3]})

    async with opened(service, "/ws") as socket:
        await bind(socket, service.keys[Role.READ])
        await asyncio.gather(*(write(n) for n in range(20)))
        stats = [
            {"action": "hover", "color": color, "count": 200} for color in ("green", "red", "blue")
        ]
        assert (await get(service, "/v1/stats?action=hover"))[1] == {"stats": stats}
        await socket.until({"stats": stats, "event_type": "hover"})


@needs_node
async def test_reconnecting_websocket_survives_a_restart(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """The npm package that its pages use: bound again by itself, it misses nothing."""
    own = await make_keys(database_url)
    process = spawn().wait_ready()
    service = Service(process.url, database_url, own)
    try:
        async with running(
            "reconnecting.mjs", process.url.replace("http", "ws") + "/ws", own[Role.READ]
        ) as client:
            await client.until("open")
            await post(service)
            await client.until_data({"stats": [{**RED_CLICK, "count": 1}], "event_type": "click"})
            assert process.stop() == 0
            await client.until("close")
            process.restart().wait_ready()
            await post(service)
            await client.until("open")
            await client.until_data({"stats": [{**RED_CLICK, "count": 2}], "event_type": "click"})
    finally:
        await service.close()


# Hostile input.


@pytest.mark.parametrize("field", ["action", "color"])
async def test_wrong_types_in_a_body_are_refused(service: Service, field: str) -> None:
    """Each field with each wrong JSON type: 422, said in this format's words, nothing stored."""
    for wrong in NO_NAMES:
        status, answer = await post(service, {**RED_CLICK, field: wrong})
        assert status == 422, wrong
        assert answer["message"] == answer["error"]["message"]
        assert "`type`" not in answer["message"]
        assert "`subject`" not in answer["message"]
    assert query(service.database_url, "SELECT count(*) FROM events") == [(0,)]


async def test_sql_and_html_are_only_text(service: Service) -> None:
    """SQL and HTML in strings come back as they were, as JSON that no browser takes for HTML."""
    for text in ("'; DROP TABLE totals; --", "<script>alert(1)</script>", '"}]}', "\u2028\ud7ff💥"):
        assert (await post(service, {"action": text, "color": text}))[0] == 200
        headers = {"Authorization": service.keys[Role.READ]}
        async with service.http.get(
            "/v1/stats", params={"action": text}, headers=headers
        ) as response:
            assert response.content_type == "application/json"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            cell = {"action": text, "color": text, "count": 1}
            assert await response.json() == {"stats": [cell]}


async def test_hostile_messages_leave_the_socket_working(service: Service) -> None:
    """Wrong types in every field, unknown actions, what isn't JSON: told, and nothing else."""
    key = service.keys[Role.READ]
    messages: list[Any] = [{"action": wrong, "api_key": key} for wrong in NO_NAMES]
    messages += [{"action": "add_api_key", "api_key": wrong} for wrong in (None, 1, [], {}, True)]
    messages += [{"action": "live", "api_key": key, "event_type": wrong} for wrong in NO_NAMES]
    messages += [{}, [], "text", 5, None, {"action": "add_api_key"}, {"action": "drop"}]
    texts = [json.dumps(each) for each in messages] + ["", "{", "[" * 50_000, '{"action":' * 5000]
    async with opened(service, "/ws") as socket:
        await bind(socket, key)
        for text in texts:
            await socket.socket.send_str(text)
            answer = await socket.receive()
            assert answer["message"], text[:100]
        await post(service)
        assert (await socket.receive())["event_type"] == "click"
    async with opened(service, "/ws") as socket:
        await bind(socket, key)
        await socket.socket.send_bytes(b"\x00\xff")
        assert await socket.close_code() == 1003


async def test_10000_bindings_are_one(service: Service) -> None:
    """Binding again and again costs nothing: one push a change."""
    async with opened(service, "/ws") as socket:
        await bind(socket, service.keys[Role.READ])
        for _ in range(10_000):
            await socket.send({"action": "add_api_key", "api_key": service.keys[Role.READ]})
        await post(service)
        assert (await socket.receive())["stats"] == [{**RED_CLICK, "count": 1}]
        await socket.send(
            {"action": "live", "api_key": service.keys[Role.READ], "event_type": "click"}
        )
        assert await socket.receive() == [{**RED_CLICK, "count": 1}]


async def test_a_write_key_bound_to_origins_is_for_those_pages(service: Service) -> None:
    """A key in a page counts from that page only; the refusal can be read there."""
    key = await make_key(service.database_url, "demo", Role.WRITE, "page", (ORIGIN,))
    assert (await post(service, key=key, Origin=ORIGIN))[0] == 200
    status, answer = await post(service, key=key, Origin="https://elsewhere.example")
    assert (status, answer["error"]["code"]) == (403, "foreign_origin")
    assert answer["message"]
