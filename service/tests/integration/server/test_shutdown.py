"""Stopping: in good order when asked to, and by itself when nobody is left to ask."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator

import aiohttp
import psutil
import psycopg
import pytest

from livetally.base.config import Config
from livetally.schema.keys import Role
from livetally.server.app import create_app
from livetally.server.process import Site, listen, make_runner
from service.tests.support.faults.books import lock_waits
from service.tests.support.faults.load import Load
from service.tests.support.faults.viewers import Viewer
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process
from service.tests.support.waiting import until, until_ready_is


@pytest.fixture
def supervise(spawn: Callable[..., Process]) -> Iterator[Callable[[], Process]]:
    """Starts a supervisor with two workers; none of the three outlives the test."""
    ports: set[str] = set()

    def start() -> Process:
        process = spawn("--workers", "2")
        ports.add(str(process.port))
        return process

    yield start
    # A worker that lost its supervisor is nobody's child: what it was told is how to know it.
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("LIVETALLY_PORT") in ports:
                process.kill()


def workers_of(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []


def gone(process: psutil.Process) -> bool:
    """Ended; that nobody has reaped it is nobody's fault here."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def start_of(process: Process) -> list[psutil.Process]:
    """Wait until both workers serve."""
    await asyncio.to_thread(process.wait_ready)
    await until(lambda: process.log.read_text().count("serving on port") >= 2, 30)
    return workers_of(process.process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_under_load(
    number: signal.Signals, spawn: Callable[..., Process], database_url: str
) -> None:
    """Told to stop under load, a process answers what it took, refuses the rest, closes its
    viewers with 1012, and exits with 0 in time; all that was acknowledged is stored."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    process = spawn(LIVETALLY_DRAIN_S="1")
    await asyncio.to_thread(process.wait_ready)
    async with contextlib.AsyncExitStack() as stack:
        viewers = [
            await stack.enter_async_context(Viewer(process.url, keys[Role.READ]).watching())
            for _ in range(5)
        ]
        async with load.running(process.url):
            await load.until_acked(300)
            asked_at = time.monotonic()
            process.process.send_signal(number)
            for viewer in viewers:
                await asyncio.wait_for(viewer.closed.wait(), 30)
                assert viewer.close_code == aiohttp.WSCloseCode.SERVICE_RESTART
            assert await asyncio.to_thread(process.process.wait, 30) == 0
            assert time.monotonic() - asked_at < 30
            with pytest.raises(aiohttp.ClientConnectorError):
                async with aiohttp.ClientSession() as http, http.get(process.url + "/healthz"):
                    pass
    assert {code for _, _, code, _ in load.refusals} <= {"shutting_down"}
    load.check_books(database_url)


async def events_queued(http: aiohttp.ClientSession, url: str, number: int) -> bool:
    """Whether so many events wait behind a commit that is under way."""
    async with http.get(url + "/metrics") as response:
        return f"\nlivetally_queue_events {number}.0\n" in await response.text()


async def test_what_was_taken_is_answered(spawn: Callable[..., Process], database_url: str) -> None:
    """Requests whose commit is under way, or still to come, when SIGTERM arrives get their 200."""
    load = Load(1, (await make_keys(database_url))[Role.WRITE])
    process = spawn()
    await asyncio.to_thread(process.wait_ready)
    async with aiohttp.ClientSession() as http:
        assert await load.post(http, process.url, load.events())
        with psycopg.connect(database_url) as blocker:
            blocker.execute("SELECT FROM slots FOR UPDATE")
            posts = [asyncio.create_task(load.post(http, process.url, load.events()))]
            await until(lambda: lock_waits(database_url) == 1, 30)
            queued = [load.events() for _ in range(4)]
            posts += [asyncio.create_task(load.post(http, process.url, made)) for made in queued]
            await until(lambda: events_queued(http, process.url, sum(map(len, queued))), 30)
            process.process.terminate()
            await until(lambda: '"stopping"' in process.log.read_text(), 30)
            blocker.rollback()
        assert all(await asyncio.gather(*posts))
    assert await asyncio.to_thread(process.process.wait, 30) == 0
    load.check_books(database_url)


async def test_who_stands_in_the_door_is_answered(database_url: str, redis_url: str) -> None:
    """Connections that the kernel has made and nobody has accepted are not reset when the process
    stops: each gets an answer, and only who comes later is refused."""
    config = Config(database_url=database_url, redis_url=redis_url, drain_s=0)
    sock = listen("127.0.0.1", 0)
    runner = make_runner(create_app(config))
    await runner.setup()
    await Site(runner, sock).start()
    address = sock.getsockname()[:2]
    body = b'{"type":"click","subject":"red"}'
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nx-api-key: no\r\nContent-Length: %d\r\n\r\n"
    # Blocking, so that the loop accepts none of them meanwhile.
    early = [socket.create_connection(address) for _ in range(20)]
    for connection in early:
        connection.sendall(head % len(body) + body)
    await runner.cleanup()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    answers = [connection.recv(4096) for connection in early]
    assert [answer[:9] for answer in answers] == [b"HTTP/1.1 "] * 20
    for connection in early:
        connection.close()


async def test_workers_stop_with_their_supervisor(
    supervise: Callable[[], Process], database_url: str
) -> None:
    """SIGTERM to the supervisor under load ends every worker in good order, status 0."""
    load = Load(1, (await make_keys(database_url))[Role.WRITE])
    process = supervise()
    workers = await start_of(process)
    assert len(workers) == 2
    async with load.running(process.url):
        await load.until_acked(200)
        assert await asyncio.to_thread(process.stop, 30) == 0
    assert all(gone(worker) for worker in workers)
    assert process.log.read_text().count('"stopped"') == 2
    load.check_books(database_url)


async def test_stopped_while_workers_start(
    supervise: Callable[[], Process], database_url: str
) -> None:
    """SIGTERM that finds workers not yet serving is obeyed all the same, with status 0."""
    await make_keys(database_url)
    process = supervise()
    workers = await start_of(process)
    workers[0].kill()
    await until(lambda: {*workers_of(process.process.pid)} - {*workers}, 30)
    assert await asyncio.to_thread(process.stop, 30) == 0
    assert not workers_of(process.process.pid)


async def test_a_killed_worker_is_replaced(
    supervise: Callable[[], Process], database_url: str
) -> None:
    """A worker is killed by -9, one after the other: the port goes on answering, another takes its
    place, and what was acknowledged is stored once."""
    load = Load(1, (await make_keys(database_url))[Role.WRITE])
    process = supervise()
    workers = await start_of(process)
    async with load.running(process.url, websockets=4):
        for worker in workers:
            await load.until_acked(100)
            worker.kill()
            await until(
                lambda worker=worker: (
                    len([w for w in workers_of(process.process.pid) if not gone(w)]) == 2
                    and worker not in workers_of(process.process.pid)
                ),
                30,
            )
            await load.until_acked(100)
    await load.settle(process.url)
    await until_ready_is(process.url, "ready")
    load.check_books(database_url)
    assert process.stop() == 0


async def test_workers_end_when_their_supervisor_is_killed(
    supervise: Callable[[], Process], database_url: str
) -> None:
    """After kill -9 of the supervisor no worker stays behind holding the port."""
    load = Load(1, (await make_keys(database_url))[Role.WRITE])
    process = supervise()
    workers = await start_of(process)
    async with load.running(process.url):
        await load.until_acked(100)
        process.kill()
        await until(lambda: all(gone(worker) for worker in workers), 30)
    load.check_books(database_url)
    process.restart()
    await asyncio.to_thread(process.wait_ready)
    assert process.stop() == 0


async def test_ctrl_c_reaches_the_whole_group(
    database_url: str, redis_url: str, supervise: Callable[[], Process]
) -> None:
    """Ctrl-C in a terminal goes to the supervisor and its workers alike: all end, status 0."""
    await make_keys(database_url)
    process = supervise()
    workers = await start_of(process)
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    process.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.process.wait, 30) == 0
    assert all(gone(worker) for worker in workers)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
async def test_a_port_in_use_is_one_clear_line(
    arguments: tuple[str, ...], spawn: Callable[..., Process]
) -> None:
    """A port that is taken: exit status 2 and one line that says so, no traceback."""
    first = spawn()
    await asyncio.to_thread(first.wait_ready)
    second = spawn(*arguments, LIVETALLY_PORT=str(first.port))
    assert await asyncio.to_thread(second.process.wait, 30) == 2
    assert second.log.read_text() == (
        f"livetally: Port {first.port} of 127.0.0.1 is in use: choose another one.\n"
    )
