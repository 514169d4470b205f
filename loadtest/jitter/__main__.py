"""Nothing missed: viewers that are cut off again and again, servers that are killed and restarted.

Modelled on the public jitter benchmark for websocket servers. Exits with 1 if a message is lost,
doubled or out of order, or too late; results/jitter/jitter.md says what was measured and how.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from livetally.db.database import Database, migrate
from livetally.dev.servers import PORTS, LocalPostgres, LocalRedis
from livetally.schema.keys import Role
from livetally.web import keys
from loadtest.jitter.report import HEADER, markdown, plot, row, summary
from loadtest.jitter.run import MODES, Plan, measure
from loadtest.lib.figures import machine
from loadtest.lib.paths import RESULTS

READY_TIMEOUT_S = 60


class Process:
    """`livetally serve`, to be killed and started again on the port that it keeps."""

    def __init__(self, port: int, environ: dict[str, str], log: Path) -> None:
        self.port = port
        self._environ = environ
        self._log = log
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "livetally", "serve"]
            return subprocess.Popen(command, env=self._environ, stderr=log)

    def restart(self) -> None:
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5),
            ):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server doesn't start:\n{self._log.read_text()}")
            time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    plan = Plan()
    parser.add_argument("--mode", choices=[*MODES, "all"], default="all")
    parser.add_argument("--viewers", type=int, default=plan.viewers)
    parser.add_argument("--messages", type=int, default=plan.messages)
    parser.add_argument("--rate", type=float, default=plan.rate, help="messages a second")
    parser.add_argument("--cut-every", type=float, default=plan.cut_every_s, metavar="S")
    parser.add_argument("--offline", type=float, default=plan.offline_s, metavar="S")
    parser.add_argument(
        "--drain", type=int, default=5, metavar="S", help="a server's LIVETALLY_DRAIN_S"
    )
    parser.add_argument("--no-save", action="store_true", help="leave results/ as it is")
    arguments = parser.parse_args()
    plan = Plan(
        viewers=arguments.viewers,
        messages=arguments.messages,
        rate=arguments.rate,
        cut_every_s=arguments.cut_every,
        offline_s=arguments.offline,
    )
    modes = list(MODES) if arguments.mode == "all" else [arguments.mode]

    described = machine()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are to end, too
    runs = []
    with (
        tempfile.TemporaryDirectory(prefix="livetally-jitter-") as name,
        LocalPostgres(Path(name, "postgres")) as postgres,
        LocalRedis(Path(name, "redis")) as redis,
    ):
        for mode in modes:
            postgres.create_database(mode)
            settings = {
                "LIVETALLY_DATABASE_URL": postgres.dsn(mode),
                "LIVETALLY_REDIS_URL": redis.url,
                "LIVETALLY_DRAIN_S": str(arguments.drain),
                "LIVETALLY_LOG_LEVEL": "warning",
            }
            runs.append(_run(mode, plan, settings, Path(name)))
            print(f"{HEADER}\n{row(runs[-1])}\n\n{plot(runs[-1])}\n", flush=True)
    if not arguments.no_save:
        results = RESULTS / "jitter"
        results.mkdir(exist_ok=True, parents=True)
        document = {"at": at, "machine": described, "runs": runs}
        (results / "jitter.json").write_text(json.dumps(document, indent=1) + "\n")
        (results / "jitter.md").write_text(markdown(runs, at, described))
    failed = [f"{run['mode']}: {what}" for run in runs for what in run["failures"]]
    print("\n".join(failed) or "as required")
    return 1 if failed else 0


def _run(mode: str, plan: Plan, settings: dict[str, str], folder: Path) -> dict[str, Any]:
    database_url = settings["LIVETALLY_DATABASE_URL"]
    api_keys = asyncio.run(_prepare(database_url))
    with _serving(1 + (mode == "rolling"), settings, folder) as servers:
        run = asyncio.run(
            measure(
                mode,
                plan,
                servers,
                keys=api_keys,
                database_url=database_url,
                folder=folder,
                show=_show,
            )
        )
    print(file=sys.stderr)
    return summary(run)


async def _prepare(database_url: str) -> tuple[str, str]:
    """Make the schema; a key to write and one to read."""
    await migrate(database_url)
    database = Database(database_url, 2)
    await database.open()
    try:
        write = await keys.create(database, "jitter", Role.WRITE, "sender")
        return write, await keys.create(database, "jitter", Role.READ, "viewers")
    finally:
        await database.close()


@contextlib.contextmanager
def _serving(count: int, settings: dict[str, str], folder: Path) -> Iterator[list[Process]]:
    inherited = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
    }
    servers: list[Process] = []
    try:
        for number in range(count):
            port = free_port()
            environ = inherited | settings | {"LIVETALLY_PORT": str(port)}
            servers.append(Process(port, environ, folder / f"serve-{number}.log"))
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.kill()


def free_port() -> int:
    """One that no client is given to call from, however long the server that has it is away."""
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", random.choice(PORTS)))
            return int(sock.getsockname()[1])


def _show(line: str) -> None:
    """On the line that is there already, if that is a terminal's."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
