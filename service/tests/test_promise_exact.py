"""Promise 3: what a dashboard shows becomes equal to what Postgres holds, whatever happens between.

The bound is 2 s from the fault's end. The services are processes; the viewers sum up as clients do.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from conftest import Process, make_keys, totals_in
from faults import Load, Relay, Viewer, all_show, ready, until, until_ready_is

from livetally.keys import Role
from livetally.local import LocalRedis

BOUND_S = 2


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LocalRedis]:
    """A Redis that a test may stop."""
    with LocalRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def watched() -> AsyncIterator[AsyncExitStack]:
    """Holds the viewers, and closes them before the processes are stopped."""
    async with AsyncExitStack() as stack:
        yield stack


async def two_processes(spawn: Callable[..., Process], redis_url: str) -> list[str]:
    processes = [spawn(LIVETALLY_REDIS_URL=redis_url) for _ in range(2)]
    for process in processes:
        await asyncio.to_thread(process.wait_ready)
    return [process.url for process in processes]


async def viewers_of(urls: list[str], read_key: str, watched: AsyncExitStack) -> list[Viewer]:
    """Two viewers of each process."""
    return [
        await watched.enter_async_context(Viewer(url, read_key).watching())
        for url in urls
        for _ in range(2)
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_messages_dropped_doubled_and_reordered_do_no_harm(
    seed: int,
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """With messages lost, repeated and shuffled on the way between two processes, and connections
    cut, every viewer of either is exact within 2 s of the faults' end."""
    print(f"seed {seed}")  # noqa: T201
    keys = await make_keys(database_url)
    load = Load(seed, keys[Role.WRITE])
    async with Relay("127.0.0.1", own_redis.port, seed).open() as relay:
        urls = await two_processes(spawn, relay.url(own_redis.url))
        viewers = await viewers_of(urls, keys[Role.READ], watched)
        relay.faulty = True
        async with load.running(*urls, http=1, websockets=1):
            for _ in range(3):
                faults = relay.faults + load.random.randint(20, 60)
                await until(lambda faults=faults: relay.faults >= faults, 60)
                relay.cut()
            viewers += await viewers_of(urls, keys[Role.READ], watched)  # some come late
            await load.until_acked(load.random.randint(100, 300))
        await load.settle(*urls, repeat=0)
        relay.heal()
        await all_show(viewers, database_url, BOUND_S)
    load.check_books(database_url)


async def test_a_last_message_that_is_lost_is_missed(
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """When the one message about the one last event is lost, viewers elsewhere see it all the
    same, though nothing follows that would tell."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    async with Relay("127.0.0.1", own_redis.port, 1).open() as relay:
        urls = await two_processes(spawn, relay.url(own_redis.url))
        viewers = await viewers_of(urls, keys[Role.READ], watched)
        relay.fall_silent()
        async with aiohttp.ClientSession() as http:
            event = {"id": "last", "type": "click", "subject": Viewer.FILTER[0]}
            assert await load.post(http, urls[0], [event])
        await all_show(viewers, database_url, BOUND_S)
        assert totals_in(database_url)[""] == 1


async def test_a_network_gone_silent_is_noticed(
    spawn: Callable[..., Process], database_url: str, own_redis: LocalRedis
) -> None:
    """When Redis neither answers nor closes, and nothing is published, /readyz says so
    nevertheless; reconnecting into the silence doesn't get the process stuck; then it is ready."""
    async with Relay("127.0.0.1", own_redis.port, 1).open() as relay:
        process = spawn(LIVETALLY_REDIS_URL=relay.url(own_redis.url))
        await asyncio.to_thread(process.wait_ready)
        await until_ready_is(process.url, "ready")
        relay.fall_silent()
        assert "Redis" in " ".join(await until_ready_is(process.url, "degraded"))
        relay.cut()
        assert "Redis" in " ".join(await until_ready_is(process.url, "degraded"))
        relay.heal()
        await until_ready_is(process.url, "ready")


async def test_redis_killed_and_started_under_load(
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """While Redis is gone events are counted, /readyz gives the reason, and viewers of the process
    that took an event see it at once; with Redis back all are exact within 2 s."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    urls = await two_processes(spawn, own_redis.url)
    viewers = await viewers_of(urls, keys[Role.READ], watched)
    # It reads Postgres again so rarely that what it shows at once is what it was told itself.
    alone = spawn(LIVETALLY_REDIS_URL=own_redis.url, LIVETALLY_RESYNC_INTERVAL_MS="60000")
    await asyncio.to_thread(alone.wait_ready)
    (neighbour,) = (await viewers_of([alone.url], keys[Role.READ], watched))[:1]
    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(200)
        own_redis.kill()
        await load.until_acked(200)
        for url in urls:
            assert "Redis" in " ".join(await until_ready_is(url, "degraded"))
            assert (await ready(url))[0] == 200
    await load.settle(*urls, repeat=0)
    await all_show(viewers, database_url, BOUND_S)  # without Redis too: by the re-read

    seen = neighbour.total["all"]
    async with aiohttp.ClientSession() as http:
        assert await load.post(http, alone.url, [{"id": "x", "type": "click", "subject": "new"}])
    await until(lambda: neighbour.topics["all"].get("new") == 1, 10)
    assert neighbour.total["all"] > seen

    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(100)
        await asyncio.to_thread(own_redis.start)
        await load.until_acked(100)
    await load.settle(*urls, repeat=0)
    await all_show(viewers, database_url, BOUND_S)
    for url in urls:
        await until_ready_is(url, "ready")
    load.check_books(database_url)
