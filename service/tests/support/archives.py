"""For the tests of the archive: a log to be archived, moto's S3, and what came of it."""

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import duckdb
import msgspec

from livetally.archive.archiver import Archive
from livetally.archive.ledger import Ledger
from livetally.archive.manifest import Entry
from livetally.archive.schema import escape
from livetally.archive.stores import ObjectStore, open_objects
from livetally.base.config import Config
from livetally.db.database import Database
from livetally.dev.aws import LocalAws
from livetally.ops.health import Health
from livetally.ops.metrics import Metrics
from livetally.worker.rollup import RollUp
from service.tests.support.postgres import query

#: Names that a path, a partition or a table might take for something else.
TYPES = ["click", "a/b=c", "..", "123", "é%2F 'x'", "𝄞" * 64, "_", "__HIVE_DEFAULT_PARTITION__"]

FILL = """
WITH made AS (
    SELECT n, (n %% 3)::integer AS slot, (n / 3 + 1) AS seq, 'e-' || n AS id,
           (%(types)s::text[])[1 + n %% %(kinds)s] AS type, 's ' || n %% 50 AS subject,
           date_trunc('day', now()) - interval '22 hours'
               - make_interval(hours => (%(n)s - n) * %(hours)s / %(n)s)
               - interval '1 us' * (n %% 1000) AS received_at
    FROM generate_series(%(from)s, %(n)s - 1) AS n
),
logged AS (
    INSERT INTO events
        (project, slot, seq, received_at, id, type, subject, session, occurred_at, properties)
    SELECT 1, slot, seq, received_at, id, type, subject,
           CASE WHEN n %% 5 > 0 THEN 'session ' || n %% 7 END,
           CASE WHEN n %% 4 > 0 THEN now() - make_interval(days => n %% 4000)
                WHEN n %% 16 = 0 THEN '0001-12-31 23:00:00+00 BC'::timestamptz END,
           CASE WHEN n %% 2 > 0 THEN json_build_object('n', n, 'text', 'ü"\\' || chr(128512)) END
    FROM made
),
counted AS (
    SELECT type, coalesce(subject, '') AS subject, slot, count(*) AS n FROM made
    GROUP BY slot, type, GROUPING SETS ((subject), ())
),
totalled AS (
    INSERT INTO totals AS t (project, type, subject, slot, n)
    SELECT 1, type, subject, slot, n FROM counted
    ON CONFLICT (project, type, subject_key, slot) DO UPDATE SET n = t.n + excluded.n
),
minuted AS (
    INSERT INTO minutes AS m (project, type, subject_key, minute, slot, n)
    SELECT 1, type, md5(coalesce(subject, ''))::uuid, minute, slot, count(*)
    FROM (SELECT *, date_trunc('minute', received_at) AS minute FROM made) AS made
    GROUP BY slot, type, minute, GROUPING SETS ((subject), ())
    ON CONFLICT (project, type, subject_key, minute, slot) DO UPDATE SET n = m.n + excluded.n
)
INSERT INTO slots AS s (project, slot, seq) SELECT 1, slot, max(seq) FROM made GROUP BY slot
ON CONFLICT (project, slot) DO UPDATE SET seq = excluded.seq
"""


