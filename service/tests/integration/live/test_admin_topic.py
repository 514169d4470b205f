"""The live topic `admin`: every project's totals, exact, conflated, bounded, and for admin keys."""

from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import make_key
from service.tests.support.server import Live, Service, serving

TOPIC = {"admin": True}
Rows = dict[tuple[str, str, str], int]


class Table:
    """What a page would show."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.rows: Rows = {}
        self.total = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "snapshot":
            self.rows = {}
        self.rows |= {tuple(row[:3]): row[3] for row in frame["rows"]}
        self.total = frame["total"]

    async def until(self, rows: Rows, total: int) -> None:
        while (self.rows, self.total) != (rows, total):
            self.take(await self.live.receive())


async def test_all_projects_are_in_it(service: Service, redis_url: str) -> None:
    """What any project counts in any process is there, also of projects made meanwhile."""
    await service.post({"type": "click", "subject": "red"})
    async with (
        serving(service.database_url, redis_url, service.keys) as elsewhere,
        service.live(service.keys[Role.ADMIN]) as live,
    ):
        table = Table(live)
        table.take(await live.subscribe(1, TOPIC))
        assert (table.rows, table.total) == ({("demo", "click", "red"): 1}, 1)
        await elsewhere.post({"type": "click", "subject": "red"})
        await table.until({("demo", "click", "red"): 2}, 2)
        other = await make_key(service.database_url, "other", Role.WRITE)
        await elsewhere.post({"type": "käufe", "subject": "__proto__"}, key=other)
        wanted = {("demo", "click", "red"): 2, ("other", "käufe", "__proto__"): 1}
        await table.until(wanted, 3)


async def test_it_is_exact_without_redis(service: Service) -> None:
    """Other processes' counts come by the re-read when Redis is away."""
    nowhere = "redis://127.0.0.1:1"
    async with (
        serving(service.database_url, nowhere, service.keys, resync_interval_ms=200) as here,
        here.live(service.keys[Role.ADMIN]) as live,
    ):
        table = Table(live)
        table.take(await live.subscribe(1, TOPIC))
        await service.post([{"type": "click", "subject": "blue"}] * 3)
        await table.until({("demo", "click", "blue"): 3}, 3)


async def test_it_holds_the_largest_only(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """More subjects than it holds: the largest are shown, and the total is of everything."""
    monkeypatch.setattr("livetally.live.topics.admin.MAX_SUBJECTS", 2)
    monkeypatch.setattr("livetally.live.topics.admin.LOAD_S", 0.1)
    many = [{"type": "click", "subject": subject} for subject in "aaabbc"]
    await service.post(many)
    async with service.live(service.keys[Role.ADMIN]) as live:
        table = Table(live)
        table.take(await live.subscribe(1, TOPIC))
        assert (table.rows, table.total) == (
            {("demo", "click", "a"): 3, ("demo", "click", "b"): 2},
            6,
        )
        await service.post([{"type": "click", "subject": "c"}] * 4)
        await table.until({("demo", "click", "c"): 5, ("demo", "click", "a"): 3}, 10)


async def test_only_admin_keys_may(service: Service) -> None:
    """Every other role is told so, and the connection goes on."""
    for role in (Role.READ, Role.READ_WRITE):
        async with service.live(service.keys[role]) as live:
            assert (await live.subscribe(1, TOPIC))["code"] == "wrong_role"
            assert (await live.subscribe(2, {"totals": "click"}))["type"] == "snapshot"
    async with service.live(service.keys[Role.ADMIN]) as live:
        for topic in ({"admin": False}, {"admin": 1}, {"admin": True, "x": 1}):
            assert (await live.subscribe(1, topic))["code"] == "bad_request"
    headers = {"x-api-key": service.keys[Role.READ]}
    async with service.http.get("/v1/live/sse?admin=true", headers=headers) as response:
        assert response.status in (400, 403)
