"""/openapi.json and /asyncapi.json: true of the running service, example by example."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from livetally.db.database import Database
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from livetally.site.reference.examples import Example, load
from livetally.site.reference.routes import Route
from livetally.web import keys
from livetally.web.operation_docs import Text, operation_of
from service.tests.support.clients.caller import HANDLERS, ROUTES, Caller, checker
from service.tests.support.postgres import unreachable
from service.tests.support.server import Service

#: What a test can't bring about on the way; those of ingest, health and limits do.
ELSEWHERE = {408, 429, 503}

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")


def masked(value: Any) -> Any:
    return json.loads(_MOMENT.sub("…", json.dumps(value)))


@pytest.mark.parametrize("name", HANDLERS)
def test_every_route_is_described(name: str) -> None:
    """A route without `@operation(…)` on its handler is not finished: see operation_docs."""
    assert operation_of(HANDLERS[name]) is not None, f"{name}: put @operation(…) on its handler"


def test_every_example_is_of_a_route() -> None:
    """No example is left behind by a route that went or was renamed."""
    assert load().keys() <= HANDLERS.keys()


@pytest.mark.parametrize("name", ROUTES)
def test_every_response_has_an_example(name: str) -> None:
    """Each status that a route declares has an example, or comes about in the tests below."""
    about, examples = ROUTES[name].operation, ROUTES[name].examples
    shown = {each.status_of(about) for each in examples}
    generic = {401, 403} if about.key is not None else set()
    plain = {status for status, each in about.responses.items() if isinstance(each, Text)}
    if name in ("GET /openapi.json", "GET /asyncapi.json"):
        plain = {200}  # the documents themselves
    missing = about.statuses - shown - generic - ELSEWHERE - plain
    if 101 in about.responses:
        missing -= {400, 401, 403}
    assert not missing, f"{name}: add an example for {missing}"
    summaries = [each.summary for each in examples]
    assert len(summaries) == len(set(summaries)), f"{name}: two examples of one name"


async def test_the_document_is_valid_and_whole(service: Service) -> None:
    """Valid OpenAPI 3.1; its operations are the application's routes; every id is its own."""
    async with service.http.get("/openapi.json") as response:
        document = await response.json()
    validate(document)
    found = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    assert found == ROUTES.keys()
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))
    # Two types of one name would be called by their modules.
    assert [name for name in document["components"]["schemas"] if "." in name] == []
    text = json.dumps(document)
    assert all(
        f"`{error.code}`" in text
        for route in ROUTES.values()
        for error in route.operation.every_error
    )


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


async def follow(caller: Caller, route: Route) -> None:
    """Run a route's examples in order."""
    about = route.operation
    for example in route.examples:
        expected = example.status_of(about)
        if example.needs_queue:
            caller.check(route, expected, "application/json", example.response)
            continue
        await caller.prepare(example)
        role = Role(about.key) if about.key is not None else Role.ADMIN
        status, media_type, body = await caller.call(route, example, caller.keys[role])
        assert status == expected, (route.name, example.summary, body)
        caller.check(route, status, media_type, body)
        if example.response is not msgspec.UNSET:
            assert masked(body) == masked(example.response), (route.name, example.summary)


async def test_every_example_is_true(service: Service) -> None:
    """An example's request, sent to a real service, is answered with its status and its response,
    and that is what its schema says. Each route has a project of its own."""
    database = Database(service.database_url, 2)
    await database.open()
    for number, route in enumerate(ROUTES.values()):
        if route.operation.key == "admin":
            continue
        project = f"p{number}"
        caller = Caller(service, project)
        for role in (Role.WRITE, Role.READ, Role.ADMIN):
            caller.keys[role] = await keys.create(database, project, role, role)
        await follow(caller, route)
    await database.close()


@pytest.mark.parametrize(
    "name", [name for name, route in ROUTES.items() if route.operation.key == "admin"]
)
async def test_every_example_for_admins_is_true(service: Service, name: str) -> None:
    """The same where all projects can be seen: each route has a database of its own."""
    await follow(Caller(service), ROUTES[name])


