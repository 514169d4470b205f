"""Every background loop is watched: one that stops turning makes /healthz say so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from livetally.base.config import Config
from livetally.ops.health import Health, Heartbeat
from livetally.ops.tasks import FAILED, end, start
from livetally.server.app import create_app
from livetally.server.loops import RUNNING
from livetally.server.process import make_runner
from livetally.worker.app import create_worker


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[web.Application]:
    runner = make_runner(app)
    await runner.setup()
    try:
        yield app
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("make", [create_app, create_worker])
async def test_every_loop_that_is_started_beats(
    make: Callable[[Config], web.Application],
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever runs in the background beats at its start and goes on beating, also while it has
    nothing to do for minutes."""
    beats: Counter[str] = Counter()
    turned = asyncio.Event()
    beat = Health.beat

    def note(health: Health, loop: str) -> None:
        beat(health, loop)
        beats[loop] += 1
        turned.set()

    monkeypatch.setattr(Health, "beat", note)
    config = Config(
        database_url=database_url,
        redis_url=redis_url,
        drain_s=0,
        emf_namespace="Livetally/test",
        archive_url=f"file://{tmp_path}",
    )
    async with asyncio.timeout(60), running(make(config)) as app:
        while not all(beats[loop] >= 3 for loop in app[RUNNING]):
            turned.clear()
            await turned.wait()


async def test_a_loop_that_never_turns_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat begins with the start, not with the first turn."""
    monkeypatch.setattr("livetally.ops.health.SILENCE_S", -1.0)
    health = Health()
    app = web.Application()
    app[FAILED] = asyncio.Event()

    async def hang(heart: Heartbeat) -> None:
        await asyncio.Event().wait()

    task = start(app, health, "hanging", hang)
    assert health.alive() == ["hanging is stuck"]
    await end([task])


async def test_a_rest_beats_and_ends_early() -> None:
    """A loop that waits for minutes beats meanwhile, and is woken by its event."""
    health = Health()
    heart = Heartbeat(health, "resting")
    wake = asyncio.Event()
    rest = asyncio.create_task(heart.rest(3600, until=wake))
    await asyncio.sleep(0)
    wake.set()
    async with asyncio.timeout(10):
        await rest


async def test_work_that_takes_too_long_stops_the_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a step returns or raises comes through; while it takes no longer than it may, the loop
    is alive, and then no more."""
    health = Health()
    heart = Heartbeat(health, "working")

    async def work() -> str:
        return "done"

    async def fail() -> str:
        raise ValueError("no")

    assert await heart.during(work(), 10) == "done"
    with pytest.raises(ValueError, match="no"):
        await heart.during(fail(), 10)

    monkeypatch.setattr("livetally.ops.health.SILENCE_S", 0.2)
    monkeypatch.setattr("livetally.ops.health.BEAT_S", 0.01)
    stuck = asyncio.create_task(heart.during(asyncio.sleep(3600), 0.1))
    async with asyncio.timeout(20):
        while not health.alive():  # noqa: ASYNC110
            await asyncio.sleep(0)  # a heart that has stopped has no event for that
    await end([stuck])
