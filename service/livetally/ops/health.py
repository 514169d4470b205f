"""Is this process well? /healthz (alive), /readyz (send it traffic?), and the loops' heartbeats."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

#: Each loop turns at least once a second or so; one that hasn't for this long is stuck.
SILENCE_S = 15.0
#: How often a loop beats that rests, or does something long.
BEAT_S = 1.0

T = TypeVar("T")


class Report(msgspec.Struct):
    """What /readyz says: `degraded` still takes traffic, `unavailable` does not."""

    status: str
    reasons: list[str]


class Health:
    """Collects what the parts of a process say of themselves."""

    def __init__(self) -> None:
        self.draining = False
        self._beats: dict[str, float] = {}
        self._troubles: dict[str, str] = {}

    def beat(self, loop: str) -> None:
        """A background loop is still turning."""
        self._beats[loop] = time.monotonic()

    def trouble(self, part: str, reason: str | None) -> None:
        """Something works badly but the promises hold; None when it is well again."""
        if reason is None:
            self._troubles.pop(part, None)
        else:
            self._troubles[part] = reason

    def alive(self) -> list[str]:
        """The loops that are stuck."""
        now = time.monotonic()
        return [f"{loop} is stuck" for loop, at in self._beats.items() if now - at > SILENCE_S]

    def report(self, database_reason: str | None) -> Report:
        """Whether to send traffic here, given what asking Postgres just now said."""
        fatal = self.alive()
        if self.draining:
            fatal.append("shutting down")
        if database_reason:
            fatal.append(database_reason)
        if fatal:
            return Report("unavailable", fatal + list(self._troubles.values()))
        return Report("degraded" if self._troubles else "ready", list(self._troubles.values()))


class Heartbeat:
    """A loop's: `ops.tasks.start` gives each loop its own."""

    def __init__(self, health: Health, loop: str) -> None:
        self._health = health
        self._loop = loop
        self.beat()  # one that never turns at all is stuck, too

    def beat(self) -> None:
        """The loop is still turning."""
        self._health.beat(self._loop)

    async def rest(self, time_s: float, until: asyncio.Event | None = None) -> None:
        """Do nothing for so long, or until the event; the loop is alive meanwhile."""
        until = until or asyncio.Event()
        end = time.monotonic() + time_s
        while not until.is_set() and (left := end - time.monotonic()) > 0:
            await wait(until, min(left, BEAT_S))
            self.beat()

    async def during(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """What `work` returns; the loop is alive meanwhile, unless it takes longer than this."""
        task = asyncio.create_task(work)
        deadline = time.monotonic() + limit_s
        try:
            while not task.done():
                if time.monotonic() < deadline:
                    self.beat()
                await asyncio.wait({task}, timeout=BEAT_S)
        finally:
            task.cancel()
        return task.result()


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for the event, but no longer: a loop has to turn for its heartbeat.

    Not `asyncio.wait_for`: before Python 3.12 it can swallow the cancellation that ends the loop.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
