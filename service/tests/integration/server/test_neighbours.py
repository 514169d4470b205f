"""What one project's clients ask changes nothing for the others, and nothing for health.

A query that never ends is one of a period while the table `rolled_up` is locked: whoever asks
without a period isn't held up by it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import aiohttp
import psycopg
import pytest

from livetally.db import database
from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys, query
from service.tests.support.process import Process
from service.tests.support.server import Live, Service, serving
from service.tests.support.waiting import until

RED = {"type": "click", "subject": "red"}
#: A reader's question of a period.
PERIOD = {"type": "click", "from": "2026-01-01T00:00:00Z", "top": "10"}


@contextlib.contextmanager
def locked(database_url: str, table: str) -> Iterator[None]:
    """Who reads this table waits for as long as this lasts."""
    with psycopg.connect(database_url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def endless_periods(database_url: str) -> contextlib.AbstractContextManager[None]:
    return locked(database_url, "rolled_up")


def running(database_url: str) -> list[str]:
    """The queries that run for clients now."""
    activity = "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
    reading = f"{activity} AND application_name = 'livetally read' AND state = 'active'"
    return [text for (text,) in query(database_url, reading)]


class Attacker:
    """Asks for periods with the read key of a project, all the time."""

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._key = key
        self.answers: list[tuple[int, dict[str, Any], str | None]] = []
        self.answered = asyncio.Event()

    @contextlib.asynccontextmanager
    async def asking(self, connections: int) -> AsyncIterator["Attacker"]:
        tasks = [asyncio.create_task(self._ask()) for _ in range(connections)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self) -> None:
        while True:
            headers = {"x-api-key": self._key}
            async with self._service.http.get(
                "/v1/stats", params=PERIOD, headers=headers
            ) as response:
                answer = (response.status, await response.json())
                self.answers.append((*answer, response.headers.get("Retry-After")))
                self.answered.set()


async def until_counted(viewer: Live, total: int) -> None:
    """Follow a viewer of totals until it shows this; it is never told that it is stale."""
    while True:
        message = await viewer.receive()
        assert message["type"] in ("snapshot", "update"), message
        if message["total"] == total:
            return


async def until_stale(viewer: Live) -> None:
    """Follow a viewer that asks for too much until it is told that what it has may be old."""
    while (message := await viewer.receive())["type"] != "stale":
        assert message["code"] == "overloaded", message


@pytest.fixture
async def big(database_url: str) -> dict[Role, str]:
    """The keys of the project that attacks."""
    return await make_keys(database_url, "big")


async def test_health_never_waits_behind_clients(service: Service, big: dict[Role, str]) -> None:
    """While clients of one project hold all connections for reading: the process is ready, keys
    never seen before are found, events are stored, and viewers are shown them, never stale."""
    fresh = [await make_key(service.database_url, "demo", Role.WRITE, f"w{i}") for i in range(10)]
    async with service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        with endless_periods(service.database_url):
            async with Attacker(service, big[Role.READ]).asking(16) as attacker:
                for count, key in enumerate(fresh, 1):
                    assert (await service.post(RED, key=key))[0] == 200
                    async with service.http.get("/readyz") as response:
                        assert response.status == 200
                    await until_counted(viewer, count)
                    if count == 5:
                        async with asyncio.timeout(20):
                            await attacker.answered.wait()


async def test_a_project_s_reads_leave_the_others_theirs(
    database_url: str, redis_url: str, big: dict[Role, str]
) -> None:
    """While one project asks on 16 connections what takes for ever, another one's reads are
    answered, and the asker is told that he asks too much, and when to ask again."""
    keys = await make_keys(database_url)
    rates = {"key_read_rate": 100_000, "project_read_rate": 100_000}
    async with serving(database_url, redis_url, keys, **rates) as service:
        await service.post(RED)
        with endless_periods(service.database_url):
            async with Attacker(service, big[Role.READ]).asking(16) as attacker:
                while len(attacker.answers) < 16:
                    assert (await service.stats(type="click"))["total"] == 1
                    assert (await service.stats(type="click", top=10))["total"] == 1
        told = {(status, body["error"]["code"], again) for status, body, again in attacker.answers}
        assert (503, "overloaded", "1") in told
        assert (await service.metrics())['livetally_reads_refused_total{cause="busy"}'] >= 13


@pytest.mark.parametrize("whose", ["key", "project"])
async def test_reads_have_a_rate(
    database_url: str, redis_url: str, big: dict[Role, str], whose: str
) -> None:
    """Reads of a key, and of all keys of a project, beyond so many a second: refused with 429 and
    when to come again, over HTTP, as a stream and on a websocket; what is watched already, writes,
    and the others' reads go on."""
    keys = await make_keys(database_url)
    rate = {f"{whose}_read_rate": 1}
    async with serving(database_url, redis_url, big, **rate) as service, service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        while "error" not in (answer := await service.stats(type="click")):
            pass
        assert answer["error"]["code"] == "overloaded"
        for path in ("/v1/stats?type=click", "/v1/live/sse?totals=hover"):
            headers = {"x-api-key": big[Role.READ]}
            async with service.http.get(path, headers=headers) as response:
                assert (response.status, response.headers["Retry-After"]) == (429, "1")
        refused = await viewer.subscribe(2, {"totals": "hover"})
        assert (refused["code"], refused["retry_after_s"]) == ("overloaded", 1)
        assert (await viewer.subscribe(3, {"totals": "click"}))["type"] == "snapshot"
        assert (await service.post(RED))[0] == 200
        assert (await viewer.receive())["total"] == 1
        assert (await service.stats(key=keys[Role.READ], type="click"))["total"] == 0
        cause = f"{whose}_rate"
        assert (await service.metrics())[f'livetally_reads_refused_total{{cause="{cause}"}}'] >= 4


