"""Events of any time, from the log and from the archive, each once and with no seam.

A project's day is in the log, whole, or it was dropped, and then the archive has it whole: it comes
from one of them. That of the log is locked before it is read, so that it isn't dropped meanwhile.
(A day that was dropped may be there again, with what was restored of another project.)
"""

import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from psycopg import AsyncConnection, AsyncRawServerCursor
from psycopg.rows import DictRow, tuple_row

from ..db import sql
from ..db.database import connect
from . import parquet, schema
from .manifest import Entry, entries
from .stores import ObjectStore

_PAGE = 1_000
_DAY = timedelta(days=1)
_RECEIVED_AT = [name for name, *_ in schema.COLUMNS].index("received_at")

#: (project, *a value for each of schema.COLUMNS), times as microseconds since 1970.
Row = tuple[Any, ...]


class Wanted(msgspec.Struct, frozen=True):
    """Which events: received from `start` until `end`, of all projects and types unless named."""

    start: datetime
    end: datetime
    project: str | None = None
    type: str | None = None


class Export:
    """Hands out events. `objects` is the archive, if there is one."""

    def __init__(self, database_url: str, objects: ObjectStore | None, wanted: Wanted) -> None:
        self._url = database_url
        self._objects = objects
        self._wanted = wanted
        self._archived: dict[date, list[Entry]] = {}
        self._has_archive = False
        #: the days that were in the log when the archive was last looked through
        self._logged: set[date] = set()

    async def count(self) -> int:
        """About how many events there are: of whole minutes, as they were counted."""
        wanted = self._wanted
        async with await connect(self._url, application="livetally export") as connection:
            cursor = await connection.execute(
                sql.query("export_count"),
                (wanted.project, wanted.type, wanted.start, wanted.end),
            )
            return int((await cursor.fetchall())[0]["events"])

    async def rows(self) -> AsyncIterator[list[Row]]:
        """The events, page by page: day by day, and within a day by project, type and position."""
        async with await connect(self._url, application="livetally export") as connection:
            self._logged = await _logged(connection)
            await self._list()
            first, last = self._wanted.start.astimezone(UTC), self._wanted.end.astimezone(UTC)
            for day in sorted(self._logged | self._archived.keys()):
                if first.date() <= day <= last.date():
                    async for rows in self._day(connection, day):
                        yield rows

    async def whole_since(self) -> date | None:
        """Where earlier events that are wanted were dropped, and no archive has them: the log's
        first day."""
        async with await connect(self._url, application="livetally export") as connection:
            cursor = await connection.execute(sql.query("export_dropped"), (self._wanted.project,))
            dropped = (await cursor.fetchall())[0]["dropped"]
            first = min(await _logged(connection))
        asked = self._wanted.start.astimezone(UTC).date() < first
        return first if dropped and asked and not self._has_archive else None

    async def _list(self) -> None:
        """Find what the archive has of the wanted events."""
        self._archived.clear()
        if self._objects is not None:
            async for entry in entries(self._objects, self._wanted.project):
                self._has_archive = True
                if self._wants(entry):
                    self._archived.setdefault(entry.hour.date(), []).append(entry)

    async def _day(
        self, connection: AsyncConnection[DictRow], day: date
    ) -> AsyncIterator[list[Row]]:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        wanted = self._wanted
        asked = (
            max(begin, wanted.start),
            min(begin + _DAY, wanted.end),
            wanted.project,
            wanted.type,
        )
        async with (
            connection.transaction(),
            AsyncRawServerCursor(connection, "export", row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(sql.query("export_day"), asked, binary=True)
            # It holds its lock now: what is there stays, what is not is not read.
            there = await _projects(connection, begin)
            while rows := await cursor.fetchmany(_PAGE):
                yield rows
        logged = await _logged(connection)
        if day in self._logged - logged:  # it was dropped since we began
            self._logged = logged
            await self._list()
        for entry in sorted(self._archived.get(day, ()), key=lambda entry: entry.object):
            if entry.project not in there:
                async for rows in self._part(entry):
                    yield rows

    def _wants(self, entry: Entry) -> bool:
        wanted = self._wanted
        return (
            wanted.type in (None, entry.type)
            and entry.first_received_at < wanted.end
            and entry.last_received_at >= wanted.start
        )

    async def _part(self, entry: Entry) -> AsyncIterator[list[Row]]:
        assert self._objects is not None  # noqa: S101  # it has told of this entry
        first, last = _microseconds(self._wanted.start), _microseconds(self._wanted.end)
        with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
            file = Path(folder) / "part"
            await self._objects.get(entry.object, file)
            for rows in parquet.read(file):
                yield [(entry.project, *row) for row in rows if first <= row[_RECEIVED_AT] < last]


async def _projects(connection: AsyncConnection[DictRow], day: datetime) -> set[str]:
    cursor = await connection.execute(sql.query("export_projects"), (day, day + _DAY))
    return {row["name"] for row in await cursor.fetchall()}


async def _logged(connection: AsyncConnection[DictRow]) -> set[date]:
    cursor = await connection.execute(sql.query("export_days"))
    return {row["day"] for row in await cursor.fetchall()}


def _microseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)
