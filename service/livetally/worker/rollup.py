"""What is old is kept more coarsely: minutes as hours, hours as days; old days of the log go.

Each step is one transaction, under a lock, and finds out by itself what there is to do: any number
of workers may run this, and be killed at any moment.
"""

import asyncio
import logging

import msgspec

from ..base.backoff import Backoff
from ..base.config import Config
from ..base.errors import DatabaseUnavailable
from ..db.database import Database
from ..ops.health import Health, Heartbeat
from ..ops.metrics import Metrics

log = logging.getLogger(__name__)

_INTERVAL_S = 60
_RETRY_S = 5
#: An hour of a hundred thousand subjects is moved in seconds; /healthz gives a loop fifteen.
_TIMEOUT_S = 120


class _Retired(msgspec.Struct):
    """What became of the oldest day of the log."""

    day: str
    dropped: bool
    waiting: int


_retired = msgspec.json.Decoder(_Retired | None)


class RollUp:
    """The loop `rollup` of a worker."""

    def __init__(
        self, database: Database, metrics: Metrics, health: Health, config: Config
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._health = health
        self._config = config
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Begin no further step."""
        self._closing.set()

    async def run(self, heart: Heartbeat) -> None:
        """Until closed: all there is to do, and again a minute later."""
        backoff = Backoff(_RETRY_S, _INTERVAL_S)
        while not self._closing.is_set():
            try:
                for step in (self.roll_up, self.retire_day):
                    while not self._closing.is_set() and await heart.during(step(), _TIMEOUT_S):
                        pass
            except DatabaseUnavailable:
                pause_s = backoff.next_s()
                log.warning("rolling up failed; trying again in %.1f s", pause_s)
                self._health.trouble("rollup", "old minutes and days could not be rolled up")
                await heart.rest(pause_s, until=self._closing)
            else:
                backoff.reset()
                self._health.trouble("rollup", None)
                await heart.rest(_INTERVAL_S, until=self._closing)

    async def roll_up(self) -> bool:
        """Move an hour or a day of counts; whether there was one."""
        keep = (self._config.minutes_kept_days, self._config.hours_kept_days)
        moved = await self._database.value("roll_up", *keep, timeout_s=_TIMEOUT_S)
        self._metrics.rolled_up.inc(moved)
        return bool(moved)

    async def retire_day(self) -> bool:
        """Drop the log's oldest day if it is time; whether it was."""
        if not (keep := self._config.retention_days):
            return False
        text = await self._database.value(
            "retire_day", keep, bool(self._config.archive_url), timeout_s=_TIMEOUT_S
        )
        found = _retired.decode(text or "null")
        if found is None:
            return False
        if not found.dropped:
            log.warning(
                "%s is past retention, but %d of its events are not archived: it is kept",
                *(found.day, found.waiting),
            )
            return False
        log.info("dropped the events of %s from the log", found.day)
        self._metrics.days_dropped.inc()
        return True
