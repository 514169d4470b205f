"""Which events go into which objects of the archive: written down in Postgres before it is done.

A plan takes each slot's events from where the last one ended, and holds a part for each type and
hour. A worker claims a part by an advisory lock of its connection, which ends with the worker.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow, tuple_row

from ..base.errors import DatabaseUnavailable
from ..db import sql
from ..db.database import UNREACHABLE, GivenUp, Patience, connect
from . import schema

#: The first halves of advisory locks: a part is claimed, a project is planned for.
PART_LOCKS = 0x11F0
PLAN_LOCKS = 0x11F1
#: A project's further events wait while this many of its plans are unfinished.
MAX_PLANS = 3
#: Longer than reading a page takes, or looking at a full plan's events, on a busy database.
TIMEOUT_S = 60
PAGE_EVENTS = 1_000

T = TypeVar("T")
_Connection = AsyncConnection[DictRow]
Ranges = dict[int, tuple[int, int]]


class Part(msgspec.Struct, frozen=True):
    """One object: the events of a type that were received in an hour, of these positions."""

    id: int
    project: int
    object: str
    type: str
    hour: datetime
    ranges: Ranges
    events: int
    bytes: int

    @property
    def row_bytes(self) -> int:
        """What an event's texts take, on average."""
        return self.bytes // self.events


class _Group(msgspec.Struct):
    type: str
    hour: datetime
    slot: int
    first: int
    last: int
    events: int
    bytes: int
    oldest: datetime
    newest: datetime


class _Look(msgspec.Struct):
    ranges: list[tuple[int, int, int, int]]  # slot, after, upto, seq
    groups: list[_Group]


class Hole(Exception):
    """The log lacks events that its positions promise: somebody has deleted some."""


class Ledger:
    """The tables archive_*, through a connection of its own. Not for concurrent use.

    Everything raises DatabaseUnavailable; then what was claimed is claimed no more.
    """

    def __init__(self, url: str, plan_events: int) -> None:
        self._url = url
        self._plan_events = plan_events
        self._patience = Patience()
        self._connection: _Connection | None = None

    async def due(self, interval_s: float) -> list[tuple[int, str]]:
        """The projects (id, name) to plan for: a full plan waits, or something does for long."""
        rows = await self._rows("archive_due", self._plan_events, interval_s, MAX_PLANS)
        return [(row["project"], row["name"]) for row in rows]

    async def plan(self, project: int, name: str) -> int:
        """Plan for a project; the number of events, 0 if another worker is at it. Raises Hole."""
        return await self._do(lambda connection: self._plan(connection, project, name))

    async def claim(self) -> Part | None:
        """A part that no other worker is at, until it is released."""
        while rows := await self._rows("archive_claim", PART_LOCKS):
            id = rows[0]["id"]
            found = await self._rows("archive_part", id)
            if found:
                return msgspec.convert(found[0], Part, strict=False)
            await self.release(id)  # it was stored while we looked
        return None

    async def release(self, id: int) -> None:
        await self._rows("archive_release", PART_LOCKS, id)

    async def page(self, part: Part, slot: int, after: int) -> list[tuple[Any, ...]]:
        """The part's next events in a slot, as schema.COLUMNS; the last page isn't full."""
        upto = part.ranges[slot][1]
        asked = (part.project, part.type, slot, after, upto, part.hour, PAGE_EVENTS)
        return await self._do(lambda connection: _tuples(connection, "archive_page", asked))

    async def stored(self, part: Part, size: int, sha256: str) -> bool:
        """The object is there. False: another worker, who took us for dead, was faster."""
        return bool(await self._rows("archive_stored", part.id, size, sha256))

    async def complete(self) -> list[DictRow]:
        """Plans whose parts are all stored, as `manifest` takes them."""
        return await self._rows("archive_complete")

    async def finish(self, project: int, number: int) -> int:
        """The manifest is there; how many events that archived, 0 if another worker said so."""
        rows = await self._rows("archive_finish", project, number)
        return int(rows[0]["events"]) if rows else 0

    async def lag_s(self) -> float:
        """For how long the oldest event that isn't archived has waited, at most."""
        rows = await self._rows("archive_lag")
        return max(0.0, float(rows[0]["lag"]))

    async def disconnect(self) -> None:
        """Let go of the connection, and of what is claimed."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _plan(self, connection: _Connection, project: int, name: str) -> int:
        async with connection.transaction():
            locked = await _rows(connection, "archive_lock", (PLAN_LOCKS, project))
            if not locked[0]["locked"]:
                return 0
            look = await _document(connection, "archive_look", (project, self._plan_events))
            ranges = {
                slot: [after + 1, upto] for slot, after, upto, _ in look.ranges if upto > after
            }
            events = sum(last - first + 1 for first, last in ranges.values())
            found = sum(group.events for group in look.groups)
            if found != events:
                raise Hole(f"Project {name!r}: {events} events should be in {ranges}, {found} are.")
            if not events:
                return 0
            number = (await _rows(connection, "archive_number", (project,)))[0]["number"]
            token = secrets.token_hex(4)
            await _rows(
                connection,
                "archive_plan",
                (
                    project,
                    token,
                    events,
                    _json(ranges),
                    all(upto == seq for _, _, upto, seq in look.ranges),
                    _json(_parts(look.groups, name, f"{number:010d}-{token}")),
                    number,
                ),
            )
        return events

    async def _rows(self, name: str, *values: object) -> list[DictRow]:
        return await self._do(lambda connection: _rows(connection, name, values))

    async def _do(self, work: Callable[[_Connection], Awaitable[T]]) -> T:
        try:
            return await self._patience.within(TIMEOUT_S, self._connected(work))
        except (GivenUp, asyncio.CancelledError) as error:
            self._connection = None  # still in use; `_connected` closes it
            if isinstance(error, asyncio.CancelledError):
                raise
            raise DatabaseUnavailable from None
        except UNREACHABLE:
            await self.disconnect()
            raise DatabaseUnavailable from None

    async def _connected(self, work: Callable[[_Connection], Awaitable[T]]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, application="livetally archive")
        connection = self._connection
        try:
            return await work(connection)
        except asyncio.CancelledError:
            await connection.close()
            raise


def _parts(groups: Sequence[_Group], project: str, plan: str) -> list[dict[str, Any]]:
    """A part for each type and hour, with the name that its object will have."""
    parts: list[dict[str, Any]] = []
    for (type, hour), slots in itertools.groupby(groups, lambda group: (group.type, group.hour)):
        of = list(slots)
        folder = schema.folder(project, type, hour)
        parts.append(
            {
                "object": f"{folder}/part-{plan}-{len(parts):04d}.parquet",
                "type": type,
                "hour": hour,
                "ranges": {group.slot: [group.first, group.last] for group in of},
                "events": sum(group.events for group in of),
                "bytes": sum(group.bytes for group in of),
                "first_received_at": min(group.oldest for group in of),
                "last_received_at": max(group.newest for group in of),
            }
        )
    return parts


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _rows(connection: _Connection, name: str, values: Sequence[object]) -> list[DictRow]:
    cursor = await connection.execute(sql.query(name), values)
    return await cursor.fetchall() if cursor.description else []


async def _tuples(
    connection: _Connection, name: str, values: Sequence[object]
) -> list[tuple[Any, ...]]:
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(sql.query(name), values)
        return await cursor.fetchall()


async def _document(connection: _Connection, name: str, values: Sequence[object]) -> _Look:
    (row,) = await _rows(connection, name, values)
    (text,) = row.values()
    return msgspec.json.decode(text, type=_Look)
