"""What the topics share that are counters: absolute counts, conflated, read again when missed."""

import math
import time
from collections.abc import Iterable

import msgspec

from ...schema.changes import Change
from ...schema.http import HubDifference, Position
from ...schema.live import Snapshot, TopicMessage
from ..frames import NO_ID, Broadcast
from .base import Topic, TopicContext, TopicId
from .counters import Counters


class _Read(msgspec.Struct):
    """What `watch_type`, `watch_subjects` and `watch_types` return."""

    positions: Position
    cells: list[tuple[str, int, int]]


_read = msgspec.json.Decoder(_Read)


class CountersTopic(Topic):
    """Counters, equal to Postgres' once everything up to `_heard` is merged."""

    def __init__(self, context: TopicContext, id: TopicId, counters: Counters) -> None:
        super().__init__(context, id)
        self._counters = counters
        #: By slot, how far it has been heard of without a gap.
        self._heard: Position = {}
        self._oldest = math.inf  # when the oldest change not shown yet was committed (Unix time)

    # For the kinds

    def _counts_in(self, change: Change) -> Iterable[tuple[str, int]]:
        """What a change has of these counters: by name the slot's count."""
        raise NotImplementedError

    async def _query(self) -> bytes:
        """What Postgres has of them. Raises DatabaseUnavailable."""
        raise NotImplementedError

    def _name(self) -> str:
        """For who compares them."""
        raise NotImplementedError

    def _update(self) -> TopicMessage:
        """What is new."""
        raise NotImplementedError

    def _snapshot(self) -> Snapshot:
        return Snapshot(id=NO_ID, totals=self._counters.totals(), total=self._counters.total)

    # For the hub

    def apply(self, change: Change) -> None:
        at = self._heard.get(change.slot, 0)
        if change.first <= at + 1:
            self._heard[change.slot] = max(at, change.last)
        for name, n in self._counts_in(change):
            self._counters.merge(name, change.slot, n)
        if self._counters.changed:
            self._oldest = min(self._oldest, change.committed_at)
            self.has_updates(change)

    def missed(self, positions: Position) -> bool:
        heard = self._heard
        return self._counters.must_rank or any(
            heard.get(slot, 0) < seq for slot, seq in positions.items()
        )

    async def resync(self) -> None:
        await self.load()

    async def load(self) -> None:
        ranked, self._counters.must_rank = self._counters.must_rank, False
        try:
            document = await self._query()
        except BaseException:
            self._counters.must_rank |= ranked
            raise
        read = _read.decode(document)
        self._counters.load(read.cells)
        for slot, seq in read.positions.items():
            self._heard[slot] = max(seq, self._heard.get(slot, 0))
        if self._counters.changed:
            self.has_updates()

    async def differences(self) -> list[HubDifference]:
        read = _read.decode(await self._query())
        # Where a slot's positions differ a message is on its way: then nothing can be said.
        settled = {slot for slot, seq in read.positions.items() if self._heard.get(slot) == seq}
        return [
            HubDifference(self._name(), f"{name}, slot {slot}", (known, n))
            for name, slot, n in read.cells
            if slot in settled and (known := self._counters.count(name, slot)) != n
        ]

    # For viewers

    async def send_updates(self) -> None:
        counters = self._counters
        if not counters.changed:
            return
        if counters.must_snapshot:
            for subscription in self.subscriptions:
                self.mark_lagging(subscription)
        update = self._update()
        counters.settle()
        self.put_to_all(Broadcast(update))
        if self._oldest < math.inf:
            self._metrics.lag_seconds.observe(max(0.0, time.time() - self._oldest))
            self._oldest = math.inf

    async def catch_up(self) -> None:
        self.catch_up_with(self._snapshot())
