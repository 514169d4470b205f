"""An archive back into a database: events, totals and minutes come out as they were.

Every object is read and compared with its manifest before a row is written: a damaged copy leaves
nothing behind that a good one would stumble over. Then what belongs into the database is written
down, and each object is one transaction, which also says that it is done: a restore that was
interrupted goes on where it was.
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
    """Events that are to be restored; of how many the objects were checked, and those restored."""

    events: int = 0
    checked: int = 0
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
        left = {}
        for name, parts in by_project.items():
            await _find(connection, objects.url, name, merge)
            done = {row["object"] for row in await _run(connection, "restored", name, objects.url)}
            left[name] = [entry for entry in parts if entry.object not in done]
            progress.events += sum(entry.events for entry in left[name])
        for entry in [entry for parts in left.values() for entry in parts]:
            with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
                await _get(objects, entry, Path(folder) / "part")
            progress.checked += entry.events
            told(progress)
        for name, parts in by_project.items():
            id, slot = await _begin(connection, objects.url, name, parts, merge)
            # The newest first: a client that tries again tries what it sent last.
            for entry in sorted(left[name], key=lambda entry: entry.hour, reverse=True):
                await _part(connection, objects, id, slot, entry)
                progress.done += entry.events
                told(progress)
            await _run(connection, "restore_done", id, objects.url)
    return progress


async def _find(connection: _Connection, url: str, name: str, merge: bool) -> DictRow | None:
    """The project, if there is one, and its restore from there. Raises ConflictError."""
    rows = await _run(connection, "restore_find", name, url)
    if not rows:
        return None
    if rows[0]["done"]:
        raise ConflictError(f"Project {name!r} has been restored from {url} already.")
    if rows[0]["used"] and not rows[0]["begun"] and not merge:
        raise ConflictError(
            f"Project {name!r} has events: --merge restores the archive's beside them."
        )
    return rows[0]


async def _begin(
    connection: _Connection, url: str, name: str, parts: Sequence[Entry], merge: bool
) -> tuple[int, int | None]:
    """The project's id, and the slot that its events go to if not to those they had."""
    async with connection.transaction():
        await _run(connection, "create_project", name)
        found = await _find(connection, url, name, merge)
        if found is None:
            raise NotFoundError(f"Project {name!r} was taken away meanwhile.")
        if found["begun"]:
            return found["id"], found["slot"]
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


async def _get(objects: ObjectStore, entry: Entry, file: Path) -> None:
    """Raises ArchiveUnavailable, also if it isn't what its manifest says."""
    await objects.get(entry.object, file)
    if await asyncio.to_thread(parquet.digest, file) != (entry.bytes, entry.sha256):
        raise ArchiveUnavailable(
            "changed", f"{entry.object} is not what its manifest says: it was changed."
        )


async def _part(
    connection: _Connection, objects: ObjectStore, id: int, slot: int | None, entry: Entry
) -> None:
    with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
        file = Path(folder) / "part"
        await _get(objects, entry, file)
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
