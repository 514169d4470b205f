"""The life of a process: listen, serve, stop in order. And of several that share one port.

Stopping: close the listening sockets, commit and answer what was taken, close the viewers with 1012
spread over `drain_s`, wait for the last answers, exit 0. It takes at most 30 s.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable

import uvloop
from aiohttp import web
from prometheus_client import multiprocess

from ..base.backoff import Backoff
from ..base.config import Config
from ..ops.tasks import FAILED
from . import ecs
from .app import create_app
from .protocol import Server

log = logging.getLogger(__name__)

#: Connections that may wait to be accepted: a deploy's worth of reconnecting viewers.
BACKLOG = 4096
#: A request line can hold a subject: 1,024 characters, each up to 12 bytes when %-escaped.
MAX_LINE_BYTES = 16 * 1024
#: A connection without a whole request for this long is closed, its head half sent or not begun.
#: More than the 120 s after which a load balancer lets go of one: else it might send into a close.
KEEPALIVE_S = 125.0
#: Turns of the loop until it has let go of a socket that it listened on.
_UNTIL_CLOSED = 3
#: For answers that are on their way when everything else has stopped.
ANSWER_TIMEOUT_S = 5.0
#: A supervisor gives its workers this long before it kills them.
STOP_TIMEOUT_S = 30.0
#: Between a worker's death and the next one's start, if that one dies young, too.
RESTART_S, LONGEST_RESTART_S = 0.5, 10.0
#: One that has lived so long didn't die of how it was started.
YOUNG_S = 60.0
#: How a worker ends that was told to stop before it had started.
_TOLD_TO_STOP = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 130}


class PortInUse(Exception):
    """Another program listens there."""


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Raises PortInUse, or OSError for an address that isn't ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"Port {port} of {host} is in use: choose another one.") from None
        raise
    return sock


class _Runner(web.AppRunner):
    """Lets the application shut down while its connections are still heard.

    aiohttp first stops reading from all of them: a request on a kept connection would hang until
    the process ends, and no viewer's answer to a close would arrive.
    """

    async def _make_server(self) -> Server:
        server = await super()._make_server()
        return Server(
            server.request_handler, request_factory=server.request_factory, **self._kwargs
        )

    async def cleanup(self) -> None:
        for site in list(self.sites):
            await site.stop()
        await super().shutdown()
        await super().cleanup()

    async def shutdown(self) -> None:
        """aiohttp's `cleanup` calls this too late."""


class Site(web.SockSite):
    """A listening socket that lets nobody stand in its door.

    The kernel connects whoever comes, and resets those that aren't accepted yet when the socket is
    closed: a proxy that has sent its request by then can't tell that it was never read.
    """

    async def stop(self) -> None:
        with self._sock.dup() as door:
            await super().stop()
            for _ in range(_UNTIL_CLOSED):
                await asyncio.sleep(0)
            await _accept_waiting(door, self._runner.server)


async def _accept_waiting(door: socket.socket, server: web.Server | None) -> None:
    if server is None:
        return
    loop = asyncio.get_running_loop()
    door.setblocking(False)
    for _ in range(BACKLOG):
        try:
            connection, _ = door.accept()
        except OSError:  # nobody waits any more
            return
        connection.setblocking(False)
        await loop.connect_accepted_socket(server, connection)


def make_runner(app: web.Application) -> web.AppRunner:
    """What serves the application, with our limits."""
    return _Runner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=ANSWER_TIMEOUT_S,
        max_line_size=MAX_LINE_BYTES,
        auto_decompress=False,  # see ingest.packing
    )


def run(
    config: Config,
    sock: socket.socket,
    *,
    make: Callable[[Config], web.Application] = create_app,
    started: Callable[[], None] | None = None,
    supervised: bool = False,
) -> int:
    """Serve what `make` makes on `sock` until SIGTERM or SIGINT; returns the exit status.

    A `supervised` process also stops when its standard input ends: its supervisor is gone.
    """
    _raise_file_limit()
    return uvloop.run(_serve(config, sock, make, started, supervised))


def run_workers(sock: socket.socket, count: int) -> int:
    """Serve on `sock` with `count` processes, starting again those that die, until told to stop."""
    with tempfile.TemporaryDirectory(prefix="livetally-metrics-") as metrics_dir:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_dir
        return asyncio.run(_supervise(sock, count))


async def _serve(
    config: Config,
    sock: socket.socket,
    make: Callable[[Config], web.Application],
    started: Callable[[], None] | None,
    supervised: bool,
) -> int:
    stop = asyncio.Event()
    early = _listen_for_stop(stop, supervised)
    if supervised:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    app = make(config)
    runner = make_runner(app)
    await runner.setup()
    await Site(runner, sock, backlog=BACKLOG).start()
    _tune_gc()
    log.info("serving on port %d", sock.getsockname()[1])
    if started:
        started()
    stopped = asyncio.create_task(stop.wait())
    failed = asyncio.create_task(app[FAILED].wait())
    await asyncio.wait([stopped, failed], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    early.cancel()
    await runner.cleanup()
    log.info("stopped")
    return 1 if app[FAILED].is_set() else 0


def _listen_for_stop(stop: asyncio.Event, supervised: bool = False) -> "asyncio.Task[None]":
    """Set `stop` at a signal, or when ECS says it will come (a supervisor hears it for all)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # HUP: the terminal is gone
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def hear_early() -> None:
        metadata_url = os.environ.get(ecs.METADATA_VARIABLE)
        if metadata_url and not supervised:
            await ecs.wait_for_stop(metadata_url)
            stop.set()

    return asyncio.create_task(hear_early())


async def _supervise(sock: socket.socket, count: int) -> int:
    stop = asyncio.Event()
    early = _listen_for_stop(stop)
    statuses = await asyncio.gather(*(_keep_running(sock, stop) for _ in range(count)))
    early.cancel()
    return max(statuses)


async def _keep_running(sock: socket.socket, stop: asyncio.Event) -> int:
    stopping = asyncio.create_task(stop.wait())
    backoff = Backoff(RESTART_S, LONGEST_RESTART_S)
    while True:
        started_at = time.monotonic()
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "livetally", "serve", "--fd", str(sock.fileno())),
            stdin=asyncio.subprocess.PIPE,  # it ends when we do, even by kill -9
            pass_fds=[sock.fileno()],
        )
        ended = asyncio.create_task(worker.wait())
        await asyncio.wait([stopping, ended], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()
            await asyncio.wait([ended], timeout=STOP_TIMEOUT_S)
            if not ended.done():
                log.error("worker %d does not stop; killing it", worker.pid)
                worker.kill()
        status = await ended
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
        if stop.is_set():
            return 0 if status in _TOLD_TO_STOP else status
        log.error("worker %d ended with status %d; starting another", worker.pid, status)
        if time.monotonic() - started_at > YOUNG_S:
            backoff.reset()
        with contextlib.suppress(TimeoutError):  # not in a tight loop
            await asyncio.wait_for(asyncio.shield(stopping), backoff.next_s())
        if stop.is_set():
            return status


def _tune_gc() -> None:
    """What start-up made stays; requests make hardly any cycles. 7 % of CPU, and half the p99.

    Viewers do: only a full collection frees one who has gone after a while. So there must be one
    every thousand or so; ten times rarer, and hundreds of megabytes wait for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 2)


def _raise_file_limit() -> None:
    """Every viewer is an open file; the default of 1,024 is for another kind of program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS says "infinity" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
