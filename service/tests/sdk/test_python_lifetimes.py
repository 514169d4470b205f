"""However a process ends, what the Python SDK has queued is sent; or it is said how much wasn't.

The programs in programs/ end in these ways; none closes its client.
"""

import asyncio
import os
import re
import sys
import urllib.request
from pathlib import Path

import pytest
import redis.asyncio

from livetally.schema.keys import Role
from service.tests.support.postgres import totals_in
from service.tests.support.process import free_port
from service.tests.support.server import Service
from service.tests.support.waiting import until

PROGRAMS = Path(__file__).with_name("programs")
NOWHERE = "http://127.0.0.1:1"


async def start(service: Service, *command: str, **environ: str) -> asyncio.subprocess.Process:
    """A program whose clients talk to the service."""
    given = {"LIVETALLY_URL": service.url, "LIVETALLY_KEY": service.keys[Role.ADMIN], **environ}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=PROGRAMS,
        env={**os.environ, **given},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(service: Service, *command: str, **environ: str) -> tuple[int | None, str, str]:
    """What became of it: (status, stdout, stderr)."""
    program = await start(service, *command, **environ)
    said, complained = await program.communicate()
    return program.returncode, said.decode(), complained.decode()


async def test_children_of_multiprocessing_send_what_they_counted(service: Service) -> None:
    """Forked, spawned, from a fork server, in pools and executors, recycled or not; terminated, as
    by leaving `with Pool()`, or ended by `os._exit`; what their threads count last."""
    assert await run(service, "children.py") == (3, "", "")
    assert totals_in(service.database_url) == {"": 40, "child": 39, "parent": 1}


#: How many tasks a process of Celery's pool does -> how many there are. Each replacement takes 1 s.
CELERY = {"": 40, "5": 40, "1": 12}


@pytest.mark.timeout(300)  # on a busy machine
async def test_celery_tasks_count_however_often_workers_are_recycled(
    service: Service, redis_url: str
) -> None:
    """Tasks in Celery's prefork pool, its processes replaced never, after 5 tasks, after each."""

    async def work(recycling: str, tasks: int) -> None:
        queue = f"after {recycling or 'none'}"
        environ = {"BROKER": redis_url, "QUEUE": queue}
        calls = f"import tasks\nfor _ in range({tasks}): tasks.count.delay()"
        assert (await run(service, "-c", calls, **environ))[0] == 0
        options = ["--concurrency=2", "--without-gossip", "--without-mingle", "-l", "warning"]
        options += [f"--max-tasks-per-child={recycling}"] if recycling else []
        command = ["-m", "celery", "-A", "tasks", "worker", f"--hostname={queue}@here", *options]
        worker = await start(service, *command, **environ)
        try:
            async with redis.asyncio.from_url(redis_url) as broker:
                await until(lambda: _is_empty(broker, queue), 250)
        finally:
            worker.terminate()  # it ends what it has begun
            await worker.communicate()

    await asyncio.gather(*(work(*each) for each in CELERY.items()))
    counted = totals_in(service.database_url)
    assert counted == {
        "": sum(CELERY.values()),
        **{f"after {recycling or 'none'}": tasks for recycling, tasks in CELERY.items()},
    }


async def _is_empty(broker: "redis.asyncio.Redis", queue: str) -> bool:
    """Nothing waits, and nothing was fetched that isn't done."""
    return await broker.llen(queue) == 0 and await broker.hlen("unacked") == 0


async def test_gunicorn_counts_through_recycling_and_its_end(service: Service) -> None:
    """Workers of gunicorn are replaced after some requests, and all are told to end by SIGTERM."""
    port = free_port()
    options = ["--workers=2", "--max-requests=5", "--preload", f"--bind=127.0.0.1:{port}"]
    site = await start(service, "-m", "gunicorn", *options, "wsgi:app")

    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                return answer.read() == b"ok"
        except OSError:
            return False

    answered = 0
    while answered < 24:
        answered += await asyncio.to_thread(ask)
        assert site.returncode is None
    site.terminate()
    await site.communicate()
    assert totals_in(service.database_url)["request"] >= answered


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ("by_run", {"loop": 700}),
        ("by_runs", {"first": 2, "second": 3, "child": 3, "last": 3}),
        ("by_hooks", {"early": 1, "hook": 1, "late": 1}),
        ("by_exception", {"error": 1}),
    ],
)
async def test_a_program_that_forgets_to_close(
    service: Service, how: str, counts: dict[str, int]
) -> None:
    """The end of an event loop, or of one after another, hooks at the interpreter's end, and an
    error lose nothing."""
    status, _, complained = await run(service, "ends.py", how)
    assert (status, complained) == ((1, "it went wrong\n") if how == "by_exception" else (0, ""))
    assert totals_in(service.database_url) == {"": sum(counts.values()), **counts}


async def test_signals_and_daemon_threads_lose_nothing(service: Service) -> None:
    """Handlers that count while the same thread is counting; a thread that never stops."""
    (status, said, complained), daemon = await asyncio.gather(
        run(service, "ends.py", "by_signals"), run(service, "ends.py", "by_thread")
    )
    assert (status, complained) == (0, "")
    # Where the end of the interpreter stops the thread in the middle of a `track`, that is said.
    assert daemon[0] == 0
    assert re.fullmatch(r"(1 events were not sent: .*\n)?", daemon[2])
    counted = totals_in(service.database_url)
    assert (counted["loop"], counted["signal"]) == (3_000, int(said))
    assert counted["main"] == 1


async def test_what_could_not_be_sent_is_said(service: Service) -> None:
    """Without a server the end takes no longer than it may, and a warning says how much is lost."""
    expected = {
        "by_run": "700 events were not sent",
        "by_loop": "3 events were not sent: an AsyncClient was never closed",
        "by_exception": "1 events were not sent: the process ends",
        "by_child": "1 events were not sent: the process ends",
        "by_pool": "events were not sent: the process ends. ",
    }
    ends = await asyncio.gather(
        *(run(service, "-Wdefault", "ends.py", how, LIVETALLY_URL=NOWHERE) for how in expected)
    )
    for (how, says), (_, _, complained) in zip(expected.items(), ends, strict=True):
        assert says in complained, (how, complained)
        assert complained.count("could not be sent within 5 s") == complained.count("process ends")
    assert "ResourceWarning: 3 events were not sent" in ends[1][2]
