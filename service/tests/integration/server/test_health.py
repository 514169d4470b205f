"""What operators ask a process: is it alive, may it have traffic, and what did it do?"""

import asyncio
from typing import Any

import pytest

from livetally.dev.servers import LocalPostgres
from livetally.ops import health
from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys, unreachable
from service.tests.support.process import free_port
from service.tests.support.server import Service, serving

RED = {"type": "click", "subject": "red"}


async def ask(service: Service, path: str) -> tuple[int, dict[str, Any]]:
    async with service.http.get(path) as response:
        return response.status, await response.json()


async def until_status(service: Service, status: str) -> tuple[int, dict[str, Any]]:
    """Ask /readyz until it says so."""
    async with asyncio.timeout(30):
        while True:
            code, report = await ask(service, "/readyz")
            if report["status"] == status:
                return code, report


async def test_all_is_well(service: Service) -> None:
    """A process with Postgres and Redis is alive and ready, without a reason not to be."""
    assert await ask(service, "/healthz") == (200, {"status": "alive", "reasons": []})
    assert await until_status(service, "ready") == (200, {"status": "ready", "reasons": []})


async def test_a_stuck_loop_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that hasn't turned for too long makes the process one to be started again."""
    monkeypatch.setattr(health, "SILENCE_S", -1.0)
    for path, status in (("/healthz", "stuck"), ("/readyz", "unavailable")):
        code, report = await ask(service, path)
        assert (code, report["status"]) == (503, status)
        assert "batcher is stuck" in report["reasons"]


async def test_without_redis_it_is_degraded(database_url: str) -> None:
    """Redis away: ready for traffic, with the reason; events are stored and shown all the same."""
    keys = await make_keys(database_url)
    nowhere = f"redis://127.0.0.1:{free_port()}"
    async with serving(database_url, nowhere, keys) as service:
        code, report = await until_status(service, "degraded")
        assert code == 200
        assert any(reason.startswith("Redis can't be heard") for reason in report["reasons"])
        async with service.live() as viewer:
            await viewer.subscribe(1, {"totals": "click"})
            assert (await service.post(RED))[0] == 200
            assert (await viewer.receive())["total"] == 1


async def test_without_postgres_it_is_unavailable(
    service: Service, postgres: LocalPostgres
) -> None:
    """Postgres away: no traffic, with the reason, and 503 for who comes nevertheless; alive all
    the time, and ready again by itself."""
    await until_status(service, "ready")
    with unreachable(postgres, service.database_url):
        code, report = await until_status(service, "unavailable")
        assert code == 503
        assert any("Postgres can't be reached" in reason for reason in report["reasons"])
        assert (await ask(service, "/healthz"))[0] == 200
        headers = {"x-api-key": service.keys[Role.WRITE]}
        async with service.http.post("/v1/events", json=RED, headers=headers) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
    await until_status(service, "ready")
    assert (await service.post(RED))[0] == 200


async def test_the_metrics_move(service: Service) -> None:
    """Everything that is promised is counted: requests, events by what became of them, batches
    and their times, the queue, viewers, frames, and the time from commit to frame."""
    before = await service.metrics()
    async with service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        await service.post([{**RED, "id": "a"}, {**RED, "id": "a"}, {"type": 5}])
        await viewer.receive()
        after = await service.metrics()

    def moved(name: str) -> float:
        return after[name] - before.get(name, 0)

    post = '{method="POST"}{route="/v1/events"}{status="200"}'
    assert moved(f"livetally_http_requests_total{post}") == 1
    assert moved('livetally_http_request_seconds_count{route="/v1/events"}') == 1
    assert moved("livetally_events_accepted_total") == 1
    assert moved("livetally_events_duplicate_total") == 1
    assert moved('livetally_events_rejected_total{cause="invalid_event"}') == 1
    assert moved("livetally_batch_events_count") == 1
    assert moved("livetally_batch_events_sum") == 2
    assert moved("livetally_commit_seconds_count") == 1
    assert moved("livetally_commit_seconds_sum") > 0
    assert moved("livetally_viewers") == 1
    assert moved("livetally_subscriptions") == 1
    assert moved("livetally_frames_sent_total") >= 2
    assert moved("livetally_lag_seconds_count") == 1
    assert after["livetally_queue_events"] == 0
    assert after["livetally_frames_skipped_total"] == 0
    assert after["livetally_publish_failures_total"] == 0


async def test_requests_are_counted_by_route_not_by_path(service: Service) -> None:
    """Whatever paths are asked for, the number of series stays small."""
    for number in range(20):
        async with service.http.get(f"/nowhere/{number}") as response:
            assert response.status == 404
    found = await service.metrics()
    unmatched = 'livetally_http_requests_total{method="GET"}{route="unmatched"}{status="404"}'
    assert found[unmatched] == 20
    assert not [name for name in found if "nowhere" in name]
