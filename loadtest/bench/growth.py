"""What an event costs as projects, subjects, the log and the processes grow: much the same."""

import asyncio
import json
import statistics
import time
from functools import partial

import psycopg

from livetally.db.database import Database
from livetally.schema.keys import Role
from livetally.web import keys
from loadtest.bench.ingest import SUBJECTS as COLOURS
from loadtest.bench.ingest import batch_of, event, send
from loadtest.lib.client import post
from loadtest.lib.figures import Figures
from loadtest.lib.stand import Bench, Server, Stand

PROJECTS = (1, 10, 100, 1_000)
SUBJECTS = (10, 100, 1_000, 10_000, 100_000)
PROCESSES = (1, 2, 3, 4)
#: No process has it: what was in the log before.
OLD_SLOT = 9_999


def growth(stand: Stand, figures: Figures, seconds: float, most_stored: int) -> None:
    """What an event costs as projects, subjects, the log and the processes grow."""
    for part in (_projects, _subjects, partial(_stored, most=most_stored), _processes):
        with stand.database() as bench:
            bench.check(part(bench, figures, seconds))


def _projects(bench: Bench, figures: Figures, seconds: float) -> int:
    """Each request is another project's."""
    write_keys = asyncio.run(_make_projects(bench.database_url, max(PROJECTS)))
    body = json.dumps([event(n) for n in range(100)]).encode()
    stored = 0
    with bench.serve() as server:
        for count in PROJECTS:
            requests = [post(body, key) for key in write_keys[:count]]
            stored += _measure(bench, server, figures, "projects", count, seconds, requests)
    return stored


def _subjects(bench: Bench, figures: Figures, seconds: float) -> int:
    """Each event of a request has another subject, if there are so many."""
    stored = 0
    with bench.serve() as server:
        for count in SUBJECTS:
            requests = [
                post(
                    json.dumps([event(n, count) for n in range(first, first + 1_000)]).encode(),
                    bench.write_key,
                )
                for first in range(0, max(count, 1_000), 1_000)
            ]
            stored += _measure(bench, server, figures, "subjects", count, seconds, requests, c=6)
    return stored


def _stored(bench: Bench, figures: Figures, seconds: float, most: int) -> int:
    """The ids before have random places in the index, as have those that come."""
    stored = held = 0
    with bench.serve() as server:
        for size in (0, most // 100, most // 10, most):
            _fill(bench, held, size)
            held = size
            requests = [batch_of(bench, 100)]
            name = "events in the log before"
            stored += _measure(bench, server, figures, name, size, seconds, requests)
            figures.add(f"growth, {size:,} {name}: GET /v1/stats", "ms", _stats_ms(bench, server))
    return stored + held


def _processes(bench: Bench, figures: Figures, seconds: float) -> int:
    stored = 0
    for count in PROCESSES:
        with bench.serve(workers=count) as server:
            requests = [batch_of(bench, 100)]
            stored += _measure(bench, server, figures, "processes", count, seconds, requests)
    return stored


def _measure(
    bench: Bench,
    server: Server,
    figures: Figures,
    what: str,
    size: int,
    seconds: float,
    requests: list[bytes],
    c: int = 16,
) -> int:
    """Returns how many events were stored."""
    sent = send(bench, server, seconds, c=c, r=requests)
    rate = sent.result["accepted"] / seconds
    figures.add(f"growth, {size:,} {what}", "events/s", rate)
    figures.add(f"growth, {size:,} {what}: server CPU", "us/event", sent.server_us)
    figures.add(f"growth, {size:,} {what}: Postgres CPU", "us/event", sent.postgres_us)
    figures.plot(what, size, sent.server_us, sent.postgres_us)
    return sent.accepted_ever


async def _make_projects(url: str, count: int) -> list[str]:
    database = Database(url, 8)
    await database.open()
    try:
        return [
            await keys.create(database, f"project-{n}", Role.WRITE, "write") for n in range(count)
        ]
    finally:
        await database.close()


def _fill(bench: Bench, first: int, size: int) -> None:
    """Make the log hold `size` events of an old slot, with their ids and counts; it has `first`."""
    with psycopg.connect(bench.database_url, autocommit=True) as pg:
        pg.execute("SET synchronous_commit = off")
        ((index, definition),) = pg.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s",
            [f"event_ids_{time.strftime('%Y%m%d', time.gmtime())}"],
        ).fetchall()
        rows = f"FROM generate_series({first + 1}, {size}) AS n"
        log = "project, slot, seq, received_at, id, type, subject"
        pg.execute(
            f"INSERT INTO events ({log})"
            f" SELECT 1, {OLD_SLOT}, n, now(), left(md5(n::text), 16),"
            f" 'click', 'colour-' || n % {COLOURS} {rows}"
        )
        if size - first > 100_000:  # made anew it takes a tenth of the time
            pg.execute(f"DROP INDEX {index}")
        pg.execute(f"INSERT INTO event_ids SELECT 1, left(md5(n::text), 16), now() {rows}")
        pg.execute(definition.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX IF NOT EXISTS"))
        pg.execute(f"DELETE FROM totals WHERE slot = {OLD_SLOT}")
        pg.execute(f"DELETE FROM minutes WHERE slot = {OLD_SLOT}")
        counts = f"FROM events WHERE slot = {OLD_SLOT} GROUP BY GROUPING SETS ((subject), ())"
        pg.execute(
            "INSERT INTO totals (project, type, subject, slot, n)"
            f" SELECT 1, 'click', coalesce(subject, ''), {OLD_SLOT}, count(*) {counts}"
        )
        pg.execute(
            "INSERT INTO minutes (project, type, subject_key, minute, slot, n)"
            " SELECT 1, 'click', md5(coalesce(subject, ''))::uuid, date_trunc('minute', now()),"
            f" {OLD_SLOT}, count(*) {counts}"
        )
        pg.execute(
            f"INSERT INTO slots VALUES (1, {OLD_SLOT}, {size})"
            " ON CONFLICT (project, slot) DO UPDATE SET seq = excluded.seq"
        )
        pg.execute("ANALYZE")
        pg.execute("CHECKPOINT")


def _stats_ms(bench: Bench, server: Server) -> float:
    """The median of asking for a type's totals."""
    took = []
    for _ in range(50):
        started = time.perf_counter()
        server.get("/v1/stats?type=click", bench.read_key)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1000
