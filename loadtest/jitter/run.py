"""One run of the jitter test: who sends, who watches, and what is done to the servers meanwhile."""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
import psutil
import psycopg

from loadtest.jitter.viewers import Account, Task
from loadtest.lib.paths import ROOT

FEED = "jitter"
MODES = {
    "cut": "one server; only the viewers' connections are cut",
    "kill": "the server, too, is killed with -9 in the middle and started again",
    "rolling": "two servers, restarted by SIGTERM one after the other",
}
#: After the last message, for what is still under way.
PATIENCE_S = 30.0
READY_TIMEOUT_S = 60.0
#: The least time between two attempts to send a message.
RESEND_S = 0.05


class Server(Protocol):
    """A server process on a port that it keeps."""

    port: int
    process: Any  # a Popen

    def kill(self) -> None: ...
    def stop(self) -> object: ...
    def restart(self) -> object: ...
    def wait_ready(self) -> object: ...


@dataclass(frozen=True)
class Plan:
    """What the test is made of."""

    viewers: int = 2_000
    messages: int = 120
    rate: float = 2.0
    cut_every_s: float = 15.0
    offline_s: float = 2.0
    processes: int = 2  # for the viewers
    seed: int = field(default_factory=lambda: random.randrange(2**31))

    @property
    def seconds(self) -> float:
        return self.messages / self.rate


@dataclass
class Run:
    """What happened, unjudged."""

    mode: str
    plan: Plan
    began: int = 0  # ns of the monotonic clock, as all times here
    ended: int = 0
    resent: int = 0
    #: What was done to the servers, and when.
    marks: list[tuple[int, str]] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    #: Where in the log each message is: (slot, seq).
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: The servers' memory in MB, together: without viewers, with all of them, at the end.
    memory_mb: list[float] = field(default_factory=list)

    def mark(self, what: str) -> None:
        self.marks.append((time.monotonic_ns(), what))


