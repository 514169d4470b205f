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
from service.tests.support.server import Live, Service

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
