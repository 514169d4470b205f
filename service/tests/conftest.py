"""What the tests stand on: the real Postgres and Redis, the real server on a real socket.

Every test has a database of its own (copied from a migrated one) and a free port, so that tests
don't see each other. `service` runs the server in the test's own loop; where a test must kill or
restart it, `spawn` runs it as a process.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import psycopg
import pytest
from aiohttp import web
from aws import Account, make_account, working
from databases import Databases

from livetally.base import aws
from livetally.base.config import Config
from livetally.db.database import Database
from livetally.dev.aws import LocalAws
from livetally.dev.servers import LocalPostgres, LocalRedis
from livetally.server.app import create_app
from livetally.server.process import listen, make_runner
from livetally.site.examples import Login
from livetally.web import keys
from livetally.web.keys import Role
from livetally.web.operation_docs import description_of

D = TypeVar("D", bound=Database)
_numbers = itertools.count(1)


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


def query(database_url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask Postgres itself, past Livetally."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def unreachable(postgres: LocalPostgres, database_url: str) -> Iterator[None]:
    """This database alone takes no connections, and loses those it has."""
    ((name,),) = query(database_url, "SELECT current_database()")
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def totals_in(database_url: str, type_: str = "click", project: int = 1) -> dict[str, int]:
    """The truth: each subject's total as Postgres holds it; "" is the grand total."""
    return dict(
        query(
            database_url,
            "SELECT subject, sum(n)::bigint FROM totals"
            " WHERE project = %s AND type = %s GROUP BY 1",
            project,
            type_,
        )
    )


@contextlib.asynccontextmanager
async def opened(database: D) -> AsyncIterator[D]:
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def make_key(
    database_url: str, project: str, role: Role, name: str = "", origins: tuple[str, ...] = ()
) -> str:
    async with opened(Database(database_url, 1)) as database:
        return await keys.create(database, project, role, name or f"{role}", origins)


async def make_keys(database_url: str, project: str = "demo") -> dict[Role, str]:
    async with opened(Database(database_url, 1)) as database:
        return {role: await keys.create(database, project, role, f"{role}") for role in Role}


class Live:
    """A viewer's end of a websocket to /v1/live."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: object) -> None:
        await self.socket.send_json(message)

    async def receive(self) -> dict[str, Any]:
        """The next message; fails the test if the connection ends instead."""
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return message.json()

    async def subscribe(self, id: int | str, topic: object) -> dict[str, Any]:
        """Subscribe and return what comes first for that id: the snapshot, or an error."""
        await self.send(type="subscribe", id=id, topic=topic)
        while True:
            message = await self.receive()
            if message.get("id") == id:
                return message

    async def until_total(self, total: int, type_id: int | str = 1) -> dict[str, int]:
        """Follow a topic until its total is `total`; the totals as the frames made them."""
        totals: dict[str, int] = {}
        while True:
            message = await self.receive()
            if message.get("id") != type_id:
                continue
            if message["type"] == "snapshot":
                totals = {}
            totals |= message["totals"]
            if message["total"] == total:
                return totals
            assert message["total"] < total, "a total went past what was counted"


class Service:
    """A running server, and a client of it with the demo project's keys."""

    def __init__(self, url: str, database_url: str, keys: dict[Role, str]) -> None:
        self.url = url
        self.database_url = database_url
        self.keys = keys
        self.http = aiohttp.ClientSession(base_url=url)

    async def close(self) -> None:
        await self.http.close()

    async def post(
        self, body: object, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """POST /v1/events: JSON of `body`, or bytes as they are. Returns (status, answer)."""
        options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        head = {"x-api-key": key or self.keys[Role.WRITE], "content-type": "application/json"}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post("/v1/events", headers=head, **options) as response:
            return response.status, await response.json()

    async def stats(self, key: str | None = None, **parameters: object) -> dict[str, Any]:
        headers = {"x-api-key": key or self.keys[Role.READ]}
        async with self.http.get("/v1/stats", params=parameters, headers=headers) as response:
            return await response.json()

    @contextlib.asynccontextmanager
    async def live(self, key: str | None = None, **options: Any) -> AsyncIterator[Live]:
        """A websocket that is authenticated with `key` (the read key)."""
        async with self.http.ws_connect("/v1/live", **options) as socket:
            live = Live(socket)
            await live.send(type="auth", key=key or self.keys[Role.READ])
            ready = await live.receive()
            assert ready["type"] == "ready", ready
            yield live


@contextlib.asynccontextmanager
async def serving(
    database_url: str,
    redis_url: str,
    keys: dict[Role, str],
    login: Login | None = None,
    **settings: Any,
) -> AsyncIterator[Service]:
    """The server in this loop, on a free port, with these settings; `login` is the demo's."""
    config = Config(database_url=database_url, redis_url=redis_url, **{"drain_s": 0, **settings})
    sock = listen("127.0.0.1", 0)
    app = create_app(config, login=login)
    undescribed = _note_undescribed(app)
    runner = make_runner(app)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    service = Service(f"http://127.0.0.1:{sock.getsockname()[1]}", database_url, keys)
    try:
        yield service
    finally:
        await service.close()
        await runner.cleanup()
    assert not undescribed, "a route answers what its @described(…) doesn't say"


#: What any route may answer: no valid HTTP, too much, another method, a client gone, a bug.
_ANY = {400, 405, 408, 429, 499, 500}


def _note_undescribed(app: web.Application) -> set[str]:
    """Routes with the statuses they answered and that /openapi.json doesn't have."""
    found: set[str] = set()

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        about = description_of(request.match_info.handler)
        if about is None or request.method in ("HEAD", "OPTIONS"):
            return
        if response.status not in about.statuses | _ANY:
            found.add(f"{request.method} {request.path}: {response.status}")

    app.on_response_prepare.append(note)
    return found


@pytest.fixture
async def service(database_url: str, redis_url: str) -> AsyncIterator[Service]:
    async with serving(database_url, redis_url, await make_keys(database_url)) as service:
        yield service


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """`livetally serve` (or `worker`) as a process of its own, which a test may kill."""

    def __init__(
        self, environ: dict[str, str], log: Path, *arguments: str, command: str = "serve"
    ) -> None:
        self._command = command
        self.port = int(environ["LIVETALLY_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environ = environ
        self._arguments = arguments
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "livetally", self._command, *self._arguments],
                env=self._environ,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def wait_ready(self, timeout_s: float = 30) -> "Process":
        """Return once /readyz says so."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):  # noqa: S310
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> "Process":
        """Start again on the same port, after `kill` or `stop`."""
        self.process = self._start()
        return self

    def stop(self, timeout_s: float = 35) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(timeout_s)


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
