"""What is measured: a real Postgres, a real Redis, a real server, all made here and ended here."""

import asyncio
import contextlib
import os
import re
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from livetally.db.database import Database, migrate
from livetally.dev.servers import LocalPostgres, LocalRedis
from livetally.schema.keys import Role
from livetally.web import keys
from loadtest.lib.paths import ROOT

TEMPLATE = "template_livetally"


class Wrong(Exception):
    """What was acknowledged and what Postgres holds differ: no figure is worth anything then."""


class Server:
    """A process that serves."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path) -> None:
        self.port = int(environ["LIVETALLY_PORT"])
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(command, env=environ, stderr=file, cwd=ROOT)
        self.process = psutil.Process(self._process.pid)

    def wait_ready(self, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(urllib.error.URLError, OSError):
                self._ask()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server doesn't start:\n{self._log.read_text()}")
            time.sleep(0.02)

    def _ask(self) -> None:
        """Raises OSError until it serves."""
        self.get("/readyz")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    @property
    def cpu_s(self) -> float:
        """CPU time so far, of all its processes (on Linux from /proc/PID/stat)."""
        return cpu_s(self.process)

    @property
    def rss_bytes(self) -> int:
        return int(self.process.memory_info().rss)

    def metric(self, name: str) -> float:
        """The sum over a metric's labels."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def events_a_transaction(self) -> tuple[float, float]:
        """(events, transactions) so far: their quotient is not a metric, their differences are."""
        return self.metric("livetally_batch_events_sum"), self.metric(
            "livetally_batch_events_count"
        )

    def get(self, path: str, key: str = "") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if key:
            request.add_header("x-api-key", key)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - it is ours
            return str(answer.read().decode())


class Stand:
    """Postgres and Redis, and databases and servers on them."""

    def __init__(self, folder: Path, postgres: LocalPostgres, redis: LocalRedis) -> None:
        self.folder = folder
        self.postgres = postgres
        self._redis = redis
        self._count = 0

    @contextlib.contextmanager
    def database(self) -> Iterator["Bench"]:
        """A migrated database with a key of each role, dropped again at the end."""
        self._count += 1
        name = f"bench_{self._count}"
        self.postgres.create_database(name, TEMPLATE)
        url = self.postgres.dsn(name)
        try:
            yield Bench(self.folder, url, self._redis.url, *asyncio.run(_make_keys(url)))
        finally:
            self.postgres.drop_database(name)


class Bench:
    """One database, the servers on it, and what it must hold."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        redis_url: str,
        write_key: str,
        read_key: str,
        admin_key: str,
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self.write_key = write_key
        self.read_key = read_key
        self.admin_key = admin_key
        self.redis_url = redis_url

    @contextlib.contextmanager
    def serve(self, module: str = "", workers: int = 1, **settings: object) -> Iterator[Server]:
        """`livetally serve` as a process, or a module that serves in its place.

        `settings` are LIVETALLY_* in small letters.
        """
        command = ["-m", "livetally", "serve", "--workers", str(workers)]
        if module:
            command = ["-m", module]
        environ = {
            **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
            "LIVETALLY_DATABASE_URL": self.database_url,
            "LIVETALLY_REDIS_URL": self.redis_url,
            "LIVETALLY_PORT": str(free_port()),
            "LIVETALLY_DRAIN_S": "0",
            "LIVETALLY_LOG_LEVEL": "warning",
            "LIVETALLY_PAGES_DIR": str(ROOT / "frontend" / "dist"),
            **{f"LIVETALLY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        server = Server([sys.executable, *command], environ, self.folder / "serve.log")
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()

    @property
    def postgres_cpu_s(self) -> float:
        """CPU time of Postgres so far, its sessions' included."""
        pid_file = self.folder / "postgres" / "cluster" / "postmaster.pid"
        return cpu_s(psutil.Process(int(pid_file.read_text().split()[0])))

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def check(self, acknowledged: int) -> None:
        """Raises Wrong unless log, ids and totals all say what the clients were told."""
        ((events, ids, totals, minutes),) = self.query(
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM event_ids),"
            " (SELECT coalesce(sum(n), 0)::bigint FROM totals WHERE subject <> ''),"
            " (SELECT coalesce(sum(n), 0)::bigint FROM minutes"
            "  WHERE subject_key <> md5('')::uuid)"
        )
        if not events == ids == totals == minutes == acknowledged:
            raise Wrong(
                f"acknowledged {acknowledged:,}, but Postgres holds {events:,} events,"
                f" {ids:,} ids, totals of {totals:,}, minutes of {minutes:,}"
            )


@contextlib.contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    _raise_file_limit()
    with LocalPostgres(folder / "postgres") as postgres, LocalRedis(folder / "redis") as redis:
        postgres.create_database(TEMPLATE)
        asyncio.run(migrate(postgres.dsn(TEMPLATE)))
        yield Stand(folder, postgres, redis)


async def _make_keys(url: str) -> list[str]:
    database = Database(url, 2)
    await database.open()
    try:
        return [
            await keys.create(database, "bench", role, role)
            for role in (Role.WRITE, Role.READ, Role.ADMIN)
        ]
    finally:
        await database.close()


def cpu_s(process: psutil.Process) -> float:
    """CPU time of a process, its children, and those of them that have ended."""
    spent = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):  # it ends just now: its parent has its time
        for child in process.children():
            spent += cpu_s(child)
        times = process.cpu_times()
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
