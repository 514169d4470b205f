"""The topic `totals`: absolute counts, conflated. Who is skipped gets a snapshot afterwards."""

import math
import time
from typing import Any

import msgspec

from .config import MAX_SUBJECTS
from .frames import Message
from .publisher import Change
from .topic import Position, Topic
from .totals import Totals


class TotalsKey(msgspec.Struct, frozen=True):
    """The totals of a type, or of some of its subjects."""

    project: int
    type: str
    subjects: frozenset[str] | None


class _Read(msgspec.Struct):
    """What `watch_type` and `watch_subjects` return."""

    positions: Position
    cells: list[tuple[str, int, int]]


_read = msgspec.json.Decoder(_Read)


class TotalsTopic(Topic):
    """A type's totals, equal to Postgres' once everything up to `_heard` is merged."""

    key: TotalsKey

    def __init__(self, key: TotalsKey, *args: Any, **options: Any) -> None:
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
        cells = change.totals.get(self.key.type)
        if cells is None:
            return
        subjects = cells.keys() if self.key.subjects is None else self.key.subjects & cells.keys()
        for subject in subjects:
            self._totals.merge(subject, change.slot, cells[subject])
        if self._totals.changed:
            self._oldest = min(self._oldest, change.committed_at)
            self.has_news()

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
        subjects = "" if self.key.subjects is None else " (some subjects)"
        return [
            {
                "topic": f"totals of {self.key.type}{subjects}",
                "at": f"{subject}, slot {slot}",
                "counts": [self._totals.count(subject, slot), n],
            }
            for subject, slot, n in read.cells
            if slot in settled and self._totals.count(subject, slot) != n
        ]

    async def send_news(self) -> None:
        totals = self._totals
        if not totals.changed:
            return
        if totals.must_snapshot:
            for subscription in self.subscriptions:
                self.fall_behind(subscription)
        update = Message("update", totals.update())
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