@contextlib.asynccontextmanager
async def asked_by_http(service: Service, _: object) -> AsyncIterator[None]:
    """A client that asks for a period, and goes away."""
    async with Attacker(service, service.keys[Role.READ]).asking(1):
        yield


@contextlib.asynccontextmanager
async def streamed(service: Service, topic: str) -> AsyncIterator[None]:
    """A client that wants events as a stream, and goes away."""
    headers = {"x-api-key": service.keys[Role.READ]}
    asking = asyncio.create_task(
        service.http.get("/v1/live/sse", params={"totals": topic}, headers=headers).__aenter__()
    )
    yield
    asking.cancel()


@contextlib.asynccontextmanager
async def watched(service: Service, topic: str, how: str) -> AsyncIterator[None]:
    """A viewer of a hundred topics, who drops or closes the connection, or unsubscribes."""
    async with service.live() as viewer:
        for id in range(100):
            await viewer.send(type="subscribe", id=id, topic=TOPICS[topic](id))
        yield
        if how == "drop":
            viewer.socket._response.connection.transport.abort()
        if how == "unsubscribe":
            for id in range(100):
                await viewer.send(type="unsubscribe", id=id)
            while (await viewer.receive())["type"] != "unsubscribed":
                pass
            await until(lambda: not running(service.database_url), 20)


@contextlib.asynccontextmanager
async def old_socket(service: Service, _: object) -> AsyncIterator[None]:
    """A viewer of the cable (format 2), who drops the connection."""
    address = f"/v1/events/cable?api_key={service.keys[Role.READ]}"
    async with service.http.ws_connect(address) as socket:
        for channel in ("ClicksChannel", "HoversChannel"):
            identifier = json.dumps({"channel": channel})
            await socket.send_json({"command": "subscribe", "identifier": identifier})
        yield
        socket._response.connection.transport.abort()


#: The topics that are watched, by number.
TOPICS: dict[str, Callable[[int], dict[str, Any]]] = {
    "totals": lambda id: {"totals": f"type{id}"},
    "feed": lambda id: {"feed": "click", "subject": f"none{id}", "since": {}},
    "items": lambda id: {"items": f"van-{chr(97 + id // 26)}{chr(97 + id % 26)}"},
}


