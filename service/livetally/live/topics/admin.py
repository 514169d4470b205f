"""The topic `admin`: the largest totals of all projects, for who runs the installation.

Conflated and bounded like `totals`: at most MAX_SUBJECTS rows of project, type and subject, and the
grand total of everything.
"""

import time
from collections.abc import Iterable

import msgspec

from ...base.config import MAX_SUBJECTS
from ...schema.changes import Change
from ...schema.http import Position
from ...schema.live import Row, Snapshot, Update
from ..frames import NO_ID, Broadcast
from .base import Topic, TopicContext, TopicId

#: The project that stands for all of them; projects begin with 1.
ALL = 0
#: Reading what every project counted is the dearest query there is: it is made no oftener.
LOAD_S = 5.0

_Cell = tuple[int, str, str]


class AdminTopicId(TopicId, frozen=True):
    """Everything."""

    project: int = ALL

    def make(self, context: TopicContext) -> "AdminTopic":
        return AdminTopic(self, context)


class _Read(msgspec.Struct):
    """What the query `watch_all` returns."""

    projects: dict[int, str]
    positions: list[tuple[int, int, int]]  # project, slot, seq
    cells: list[tuple[int, str, str, int, int]]  # project, type, subject, slot, n


_read = msgspec.json.Decoder(_Read)


class AdminTopic(Topic):
    """Slots' counts, merged by maximum: messages may be lost, doubled or late.

    The grand total is the sum of all positions: every event has one.
    """

    def __init__(self, id: AdminTopicId, context: TopicContext) -> None:
        super().__init__(context, id)
        self._projects: dict[int, str] = {}
        self._rows: dict[_Cell, dict[int, int]] = {}
        self._heard: dict[tuple[int, int], int] = {}
        self._gaps = False
        self._changed: set[_Cell] = set()
        self._grand_changed = False
        self._must_load = self._must_snapshot = False
        self._loaded_at = 0.0

    def apply(self, change: Change) -> None:
        self._hear(change.project, change.slot, change.first, change.last)
        for type_, subjects in change.totals.items():
            for subject, n in subjects.items():
                if subject:
                    self._merge((change.project, type_, subject), change.slot, n)
        self.has_updates()

    def _hear(self, project: int, slot: int, first: int, last: int) -> None:
        at = self._heard.get((project, slot), 0)
        self._gaps |= first > at + 1
        if last > at:
            self._heard[project, slot] = last
            self._grand_changed = True

    def _merge(self, cell: _Cell, slot: int, n: int) -> None:
        slots = self._rows.get(cell)
        if slots is None:
            if cell[0] not in self._projects or len(self._rows) >= MAX_SUBJECTS:
                self._must_load = True  # a name, or a choice, that only Postgres knows
                return
            slots = self._rows[cell] = {}
        if n > slots.get(slot, 0):
            slots[slot] = n
            self._changed.add(cell)

    def missed(self, positions: Position) -> bool:
        """The hub can't tell of all projects: asked each time, and rarely read."""
        return time.monotonic() - self._loaded_at >= LOAD_S

    async def resync(self) -> None:
        rows = await self._database.rows("all_positions")
        heard = self._heard
        if (
            self._must_load
            or self._gaps
            or any(heard.get((row["project"], row["slot"]), 0) < row["seq"] for row in rows)
        ):
            await self.load()

    async def load(self) -> None:
        self._gaps = self._must_load = False
        try:
            read = _read.decode(await self._database.value("watch_all", MAX_SUBJECTS))
        except BaseException:
            self._must_load = True
            raise
        finally:
            self._loaded_at = time.monotonic()
        self._projects = read.projects
        chosen = {(project, type_, subject) for project, type_, subject, _, _ in read.cells}
        if len(chosen) >= MAX_SUBJECTS:
            for gone in self._rows.keys() - chosen:
                del self._rows[gone]
                self._changed.discard(gone)
                self._must_snapshot = True
        for project, type_, subject, slot, n in read.cells:
            self._merge((project, type_, subject), slot, n)
        for project, slot, seq in read.positions:
            self._hear(project, slot, 1, seq)
        self._gaps = False
        if self._changed or self._grand_changed or self._must_snapshot:
            self.has_updates()

    async def send_updates(self) -> None:
        if self._must_snapshot:
            for subscription in self.subscriptions:
                self.mark_lagging(subscription)
        changed, self._changed = self._changed, set()
        grand, self._grand_changed = self._grand_changed, False
        self._must_snapshot = False
        if changed or grand:
            update = Update(id=NO_ID, rows=self._shown(changed), total=self._total)
            self.put_to_all(Broadcast(update))

    async def catch_up(self) -> None:
        self.catch_up_with(Snapshot(id=NO_ID, rows=self._shown(self._rows), total=self._total))

    @property
    def _total(self) -> int:
        return sum(self._heard.values())

    def _shown(self, cells: Iterable[_Cell]) -> list[Row]:
        return [
            (self._projects[cell[0]], cell[1], cell[2], sum(self._rows[cell].values()))
            for cell in cells
        ]
