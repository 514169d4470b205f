"""GET /v1/verify: says that everything agrees, and where it does not."""

import asyncio
from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Service


async def verify(service: Service, key: Role = Role.ADMIN, **parameters: str) -> dict[str, Any]:
    headers = {"x-api-key": service.keys[key]}
    async with service.http.get("/v1/verify", params=parameters, headers=headers) as response:
        return {"status": response.status, **await response.json()}


async def count_some(service: Service) -> None:
    for n in range(3):
        await service.post(
            [{"type": t, "subject": f"s{i % 7}"} for t in ("click", "hover") for i in range(20 + n)]
        )


async def test_counts_that_agree_are_said_to_be_exact(service: Service) -> None:
    """After some load log, totals, minutes, positions and viewers agree."""
    async with service.live() as live:
        await live.subscribe(1, {"totals": "click"})
        await count_some(service)
        await live.until_total(63)
        assert await verify(service) == {
            "status": 200,
            "project": "demo",
            "exact": True,
            "events": 126,
            "total": 126,
            "differences": [],
            "hub": [],
        }
    await make_keys(service.database_url, "other")
    assert (await verify(service, project="other"))["total"] == 0
    assert (await verify(service, project="nobody"))["status"] == 404


@pytest.mark.parametrize(
    ("damage", "between"),
    [
        ("DELETE FROM events WHERE seq = 5", {"log and positions", "log and totals"}),
        (
            "UPDATE totals SET n = n + 1 WHERE type = 'click' AND subject = 's1'",
            {"log and totals", "subjects and grand total", "minutes and totals"},
        ),
        (
            "UPDATE totals SET n = n - 1 WHERE type = 'click' AND subject = ''",
            {"positions and totals", "subjects and grand total", "minutes and totals"},
        ),
        ("UPDATE minutes SET n = n + 1 WHERE type = 'hover'", {"minutes and totals"}),
        ("UPDATE slots SET seq = seq + 1", {"log and positions", "positions and totals"}),
        ("DELETE FROM totals WHERE subject = 's2'", {"log and totals", "subjects and grand total"}),
    ],
)
async def test_every_damage_is_found(service: Service, damage: str, between: set[str]) -> None:
    """Whatever is changed behind its back, it says what doesn't agree with what."""
    await count_some(service)
    query(service.database_url, damage)
    found = await verify(service)
    assert found["exact"] is False
    assert {each["between"] for each in found["differences"]} >= between


async def test_what_a_viewer_was_shown_is_compared(service: Service) -> None:
    """A count that changed in Postgres alone, without a position, shows as the hub's difference."""
    async with service.live() as live:
        await live.subscribe(1, {"totals": "click"})
        await service.post({"type": "click", "subject": "red"})
        await live.until_total(1)
        query(service.database_url, "UPDATE totals SET n = 5 WHERE subject = 'red'")
        found = await verify(service)
        assert found["hub"] == [{"topic": "totals of click", "at": "red, slot 0", "counts": [1, 5]}]


async def test_a_dropped_day_is_no_difference(service: Service) -> None:
    """When a day of the log was dropped in good order, what is left still agrees."""
    await count_some(service)
    day = query(service.database_url, "SELECT (received_at AT TIME ZONE 'UTC')::date FROM events")
    query(service.database_url, "SELECT livetally_forget_day(%s)", day[0][0])
    query(service.database_url, "SELECT livetally_roll_partitions(3)")
    await service.post({"type": "click", "subject": "red"})
    found = await verify(service)
    assert (found["exact"], found["events"], found["total"]) == (True, 1, 127)


async def test_only_an_admin_may_ask(service: Service) -> None:
    """It reads the whole log and other projects: keys of other roles get 403."""
    for role in (Role.READ, Role.WRITE, Role.READ_WRITE):
        assert (await verify(service, role))["status"] == 403
    async with service.http.get("/v1/verify") as response:
        assert response.status == 401


async def test_under_load_what_is_on_its_way_is_no_difference(service: Service) -> None:
    """While events are being committed it says exact at any moment."""
    async with service.live() as live:
        await live.subscribe(1, {"totals": "click"})
        loading = asyncio.gather(*(count_some(service) for _ in range(20)))
        while not loading.done():
            found = await verify(service)
            assert found["exact"], found
        await loading
