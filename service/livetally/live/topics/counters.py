"""Grow-only counters as one process knows them, and what the topics share that are made of them.

Of each subject the largest count seen in each slot is kept, and its total is their sum. Merging is
commutative and idempotent: messages may come late, twice, in any order, or mixed with what was
read from Postgres, and the result is the same. Viewers are told absolute counts, conflated: at most
once a tick, the latest.
"""

import math
import time
from collections.abc import Iterable

import msgspec

from ...base.config import MAX_SUBJECTS
from ...schema.changes import Change
from ...schema.http import HubDifference, Position
from ...schema.live import Snapshot, TopicMessage
from ..frames import NO_ID, Broadcast
from .base import Topic, TopicContext, TopicId


class _Counter(msgspec.Struct):
    slots: dict[int, int]
    total: int = 0

    def merge(self, slot: int, n: int) -> bool:
        known = self.slots.get(slot, 0)
        if n <= known:
            return False
        self.slots[slot] = n
        self.total += n - known
        return True


def _sums(cells: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for subject, _, n in cells:
        if subject:
            sums[subject] = sums.get(subject, 0) + n
    return sums


class Counters:
    """The subjects that were named; or the largest `MAX_SUBJECTS` and the type's grand total."""

    def __init__(self, subjects: frozenset[str] | None) -> None:
        self._subjects = subjects
        self._counters: dict[str, _Counter] = {}
        self._grand = _Counter({})
        self._changed: set[str] = set()
        self._grand_changed = False
        #: Which subjects are the largest may have changed: only Postgres can tell. To be cleared
        #: before it is asked: what is heard until its answer comes is a reason to ask again.
        self.must_rank = False
        #: The choice of subjects has changed: an update can't say that, a snapshot can.
        self.must_snapshot = False

    @property
    def changed(self) -> bool:
        """Whether there is something that viewers were not told yet."""
        return bool(self._changed) or self._grand_changed or self.must_snapshot

    def merge(self, subject: str, slot: int, n: int) -> None:
        """Take in that `slot` has counted `subject` up to `n`; '' is the type's grand total."""
        counter = self._counters.get(subject)
        if counter is None:
            counter = self._new_counter(subject)
            if counter is None:
                return
        if counter.merge(slot, n):
            if counter is self._grand:
                self._grand_changed = True
            else:
                self._changed.add(subject)

    def count(self, subject: str, slot: int) -> int:
        """What `slot` is known to have counted; '' is the type's grand total."""
        counter = self._grand if subject == "" else self._counters.get(subject)
        return counter.slots.get(slot, 0) if counter else 0

    def _new_counter(self, subject: str) -> _Counter | None:
        if subject == "":
            return self._grand if self._subjects is None else None
        if self._subjects is not None:
            if subject not in self._subjects:
                return None
        elif len(self._counters) >= MAX_SUBJECTS:
            self.must_rank = True
            return None
        return self._counters.setdefault(subject, _Counter({}))

    def load(self, cells: Iterable[tuple[str, int, int]]) -> None:
        """Take in what Postgres holds: (subject, slot, n) of every subject that belongs here."""
        cells = list(cells)
        if self._subjects is None:
            largest = {subject for subject, _, _ in cells if subject}
            # Fewer than the limit are all there are; then one missing here is only too new to have
            # been read, and stays.
            if len(largest) >= MAX_SUBJECTS:
                least = min(_sums(cells).values())
                for gone in self._counters.keys() - largest:
                    # It counted more meanwhile than Postgres knew when it chose.
                    if self._counters[gone].total >= least:
                        self.must_rank = True
                    del self._counters[gone]
                    self._changed.discard(gone)
                    self.must_snapshot = True
        for subject, slot, n in cells:
            self.merge(subject, slot, n)

    @property
    def total(self) -> int:
        """The type's grand total; of named subjects, theirs."""
        if self._subjects is None:
            return self._grand.total
        return sum(counter.total for counter in self._counters.values())

    def totals(self) -> dict[str, int]:
        """The total of every subject."""
        totals = {subject: counter.total for subject, counter in self._counters.items()}
        if self._subjects is not None:
            totals = {subject: totals.get(subject, 0) for subject in self._subjects}
        return totals

    def changed_totals(self) -> dict[str, int]:
        """Those that have changed since the last `settle`."""
        return {subject: self._counters[subject].total for subject in self._changed}

    def settle(self) -> None:
        """Viewers have been told everything."""
        self._changed.clear()
        self._grand_changed = False
        self.must_snapshot = False


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
