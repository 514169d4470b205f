"""Archive out: committed events to Parquet objects by project, type and hour, each exactly once.

    plan        which events, in which objects, under which names: written down first   -> ledger
    write       a part's events to a Parquet file                                       -> parquet
    store       the file, whole, under its name                                         -> objects
    record      the part is stored; when all of its plan are, a manifest says so        -> manifest

A crash at any point leaves a part that is not recorded, and the next worker writes the same events
under the same name again. The hour is that in which an event was received: no file ever changes.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from arro3.core import RecordBatch

from ..base.backoff import Backoff
from ..base.errors import ArchiveUnavailable, DatabaseUnavailable
from ..ops.health import Health, Heartbeat
from ..ops.metrics import Metrics
from . import manifest, parquet, schema
from .ledger import PAGE_EVENTS, Hole, Ledger, Part
from .stores import ObjectStore

log = logging.getLogger(__name__)

#: How often it is looked whether there is something to archive.
_LOOK_S = 1.0
#: After a failure it is tried again after this time, doubled each time up to the longest.
_RETRY_S = 1.0
_RETRY_MOST_S = 30.0
#: What takes longer than this is stuck, and /healthz says so.
_STEP_S = 300.0


class Archive:
    """The loop `archive` of a worker. Any number of workers may run it."""

    def __init__(
        self,
        ledger: Ledger,
        objects: ObjectStore,
        metrics: Metrics,
        health: Health,
        interval_s: float,
    ) -> None:
        self._ledger = ledger
        self._objects = objects
        self._metrics = metrics
        self._health = health
        self._interval_s = interval_s
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Begin nothing more: a part that is being written is finished."""
        self._closing.set()

    async def run(self, heart: Heartbeat) -> None:
        """Until closed, or cancelled: what is under way then is left to whoever comes next."""
        backoff = Backoff(_RETRY_S, _RETRY_MOST_S)
        try:
            while not self._closing.is_set():
                try:
                    worked = await heart.during(self.step(), _STEP_S)
                except (ArchiveUnavailable, DatabaseUnavailable, Hole) as error:
                    pause_s = backoff.next_s()
                    await self._report(error, pause_s)
                    await heart.rest(pause_s, until=self._closing)
                    continue
                self._health.trouble("archive", None)
                backoff.reset()
                if not worked:
                    await heart.rest(_LOOK_S, until=self._closing)
        finally:
            await self._ledger.disconnect()
            await self._objects.close()

    async def step(self) -> bool:
        """Do the next thing there is to do; False if there is nothing."""
        worked = await self._finish_plans() or await self._write_part() or await self._plan()
        self._metrics.archive_lag_seconds.set(await self._ledger.lag_s())
        return worked

    async def _report(self, error: Exception, pause_s: float) -> None:
        cause = getattr(error, "cause", "") or getattr(error, "code", "hole")
        self._metrics.archive_failures.labels(cause).inc()
        log.error("not archived (%s): %s Trying again in %.1f s.", cause, error, pause_s)
        self._health.trouble("archive", f"archiving fails: {cause}")
        with suppress(DatabaseUnavailable):
            self._metrics.archive_lag_seconds.set(await self._ledger.lag_s())

    async def _plan(self) -> bool:
        planned = 0
        for project, name in await self._ledger.due(self._interval_s):
            planned += await self._ledger.plan(project, name)
        return planned > 0

    async def _write_part(self) -> bool:
        part = await self._ledger.claim()
        if part is None:
            return False
        try:
            await self._store(part)
        finally:
            with suppress(DatabaseUnavailable):  # then the claim has ended with the connection
                await self._ledger.release(part.id)
        return True

    async def _store(self, part: Part) -> None:
        started = time.monotonic()
        with self._objects.temporary() as file:
            with file.open("wb") as opened:
                await parquet.write(opened, schema.ARROW, self._batches(part), part.row_bytes)
            size, sha256 = await asyncio.to_thread(parquet.digest, file)
            await self._objects.put(part.object, file)
        if await self._ledger.stored(part, size, sha256):
            self._metrics.archived_events.inc(part.events)
            self._metrics.archived_parts.inc()
            self._metrics.archived_bytes.inc(size)
            log.info(
                "archived %d events as %s (%d bytes, %.1f s)",
                *(part.events, part.object, size, time.monotonic() - started),
            )

    async def _batches(self, part: Part) -> AsyncIterator[RecordBatch]:
        """The part's events, slot by slot. Raises Hole if they aren't what was planned."""
        found = 0
        for slot, (first, _) in sorted(part.ranges.items()):
            after, full = first - 1, True
            while full:
                rows = await self._ledger.page(part, slot, after)
                full = len(rows) == PAGE_EVENTS
                if rows:
                    found, after = found + len(rows), rows[-1][schema.SEQ]
                    yield schema.record_batch(rows)
        if found != part.events:
            raise Hole(f"{part.object} should hold {part.events} events; the log has {found}.")

    async def _finish_plans(self) -> bool:
        complete = await self._ledger.complete()
        for plan in complete:
            with self._objects.temporary() as file:
                await asyncio.to_thread(file.write_bytes, manifest.text(plan))
                await self._objects.put(manifest.name(plan), file)
            await self._ledger.finish(plan["project"], plan["number"])
        return bool(complete)
