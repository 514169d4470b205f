"""What the topics share that are read from the log: how far they have read."""

import asyncio
from typing import Any

from ...schema.changes import Change
from .base import Position, Topic


def covers(position: Position, other: Position) -> bool:
    """Whether `position` includes everything that `other` does."""
    return all(position.get(slot, 0) >= seq for slot, seq in other.items())


class LogTopic(Topic):
    """Some events of the log, whose key has a `type` and a `subject` (or None: all of them).

    Messages only wake it up; what happened is read from Postgres, on from its head.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Everything up to here has been put to those who are not behind. Replaced, never mutated.
        self._head: Position = {}
        self._reading = False
        self._asking: asyncio.Task[Position] | None = None

    def apply(self, change: Change) -> None:
        cells = change.totals.get(self.key.type, {})
        if self.key.subject in cells if self.key.subject is not None else cells:
            self.has_news(change)
        elif not self._reading and change.first == self._head.get(change.slot, 0) + 1:
            # Nothing of ours in it: move on without reading.
            self._head = {**self._head, change.slot: change.last}

    def missed(self, positions: Position) -> bool:
        return not covers(self._head, positions)

    async def resync(self) -> None:
        self.has_news()

    async def _ask_positions(self) -> Position:
        """How far the log has come. One query for all who come back at the same moment."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._read_positions())
        return await asyncio.shield(self._asking)

    async def _read_positions(self) -> Position:
        try:
            rows = await self._database.rows("slot_positions", [self.key.project])
            return {row["slot"]: row["seq"] for row in rows}
        finally:
            self._asking = None