class Crowd:
    """The viewers' processes, as one."""

    def __init__(self, processes: list[asyncio.subprocess.Process], accounts: list[Path]) -> None:
        self._processes = processes
        self._accounts = accounts
        self._latest = [[0, 0, 0] for _ in processes]
        self._following = [asyncio.create_task(self._follow(i)) for i in range(len(processes))]

    async def _follow(self, number: int) -> None:
        output = self._processes[number].stdout
        assert output
        while line := await output.readline():
            self._latest[number] = json.loads(line)

    @property
    def ready(self) -> int:
        return sum(ready for ready, _, _ in self._latest)

    @property
    def delivered(self) -> int:
        return sum(delivered for _, delivered, _ in self._latest)

    @property
    def reconnects(self) -> int:
        return sum(reconnects for _, _, reconnects in self._latest)

    def tell(self, word: str) -> None:
        for process in self._processes:
            assert process.stdin
            process.stdin.write(word.encode() + b"\n")

    async def until(self, true: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it came true in time. Raises RuntimeError if a process ends before."""
        deadline = time.monotonic() + timeout_s
        while not true():
            if any(following.done() for following in self._following):
                raise RuntimeError("a process of viewers has died")
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def finish(self) -> list[Account]:
        """End them; what they have to say."""
        self.tell("stop")
        for process in self._processes:
            if await process.wait():
                raise RuntimeError("a process of viewers has failed")
        return [msgspec.json.decode(path.read_bytes(), type=Account) for path in self._accounts]


@contextlib.asynccontextmanager
async def crowd(plan: Plan, ports: list[int], read_key: str, folder: Path) -> AsyncIterator[Crowd]:
    """Start the viewers; they end with the block at the latest."""
    processes: list[asyncio.subprocess.Process] = []
    accounts = []
    try:
        for number in range(plan.processes):
            share = plan.viewers // plan.processes + (number < plan.viewers % plan.processes)
            accounts.append(folder / f"viewers-{number}.json")
            task = Task(
                ports=ports,
                read_key=read_key,
                feed=FEED,
                viewers=share,
                messages=plan.messages,
                cut_every_s=plan.cut_every_s,
                offline_s=plan.offline_s,
                ramp_s=plan.viewers / 1_000,
                seed=plan.seed + number,
                account=str(accounts[-1]),
            )
            processes.append(
                await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-m",
                        "loadtest.jitter.viewers",
                        msgspec.json.encode(task).decode(),
                    ),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd=ROOT,
                )
            )
        yield Crowd(processes, accounts)
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def send(run: Run, ports: list[int], write_key: str, sent: list[int]) -> None:
    """Send all messages, in order, each at its time and until it is acknowledged.

    Its time is in it, not the moment when it could be sent at last: waiting counts.
    """
    headers = {"x-api-key": write_key}
    timeout = aiohttp.ClientTimeout(total=10)
    ports = list(ports)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        for n in range(run.plan.messages):
            due = run.began + int(n / run.plan.rate * 1e9)
            await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
            event = {
                "id": f"jitter-{n}",
                "type": FEED,
                "subject": "all",
                "properties": {"n": n, "at": due},
            }
            while not await _post(http, ports[0], event):
                run.resent += 1
                ports.append(ports.pop(0))
                await asyncio.sleep(RESEND_S)
            sent.append(n)


async def _post(http: aiohttp.ClientSession, port: int, event: dict[str, object]) -> bool:
    """Whether it is stored: it was now, or an earlier attempt had come through after all."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with http.post(f"http://127.0.0.1:{port}/v1/events", json=event) as response:
            if response.status == 200:
                return True
            if response.status != 503:
                raise RuntimeError(f"refused: {response.status} {await response.text()}")
    return False


async def disturb(run: Run, servers: list[Server]) -> None:
    """What the mode does to the servers."""

    async def do(what: str, action: Callable[[], object]) -> None:
        run.mark(what)
        await asyncio.to_thread(action)

    if run.mode == "kill":
        await asyncio.sleep(run.plan.seconds / 2)
        await do("killed", servers[0].kill)
        await do("started", servers[0].restart)
        await asyncio.to_thread(servers[0].wait_ready)
        run.mark("ready")
    if run.mode == "rolling":
        await asyncio.sleep(run.plan.seconds / 4)
        for number, server in enumerate(servers, 1):
            await do(f"{number} told to stop", server.stop)
            await do(f"{number} started", server.restart)
            await asyncio.to_thread(server.wait_ready)
            run.mark(f"{number} ready")
            await asyncio.sleep(run.plan.seconds / 12)


async def measure(
    mode: str,
    plan: Plan,
    servers: list[Server],
    *,
    keys: tuple[str, str],  # write, read
    database_url: str,
    folder: Path,
    show: Callable[[str], None],
) -> Run:
    """Run one mode on servers that are ready, on a database in which nothing was sent yet."""
    run = Run(mode, plan)
    ports = [server.port for server in servers]
    wanted = plan.viewers * plan.messages
    run.memory_mb.append(_memory_mb(servers))
    async with crowd(plan, ports, keys[1], folder) as viewers:
        if not await viewers.until(lambda: viewers.ready == plan.viewers, READY_TIMEOUT_S):
            raise RuntimeError(f"only {viewers.ready} of {plan.viewers} viewers could connect")
        run.memory_mb.append(_memory_mb(servers))
        run.began = time.monotonic_ns() + 100_000_000
        viewers.tell("go")
        sent: list[int] = []

        def progress() -> str:
            return (
                f"{mode}: {len(sent)}/{plan.messages} sent,"
                f" {viewers.delivered / wanted:.1%} delivered, {viewers.reconnects} reconnects"
            )

        showing = asyncio.create_task(_show(progress, show))
        try:
            await _together(send(run, ports, keys[0], sent), disturb(run, servers))
            viewers.tell("calm")
            await viewers.until(lambda: viewers.delivered >= wanted, PATIENCE_S)
            await asyncio.sleep(0.5)  # would something come twice?
        finally:
            showing.cancel()
        run.ended = time.monotonic_ns()
        run.memory_mb.append(_memory_mb(servers))
        run.accounts = await viewers.finish()
        show(progress())
    run.places = await asyncio.to_thread(_places, database_url)
    return run


async def _together(*parts: Awaitable[None]) -> None:
    """Both to their end, or neither."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(_awaited(part))


async def _awaited(part: Awaitable[None]) -> None:
    await part


async def _show(progress: Callable[[], str], show: Callable[[str], None]) -> None:
    while True:
        show(progress())
        await asyncio.sleep(0.5)


def _memory_mb(servers: list[Server]) -> float:
    return sum(psutil.Process(s.process.pid).memory_info().rss for s in servers) / 2**20


def _places(database_url: str) -> dict[int, tuple[int, int]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT (properties ->> 'n')::integer, slot, seq FROM events WHERE type = %s", (FEED,)
        )
        return {n: (slot, seq) for n, slot, seq in rows.fetchall()}
