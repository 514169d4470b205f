"""The batcher: requests that arrive together share one transaction.

That is what makes a durable answer cheap: the cost of a commit is divided by everyone in it. While
one batch is being committed the next gathers; there is one commit at a time in a process. Nothing
else is waited for: a wait of 2 ms cost a fifth of the throughput (loadtest/README.md), and the
slower commits are, the larger batches become by themselves.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from ..base.errors import (
    DatabaseUnavailable,
    LivetallyError,
    Overloaded,
    ShuttingDown,
    UnstorableEvent,
)
from ..ops.health import Heartbeat, wait
from ..ops.metrics import Metrics
from ..schema.http import Ack, Fate, Reason, Rejected
from ..web.auth import Key
from ..web.rate_limits import Limits, Payer
from .events import CheckedEvent, Parsed, Rejection
from .store import Committed, Store

if TYPE_CHECKING:  # at run time only where there are traces
    from opentelemetry.trace import Span

    from ..ops.tracing import Tracing

log = logging.getLogger(__name__)


class Waiting(msgspec.Struct, eq=False):
    """A request's events, and the future that is told the indexes of the duplicates among them."""

    events: list[CheckedEvent]
    answer: "asyncio.Future[list[int]]"
    #: where there are traces
    span: "Span | None" = None


class Result(msgspec.Struct):
    """What became of a request's events: indexes into the request, the rest was accepted."""

    accepted: int
    duplicates: list[int]
    rejected: list[Rejection]

    def as_ack(self, fates: list[Fate] | UnsetType = UNSET) -> Ack:
        return Ack(
            accepted=self.accepted,
            duplicates=len(self.duplicates),
            rejected=self.rejections(),
            results=fates,
        )

    def rejections(self) -> list[Rejected]:
        """The refused ones as they are told."""
        return [Rejected(each.index, Reason(each.code, each.message)) for each in self.rejected]


class Batcher:
    """Takes events from requests, commits them in batches, and answers the requests."""

    def __init__(
        self,
        store: Store,
        on_commit: Callable[[Committed], None],
        metrics: Metrics,
        *,
        batch_max_events: int,
        queue_max_events: int,
        limits: Limits | None = None,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._store = store
        self._on_commit = on_commit
        self._metrics = metrics
        self._limits = limits
        self._tracing = tracing
        self._batch_max_events = batch_max_events
        self._queue_max_events = queue_max_events
        self._queue: deque[Waiting] = deque()
        self._queued_events = 0
        self._wake = asyncio.Event()
        self._closing = False

    async def admit(self, key: Key, address: str | None, size: int) -> Payer:
        """Before so many bytes of a client's are parsed. Raises RateLimited, TooManyEvents."""
        if self._limits is None or not (key.rate or key.origins):
            return Payer(key, address)
        return await self._limits.admit(key, address, size)

    async def take(self, parsed: Parsed, payer: Payer | None = None) -> Result:
        """Store a request's good events; returns once they are on disk. None: nothing limits them.

        Raises TooManyEvents or Overloaded (nothing was taken), ShuttingDown, DatabaseUnavailable
        or UnstorableEvent.
        """
        if payer is not None and payer.paid and self._limits is not None:
            await self._limits.settle(payer, len(parsed.events) + len(parsed.rejected))
        for rejection in parsed.rejected:
            self._metrics.events_rejected.labels(rejection.code).inc()
        duplicates = await self._submit(parsed.events) if parsed.events else []
        return Result(
            len(parsed.events) - len(duplicates),
            [parsed.indexes[i] for i in duplicates],
            parsed.rejected,
        )

    async def _submit(self, events: list[CheckedEvent]) -> list[int]:
        if self._closing:
            raise ShuttingDown
        if self._queued_events + len(events) > self._queue_max_events:
            raise Overloaded
        waiting = Waiting(events, asyncio.get_running_loop().create_future())
        if self._tracing is not None:
            waiting.span = self._tracing.wait(len(events))
        self._queue.append(waiting)
        self._count_queue(len(events))
        self._wake.set()
        return await waiting.answer

    async def run(self, heart: Heartbeat) -> None:
        """The loop; ends by `close`, when everything that was taken has been answered."""
        while True:
            heart.beat()
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await wait(self._wake, 1)
                continue
            await asyncio.sleep(0)  # requests that have just arrived come along
            await self._commit(self._take())

    def close(self) -> None:
        """Take no more; `run` ends when the queue is empty."""
        self._closing = True
        self._wake.set()

    async def disconnect(self) -> None:
        """Let go of Postgres, and of the slot; after `run` has ended."""
        await self._store.disconnect()

    def _take(self) -> list[Waiting]:
        """The oldest requests, whole, up to the largest batch (one request at least)."""
        batch = [self._queue.popleft()]
        size = len(batch[0].events)
        while self._queue and size + len(self._queue[0].events) <= self._batch_max_events:
            batch.append(self._queue.popleft())
            size += len(batch[-1].events)
        self._count_queue(-size)
        return batch

    async def _commit(self, batch: list[Waiting]) -> None:
        events = [event for waiting in batch for event in waiting.events]
        if self._tracing is None:
            await self._commit_events(events, batch)
            return
        spans = [waiting.span for waiting in batch if waiting.span is not None]
        with self._tracing.commit(spans, len(events)):
            await self._commit_events(events, batch)

    async def _commit_events(self, events: list[CheckedEvent], batch: list[Waiting]) -> None:
        started = time.perf_counter()
        try:
            committed = await self._store.commit(events)
        except UnstorableEvent as error:
            await self._commit_apart(batch, error)
        except DatabaseUnavailable as error:
            # Those still queued would wait as long for the same answer.
            batch += self._queue
            self._queue.clear()
            self._count_queue(-self._queued_events)
            self._fail(batch, error)
        except Exception:
            log.exception("a batch of %d events failed", len(events))
            self._fail(batch, LivetallyError())
        else:
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._metrics.batch_events.observe(len(events))
            self._on_commit(committed)
            self._answer(batch, committed, len(events))

    async def _commit_apart(self, batch: list[Waiting], error: UnstorableEvent) -> None:
        """Find the request that can't be stored, so that it spoils nothing for the others."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    def _answer(self, batch: list[Waiting], committed: Committed, size: int) -> None:
        accepted = len(committed.accepted)
        self._metrics.events_accepted.inc(accepted)
        if accepted == size:
            for waiting in batch:
                _resolve(waiting, [])
            return
        self._metrics.events_duplicate.inc(size - accepted)
        new = set(committed.accepted)
        start = 0
        for waiting in batch:
            count = len(waiting.events)
            _resolve(waiting, [i for i in range(count) if start + i not in new])
            start += count

    def _fail(self, batch: list[Waiting], error: LivetallyError) -> None:
        self._metrics.commit_failures.labels(error.code).inc()
        if self._tracing is not None:
            self._tracing.failed([waiting.span for waiting in batch], error.code)
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(type(error)(error.message))

    def _count_queue(self, change: int) -> None:
        self._queued_events += change
        self._metrics.queue_events.set(self._queued_events)


def _resolve(waiting: Waiting, duplicates: list[int]) -> None:
    if not waiting.answer.done():  # its client may have gone
        waiting.answer.set_result(duplicates)
