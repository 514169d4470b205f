"""What is done to a running installation. Each returns when the harm has ended.

A fault that this machine can't be given raises Impossible, and is reported as skipped by name.
"""

import asyncio
import contextlib
import os
import random
import resource
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import psycopg
from redis import Redis

from loadtest.chaos.ground import Child, Ground, faketime
from service.tests.support.process import paused
from service.tests.support.waiting import until

#: Connections that never say what they want.
LORISES = 2_000
#: Viewers that all come at once.
STORM = 5_000
STORM_LEFT_MB = 20
CGROUP = Path("/sys/fs/cgroup/memory")
#: What a process may grow by until the kernel kills it.
MEMORY_ROOM_MB = 12

Fault = Callable[[Ground, float], Awaitable[None]]


class Impossible(Exception):
    """This machine doesn't allow it; the message says why."""


async def kill_a_server(ground: Ground, hurt_s: float) -> None:
    """kill -9 of a server, which is started again."""
    await _die(random.choice(ground.servers))


async def kill_all_servers(ground: Ground, hurt_s: float) -> None:
    """kill -9 of all servers at once."""
    await asyncio.gather(*map(_die, ground.servers))


async def kill_the_worker(ground: Ground, hurt_s: float) -> None:
    """kill -9 of the worker, three times."""
    for _ in range(3):
        await _die(ground.worker)


async def stop_postgres(ground: Ground, hurt_s: float) -> None:
    """Postgres is stopped in good order, and started again."""
    await asyncio.to_thread(ground.postgres.stop)
    await asyncio.sleep(hurt_s)
    await asyncio.to_thread(ground.postgres.start)


async def kill_postgres(ground: Ground, hurt_s: float) -> None:
    """kill -9 of Postgres with all its processes, and crash recovery."""
    await asyncio.to_thread(ground.postgres.kill)
    await asyncio.sleep(hurt_s)
    await asyncio.to_thread(ground.postgres.start)


async def pause_postgres(ground: Ground, hurt_s: float) -> None:
    """Postgres hangs: connections stay, nothing answers."""
    with paused(ground.postgres):
        await asyncio.sleep(hurt_s)


async def terminate_backends(ground: Ground, hurt_s: float) -> None:
    """pg_terminate_backend of every session, again and again."""
    until_ = asyncio.get_running_loop().time() + hurt_s
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    while asyncio.get_running_loop().time() < until_:
        with psycopg.connect(ground.postgres.dsn("postgres"), autocommit=True) as connection:
            connection.execute(query)
        await asyncio.sleep(0.3)


async def fill_the_disk(ground: Ground, hurt_s: float) -> None:
    """Postgres's disk is full: it can't write, and panics when it must."""
    if ground.disk is None:
        raise Impossible("no disk of its own can be mounted: that takes root")
    ballast = ground.disk / "ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 1_048_576)
            file.flush()
    await asyncio.sleep(hurt_s)
    ballast.unlink()
    try:
        psycopg.connect(ground.postgres.dsn("postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        await asyncio.to_thread(ground.postgres.start)


async def kill_redis(ground: Ground, hurt_s: float) -> None:
    """kill -9 of Redis; it comes back empty."""
    await asyncio.to_thread(ground.redis.kill)
    await asyncio.sleep(hurt_s)
    await asyncio.to_thread(ground.redis.start)


async def flush_redis(ground: Ground, hurt_s: float) -> None:
    """FLUSHALL, and every client of Redis is cut off."""
    with Redis.from_url(ground.redis.url) as redis:
        redis.flushall()
        redis.client_kill_filter(_type="pubsub")
    await asyncio.sleep(hurt_s)


async def pause_redis(ground: Ground, hurt_s: float) -> None:
    """Redis hangs."""
    with paused(ground.redis):
        await asyncio.sleep(hurt_s)


async def disorder(ground: Ground, hurt_s: float) -> None:
    """Messages of Redis are dropped, doubled and reordered on the way."""
    ground.relay.faulty = True
    await asyncio.sleep(hurt_s)
    ground.relay.heal()


async def slow_network(ground: Ground, hurt_s: float) -> None:
    """The way to Postgres takes 100 ms longer, each way."""
    ground.wire.delay_s = 0.1
    await asyncio.sleep(hurt_s)
    ground.wire.delay_s = 0


async def cut_network(ground: Ground, hurt_s: float) -> None:
    """The ways to Postgres and Redis are cut, then dead, then there again."""
    ground.wire.cut()
    ground.relay.cut()
    ground.wire.block()
    ground.relay.fall_silent()
    await asyncio.sleep(hurt_s)
    ground.wire.unblock()
    ground.relay.heal()


async def step_the_clock(ground: Ground, hurt_s: float) -> None:
    """A server's clock goes an hour forward, two back, and right again."""
    if faketime() is None:
        raise Impossible("libfaketime isn't installed (Debian: faketime)")
    for step in ("+3600", "-3600", "+0"):
        draft = ground.clock.with_suffix(".new")
        draft.write_text(step)
        draft.replace(ground.clock)
        await asyncio.sleep(hurt_s / 2)


async def exhaust_descriptors(ground: Ground, hurt_s: float) -> None:
    """A server may open no more files, and 200 clients want to connect."""
    server = random.choice(ground.servers)
    process = server.process
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 5, before[1]))
    try:
        await _with_connections(server, 200, b"", hurt_s)
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, before)


