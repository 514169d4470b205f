"""The topic `totals`: absolute counts, conflated. Who is skipped gets a snapshot afterwards."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ...base.config import MAX_SUBJECTS
from ...schema.changes import Change
from ..frames import Message
from .base import Position, Subscription, Topic
from .counters import Totals


class TotalsKey(msgspec.Struct, frozen=True):
    """The totals of a type, or of some of its subjects."""

    project: int
    type: str
    subjects: frozenset[str] | None


class CountsKey(msgspec.Struct, frozen=True):
    """The totals of one subject, of several types."""

    project: int
    subject: str
    types: frozenset[str]

    @property
    def subjects(self) -> frozenset[str]:
        """Its totals are kept by type."""
        return self.types


class _Read(msgspec.Struct):
    """What `watch_type`, `watch_subjects` and `watch_types` return."""

    positions: Position
    cells: list[tuple[str, int, int]]


_read = msgspec.json.Decoder(_Read)


class TotalsTopic(Topic):
    """A type's totals, equal to Postgres' once everything up to `_heard` is merged."""

    def __init__(self, key: TotalsKey | CountsKey, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.key = key
        self._totals = Totals(key.subjects)
        #: By slot, how far it has been heard of without a gap.
        self._heard: Position = {}
        self._oldest = math.inf  # when the oldest change not shown yet was committed (Unix time)

    def apply(self, change: Change) -> None:
        at = self._heard.get(change.slot, 0)
        if change.first <= at + 1:
            self._heard[change.slot] = max(at, change.last)
        for subject, n in self._counts_in(change):
            self._totals.merge(subject, change.slot, n)
        if self._totals.changed:
            self._oldest = min(self._oldest, change.committed_at)
            self.has_news(change)

    def _counts_in(self, change: Change) -> Iterable[tuple[str, int]]:
        cells = change.totals.get(self.key.type)
        if cells is None or self.key.subjects is None:
            return cells.items() if cells else ()
        return [(subject, cells[subject]) for subject in self.key.subjects & cells.keys()]

    def missed(self, positions: Position) -> bool:
        heard = self._heard
        return self._totals.must_rank or any(
            heard.get(slot, 0) < seq for slot, seq in positions.items()
        )

    async def resync(self) -> None:
        await self.load()

    async def load(self) -> None:
        ranked, self._totals.must_rank = self._totals.must_rank, False
        try:
            document = await self._read()
        except BaseException:
            self._totals.must_rank |= ranked
            raise
        read = _read.decode(document)
        self._totals.load(read.cells)
        for slot, seq in read.positions.items():
            self._heard[slot] = max(seq, self._heard.get(slot, 0))
        if self._totals.changed:
            self.has_news()

    async def _read(self) -> bytes:
        project, type_, subjects = self.key.project, self.key.type, self.key.subjects
        document: bytes
        if subjects is None:
            document = await self._database.value("watch_type", project, type_, MAX_SUBJECTS)
        else:
            document = await self._database.value("watch_subjects", project, type_, list(subjects))
        return document

    async def differences(self) -> list[dict[str, Any]]:
        read = _read.decode(await self._read())
        # Where a slot's positions differ a message is on its way: then nothing can be said.
        settled = {slot for slot, seq in read.positions.items() if self._heard.get(slot) == seq}
        return [
            {
                "topic": self._name(),
                "at": f"{subject}, slot {slot}",
                "counts": [self._totals.count(subject, slot), n],
            }
            for subject, slot, n in read.cells
            if slot in settled and self._totals.count(subject, slot) != n
        ]

    def _name(self) -> str:
        return f"totals of {self.key.type}{' (some subjects)' if self.key.subjects else ''}"

    def _update(self) -> bytes:
        return self._totals.update()

    async def send_news(self) -> None:
        totals = self._totals
        if not totals.changed:
            return
        if totals.must_snapshot:
            for subscription in self.subscriptions:
                self.fall_behind(subscription)
        update = Message("update", self._update())
        totals.settle()
        self.put_to_all(update)
        if self._oldest < math.inf:
            self._metrics.lag_seconds.observe(max(0.0, time.time() - self._oldest))
            self._oldest = math.inf

    async def catch_up(self) -> None:
        snapshot = Message("snapshot", self._totals.snapshot())
        for subscription in self.ready_laggards():
            self.put(subscription, snapshot)
            del self.behind[subscription]


class CountsTopic(TotalsTopic):
    """One subject's totals of several types: every message has all of them, of one moment.

    A viewer may have its answers in its own time: `hold`, do something that counts, `show`; if that
    failed, `release`.
    """

    def __init__(self, key: CountsKey, *args: Any, **options: Any) -> None:
        super().__init__(key, *args, **options)
        #: What each viewer was told last: an update may say what a snapshot has said already.
        self._told: dict[Subscription, bytes] = {}

    def hold(self, subscription: Subscription) -> None:
        """Tell a viewer nothing for now."""
        subscription.admitted = False
        self.behind[subscription] = None

    def show(self, subscription: Subscription) -> None:
        """Tell a viewer at once how things stand, be it news or not."""
        self._told.pop(subscription, None)
        self.release(subscription)

    def release(self, subscription: Subscription) -> None:
        """Tell a viewer what it has missed, if anything."""
        subscription.admitted = True
        if subscription.viewer.clogged:
            self.fall_behind(subscription)
        else:
            self.behind.pop(subscription, None)
            self.put(subscription, Message("snapshot", self._totals.snapshot()))

    def put(self, subscription: Subscription, message: Message) -> None:
        if self._told.get(subscription) != message.rest:
            self._told[subscription] = message.rest
            super().put(subscription, message)

    def put_to_all(
        self, message: Message, skipped: Callable[[Subscription], None] | None = None
    ) -> None:
        for subscription in self.subscriptions.keys() - self.behind.keys():
            if subscription.viewer.clogged:
                self._metrics.frames_skipped.inc()
                self.fall_behind(subscription)
            else:
                self.put(subscription, message)

    def remove(self, subscription: Subscription) -> None:
        super().remove(subscription)
        self._told.pop(subscription, None)

    def _counts_in(self, change: Change) -> Iterable[tuple[str, int]]:
        for type_ in self.key.types & change.totals.keys():
            if (n := change.totals[type_].get(self.key.subject)) is not None:
                yield type_, n

    async def _read(self) -> bytes:
        project, subject, types = self.key.project, self.key.subject, self.key.types
        document: bytes = await self._database.value("watch_types", project, list(types), subject)
        return document

    def _name(self) -> str:
        return f"counts of {self.key.subject}"

    def _update(self) -> bytes:
        return self._totals.snapshot()
