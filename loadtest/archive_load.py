"""Does the archive equal Postgres, with workers killed at random? `make archive-load`

Events are counted through the store while two workers archive them to a directory, and are killed
(SIGKILL) again and again. Then DuckDB compares the archive with the log: every event, every column,
and none twice. Exits 1 and says what differs if something does.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import psutil
import psycopg

from livetally.database import migrate
from livetally.events import parse
from livetally.local import LocalPostgres, LocalRedis
from livetally.store import Store

COLUMNS = "id, type, subject, session, occurred_at, received_at, slot, seq, properties"
BATCH = 1_000


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


def start_worker(environ: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "livetally", "worker", "--archive"]
    with log.open("ab") as to:
        return subprocess.Popen(command, env=environ, stderr=to)


def waiting(url: str) -> int:
    """Events that are not archived yet."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT sum(seq) FROM slots) - coalesce((SELECT sum(events) FROM archived), 0)"
        ).fetchone()
    return int(row[0] or 0) if row else 0


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


def differences(url: str, root: Path, folder: Path) -> list[str]:
    """What the archive and Postgres disagree on."""
    logged = in_postgres(url, folder / "log.csv")
    micro = COLUMNS.replace("occurred_at", "epoch_us(occurred_at)")
    micro = micro.replace("received_at", "epoch_us(received_at)")
    stored = f"SELECT {micro} FROM read_parquet('{root}/project=*/**/*.parquet', "
    stored += "hive_partitioning=false)"
    found, twice = [], "SELECT slot, seq"
    for what, query in (
        ("only in Postgres", f"SELECT * FROM {logged} EXCEPT ALL {stored}"),
        ("only in the archive", f"{stored} EXCEPT ALL SELECT * FROM {logged}"),
        ("twice in the archive", f"{twice} FROM ({stored}) GROUP BY ALL HAVING count(*) > 1"),
    ):
        ((n,),) = duckdb.sql(f"SELECT count(*) FROM ({query})").fetchall()
        if n:
            found.append(f"{n:,} events are {what}")
    return found


async def run(events: int, kills: int, seed: int) -> int:
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livetally-load-")))
        postgres = stack.enter_context(LocalPostgres(folder / "postgres"))
        redis = stack.enter_context(LocalRedis(folder / "redis"))
        url, root = postgres.dsn(), folder / "archive"
        root.mkdir()
        await migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO projects (name) VALUES ('load')")
        environ = os.environ | {
            "LIVETALLY_DATABASE_URL": url,
            "LIVETALLY_REDIS_URL": redis.url,
            "LIVETALLY_ARCHIVE_URL": str(root),
            "LIVETALLY_ARCHIVE_INTERVAL_S": "1",
            "LIVETALLY_PORT": "0",
        }
        workers = [start_worker(environ, folder / f"worker-{n}.log") for n in range(2)]
        stack.callback(lambda: [(each.kill(), each.wait()) for each in workers])
        most_bytes, killed, started = 0, 0, time.monotonic()

        def turn(done: float) -> None:
            nonlocal most_bytes, killed
            for each in workers:
                with contextlib.suppress(psutil.Error):
                    most_bytes = max(most_bytes, psutil.Process(each.pid).memory_info().rss)
            if killed < kills * done and chance.random() < 0.5:
                n = chance.randrange(2)
                workers[n].kill()
                workers[n].wait()
                workers[n] = start_worker(environ, folder / f"worker-{n}.log")
                killed += 1

        async for so_far in count(url, events):
            turn(so_far / events)
        while left := waiting(url):
            turn(1.0)
            if time.monotonic() - started > 3600:
                print(f"{left:,} events are still not archived", file=sys.stderr)
                return 1
            await asyncio.sleep(chance.uniform(0.05, 1.0))
        took = time.monotonic() - started
        found = differences(url, root, folder)
        size = sum(each.stat().st_size for each in root.rglob("*.parquet"))
        print(
            f"{events:,} events, {killed} kills: {took:.0f} s with counting them"
            f" ({events / took:,.0f}/s), {size / events:.1f} bytes an event,"
            f" a worker's memory {most_bytes / 2**20:.0f} MiB at most"
        )
        print("\n".join(found) or "the archive equals Postgres")
        return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return asyncio.run(run(arguments.events, arguments.kills, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