@pytest.mark.parametrize("kind", ["stranger", "unknown", "wrong role"])
async def test_keys_are_needed_as_it_says(service: Service, kind: str) -> None:
    """Without a key, with one that nobody has, and with one of the other role: each route with a
    key answers as it describes."""
    caller = Caller(service)
    other = {"write": Role.READ, "read": Role.WRITE, "admin": Role.READ}
    for route in ROUTES.values():
        about = route.operation
        if about.key is None:
            continue
        key = {"stranger": None, "unknown": "lt_none", "wrong role": service.keys[other[about.key]]}
        example = route.examples[0] if route.examples else Example(summary="")
        status, media_type, body = await caller.call(route, example, key[kind])
        expected = 403 if kind == "wrong role" or (about.login and kind == "unknown") else 401
        assert status == expected, (route.name, body)
        caller.check(route, status, media_type, body)


async def test_without_a_database_every_route_says_so(
    service: Service, postgres: LocalPostgres
) -> None:
    """Postgres away: whatever needs it answers 503 as it describes, with Retry-After."""
    caller = Caller(service)

    async def ask(route: Route) -> None:
        key = service.keys[Role(route.operation.key)]
        status, media_type, body = await caller.call(route, route.examples[0], key)
        assert status == 503, (route.name, status, body)
        caller.check(route, status, media_type, body)

    needing = [route for route in ROUTES.values() if route.operation.key and route.examples]
    with unreachable(postgres, service.database_url):
        await asyncio.gather(*map(ask, needing))


async def test_the_live_protocol_is_as_described(service: Service) -> None:
    """AsyncAPI 3.0: every message of a real connection, of each topic and kind, is of its schema;
    what clients may send, too."""
    async with service.http.get("/asyncapi.json") as response:
        document = await response.json()
    assert document["asyncapi"] == "3.0.0"
    names = document["channels"]["live"]["messages"].keys()
    payload = {
        name: checker(document, f"/components/messages/{name}/payload", strict=True)
        for name in names
    }
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", ()):
            payload[name].validate(example["payload"])

    seen: set[str] = set()
    sends: list[dict[str, Any]] = [
        {"type": "subscribe", "id": 1, "topic": {"totals": "click"}},
        {"type": "subscribe", "id": 2, "topic": {"feed": "click", "since": {}}},
        {"type": "subscribe", "id": "three", "topic": {"items": "van"}},
        {"type": "subscribe", "id": 4, "topic": {"item": ["van", "1"]}},
        {"type": "subscribe", "id": 5, "topic": {"pointers": "/"}},
        {"type": "subscribe", "id": 6, "topic": {"totals": "click", "subjects": ["red"]}},
        {"type": "subscribe", "id": 7, "topic": {"admin": True}},
        {"type": "subscribe", "id": 8, "topic": {"pointers": "/", "project": "demo"}},
        {"type": "ping"},
        {"type": "track", "ref": "a", "events": [{"type": "click", "subject": "red"}]},
        {
            "type": "track",
            "ref": 2,
            "events": [
                {
                    "type": "pointer",
                    "subject": "/",
                    "session": "s",
                    "properties": {"x": 0.5, "y": 0.25},
                },
                {"type": "bad"},
            ],
        },
        {"type": "unsubscribe", "id": 4},
    ]
    async with service.live(key=service.keys[Role.ADMIN]) as live:
        payload["ready"].validate({"type": "ready", "project": "demo", "role": "admin"})
        for message in sends:
            payload[message["type"]].validate(message)
            await live.send(**message)
        await live.send(type="unsubscribe", id=99)  # an error
        headers = {"x-api-key": service.keys[Role.ADMIN]}
        await (await service.http.put("/v1/items/van/1", json={"a": 1}, headers=headers)).read()
        await (await service.http.delete("/v1/items/van/1", headers=headers)).read()
        wanted = {"snapshot", "update", "events", "pong", "ack", "unsubscribed", "error"}
        pointed = removed = False
        async with asyncio.timeout(20):
            while not (wanted <= seen and pointed and removed):
                message = await live.receive()
                payload[message["type"]].validate(message)
                seen.add(message["type"])
                pointed |= bool(message.get("pointers"))
                removed |= any(item.get("removed") for item in message.get("items", ()))
    assert seen <= names