@pytest.mark.parametrize(
    ("ask", "table"),
    [
        (partial(asked_by_http), "rolled_up"),
        (partial(streamed), "totals"),
        (partial(watched, how="close"), "totals"),
        (partial(watched, how="drop"), "totals"),
        (partial(watched, how="unsubscribe"), "totals"),
        (partial(watched, how="drop"), "feed"),
        (partial(watched, how="drop"), "items"),
        (partial(old_socket), "totals"),
    ],
)
async def test_nothing_is_read_for_who_has_gone(
    service: Service, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any], table: str
) -> None:
    """A client that goes away, by whatever way it asked, leaves no query behind in Postgres; not
    because it would have taken too long."""
    monkeypatch.setattr(database, "READ_TIMEOUT_S", 100)
    await service.post(RED)
    with locked(service.database_url, {"feed": "events"}.get(table, table)):
        async with ask(service, table):
            await until(lambda: bool(running(service.database_url)), 20)
        await until(lambda: not running(service.database_url), 20)


async def test_what_takes_too_long_is_ended(service: Service) -> None:
    """A query whose client was told that it took too long has ended in Postgres, too."""
    with endless_periods(service.database_url):
        assert (await service.stats(**PERIOD))["error"]["code"] == "database_unavailable"
        await until(lambda: not running(service.database_url), 20)


async def test_an_id_is_free_again_at_once(service: Service) -> None:
    """A subscription that still waits for its topic can be taken back, and its id used again."""
    async with service.live() as viewer:
        with locked(service.database_url, "totals"):
            await viewer.send(type="subscribe", id=1, topic={"totals": "hover"})
            await viewer.send(type="unsubscribe", id=1)
            await viewer.send(type="subscribe", id=1, topic={"feed": "click"})
            assert (await viewer.receive()) == {"type": "unsubscribed", "id": 1}
            assert (await viewer.receive())["type"] == "events"
        assert (await viewer.subscribe(1, {"totals": "click"}))["code"] == "conflict"


@pytest.mark.parametrize(
    ("topic", "table"), [({"feed": "click"}, "forgotten"), ({"items": "van-a"}, "items")]
)
async def test_one_topic_s_failure_makes_one_topic_stale(
    service: Service, topic: dict[str, str], table: str
) -> None:
    """Where one topic can't be read, its viewers are told so, and that it is well again; those of
    other topics, of the same project too, are shown what is counted meanwhile, and never stale."""
    async with service.live() as viewer, service.live() as other:
        await viewer.subscribe(1, topic)
        await other.subscribe(1, {"totals": "click"})
        with locked(service.database_url, table):
            await service.post(RED)
            await until_counted(other, 1)
            assert (await viewer.receive())["type"] == "stale"
            await service.post(RED)
            await until_counted(other, 2)
        while (await viewer.receive())["type"] != "fresh":
            pass
        await service.post(RED)
        await until_counted(other, 3)


async def test_a_viewer_of_many_topics_takes_nothing_from_the_others(
    service: Service, big: dict[Role, str]
) -> None:
    """While one websocket's hundred feeds read what takes for ever, another project is written,
    read and watched, and the process is ready; and when it has gone, nothing is read for it."""
    await service.post(RED, key=big[Role.WRITE])
    url = service.database_url
    keys = [await make_key(url, "demo", Role.WRITE, f"w{n}") for n in range(40)]
    async with service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        with locked(service.database_url, "forgotten"):
            async with service.live(big[Role.READ]) as attacker:
                for id in range(100):
                    await attacker.send(type="subscribe", id=id, topic=TOPICS["feed"](id))
                stale = asyncio.create_task(until_stale(attacker))
                total = 0
                while not stale.done():
                    total += 1
                    assert (await service.post(RED, key=keys[total % len(keys)]))[0] == 200
                    assert (await service.stats(type="click"))["total"] == total
                    async with service.http.get("/readyz") as response:
                        assert response.status == 200
                    await until_counted(viewer, total)
                await stale
            await until(lambda: not running(service.database_url), 20)


async def test_what_a_process_asked_ends_with_it(
    spawn: Callable[..., Process], database_url: str, demo_keys: dict[Role, str]
) -> None:
    """A process that is killed leaves no query behind, however long it would have run."""
    process = await asyncio.to_thread(spawn().wait_ready)
    with endless_periods(database_url):
        headers = {"x-api-key": demo_keys[Role.READ]}
        async with aiohttp.ClientSession(process.url, headers=headers) as http:
            asking = asyncio.create_task(http.get("/v1/stats", params=PERIOD).__aenter__())
            await until(lambda: bool(running(database_url)), 30)
            process.kill()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: not running(database_url), 10)
