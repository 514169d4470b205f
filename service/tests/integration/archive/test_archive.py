"""Archive out: every event in object storage once, whatever happens to workers and stores."""

import asyncio
import random
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetally.archive import parquet, schema
from livetally.archive.directory import Directory
from livetally.archive.ledger import Hole
from livetally.archive.manifest import entries
from livetally.archive.s3 import PIECE_BYTES
from livetally.archive.stores import ObjectStore, open_objects
from service.tests.support.archives import (
    Buckets,
    all_archived,
    archive_all,
    check_archive,
    files,
    fill,
    in_archive,
    manifest_entries,
    worker,
)
from service.tests.support.paths import ROOT
from service.tests.support.postgres import query
from service.tests.support.process import Process
from service.tests.support.waiting import until


class Crashed(BaseException):
    """The worker is gone at this very moment."""


def rows(database_url: str, table: str) -> int:
    return int(query(database_url, f"SELECT count(*) FROM {table}")[0][0])


async def test_every_event_once_in_its_place(database_url: str, tmp_path: Path) -> None:
    """The archive holds every event of the log, whole, under its project, type and the hour in
    which it was received, whatever its type is called; and later only what came later."""
    fill(database_url, 5000)
    async with worker(database_url, tmp_path) as archive:
        assert await archive_all(archive) > 5
        check_archive(tmp_path, database_url)
        before = {file: file.stat().st_mtime_ns for file in files(tmp_path, "*.parquet")}
        assert await archive_all(archive) == 0
        fill(database_url, 6500, since=5000)
        await archive_all(archive)
    check_archive(tmp_path, database_url)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert rows(database_url, "archive_plans") == rows(database_url, "archive_parts") == 0
    assert query(database_url, "SELECT events FROM archived") == [(6500,)]


class CrashingObjects:
    """A place where the worker dies: before or after the operation that comes next."""

    def __init__(self, place: ObjectStore, dies_at: int, after: bool) -> None:
        self._place = place
        self._left = dies_at
        self._after = after
        self.url = place.url
        self.temporary, self.names, self.get = place.temporary, place.names, place.get
        self.close = place.close

    async def put(self, name: str, file: Path) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crashed
        await self._place.put(name, file)
        if self._left == 0:
            raise Crashed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_every_upload(database_url: str, tmp_path: Path, after: bool) -> None:
    """However far a worker came, before or after each of its uploads, the next one goes on: the
    same events under the same names."""
    fill(database_url, 2000, hours=3, kinds=3)
    crashes = 0
    for dies_at in (1, 2, 1, 1, 3, 1, 4, 1000):
        place = CrashingObjects(open_objects(str(tmp_path)), dies_at, after)
        async with worker(database_url, place) as archive:
            try:
                await archive_all(archive)
            except Crashed:
                crashes += 1
    assert crashes == 7
    check_archive(tmp_path, database_url)
    assert not files(tmp_path / "_tmp", "*")


