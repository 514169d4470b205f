"""What one project's clients ask changes nothing for the others, and nothing for health.

A query that never ends is one of a period while the table `rolled_up` is locked: whoever asks
without a period isn't held up by it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from livetally.web.keys import Role
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.server import Live, Service, serving

RED = {"type": "click", "subject": "red"}
#: A reader's question of a period.
PERIOD = {"type": "click", "from": "2026-01-01T00:00:00Z", "top": "10"}


@contextlib.contextmanager
def endless_periods(database_url: str) -> Iterator[None]:
    """Who asks for a period waits for as long as this lasts."""
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE rolled_up IN ACCESS EXCLUSIVE MODE")
        yield


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
