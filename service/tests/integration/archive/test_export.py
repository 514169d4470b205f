"""Events out by `livetally export`, and an archive back in by `livetally restore`."""

import asyncio
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from livetally.archive.export import Export, Wanted
from livetally.archive.restore import Progress, restore
from livetally.archive.stores import ObjectStore, open_objects
from livetally.base.errors import ArchiveUnavailable, ConflictError, NotFoundError
from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres
from service.tests.support.archives import (
    archive_all,
    files,
    fill,
    in_archive,
    in_postgres,
    rolling,
    today,
    worker,
)
from service.tests.support.postgres import query
from service.tests.support.process import on_a_terminal
from service.tests.support.server import Service


@pytest.fixture
def empty_url(postgres: LocalPostgres) -> Iterator[str]:
    """A second database, as `livetally migrate` leaves it."""
    postgres.create_database("restored")
    asyncio.run(migrate(postgres.dsn("restored")))
    yield postgres.dsn("restored")
    postgres.drop_database("restored")


def livetally(database_url: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ |= {"LIVETALLY_DATABASE_URL": database_url, "LIVETALLY_REDIS_URL": "redis://unused"}
    command = [sys.executable, "-m", "livetally", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, timeout=100)


def exported(database_url: str, *arguments: str) -> bytes:
    done = livetally(database_url, "export", *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def half_dropped(database_url: str, root: Path) -> list[tuple[Any, ...]]:
    """A log of which the older days were archived and dropped; all its events."""
    fill(database_url, 900, hours=60, kinds=2)
    everything = in_postgres(database_url)
    async with worker(database_url, root) as archive:
        await archive_all(archive)
    fill(database_url, 960, since=900, hours=60, kinds=2)  # the last are in the log only
    everything = sorted({*everything, *in_postgres(database_url)}, key=lambda row: row[7:9])
    async with rolling(database_url, retention_days=2, archive_url=str(root)) as rollup:
        while await rollup.retire_day():
            pass
    assert 60 < len(in_postgres(database_url)) < 960
    return everything


async def test_an_export_has_no_seam(database_url: str, tmp_path: Path) -> None:
    """What was dropped comes from the archive and the rest from the log, each event once and whole,
    in every format; a project, a type and a time choose. A day that was dropped is made anew by
    whoever restores another project: that changes nothing."""
    everything = await half_dropped(database_url, tmp_path)
    query(database_url, "SELECT livetally_add_day(%s)", (today() - timedelta(days=4)).date())
    archive = ("--archive", str(tmp_path))
    lines = exported(database_url, *archive).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == 960
    file = tmp_path / "all.parquet"
    exported(database_url, *archive, "--output", str(file))
    rows = duckdb.sql(
        "SELECT project, id, type, subject, session, epoch_us(occurred_at), epoch_us(received_at),"
        f" slot, seq, properties FROM '{file}'"
    ).fetchall()
    assert sorted(rows, key=lambda row: row[7:9]) == everything
    (names, *table) = csv.reader(
        io.StringIO(exported(database_url, *archive, "--format", "csv").decode(), newline="")
    )
    assert {(row[names.index("id")], row[names.index("properties")]) for row in table} == {
        (row[1], row[9] or "") for row in everything
    }
    noon = today().replace(hour=0).timestamp() * 1e6 - 2.5 * 86400e6
    some = exported(
        *(database_url, *archive, "--project", "demo", "--type", "a/b=c"),
        *("--from", "2026-01-01", "--to", _iso(noon)),
    )
    chosen = {json.loads(line)["id"] for line in some.splitlines()}
    assert chosen == {row[1] for row in everything if row[2] == "a/b=c" and row[6] < noon}
    assert chosen
    assert exported(database_url, *archive, "--project", "other") == b""


async def test_what_no_archive_was_named_for_is_told(database_url: str, tmp_path: Path) -> None:
    """Where days that are asked for were dropped and no archive is named, or an empty one, the rest
    comes, with since when it is whole, and a status that says so; what is younger is whole."""
    await half_dropped(database_url, tmp_path)
    (tmp_path / "empty").mkdir()
    since = f"{today() - timedelta(days=2):%Y-%m-%d}"
    for archive in ((), ("--archive", str(tmp_path / "empty"))):
        done = await asyncio.to_thread(livetally, database_url, "export", *archive)
        assert (done.returncode, len(done.stdout.splitlines())) == (
            1,
            len(in_postgres(database_url)),
        )
        told = f"livetally: events received before {since} were dropped from the log: --archive "
        assert done.stderr.decode().startswith(told)
    assert exported(database_url, "--from", since)


class Meanwhile:
    """A place where something happens before the first object is read."""

    def __init__(self, place: ObjectStore, act: Callable[[], Awaitable[None]]) -> None:
        self.url, self.temporary, self.put = place.url, place.temporary, place.put
        self.names, self.close = place.names, place.close
        self._place, self._act = place, act
        self.acted = False

    async def get(self, name: str, file: Path) -> None:
        if name.endswith(".parquet") and not self.acted:
            self.acted = True
            await self._act()
        await self._place.get(name, file)


async def test_a_day_that_goes_while_an_export_runs(database_url: str, tmp_path: Path) -> None:
    """Events that were in the log only when an export began, and are archived and dropped before it
    has come to them, are in it, once."""
    fill(database_url, 900, hours=60, kinds=2)
    everything = {*in_postgres(database_url)}
    kept = {"archive_url": str(tmp_path)}
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
        async with rolling(database_url, retention_days=3, **kept) as rollup:
            while await rollup.retire_day():
                pass
        fill(database_url, 960, since=900, hours=720, kinds=2)  # over the last 45 hours of those 60
        everything |= {*in_postgres(database_url)}

        async def archive_and_drop() -> None:
            await archive_all(archive)
            async with rolling(database_url, retention_days=2, **kept) as rollup:
                while await rollup.retire_day():
                    pass

        place = Meanwhile(open_objects(str(tmp_path)), archive_and_drop)
        export = Export(database_url, place, Wanted(today() - timedelta(days=9), today()))
        found = [row async for rows in export.rows() for row in rows]
    assert place.acted
    assert len(found) == len(everything)
    assert set(found) == everything


async def test_progress_is_shown(database_url: str, empty_url: str, tmp_path: Path) -> None:
    """On a terminal, export and restore show how far they are."""
    fill(database_url, 700, kinds=2)
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    file = str(tmp_path / "all.csv")
    said = await asyncio.to_thread(on_a_terminal, database_url, "export", "--output", file)
    assert re.search(r"exporting.*700/700", said, re.DOTALL)
    said = await asyncio.to_thread(on_a_terminal, empty_url, "restore", str(tmp_path))
    assert re.search(r"restoring.*700/700", said, re.DOTALL)


def _iso(microseconds: float) -> str:
    return str(duckdb.sql(f"SELECT make_timestamp({int(microseconds)})").fetchall()[0][0])


async def test_an_exported_line_is_what_was_sent(service: Service) -> None:
    """NDJSON has the names and values of the API, numbers as they were written, times in UTC;
    and sending the lines again counts nothing twice."""
    event = b'{"id":"a","type":"click","subject":"s","occurred_at":"2020-01-01T00:30:00+01:00",'
    event += b'"properties":{"price":1.10,"n":12345678901234567890}}'
    status, answer = await service.post(event)
    assert status == 200, answer
    line = await asyncio.to_thread(exported, service.database_url)
    assert b'"properties":{"price":1.10,"n":12345678901234567890}' in line
    told = json.loads(line)
    assert told["occurred_at"] == "2019-12-31T23:30:00.000000Z"
    assert told["project"] == "demo"
    assert "session" not in told
    status, answer = await service.post(line, content_type="application/x-ndjson")
    assert (status, answer["duplicates"], answer["rejected"]) == (200, 1, [])
    assert await asyncio.to_thread(exported, service.database_url) == line


TABLES = {
    "events": "SELECT * FROM events ORDER BY project, slot, seq",
    "totals": "SELECT * FROM totals ORDER BY 1, 2, 3, 4, 5",
    "minutes": "SELECT * FROM minutes ORDER BY 1, 2, 3, 4, 5",
    "slots": "SELECT * FROM slots ORDER BY 1, 2",
}


def contents(database_url: str) -> dict[str, Any]:
    """All that a restore must bring back (times as text: Python has no year 0)."""
    return {
        table: query(database_url, f"SELECT to_json(t)::text FROM ({select}) AS t")
        for table, select in TABLES.items()
    }


async def test_a_restore_is_equal(database_url: str, empty_url: str, tmp_path: Path) -> None:
    """Into an empty database: events, totals, minutes and positions are those that were archived,
    though it was interrupted; doing it again is refused, and the archive isn't written again."""
    fill(database_url, 3000, kinds=5)
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    objects = open_objects(str(tmp_path))
    with pytest.raises(InterruptedError):
        await restore(empty_url, objects, told=_interrupt(3))
    with pytest.raises(InterruptedError):
        await restore(empty_url, objects, told=_interrupt(2))
    assert len(in_postgres(empty_url)) in range(1, 3000)
    done = await asyncio.to_thread(livetally, empty_url, "restore", str(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    assert contents(empty_url) == contents(database_url)
    with pytest.raises(ConflictError, match="already"):
        await restore(empty_url, objects)
    before = files(tmp_path, "*.parquet")
    async with worker(empty_url, tmp_path) as archive:
        assert await archive_all(archive) == 0
    assert files(tmp_path, "*.parquet") == before


def _interrupt(after: int) -> Any:
    """When so many parts are restored."""
    left = [after]

    def told(progress: Progress) -> None:
        left[0] -= progress.done > 0
        if not left[0]:
            raise InterruptedError

    return told


async def test_a_restore_beside_other_events(
    service: Service, empty_url: str, tmp_path: Path
) -> None:
    """A project with events is refused, and left as it is; merged, its counts are the sum, an event
    that was sent again meanwhile counts once, and what comes then counts on."""
    url = service.database_url
    fill(empty_url, 600, hours=1, kinds=1)
    async with worker(empty_url, tmp_path) as archive:
        await archive_all(archive)
    await service.post([{"id": "e-7", "type": "click", "subject": "s 7"}, {**_RED, "id": "new"}])
    before = contents(url)
    objects = open_objects(str(tmp_path))
    with pytest.raises(ConflictError, match="--merge"):
        await restore(url, objects)
    assert contents(url) == before
    await restore(url, objects, merge=True)
    assert (await service.stats(type="click"))["total"] == 601
    assert (await service.stats(type="click", subject="s 7"))["total"] == 12
    await service.post({**_RED, "id": "newer"})
    ids = [row[1] for row in in_postgres(url)]
    assert len(ids) == len(set(ids)) == 602
    differences = query(url, "SELECT slot, count(*), max(seq) FROM events GROUP BY 1 ORDER BY 1")
    assert all(count == last for _, count, last in differences)


_RED = {"type": "click", "subject": "red"}


async def test_an_archive_that_was_changed_is_refused(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    """A part that isn't what its manifest says, and one that is gone, stop the restore; so does an
    archive without anything."""
    fill(database_url, 100, hours=1, kinds=1)
    with pytest.raises(NotFoundError):
        await restore(empty_url, open_objects(str(tmp_path)))
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    part = files(tmp_path, "*.parquet")[-1]
    whole = part.read_bytes()
    part.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(ArchiveUnavailable, match="changed"):
        await restore(empty_url, open_objects(str(tmp_path)))
    part.unlink()
    with pytest.raises(ArchiveUnavailable):
        await restore(empty_url, open_objects(str(tmp_path)))
    for table in ("projects", "restores", "restored_parts", "slots", "archive_marks", "events"):
        assert query(empty_url, f"SELECT count(*) FROM {table}") == [(0,)], table
    part.write_bytes(whole)
    good = tmp_path.with_name("a good copy")
    await asyncio.to_thread(shutil.copytree, tmp_path, good)
    await restore(empty_url, open_objects(str(good)))
    assert in_postgres(empty_url) == in_postgres(database_url) == in_archive(tmp_path)


@pytest.mark.parametrize(
    "object",
    [
        "../../../../etc/passwd",
        "/etc/passwd",
        "project=shop/type=click/../../../../../../etc/passwd",
        "{folder}/..",
        "{folder}/a/b.parquet",
        "_manifest/project=shop/x",
    ],
)
async def test_a_manifest_leads_nowhere_else(
    database_url: str, empty_url: str, tmp_path: Path, object: str
) -> None:
    """An object's name is its project's, type's and hour's folder and a plain name, or refused
    before it is opened; what is read from a directory stays in it too."""
    fill(database_url, 10, hours=1, kinds=1)
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    manifest = files(tmp_path, "*.ndjson")[0]
    entry = json.loads(manifest.read_text().splitlines()[0])
    named = object.format(folder=entry["object"].rpartition("/")[0])
    manifest.write_text(json.dumps(entry | {"object": named}) + "\n")
    with pytest.raises(ArchiveUnavailable, match="line 1 names an object"):
        await restore(empty_url, open_objects(str(tmp_path)))
    with pytest.raises(ArchiveUnavailable):
        await open_objects(str(tmp_path)).get("../x", tmp_path / "got")


async def test_half_a_manifest_is_one_line(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    fill(database_url, 10, hours=1, kinds=1)
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    manifest = files(tmp_path, "*.ndjson")[0]
    manifest.write_bytes(manifest.read_bytes()[:-20])
    ended = livetally(empty_url, "restore", str(tmp_path))
    assert ended.returncode == 2
    said = rb"livetally: .*\.ndjson, line 1 is no part of an archive: [^\n]*\n"
    assert re.fullmatch(said, ended.stderr), ended.stderr
