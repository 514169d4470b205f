"""The real stack: `docker compose up`, driven from outside, and broken on purpose.

`make compose-test` runs these; `make test` doesn't. They share one stack,
and each leaves it whole.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
IMAGE = os.environ.get("LIVETALLY_IMAGE", "livetally:latest")
NO_ANSWER = (aiohttp.ClientError, OSError, TimeoutError)


def run(*command: str, **options: Any) -> str:
    """A command's standard output; fails the test if the command does."""
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def compose(*arguments: str, **options: Any) -> str:
    return run("docker", "compose", *arguments, **options)


async def in_thread(run: Callable[..., T], *arguments: str) -> T:
    """The same, beside what goes on here."""
    return await asyncio.to_thread(run, *arguments)


async def until(true: Callable[[], Any], what: object, within_s: float = 60) -> Any:
    """Poll until something (plain or awaitable) holds; if it never does, fail and say `what`."""
    deadline = time.monotonic() + within_s
    while True:
        result = true()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.1)


def viewers_of(task: str) -> int:
    """How many live connections a task has, as its own metrics tell."""
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    text = run("docker", "exec", task, "python", "-c", code)
    found = re.search(r"^livetally_viewers (\S+)$", text, re.MULTILINE)
    assert found
    return int(float(found[1]))


class Stack:
    """The stack from outside: the proxy's address, and a new project's keys."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{os.environ.get('LIVETALLY_HTTP_PORT', '8080')}"
        self.project = f"test-{uuid.uuid4().hex[:8]}"
        self.write, self.read = self._key("write"), self._key("read")

    def _key(self, role: str) -> str:
        command = ("livetally", "keys", "create", "--project", self.project, "--role", role)
        return compose("exec", "-T", "service", *command, "--name", role).strip()

    def tasks(self) -> list[str]:
        """The containers of the service."""
        return compose("ps", "--quiet", "service").split()

    async def total(self, http: aiohttp.ClientSession) -> int:
        """What the service says was clicked; asked again as long as it can't say."""
        while True:
            with contextlib.suppress(*NO_ANSWER):
                async with http.get(
                    self.url + "/v1/stats?type=click", headers={"x-api-key": self.read}
                ) as response:
                    if response.status == 200:
                        return int((await response.json())["total"])
            await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def under_load(self, clients: int = 6) -> AsyncIterator["Load"]:
        """Clients that send and send again, as long as the block runs; at its end all is sent."""
        load = Load(self)
        async with aiohttp.ClientSession() as http:
            stop = asyncio.Event()
            sending = [asyncio.create_task(load.send(http, stop)) for _ in range(clients)]
            try:
                yield load
            finally:
                stop.set()
                async with asyncio.timeout(90):
                    await asyncio.gather(*sending)

    @contextlib.asynccontextmanager
    async def viewers(self, count: int) -> AsyncIterator[list["Viewer"]]:
        """So many viewers, connected, and more if need be until every task has one.

        nginx sends all who come while it looks for the tasks to the first one it finds, and who
        comes later to any.
        """
        async with aiohttp.ClientSession() as http:
            viewers: list[Viewer] = []
            watching: list[asyncio.Task[None]] = []

            async def everywhere() -> bool:
                for _ in range(1 if viewers else count):
                    viewers.append(Viewer(self))
                    watching.append(asyncio.create_task(viewers[-1].watch(http)))
                await until(lambda: all(each.total >= 0 for each in viewers), "nobody connected")
                return all([await in_thread(viewers_of, task) for task in self.tasks()])

            try:
                await until(everywhere, "one task has all viewers")
                yield viewers
            finally:
                for task in watching:
                    task.cancel()
                ended = await asyncio.gather(*watching, return_exceptions=True)
                wrong = [end for end in ended if not isinstance(end, asyncio.CancelledError)]
                assert not wrong, wrong


class Load:
    """Sends events, each until an answer says that it is stored, and remembers those."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        #: ids that an answer said are stored
        self.stored: set[str] = set()
        #: statuses other than 200, and failures to get an answer, with the error's code
        self.refusals: list[tuple[int, str]] = []

    async def send(self, http: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        while not stop.is_set():
            events = [
                {"id": uuid.uuid4().hex, "type": "click", "subject": f"s{n}"} for n in range(3)
            ]
            while not await self._post(http, events):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            self.stored |= {event["id"] for event in events}
            await asyncio.sleep(0.01)

    async def _post(self, http: aiohttp.ClientSession, events: list[dict[str, str]]) -> bool:
        try:
            async with http.post(
                self._stack.url + "/v1/events",
                json=events,
                headers={"x-api-key": self._stack.write},
                timeout=aiohttp.ClientTimeout(total=15),
            ) as response:
                answer = await response.json()
                if response.status == 200:
                    return bool(answer["accepted"] + answer["duplicates"] == len(events))
                self.refusals.append((response.status, answer["error"]["code"]))
        except NO_ANSWER as error:
            self.refusals.append((0, type(error).__name__))
        return False

    async def more(self, events: int) -> None:
        """Wait until so many more are stored."""
        aim = len(self.stored) + events
        await until(lambda: len(self.stored) >= aim, f"no answers: {self.refusals[-3:]}")


class Viewer:
    """Watches all clicks through the proxy, and comes back whenever its connection ends."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.total = -1
        self.connections = 0
        self.said: list[str] = []

    async def watch(self, http: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(*NO_ANSWER):
                async with http.ws_connect(
                    self._stack.url + "/v1/live", headers={"x-api-key": self._stack.read}
                ) as socket:
                    self.connections += 1
                    await socket.send_json(
                        {"type": "subscribe", "id": 1, "topic": {"totals": "click"}}
                    )
                    async for message in socket:
                        self._take(json.loads(message.data))
            await asyncio.sleep(0.1)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] in ("snapshot", "update"):
            if message["type"] == "update":
                assert message["total"] >= self.total, "a total went back"
            self.total = message["total"]
        elif message["type"] in ("stale", "fresh"):
            self.said.append(message["type"])
