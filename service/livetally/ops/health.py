"""Is this process well? /healthz (alive), /readyz (send it traffic?), and the loops' heartbeats."""

import asyncio
import contextlib
import time

import msgspec

#: Each loop turns at least once a second or so; one that hasn't for this long is stuck.
SILENCE_S = 15.0


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


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for the event, but no longer: a loop has to turn for its heartbeat.

    Not `asyncio.wait_for`: before Python 3.12 it can swallow the cancellation that ends the loop.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