def fill(database_url: str, n: int, *, since: int = 0, hours: int = 4, kinds: int = 8) -> None:
    """Events since..n of project demo, in three slots, as commits would have left them: received
    in the hours until 02:00 of yesterday, so over a midnight."""
    query(database_url, "INSERT INTO projects (name) VALUES ('demo') ON CONFLICT DO NOTHING")
    for days in range(hours // 24 + 4):
        query(database_url, "SELECT livetally_add_day((now() AT TIME ZONE 'UTC')::date - %s)", days)
    values = {"types": TYPES, "n": n, "from": since, "hours": hours, "kinds": kinds}
    with contextlib.closing(_connect(database_url)) as connection:
        connection.execute(FILL, values)


def _connect(database_url: str) -> Any:
    import psycopg

    return psycopg.connect(database_url, autocommit=True, options="-c TimeZone=UTC")


MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"


def in_postgres(database_url: str, where: str = "true") -> list[tuple[Any, ...]]:
    """Every event of the log, whole."""
    return sorted(
        query(
            database_url,
            f"SELECT p.name, e.id, type, subject, session, {MICROSECONDS.format('occurred_at')},"
            f" {MICROSECONDS.format('received_at')}, slot, seq, properties::text"
            f" FROM events AS e JOIN projects AS p ON p.id = e.project WHERE {where}",
        ),
        key=lambda row: (row[0], row[7], row[8]),
    )


def in_archive(root: Path) -> list[tuple[Any, ...]]:
    """Every event of the archive's Parquet files, whole, as DuckDB reads them; one that is there
    twice is here twice."""
    if not files(root, "*.parquet"):
        return []
    found = duckdb.sql(
        "SELECT filename, id, type, subject, session, epoch_us(occurred_at), epoch_us(received_at),"
        f" slot, seq, properties FROM read_parquet('{root}/project=*/**/*.parquet',"
        " hive_partitioning=false)"
    ).fetchall()
    rows = [(_project(root, file), *row) for file, *row in found]
    return sorted(rows, key=lambda row: (row[0], row[7], row[8]))


def _project(root: Path, file: str) -> str:
    return unquote(Path(file).relative_to(root).parts[0].removeprefix("project="))


def check_archive(root: Path, database_url: str) -> None:
    """The archive equals the log, every event lies in its type's and hour's place, and the
    manifests list exactly the objects that are there, as they are."""
    assert in_archive(root) == in_postgres(database_url)
    entries = manifest_entries(root)
    for entry in entries:
        check_part(root, entry)
    listed = Counter(entry.object for entry in entries)
    there = Counter(each.relative_to(root).as_posix() for each in root.rglob("*.parquet"))
    assert listed == there


def check_part(root: Path, entry: Entry) -> None:
    """An object is what its manifest says of it, and lies where its events belong."""
    file = root / entry.object
    assert file.stat().st_size == entry.bytes
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    (found,) = duckdb.sql(
        "SELECT count(*), count(DISTINCT type), min(type), epoch_us(min(received_at)),"
        " epoch_us(max(received_at)), count(DISTINCT date_trunc('hour', received_at))"
        f" FROM read_parquet('{file}', hive_partitioning=false)"
    ).fetchall()
    first, last = (
        round(moment.timestamp() * 1e6)
        for moment in (entry.first_received_at, entry.last_received_at)
    )
    assert found == (entry.events, 1, entry.type, first, last, 1)
    assert entry.hour <= entry.first_received_at
    folder = f"project={escape(entry.project)}/type={escape(entry.type)}/"
    folder += f"{entry.hour:year=%Y/month=%m/day=%d/hour=%H}/"
    assert entry.object.startswith(folder)


def files(root: Path, pattern: str) -> list[Path]:
    """The files or folders somewhere below `root` of such a name."""
    return sorted(root.rglob(pattern))


def manifest_entries(root: Path) -> list[Entry]:
    files = sorted(root.glob("_manifest/*/*.ndjson"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return [msgspec.json.decode(line, type=Entry) for line in lines]


class Buckets:
    """S3 as moto's server answers for it."""

    def __init__(self, server: LocalAws) -> None:
        self.environ = server.environ
        self.url = server.url
        self.s3 = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def make_bucket(self, name: str) -> None:
        self.s3.create_bucket(Bucket=name)

    def download(self, bucket: str, prefix: str, to: Path) -> Path:
        """The objects as files below `to`."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                file = to / found["Key"].removeprefix(prefix)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
        return to


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """This process has these variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@asynccontextmanager
async def worker(
    database_url: str, objects: ObjectStore | Path, part_events: int = 1000, interval_s: float = 0
) -> AsyncIterator[Archive]:
    """An archive loop that a test turns by hand."""
    place = open_objects(str(objects)) if isinstance(objects, Path) else objects
    ledger = Ledger(database_url, part_events)
    try:
        yield Archive(ledger, place, Metrics(), Health(), interval_s)
    finally:
        await ledger.disconnect()
        await place.close()


async def archive_all(archive: Archive) -> int:
    """Work until there is nothing to do; the number of steps."""
    steps = 0
    while await archive.step():
        steps += 1
    return steps


def all_archived(database_url: str) -> bool:
    ((left,),) = query(
        database_url,
        "SELECT (SELECT count(*) FROM archive_plans) + (SELECT count(*) FROM slots AS s"
        " LEFT JOIN archive_marks AS m USING (project, slot) WHERE s.seq > coalesce(m.seq, 0))",
    )
    return bool(left == 0)


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@contextlib.asynccontextmanager
async def rolling(database_url: str, **kept: Any) -> AsyncIterator[RollUp]:
    config = Config(database_url=database_url, redis_url="redis://unused", **kept)
    database = Database(database_url, 2)
    await database.open()
    try:
        yield RollUp(database, Metrics(), Health(), config)
    finally:
        await database.close()
