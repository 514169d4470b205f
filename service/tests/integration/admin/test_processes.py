"""The list of processes: each is there while it serves, with what it does, and no longer."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

PATH = "/admin/v1/processes"


async def ask(service: Service, role: Role = Role.ADMIN) -> tuple[int, dict[str, Any]]:
    async with service.http.get(PATH, headers={"x-api-key": service.keys[role]}) as response:
        return response.status, await response.json()


async def until(service: Service, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The answer, once it is as wanted."""
    deadline = time.monotonic() + 30
    while True:
        _, found = await ask(service)
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


async def test_a_process_is_there_while_it_serves(
    service: Service, spawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tells its viewers, subscriptions and events a second; one that was killed is gone."""
    other: Process = spawn()
    await asyncio.to_thread(other.wait_ready)
    async with service.http.ws_connect(other.url.replace("http", "ws") + "/v1/live") as socket:
        await socket.send_json({"type": "auth", "key": service.keys[Role.READ]})
        await socket.send_json({"type": "subscribe", "id": 1, "topic": {"totals": "click"}})

        def busy(found: dict[str, Any]) -> bool:
            return any(
                (each["pid"], each["viewers"], each["subscriptions"]) == (other.process.pid, 1, 1)
                for each in found["processes"]
            )

        found = await until(service, busy)

    assert found["complete"] is True
    await service.post([{"type": "click", "subject": "red"}] * 100)
    await until(service, lambda found: any(p["events_per_s"] > 1 for p in found["processes"]))
    monkeypatch.setattr("livetally.api.processes.SILENT_S", 3)
    other.kill()
    await until(
        service,
        lambda found: all(each["pid"] != other.process.pid for each in found["processes"]),
    )


async def test_it_says_when_it_can_not_know(service: Service) -> None:
    """Redis away: the process that is asked is listed, and that the others are not known."""
    async with serving(service.database_url, "redis://127.0.0.1:1", service.keys) as alone:
        status, found = await ask(alone)
    assert status == 200
    assert (found["complete"], len(found["processes"])) == (False, 1)
    assert "Redis" in found["reason"]


async def test_only_admin_keys_may(service: Service) -> None:
    """Other roles are refused."""
    for role in (Role.WRITE, Role.READ, Role.READ_WRITE):
        assert (await ask(service, role))[0] == 403