async def hit_the_memory_limit(ground: Ground, hurt_s: float) -> None:
    """A server's container is out of memory: the kernel kills it."""
    server = random.choice(ground.servers)
    group = CGROUP / f"livetally-chaos-{os.getpid()}"
    deaths = server.deaths
    try:
        group.mkdir()
        limit = int((server.rss_mb + MEMORY_ROOM_MB) * 1e6)
        (group / "memory.limit_in_bytes").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(server.process.pid))
        # What was in memory before isn't charged to it: room for what comes from now on.
        (group / "memory.limit_in_bytes").write_text(str(int(MEMORY_ROOM_MB * 1e6)))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise Impossible(f"no memory limit can be set here: {error.strerror}") from None
    try:
        eating = asyncio.create_task(
            _with_connections(server, 200, _half_a_body(ground, 900_000), 30)
        )
        await until(lambda: server.deaths > deaths, 60, lambda: "it was not killed")
        eating.cancel()
        await asyncio.wait([eating])
    finally:
        await until(lambda: not (group / "cgroup.procs").read_text(), 30)
        group.rmdir()


async def slow_lorises(ground: Ground, hurt_s: float) -> None:
    """Thousands of connections send half a head, or half a body, and then nothing."""
    heads = _with_connections(ground.servers[0], LORISES // 2, b"GET / HTTP/1.1\r\nHost:", hurt_s)
    bodies = _with_connections(ground.servers[-1], LORISES // 2, _half_a_body(ground, 1), hurt_s)
    await asyncio.gather(heads, bodies)


async def reconnect_storm(ground: Ground, hurt_s: float) -> None:
    """5,000 viewers connect, all are cut, and all come back at once; three times."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    share = min(STORM, hard - 1_000) // len(ground.servers)
    used = []
    for _ in range(3):
        await asyncio.gather(
            *(_with_viewers(server, share, ground, hurt_s) for server in ground.servers)
        )
        used.append(max(server.rss_mb for server in ground.servers))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # The heap keeps what two storms took, one arriving as the other is cleared away; the third has
    # to find room in that.
    assert used[2] - used[1] < STORM_LEFT_MB, f"memory after each storm: {used} MB"


def _half_a_body(ground: Ground, size: int) -> bytes:
    """A request of which so many bytes come, and one more doesn't."""
    key = next(iter(ground.keys.values()))
    return (
        f"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size + 1}\r\n\r\n"
    ).encode() + b" " * size


async def _die(child: Child) -> None:
    deaths = child.deaths
    child.kill()
    await until(lambda: child.deaths > deaths, 10)
    await child.until_ready()


async def _with_connections(child: Child, count: int, said: bytes, seconds: float) -> None:
    """Open connections that say something and wait; those that can't be had don't matter."""
    loop = asyncio.get_running_loop()
    sockets = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sockets.append(sock)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await loop.sock_connect(sock, ("127.0.0.1", child.port))
                    await loop.sock_sendall(sock, said)
        await asyncio.sleep(seconds)
    finally:
        for sock in sockets:
            sock.close()


async def _with_viewers(child: Child, count: int, ground: Ground, seconds: float) -> None:
    """So many viewers subscribe, and are cut without a word when the time is over."""
    key = ground.keys[next(role for role in ground.keys if role == "read")]
    hello = (
        f"GET /v1/live HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()
    text = b'{"type":"subscribe","id":1,"topic":{"totals":"click"}}'
    subscribe = bytes((0x81, 0x80 | len(text))) + bytes(4) + text
    writers: list[asyncio.StreamWriter] = []
    place = asyncio.Semaphore(200)

    async def join() -> None:
        async with place:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", child.port)
                writers.append(writer)
                writer.write(hello)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(subscribe)

    await asyncio.gather(*(join() for _ in range(count)))
    await asyncio.sleep(seconds)
    for writer in writers:
        writer.transport.abort()


FAULTS: list[Fault] = [
    kill_a_server,
    kill_all_servers,
    kill_the_worker,
    stop_postgres,
    kill_postgres,
    pause_postgres,
    terminate_backends,
    fill_the_disk,
    kill_redis,
    flush_redis,
    pause_redis,
    disorder,
    slow_network,
    cut_network,
    step_the_clock,
    exhaust_descriptors,
    hit_the_memory_limit,
    slow_lorises,
    reconnect_storm,
]
