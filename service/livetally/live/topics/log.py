"""What the topics share that are read from the log: how far they have read."""

import asyncio

from ...schema.changes import Change
from ...schema.http import Position
from .base import Topic, TopicContext, TopicId


def covers(position: Position, other: Position) -> bool:
    """Whether `position` includes everything that `other` does."""
    return all(position.get(slot, 0) >= seq for slot, seq in other.items())


class LogTopic(Topic):
    """The events of a type and a subject (or None: of any) in the log.

    Messages only wake it up; what happened is read from Postgres, on from its head.
    """

    def __init__(self, context: TopicContext, id: TopicId, type: str, subject: str | None) -> None:
        super().__init__(context, id)
        self._type = type
        self._subject = subject
        #: Everything up to here has been put to those who are not lagging. Replaced, never mutated.
        self._head: Position = {}
        self._reading = False
        self._positions: asyncio.Task[Position] | None = None

    def apply(self, change: Change) -> None:
        cells = change.totals.get(self._type, {})
        if self._subject in cells if self._subject is not None else cells:
            self.has_updates(change)
        elif not self._reading and change.first == self._head.get(change.slot, 0) + 1:
            # Nothing of ours in it: move on without reading.
            self._head = {**self._head, change.slot: change.last}

    def missed(self, positions: Position) -> bool:
        return not covers(self._head, positions)

    async def resync(self) -> None:
        self.has_updates()

    def stop(self) -> None:
        super().stop()
        if self._positions is not None:
            self._positions.cancel()

    async def query_positions(self) -> Position:
        """How far the log has come. One query for all who come back at the same moment."""
        if self._positions is None:
            self._positions = asyncio.create_task(self._read_positions())
        return await asyncio.shield(self._positions)

    async def _read_positions(self) -> Position:
        try:
            rows = await self._database.rows("slot_positions", [self.id.project])
            return {row["slot"]: row["seq"] for row in rows}
        finally:
            self._positions = None
