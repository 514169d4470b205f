"""What the tests stand on: the real Postgres and Redis, the real server on a real socket.

Every test has a database of its own (copied from a migrated one) and a free port, so that tests
don't see each other. `service` runs the server in the test's own loop; where a test must kill or
restart it, `spawn` runs it as a process.
"""

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from livetally.base import aws
from livetally.dev.aws import LocalAws
from livetally.dev.servers import LocalPostgres, LocalRedis
from livetally.schema.keys import Role
from service.tests.support.aws import Account, make_account, working
from service.tests.support.browser.chromium import LIKE_A_PERSON, launched
from service.tests.support.databases import Databases
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process, free_port, hear_interrupts
from service.tests.support.server import Service, serving

_numbers = itertools.count(1)

hear_interrupts()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who uses the one Chromium uses its event loop."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One for all tests of a worker: starting it costs more than most of them."""
    async with launched(LIKE_A_PERSON) as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: LocalPostgres) -> Databases:
    return Databases(postgres)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    with LocalRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def database_url(postgres: LocalPostgres, databases: Databases) -> Iterator[str]:
    """A migrated database for this test alone."""
    name = databases.take()
    yield postgres.dsn(name)
    databases.give_back(name)


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    log = tmp_path_factory.mktemp("aws") / "moto.log"
    with LocalAws(free_port(), log) as server:
        yield server


@pytest.fixture
def account(aws_server: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A queue, its dead letters, a topic and a bucket of this test's own; messages are hidden for
    4 s and are dead after 2 receives."""
    for name, value in aws_server.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "LONG_POLL_S", 1)
    return make_account(aws_server, f"test-{next(_numbers)}", visibility_s=4, receives=2)


@pytest.fixture
async def demo_keys(database_url: str) -> dict[Role, str]:
    return await make_keys(database_url)


@pytest.fixture
async def work(
    account: Account, database_url: str, redis_url: str, demo_keys: object
) -> Callable[..., Awaitable[None]]:
    """work(queue_project="") has a worker work until the queue is empty."""

    async def work(**settings: Any) -> None:
        async with working(account, database_url, redis_url, **settings):
            await account.until_empty()

    return work


@pytest.fixture
def redis_url(redis: LocalRedis) -> str:
    return redis.url


@pytest.fixture
async def service(database_url: str, redis_url: str) -> AsyncIterator[Service]:
    async with serving(database_url, redis_url, await make_keys(database_url)) as service:
        yield service


@pytest.fixture
def spawn(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """spawn("--workers", "2", LIVETALLY_DRAIN_S="0") starts a process; it is killed at the end.

    spawn("--queue", command="worker") starts a worker.
    """
    processes: list[Process] = []

    def start(*arguments: str, command: str = "serve", **settings: str) -> Process:
        environ = {
            **{
                name: os.environ[name]
                for name in ("PATH", "HOME", "PYTHONPATH")
                if name in os.environ
            },
            "LIVETALLY_DATABASE_URL": database_url,
            "LIVETALLY_REDIS_URL": redis_url,
            "LIVETALLY_PORT": str(free_port()),
            "LIVETALLY_DRAIN_S": "0",
            **settings,
        }
        log = tmp_path / f"{command}-{len(processes)}.log"
        processes.append(Process(environ, log, *arguments, command=command))
        return processes[-1]

    yield start
    for process in processes:
        if process.process.poll() is None:
            process.kill()