async def test_two_workers_share_and_never_double(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is written by one worker, once; together they archive everything once."""
    fill(database_url, 12_000)
    written: list[str] = []
    put = Directory.put

    async def noted(self: Directory, name: str, file: Path) -> None:
        written.append(name)
        await put(self, name, file)

    monkeypatch.setattr(Directory, "put", noted)
    async with (
        worker(database_url, tmp_path) as one,
        worker(database_url, tmp_path) as other,
    ):
        while any(await asyncio.gather(one.step(), other.step())):
            pass
        shares = [archive._metrics.archived_events._value.get() for archive in (one, other)]
    assert sum(shares) == 12_000
    assert min(shares) > 1_000
    parts = [name for name in written if name.endswith(".parquet")]
    assert len(parts) == len(set(parts))
    check_archive(tmp_path, database_url)


async def test_a_part_takes_many_pages_of_a_slot(database_url: str, tmp_path: Path) -> None:
    """A part as large as it is by default: more of each slot than is read from the log at once."""
    fill(database_url, 3 * 2_500, hours=1, kinds=1)
    async with worker(database_url, tmp_path, part_events=50_000) as archive:
        await archive_all(archive)
    check_archive(tmp_path, database_url)
    assert max(entry.events for entry in manifest_entries(tmp_path)) > 7_000


async def test_a_late_event_lies_where_it_was_received(database_url: str, tmp_path: Path) -> None:
    """What happened in 2020 and is told today is in today's hour; the past doesn't change."""
    fill(database_url, 1, hours=1, kinds=1)
    query(database_url, "UPDATE events SET occurred_at = '2020-02-03T04:05:06Z'")
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    check_archive(tmp_path, database_url)
    assert not files(tmp_path, "year=2020")


async def test_events_wait_for_a_part_s_worth(database_url: str, tmp_path: Path) -> None:
    """A few events wait for the interval, enough for a part don't; a clock that stepped back holds
    nothing up."""
    fill(database_url, 10)
    async with worker(database_url, tmp_path, interval_s=3600) as archive:
        await archive_all(archive)  # the first ones at once
        fill(database_url, 20, since=10)
        assert await archive_all(archive) == 0
        assert await archive._ledger.lag_s() > 0
        fill(database_url, 1100, since=20)
        assert await archive_all(archive) > 0
        fill(database_url, 1110, since=1100)
        assert len(in_archive(tmp_path)) in range(1000, 1110)
        query(database_url, "UPDATE archived SET caught_up_at = now() + interval '1 day'")
        assert await archive_all(archive) > 0
        assert await archive._ledger.lag_s() == 0
    check_archive(tmp_path, database_url)


@pytest.mark.parametrize("planned", [False, True])
async def test_a_hole_in_the_log_is_no_archive(
    database_url: str, tmp_path: Path, planned: bool
) -> None:
    """If somebody deletes events, before they are planned or after, nothing is archived as if they
    had never been: it is an error, and counted."""
    fill(database_url, 300, hours=1, kinds=1)
    async with worker(database_url, tmp_path) as archive:
        if planned:
            await archive.step()
        query(database_url, "DELETE FROM events WHERE slot = 1 AND seq = 7")
        for _ in range(2):
            with pytest.raises(Hole, match="should hold 300" if planned else "300 events should"):
                await archive.step()
        assert not files(tmp_path, "*.parquet")


async def killed_at_random(
    start: Callable[[], Process], database_url: str, seed: int, kills: int
) -> None:
    """Two workers archive while events come, each is killed (SIGKILL) again and again at random
    moments of its work; then they finish."""
    chance = random.Random(seed)
    events = 3000
    fill(database_url, events, hours=2, kinds=3)
    workers = [start(), start()]
    for _ in range(kills):
        events += 3000
        fill(database_url, events, since=events - 3000, hours=2, kinds=3)
        planned = plan_number(database_url)
        victim = chance.choice(workers)
        await until(lambda: plan_number(database_url) > planned or all_archived(database_url), 60)  # noqa: B023
        await asyncio.sleep(chance.uniform(0, 0.15))
        victim.kill()
        victim.restart()
    await until(lambda: all_archived(database_url), 60, lambda: workers[0].log.read_text())
    assert query(database_url, "SELECT events FROM archived") == [(events,)]
    for each in workers:
        await asyncio.to_thread(each.wait_ready)
        assert each.stop() == 0, each.log.read_text()


def plan_number(database_url: str) -> int:
    return int(query(database_url, "SELECT coalesce(max(plan), 0) FROM archived")[0][0])


SMALL = {"LIVETALLY_ARCHIVE_INTERVAL_S": "0", "LIVETALLY_ARCHIVE_PART_EVENTS": "1000"}


async def test_killed_workers_and_a_directory(
    database_url: str, tmp_path: Path, spawn: Callable[..., Process]
) -> None:
    """kill -9 at random moments: the directory equals Postgres."""
    root = tmp_path / "archive"
    root.mkdir()

    def start() -> Process:
        return spawn("--archive", command="worker", LIVETALLY_ARCHIVE_URL=str(root), **SMALL)

    await killed_at_random(start, database_url, seed=1, kills=8)
    check_archive(root, database_url)


async def test_killed_workers_and_a_bucket(
    database_url: str, tmp_path: Path, spawn: Callable[..., Process], buckets: Buckets
) -> None:
    """kill -9 at random moments: the bucket equals Postgres."""
    buckets.make_bucket("killed")

    def start() -> Process:
        settings = {"LIVETALLY_ARCHIVE_URL": "s3://killed/some/prefix", **SMALL, **buckets.environ}
        return spawn("--archive", command="worker", **settings)

    await killed_at_random(start, database_url, seed=2, kills=6)
    check_archive(buckets.download("killed", "some/prefix/", tmp_path / "got"), database_url)


async def test_a_part_of_many_pieces(database_url: str, tmp_path: Path, buckets: Buckets) -> None:
    """A part that is larger than a piece is uploaded in several, and comes back the same."""
    fill(database_url, 3, hours=1, kinds=1)
    noise = "(SELECT json_build_object('x', string_agg(md5(random()::text || g), ''))"
    noise += " FROM generate_series(1, 300000) AS g)"
    query(database_url, f"UPDATE events SET properties = {noise}")
    buckets.make_bucket("large")
    async with worker(database_url, open_objects("s3://large")) as archive:
        await archive_all(archive)
        (entry,) = [each async for each in entries(archive._objects)]
        assert entry.bytes > PIECE_BYTES
        await archive._objects.get(entry.object, tmp_path / "got")
    assert parquet.digest(tmp_path / "got") == (entry.bytes, entry.sha256)
    check_archive(buckets.download("large", "", tmp_path / "all"), database_url)


def test_terraform_declares_this_table() -> None:
    """The Glue table has the columns, partitions and projection of what is written."""
    text = (ROOT / "terraform/modules/storage/athena.tf").read_text("utf-8")
    named = re.findall(r'{ name = "(\w+)", type = "(\w+)" }', text)
    assert named == [*schema.GLUE_COLUMNS, *schema.PARTITION_KEYS]
    parameters = dict(re.findall(r'^ +"([\w.]+)" += "(.*)"$', text, re.MULTILINE))
    wanted = schema.projection("${local.location}")
    folders = re.search(r"storage.location.template", text)
    assert folders
    template = wanted.pop("storage.location.template")
    assert parameters.pop("storage.location.template") == "${local.location}/${local.folders}"
    keys = "/".join(f"{name}=${{{name}}}" for name, _ in schema.PARTITION_KEYS)
    assert template == f"${{local.location}}/{keys}"
    assert parameters == wanted


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_a_partition_s_value_is_one_name(one: str, other: str) -> None:
    """Whatever a type is called, its folder is one plain name that a file system takes, it is
    nobody else's, and what isn't too long can be read back from it."""
    escaped = schema.escape(one)
    assert re.fullmatch(r"[A-Za-z0-9_.%~-]+", escaped)
    assert len(escaped) <= 200
    assert "~" in escaped or unquote(escaped) == one
    assert (escaped == schema.escape(other)) == (one == other)
