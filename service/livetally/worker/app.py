"""All wiring of `livetally worker`: its loops, what each is given, and how they end.

A worker takes no requests but those of operators. Any number of workers may run any loop: what they
share is divided by SQS and Postgres, never by an agreement between them.

Stopping: every loop takes on nothing new, finishes what it has in hand or lets go of it, the last
events are committed, and the process exits 0, within 25 s.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from ..api.operations import Operations
from ..archive.archiver import Archive
from ..archive.ledger import Ledger
from ..archive.stores import open_objects
from ..base.aws import region
from ..base.config import Config, ConfigError
from ..db.database import Database
from ..db.partitions import run_partitions
from ..ingest.batcher import Batcher
from ..ingest.store import Committed, Store
from ..live.publisher import Publisher, changes, connect_redis
from ..ops.health import Health
from ..ops.metrics import Metrics
from ..ops.tasks import FAILED, end, start
from ..queue.consumer import Queue
from ..queue.contents import Contents
from ..queue.rejections import Refusals
from ..queue.sqs import Sqs
from ..queue.writer import Intake
from ..schema.changes import Change, ItemsChanged
from ..web import middleware
from .rollup import RollUp

log = logging.getLogger(__name__)

#: What a loop has in hand is finished within this time after the signal to stop, or let go.
FINISH_TIMEOUT_S = 15
#: After that, what waits for a commit has this long.
FLUSH_TIMEOUT_S = 10


class Loop(Protocol):
    """A part of the worker's work."""

    async def run(self) -> None:
        """Work, and beat `health` once a second or so, until `close` was called and what is in hand
        is done, or until cancelled: then nothing may be lost that another worker can't find."""

    def close(self) -> None:
        """Take on nothing new."""


class Parts(msgspec.Struct, frozen=True):
    """What loops may be given."""

    config: Config
    database: Database
    batcher: Batcher
    metrics: Metrics
    health: Health
    #: names this process in what it publishes
    origin: str
    #: tell every process what a commit changed
    announce: Callable[[Change | ItemsChanged], None]


class Kind(msgspec.Struct, frozen=True):
    """A kind of loop."""

    make: Callable[[Parts], Loop]
    #: the setting that it can't do without
    needs: str | None = None


def _queue(parts: Parts) -> Loop:
    config, metrics, health = parts.config, parts.metrics, parts.health
    region(config.queue_url)  # without one no call could be made: say so at the start
    intake = Intake(
        parts.database,
        parts.batcher,
        metrics,
        health,
        parts.announce,
        origin=parts.origin,
        project=config.queue_project,
    )
    refusals = Refusals(parts.database)
    contents = Contents(intake, refusals, metrics)
    sqs = Sqs(config.queue_url, metrics)
    return Queue(sqs, contents, intake, refusals, metrics, health)


def _archive(parts: Parts) -> Loop:
    return Archive(
        Ledger(parts.config.database_url, parts.config.archive_part_events),
        open_objects(parts.config.archive_url),
        parts.metrics,
        parts.health,
        parts.config.archive_interval_s,
    )


def _rollup(parts: Parts) -> Loop:
    return RollUp(parts.database, parts.metrics, parts.health, parts.config)


#: Every loop, by the name of its option (cli.worker).
LOOPS: Mapping[str, Kind] = {
    "queue": Kind(_queue, needs="queue_url"),
    "archive": Kind(_archive, needs="archive_url"),
    "rollup": Kind(_rollup),
}


def chosen(config: Config, names: frozenset[str]) -> list[str]:
    """The loops to run: those named, or all that are configured.

    Raises ConfigError naming the variable that a loop lacks.
    """
    for name in names - usable(config):
        variable = f"LIVETALLY_{str(LOOPS[name].needs).upper()}"
        raise ConfigError(f"{variable} is not set: --{name} needs it")
    loops = [name for name in LOOPS if name in (names or usable(config))]
    if not loops:
        raise ConfigError("there is nothing to work on: no LIVETALLY_QUEUE_URL is set")
    return loops


def usable(config: Config) -> set[str]:
    """The loops that have what they need."""
    return {name for name, kind in LOOPS.items() if not kind.needs or getattr(config, kind.needs)}


def create_worker(config: Config, names: frozenset[str] = frozenset()) -> web.Application:
    """The worker that runs these loops (by default all that are configured), not yet started."""
    metrics = Metrics()
    health = Health()
    database = Database(config.database_url, config.pool_size)
    redis = connect_redis(config.redis_url)
    origin = secrets.token_hex(8)
    tracing = None
    if config.otlp_endpoint:
        from ..ops.tracing import Tracing

        tracing = Tracing(config.otlp_endpoint, origin)
    publisher = Publisher(redis, metrics, health, tracing.published if tracing else None)

    def on_commit(committed: Committed) -> None:
        trace = None if tracing is None else tracing.here()
        for change in changes(committed, origin, trace):
            publisher.publish(change)

    batcher = Batcher(
        Store(config.database_url, config.commit_timeout_ms / 1000),
        on_commit,
        metrics,
        health,
        batch_max_events=config.batch_max_events,
        queue_max_events=config.queue_max_events,
        tracing=tracing,
    )
    parts = Parts(config, database, batcher, metrics, health, origin, publisher.publish)
    loops = {name: LOOPS[name].make(parts) for name in chosen(config, names)}

    app = web.Application(middlewares=[middleware.middleware(metrics)])
    app.add_routes(Operations(health, metrics, database).routes())
    app[FAILED] = asyncio.Event()
    working: list[asyncio.Task[None]] = []
    batching: asyncio.Task[None]

    async def drain(app: web.Application) -> None:
        """Take on nothing; finish what is in hand; commit what waits."""
        health.draining = True
        for loop in loops.values():
            loop.close()
        _, unfinished = await asyncio.wait(working, timeout=FINISH_TIMEOUT_S)
        for task in unfinished:
            log.warning("the %s loop lets go of what it has not finished", task.get_name())
        await end(unfinished)
        batcher.close()
        _, unfinished = await asyncio.wait([batching], timeout=FLUSH_TIMEOUT_S)
        if unfinished:
            log.error("some events were not stored in time; they will come again")

    async def clients(app: web.Application) -> AsyncIterator[None]:
        await database.open()
        yield
        await database.close()
        await redis.aclose()
        if tracing is not None:
            await tracing.close()

    async def running(app: web.Application) -> AsyncIterator[None]:
        nonlocal batching
        batching = start(app, "batcher", batcher.run())
        tasks = [
            batching,
            start(app, "publisher", publisher.run()),
            start(app, "partitions", run_partitions(database, health)),
        ]
        working.extend(start(app, name, loop.run()) for name, loop in loops.items())
        log.info("working on %s", ", ".join(loops))
        yield
        await end([*working, *tasks])
        await batcher.disconnect()

    app.cleanup_ctx.extend([clients, running])
    app.on_shutdown.append(drain)
    return app
