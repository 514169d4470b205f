"""Does the archive equal Postgres, with workers killed at random? `make archive-load`

Events are counted through the store while two workers archive them to a directory, and are killed
(SIGKILL) again and again. Then DuckDB compares the archive with the log: every event, every column,
and none twice. It is restored into an empty database, whose counts must be the same. Exits 1 and
says what differs if something does.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import psycopg

from livetally.ingest.events import parse
from livetally.ingest.store import Store
from loadtest.lib.figures import keep, machine
from loadtest.lib.stand import Bench, Stand, Wrong, stand
from loadtest.worker.workers import Workers, working

COLUMNS = "id, type, subject, session, occurred_at, received_at, slot, seq, properties"
BATCH = 1_000
WORKERS = 2
#: What a restore must bring back.
COUNTS = {
    "totals": "SELECT type, subject, slot, n FROM totals ORDER BY 1, 2, 3",
    "minutes": "SELECT type, subject_key, minute, slot, n FROM minutes ORDER BY 1, 2, 3, 4",
    "positions": "SELECT slot, seq FROM slots ORDER BY 1",
    "events": "SELECT count(*), count(DISTINCT id) FROM events",
}


async def count(url: str, events: int) -> AsyncIterator[int]:
    """Commit events, a thousand at a time; yields how many there are."""
    store = Store(url, commit_timeout_s=60)
    for start in range(0, events, BATCH):
        batch = [
            {
                "id": f"load-{n}",
                "type": ("click", "hover", "page/view")[n % 3],
                "subject": f"subject {n % 1000}",
                "session": f"session {n % 5000}",
                "occurred_at": f"2020-01-{1 + n % 28:02}T00:00:00.{n % 1_000_000:06}Z",
                "properties": {"n": n, "text": f"{n * 2654435761 % 2**32:x}"},
            }
            for n in range(start, min(start + BATCH, events))
        ]
        await store.commit(parse(json.dumps(batch).encode(), 1).events)
        yield start + len(batch)
    await store.disconnect()


def until_archived(bench: Bench, workers: Workers) -> None:
    """Wait until every event is in the archive. Raises Wrong if there is no progress any more."""
    last, least = time.monotonic(), waiting(bench)
    while left := waiting(bench):
        workers.turn(1.0)
        if left < least:
            last, least = time.monotonic(), left
        if time.monotonic() - last > 300:
            raise Wrong(f"{left:,} events are still not archived")
        time.sleep(0.1)


def waiting(bench: Bench) -> int:
    """Events that are not archived yet."""
    ((n,),) = bench.query(
        "SELECT ((SELECT coalesce(sum(seq), 0) FROM slots)"
        " - coalesce((SELECT sum(events) FROM archived), 0))::bigint"
    )
    return int(str(n))


def compare(bench: Bench, root: Path) -> None:
    """Raises Wrong unless the archive has every event of the log, whole, and once."""
    logged = in_postgres(bench.database_url, bench.folder / "log.csv")
    micro = COLUMNS.replace("occurred_at", "epoch_us(occurred_at)")
    micro = micro.replace("received_at", "epoch_us(received_at)")
    stored = f"SELECT {micro} FROM read_parquet('{root}/project=*/**/*.parquet', "
    stored += "hive_partitioning=false)"
    twice = "SELECT slot, seq"
    for what, query in (
        ("only in Postgres", f"SELECT * FROM {logged} EXCEPT ALL {stored}"),
        ("only in the archive", f"{stored} EXCEPT ALL SELECT * FROM {logged}"),
        ("twice in the archive", f"{twice} FROM ({stored}) GROUP BY ALL HAVING count(*) > 1"),
    ):
        ((n,),) = duckdb.sql(f"SELECT count(*) FROM ({query})").fetchall()
        if n:
            raise Wrong(f"{n:,} events are {what}")


def in_postgres(url: str, to: Path) -> str:
    """The log as a CSV file for DuckDB, its times as microseconds."""
    micro = "(extract(epoch FROM {}) * 1000000)::bigint"
    select = COLUMNS.replace("occurred_at", micro.format("occurred_at"))
    select = select.replace("received_at", micro.format("received_at"))
    with (
        psycopg.connect(url) as connection,
        to.open("wb") as file,
        connection.cursor().copy(f"COPY (SELECT {select} FROM events) TO STDOUT CSV") as copy,
    ):
        for piece in copy:
            file.write(piece)
    kinds = [*["VARCHAR"] * 4, "BIGINT", "BIGINT", "INTEGER", "BIGINT", "VARCHAR"]
    columns = dict(zip(COLUMNS.split(", "), kinds, strict=True))
    return f"read_csv('{to}', header=false, columns={columns})"


def restored(here: Stand, bench: Bench, root: Path) -> float:
    """Restore the archive into an empty database; how long that took. Raises Wrong if its counts
    are others."""
    with here.database() as empty:
        environ = os.environ | {
            "LIVETALLY_DATABASE_URL": empty.database_url,
            "LIVETALLY_REDIS_URL": empty.redis_url,
        }
        started = time.monotonic()
        command = [sys.executable, "-m", "livetally", "restore", str(root)]
        subprocess.run(command, env=environ, check=True, stderr=subprocess.DEVNULL)
        took = time.monotonic() - started
        for what, query in COUNTS.items():
            if empty.query(query) != bench.query(query):
                raise Wrong(f"after a restore {what} are others")
    return took


async def archive(bench: Bench, root: Path, workers: Workers, events: int) -> float:
    """Count events while they are archived; how long it took until all of them were."""
    started = time.monotonic()
    async for so_far in count(bench.database_url, events):
        workers.turn(so_far / events)
    until_archived(bench, workers)
    return time.monotonic() - started


def run(here: Stand, bench: Bench, arguments: argparse.Namespace) -> None:
    events, on, root = arguments.events, machine(), bench.folder / "archive"
    root.mkdir()
    settings = {"LIVETALLY_ARCHIVE_URL": str(root), "LIVETALLY_ARCHIVE_INTERVAL_S": "1"}
    with working(
        bench, WORKERS, arguments.kills, arguments.seed, "--archive", **settings
    ) as workers:
        took = asyncio.run(archive(bench, root, workers, events))
    bench.check(events)
    compare(bench, root)
    size = sum(each.stat().st_size for each in root.rglob("*.parquet"))
    took_back = restored(here, bench, root)
    facts = {
        "events, each in the archive once, equal to Postgres in every column": events,
        "workers": WORKERS,
        "kills (-9)": workers.killed,
        "counted and archived, events/s": events / took,
        "bytes an event in the archive": size / events,
        "largest size of a worker, MiB": workers.peak_mib,
        "restored into an empty database, with equal counts, events/s": events / took_back,
    }
    command = f'make archive-load ARGS="--events {events} --kills {arguments.kills}"'
    keep(arguments.results, "archive", command, on, facts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", default="", help="folder for archive.md and archive.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="livetally-load-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may be another user's
        with stand(folder) as here, here.database() as bench:
            try:
                run(here, bench, arguments)
            except Wrong as wrong:
                print(f"WRONG: {wrong}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
