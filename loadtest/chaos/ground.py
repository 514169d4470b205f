"""What chaos is made on: Postgres, Redis, two servers and a worker, each behind what can be broken.

load, screens -> two `livetally serve` -> Wire -> Postgres (on a small disk of its own, as root)
                                       -> Relay -> Redis
                 `livetally worker`    -> the archive, a directory
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil

from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres, LocalRedis
from livetally.schema.keys import Role
from loadtest.lib.stand import free_port
from service.tests.support.faults.relay import Relay
from service.tests.support.faults.viewers import Viewer
from service.tests.support.postgres import make_keys
from service.tests.support.waiting import until

DATABASE = "chaos"
#: The disk of the Postgres whose disk gets full.
DISK_MB = 600
READY_S = 60


class Child:
    """A process of ours that is started again when it dies, as a container is."""

    def __init__(self, name: str, command: list[str], environ: dict[str, str], log: Path) -> None:
        self.name = name
        self.port = int(environ["LIVETALLY_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.deaths = 0
        self._command = [sys.executable, "-m", "livetally", *command]
        self._environ = environ
        self._process = self._start()
        self._stopping = False

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    @property
    def rss_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def kill(self) -> None:
        self._process.kill()

    async def watch(self) -> None:
        """For ever: starts it again half a second after its death."""
        while True:
            if self._process.poll() is not None and not self._stopping:
                self.deaths += 1
                await asyncio.sleep(0.5)
                self._process = self._start()
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        self._stopping = True
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def until_ready(self) -> None:
        """Raises AssertionError with the end of its log."""

        async def is_ready() -> bool:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as http,
                    http.get(self.url + "/readyz") as answer,
                ):
                    return (await answer.json())["status"] == "ready"
            return False

        await until(is_ready, READY_S, lambda: f"{self.name}:\n{self.log.read_text()[-2000:]}")

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environ, stderr=log, stdin=subprocess.DEVNULL
            )


class Wire:
    """A TCP connection's way to Postgres, which can be slow, cut, or dead."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.delay_s = 0.0
        self.port = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Every connection ends without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    def block(self) -> None:
        """Connections stay; nothing gets through."""
        self._open.clear()

    def unblock(self) -> None:
        self._open.set()

    async def _connected(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            to_client.transport.abort()
            return
        ends = {to_client, to_server}
        self._writers |= ends
        pumps = [
            asyncio.create_task(self._pump(client, to_server)),
            asyncio.create_task(self._pump(server, to_client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the run has ended
        finally:
            for pump in pumps:
                pump.cancel()
            for writer in ends:
                writer.transport.abort()
            self._writers -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()


class Screen:
    """An open dashboard: comes back by itself whenever it is cut off, as the real ones do."""

    def __init__(self, url: str, read_key: str) -> None:
        self._url = url
        self._read_key = read_key
        self.viewer: Viewer | None = None
        self.reconnects = -1

    def __repr__(self) -> str:
        return repr(self.viewer)

    async def run(self) -> None:
        while True:
            viewer = Viewer(self._url, self._read_key)
            with contextlib.suppress(aiohttp.ClientError, OSError, AssertionError):
                async with viewer.watching():
                    self.viewer = viewer
                    self.reconnects += 1
                    await viewer.closed.wait()
            self.viewer = None
            await asyncio.sleep(0.05)

    def shows(self, truth: dict[str, int]) -> bool:
        return self.viewer is not None and self.viewer.shows(truth)


class Ground:
    """All of it, running."""

    def __init__(
        self, folder: Path, postgres: LocalPostgres, redis: LocalRedis, wire: Wire, relay: Relay
    ) -> None:
        self.folder = folder
        self.postgres = postgres
        self.redis = redis
        self.wire = wire
        self.relay = relay
        self.database_url = postgres.dsn(DATABASE)
        self.archive = folder / "archive"
        self.clock = folder / "clock"
        self.clock.write_text("+0")
        self.archive.mkdir()
        self.servers: list[Child] = []
        self.worker: Child
        self.keys: dict[Role, str] = {}

    @property
    def children(self) -> list[Child]:
        return [*self.servers, self.worker]

    @property
    def disk(self) -> Path | None:
        """Where Postgres's own disk is, if it has one."""
        disk = self.folder / "disk"
        return disk if disk.is_mount() else None

    async def begin(self, servers: int = 2) -> None:
        self.postgres.create_database(DATABASE)
        await migrate(self.database_url)
        self.keys = await make_keys(self.database_url)
        self.servers = [self._child(f"serve-{n}", ["serve"], clock=n == 1) for n in range(servers)]
        self.worker = self._child("worker", ["worker", "--archive", "--rollup"])
        for child in self.children:
            await child.until_ready()

    def _child(self, name: str, command: list[str], clock: bool = False) -> Child:
        port = str(self.wire.port)
        environ = {
            **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
            "LIVETALLY_DATABASE_URL": self.database_url.replace(
                f":{self.postgres.port}/", f":{port}/"
            ),
            "LIVETALLY_REDIS_URL": self.relay.url(self.redis.url),
            "LIVETALLY_PORT": str(free_port()),
            "LIVETALLY_DRAIN_S": "0",
            "LIVETALLY_LOG_LEVEL": "warning",
            "LIVETALLY_COMMIT_TIMEOUT_MS": "2000",
            "LIVETALLY_ARCHIVE_URL": str(self.archive),
            "LIVETALLY_ARCHIVE_INTERVAL_S": "1",
        }
        if clock and faketime() is not None:
            environ |= {
                "LD_PRELOAD": str(faketime()),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return Child(name, command, environ, self.folder / f"{name}.log")


def faketime() -> Path | None:
    """The library that lies about the time, if it is installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@contextlib.asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """Everything started, with processes that are started again; ended in good order."""
    with (
        _disk(folder) as data,
        LocalPostgres(data) as postgres,
        LocalRedis(folder / "redis") as redis,
    ):
        async with (
            Wire(postgres.port).laid() as wire,
            Relay("127.0.0.1", redis.port, seed=1).open() as relay,
        ):
            made = Ground(folder, postgres, redis, wire, relay)
            try:
                await made.begin()
                watching = [asyncio.create_task(child.watch()) for child in made.children]
                yield made
                for task in watching:
                    task.cancel()
            finally:
                for child in made.children if hasattr(made, "worker") else made.servers:
                    await asyncio.to_thread(child.stop)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """Where Postgres keeps its data: a disk of its own where one can be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    if mounted:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield disk / "postgres"
    finally:
        if mounted:
            for _ in range(50):  # its last process may hold it a moment longer
                if (
                    subprocess.run(
                        ["umount", str(disk)], capture_output=True, check=False
                    ).returncode
                    == 0
                ):
                    break
                time.sleep(0.1)
