"""An archive back into a database: events, totals and minutes come out as they were.

What belongs into the database is written down first; then each object is one transaction, which
also says that it is done. So a restore that was interrupted goes on where it was.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from ..base.errors import ArchiveUnavailable, ConflictError, NotFoundError
from ..db import sql
from ..db.database import connect
from . import parquet
from .manifest import Entry, entries
from .stores import ObjectStore

_Connection = AsyncConnection[DictRow]


class Progress(msgspec.Struct):
    """Events that are to be restored, and those that are."""

    events: int = 0
    done: int = 0


async def restore(
    database_url: str,
    objects: ObjectStore,
    *,
    project: str | None = None,
    merge: bool = False,
    told: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Restore a project, or all that the archive has.

    Raises NotFoundError if it has nothing, ConflictError if a project has events already (`merge`
    puts the archive's beside them) or was restored before, ArchiveUnavailable if an object isn't as
    it was.
    """
    by_project: dict[str, list[Entry]] = {}
    async for entry in entries(objects, project):
        by_project.setdefault(entry.project, []).append(entry)
    if not by_project:
        raise NotFoundError(f"There is nothing to restore in {objects.url}.")
    progress = Progress()
    async with await connect(database_url, application="livetally restore") as connection:
        await _run(connection, "restore_table")
        work = []
        for name, parts in by_project.items():
            id, slot = await _begin(connection, objects.url, name, parts, merge)
            todo = {row["object"] for row in await _run(connection, "restore_todo", id)}
            left = [entry for entry in parts if entry.object in todo]
            progress.events += sum(entry.events for entry in left)
            work.append((id, slot, left))
        for id, slot, left in work:
            # The newest first: a client that tries again tries what it sent last.
            for entry in sorted(left, key=lambda entry: entry.hour, reverse=True):
                await _part(connection, objects, id, slot, entry)
                progress.done += entry.events
                told(progress)
            await _run(connection, "restore_done", id, objects.url)
    return progress


async def _begin(
    connection: _Connection, url: str, name: str, parts: Sequence[Entry], merge: bool
) -> tuple[int, int | None]:
    """The project's id, and the slot that its events go to if not to those they had."""
    await _run(connection, "create_project", name)
    async with connection.transaction():
        (found,) = await _run(connection, "restore_find", name, url)
        if found["done"]:
            raise ConflictError(f"Project {name!r} has been restored from {url} already.")
        if found["begun"]:
            return found["id"], found["slot"]
        if found["used"] and not merge:
            raise ConflictError(
                f"Project {name!r} has events: --merge restores the archive's beside them."
            )
        (begun,) = await _run(
            connection,
            "restore_begin",
            *(found["id"], url, [entry.object for entry in parts]),
            *(found["used"], msgspec.json.encode(_positions(parts)).decode()),
        )
        return found["id"], begun["slot"]


def _positions(parts: Sequence[Entry]) -> dict[int, tuple[int, int]]:
    """For each slot the first and the last position of all parts."""
    positions: dict[int, tuple[int, int]] = {}
    for entry in parts:
        for slot, (first, last) in entry.ranges.items():
            known = positions.get(slot, (first, last))
            positions[slot] = min(known[0], first), max(known[1], last)
    return positions


async def _part(
    connection: _Connection, objects: ObjectStore, id: int, slot: int | None, entry: Entry
) -> None:
    with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
        file = Path(folder) / "part"
        await objects.get(entry.object, file)
        if await asyncio.to_thread(parquet.digest, file) != (entry.bytes, entry.sha256):
            raise ArchiveUnavailable(
                "changed", f"{entry.object} is not what its manifest says: it was changed."
            )
        async with connection.transaction():
            cursor = connection.cursor()
            async with cursor.copy(sql.query("restore_copy")) as copy:
                for rows in parquet.read(file):
                    for row in rows:
                        await copy.write_row(row)
            await _run(connection, "restore_day", entry.hour.date())
            await _run(connection, "restore_part", id, entry.object, slot)


async def _run(connection: _Connection, name: str, *values: Any) -> list[DictRow]:
    cursor = await connection.execute(sql.query(name), values)
    return await cursor.fetchall() if cursor.description else []
