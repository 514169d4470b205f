"""The topic `totals`: a type's counts. A slow consumer gets a snapshot when it has room again."""

from collections.abc import Iterable

from ...base.config import MAX_SUBJECTS
from ...schema.changes import Change
from ...schema.live import Update
from ..frames import NO_ID
from .base import TopicContext, TopicId
from .counters import Counters, CountersTopic


class TotalsTopicId(TopicId, frozen=True):
    """The totals of a type, or of some of its subjects."""

    type: str
    subjects: frozenset[str] | None

    def make(self, context: TopicContext) -> "TotalsTopic":
        return TotalsTopic(self, context)


class TotalsTopic(CountersTopic):
    """A type's totals, by subject."""

    id: TotalsTopicId

    def __init__(self, id: TotalsTopicId, context: TopicContext) -> None:
        super().__init__(context, id, Counters(id.subjects))

    def _counts_in(self, change: Change) -> Iterable[tuple[str, int]]:
        cells = change.totals.get(self.id.type)
        if cells is None or self.id.subjects is None:
            return cells.items() if cells else ()
        return [(subject, cells[subject]) for subject in self.id.subjects & cells.keys()]

    async def _query(self) -> bytes:
        project, type_, subjects = self.id.project, self.id.type, self.id.subjects
        document: bytes
        if subjects is None:
            document = await self._database.value("watch_type", project, type_, MAX_SUBJECTS)
        else:
            document = await self._database.value("watch_subjects", project, type_, list(subjects))
        return document

    def _name(self) -> str:
        return f"totals of {self.id.type}{' (some subjects)' if self.id.subjects else ''}"

    def _update(self) -> Update:
        counters = self._counters
        return Update(id=NO_ID, totals=counters.changed_totals(), total=counters.total)
