"""Postgres goes away under load, in every way it can: 503, sockets stay, and all heals."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres, LocalRedis
from livetally.schema.keys import Role
from service.tests.support.faults.load import Load
from service.tests.support.faults.viewers import Viewer, all_show
from service.tests.support.postgres import make_keys, query
from service.tests.support.process import Process, paused
from service.tests.support.waiting import ready, until, until_ready_is

BOUND_S = 2


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A Postgres that a test may stop; running at the start of each test."""
    with LocalPostgres(tmp_path_factory.mktemp("own-postgres")) as server:
        yield server


@pytest.fixture
def database_url(own_postgres: LocalPostgres, request: pytest.FixtureRequest) -> str:
    """A database of this test's own in it."""
    name = f"test_{abs(hash(request.node.name))}"
    own_postgres.create_database(name)
    asyncio.run(migrate(own_postgres.dsn(name)))
    return own_postgres.dsn(name)


@contextlib.contextmanager
def stopped(server: LocalPostgres) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextlib.contextmanager
def killed(server: LocalPostgres) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextlib.asynccontextmanager
async def away(
    how: Callable[[LocalPostgres], contextlib.AbstractContextManager[None]], server: LocalPostgres
) -> AsyncIterator[None]:
    """Postgres is away as long as the block runs; the loop goes on while it stops and starts."""
    fault = how(server)
    await asyncio.to_thread(fault.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(fault.__exit__, None, None, None)


@pytest.mark.parametrize("how", [stopped, killed, paused])
async def test_postgres_away_under_load(
    how: Callable[[LocalPostgres], contextlib.AbstractContextManager[None]],
    spawn: Callable[..., Process],
    own_postgres: LocalPostgres,
    database_url: str,
) -> None:
    """Stopped, killed or hanging, Postgres's absence is answered with 503 and Retry-After, told to
    the viewers, who stay, and to /readyz; when it is back everything acknowledged is there once,
    and every viewer is exact within 2 s of the first commit."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    process = spawn(LIVETALLY_COMMIT_TIMEOUT_MS="500")
    await asyncio.to_thread(process.wait_ready)
    url = process.url
    async with (
        Viewer(url, keys[Role.READ]).watching() as first,
        Viewer(url, keys[Role.READ]).watching() as second,
    ):
        viewers = [first, second]
        async with load.running(url):
            await load.until_acked(200)
            async with away(how, own_postgres):
                load.refusals.clear()
                acked = len(load.acked)
                await until(lambda: len(load.refusals) >= 20, 60)
                for viewer in viewers:
                    await until(lambda viewer=viewer: viewer.states == ["stale"], 30)
                (reason, *_) = await until_ready_is(url, "unavailable")
                assert "Postgres" in reason
                assert (await ready(url))[0] == 503
                await stays_alive(url)
                refused = load.refusals[:]
                assert len(load.acked) - acked < 200, "acknowledged without a database"
            await load.until_acked(200)
        await load.settle(url)
        await all_show(viewers, database_url, BOUND_S)
        for viewer in viewers:
            await until(lambda viewer=viewer: viewer.states == ["stale", "fresh"], BOUND_S)
            assert not viewer.errors
            assert not viewer.closed.is_set()
    await until_ready_is(url, "ready")
    load.check_books(database_url)
    assert {(status, code) for status, _, code, _ in refused} == {(503, "database_unavailable")}
    assert all(int(retry_after or 0) >= 1 for _, retry_after, _, _ in refused)
    # A commit is given up after half a second, a look at a key after five.
    assert max(took for *_, took in refused) < 10
    assert process.stop() == 0


async def stays_alive(url: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(url + "/healthz") as response:
        assert response.status == 200, await response.text()


async def events_wait(url: str) -> bool:
    """Whether events queue behind a commit that is under way."""
    async with aiohttp.ClientSession() as http, http.get(url + "/metrics") as response:
        return "\nlivetally_queue_events 0.0\n" not in await response.text()


async def test_a_hang_gets_no_loop_stuck(
    spawn: Callable[..., Process], own_postgres: LocalPostgres, database_url: str, tmp_path: Path
) -> None:
    """Postgres and Redis both hang for longer than a loop may be silent, at the default settings
    and under load; /healthz stays 200, because a new process would be no better off."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    with LocalRedis(tmp_path / "redis") as own_redis:
        process = spawn(LIVETALLY_REDIS_URL=own_redis.url)
        await asyncio.to_thread(process.wait_ready)
        async with (
            Viewer(process.url, keys[Role.READ]).watching() as viewer,
            load.running(process.url, http=2, websockets=1),
        ):
            await load.until_acked(50)
            with paused(own_redis):
                await load.until_acked(50)
                with paused(own_postgres):
                    for _ in range(17):
                        await asyncio.sleep(1)  # the length of the fault, nothing is awaited
                        await stays_alive(process.url)
                await load.until_acked(50)
            await load.until_acked(50)
        await load.settle(process.url)
        del viewer
        await until_ready_is(process.url, "ready")
    load.check_books(database_url)


async def test_a_primary_that_became_a_standby(
    spawn: Callable[..., Process], own_postgres: LocalPostgres, database_url: str
) -> None:
    """After a failover the old connections may lead to a server that only reads: that is 503 and a
    new connection, not 500 for ever."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    process = spawn()
    await asyncio.to_thread(process.wait_ready)
    name = database_url.rpartition("/")[2]
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'livetally%'"
    )
    async with load.running(process.url, http=2, websockets=1):
        await load.until_acked(50)
        query(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        query(database_url, cut)
        await until(lambda: len(load.refusals) >= 5, 30)
        query(
            database_url.replace(f"/{name}", "/postgres"),
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )
        await load.until_acked(50)
    assert {(status, code) for status, _, code, _ in load.refusals} == {
        (503, "database_unavailable")
    }
    await load.settle(process.url)
    load.check_books(database_url)


async def test_started_while_postgres_is_away(
    spawn: Callable[..., Process], own_postgres: LocalPostgres, database_url: str
) -> None:
    """A process that starts before its database waits for it, and then works."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    async with away(stopped, own_postgres):
        process = spawn()
        await until(lambda: "waiting for Postgres" in process.log.read_text(), 30)
        assert process.process.poll() is None
    await asyncio.to_thread(process.wait_ready)
    async with load.running(process.url):
        await load.until_acked(50)
    await load.settle(process.url)
    load.check_books(database_url)


async def test_stopped_while_postgres_hangs(
    spawn: Callable[..., Process], own_postgres: LocalPostgres, database_url: str
) -> None:
    """SIGTERM while a commit hangs: its sender isn't told that it is stored, and the process ends
    within the 30 s all the same."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    process = spawn(LIVETALLY_COMMIT_TIMEOUT_MS="3000")
    await asyncio.to_thread(process.wait_ready)
    async with load.running(process.url):
        await load.until_acked(50)
        with paused(own_postgres):
            await until(lambda: events_wait(process.url), 30)
            process.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.process.wait, 30) == 0
    assert "database_unavailable" in {code for _, _, code, _ in load.refusals}
    load.check_books(database_url)
