"""Server-sent events: the hub's messages for a plain EventSource."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.postgres import query as sql
from service.tests.support.server import Service, serving
from service.tests.support.waiting import until

#: A busy machine's database may be away for a moment, which any stream may say at any time.
_STATES = ("stale", "fresh")


class Stream:
    """What an EventSource does with a response: it joins fields into messages with ids."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.comments = 0

    async def receive(self) -> dict[str, Any]:
        data: list[str] = []
        async with asyncio.timeout(10):
            async for raw in self.response.content:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                match field:
                    case "id":
                        self.last_id = value
                    case "data":
                        data.append(value)
                    case "":
                        self.comments += bool(value)
                        if data and (message := json.loads("\n".join(data)))["type"] not in _STATES:
                            return message
                        data.clear()
        raise EOFError


@contextlib.asynccontextmanager
async def stream(service: Service, last_id: str = "", **query: Any) -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    query = {"api_key": service.keys[Role.READ], **query}
    async with service.http.get("/v1/live/sse", params=query, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def test_totals_come_as_a_snapshot_and_updates(service: Service) -> None:
    """The same messages as over the websocket, for all subjects or some."""
    await service.post({"type": "click", "subject": "red"})
    async with (
        stream(service, totals="click") as all_,
        stream(service, totals="click", subject=["blue", "grün"]) as some,
    ):
        assert await all_.receive() == {
            "type": "snapshot",
            "id": 1,
            "totals": {"red": 1},
            "total": 1,
        }
        assert (await some.receive())["totals"] == {"blue": 0, "grün": 0}
        await service.post({"type": "click", "subject": "grün"})
        assert (await all_.receive())["totals"] == {"grün": 1}
        assert await some.receive() == {
            "type": "update",
            "id": 1,
            "totals": {"grün": 1},
            "total": 1,
        }


async def test_a_feed_goes_on_where_the_browser_left_off(service: Service) -> None:
    """`Last-Event-ID` is the position: nothing is lost, nothing comes twice."""
    async with stream(service, feed="click") as first:
        await first.receive()
        await service.post({"id": "a", "type": "click", "subject": "red\nblue"})
        assert [each["id"] for each in (await first.receive())["events"]] == ["a"]
    await service.post([{"id": i, "type": "click", "subject": "red"} for i in "bc"])
    ids: list[str] = []
    async with stream(service, first.last_id, feed="click") as again:
        while len(ids) < 2:
            ids += [each["id"] for each in (await again.receive())["events"]]
    assert ids == ["b", "c"]


async def test_items_come_too(service: Service) -> None:
    """An item, its changes, and its removal."""
    async with stream(service, item="van/3") as one, stream(service, items="van") as all_:
        assert (await one.receive())["items"] == (await all_.receive())["items"] == []
        headers = {"x-api-key": service.keys[Role.WRITE]}
        async with service.http.put("/v1/items/van/3", json={"a": "b"}, headers=headers):
            pass
        assert (await one.receive())["items"][0]["value"] == {"a": "b"}
        assert (await all_.receive())["items"][0]["version"] == 1


async def test_pings_are_comments_and_a_gone_client_is_noticed(
    database_url: str, redis_url: str
) -> None:
    """An idle stream carries comments; when its client goes, the server forgets it."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, ping_interval_s=1) as service:
        async with stream(service, totals="click") as idle:
            await idle.receive()
            reading = asyncio.create_task(idle.receive())
            await until(lambda: idle.comments, 10)
            reading.cancel()

        async def forgotten() -> bool:
            async with service.http.get("/metrics") as response:
                return "livetally_viewers 0.0" in await response.text()

        await until(forgotten, 10)


async def test_a_stream_ends_when_the_server_stops(database_url: str, redis_url: str) -> None:
    """On shutdown the response is completed, so that an EventSource reconnects."""
    keys = await make_keys(database_url)
    async with contextlib.AsyncExitStack() as outlives:
        async with serving(database_url, redis_url, keys) as service:
            url = f"{service.url}/v1/live/sse?totals=click&api_key={keys[Role.READ]}"
            client = await outlives.enter_async_context(aiohttp.ClientSession())
            open_ = Stream(await outlives.enter_async_context(client.get(url)))
            await open_.receive()
        with pytest.raises(EOFError):
            await open_.receive()


@pytest.mark.parametrize(
    ("query", "last_id", "status"),
    [
        ({}, "", 400),
        ({"totals": "click", "feed": "click"}, "", 400),
        ({"totals": "click", "colour": "red"}, "", 400),
        ({"totals": ""}, "", 400),
        ({"item": "van"}, "", 400),
        ({"items": "1"}, "", 400),
        ({"feed": "click"}, "nonsense", 400),
        ({"feed": "click"}, '{"0":99}', 400),
        ({"feed": "click"}, "[" * 5000, 400),
        ({"totals": "click", "api_key": "wrong"}, "", 401),
    ],
)
async def test_what_is_wrong_is_said_before_the_stream_begins(
    service: Service, query: dict[str, str], last_id: str, status: int
) -> None:
    """An EventSource stops at a status that isn't 200; the body says why."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    query = {"api_key": service.keys[Role.READ], **query}
    async with service.http.get("/v1/live/sse", params=query, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["error"]["message"]


async def test_a_stream_needs_a_read_key(service: Service) -> None:
    """A write key gets 403; a key that is revoked ends the stream."""
    query = {"totals": "click", "api_key": service.keys[Role.WRITE]}
    async with service.http.get("/v1/live/sse", params=query) as response:
        assert response.status == 403
    key = await make_key(service.database_url, "demo", Role.READ, "short-lived")
    async with stream(service, totals="click", api_key=key) as open_:
        await open_.receive()
        sql(service.database_url, "UPDATE keys SET revoked_at = now() WHERE name = 'short-lived'")
        assert (await open_.receive())["code"] == "unknown_key"
        with pytest.raises(EOFError):
            await open_.receive()
