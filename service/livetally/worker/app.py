"""All wiring of `livetally worker`: its loops, what each is given, and how they end.

A worker takes no requests but those of operators. Any number of workers may run any loop: what they
share is divided by SQS and Postgres, never by an agreement between them.

Stopping: every loop takes on nothing new, finishes what it has in flight or releases it, the last
events are committed, and the process exits 0, within 25 s.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from ..api.operations import Operations
from ..archive.archiver import Archive
from ..archive.ledger import Ledger
from ..archive.stores import open_objects
from ..base.aws import region
from ..base.config import Config, ConfigError
from ..ops.health import Heartbeat
from ..ops.tasks import end
from ..queue.consumer import Queue
from ..queue.contents import Contents
from ..queue.rejections import Refusals
from ..queue.sqs import Sqs
from ..queue.writer import Intake
from ..server.loops import RUNNING, clients, common, loops
from ..server.services import Services, make_services
from ..web import middleware
from .rollup import RollUp

log = logging.getLogger(__name__)

#: What a loop has in flight is finished within this time after the signal to stop, or released.
FINISH_TIMEOUT_S = 15
#: After that, what waits for a commit has this long.
FLUSH_TIMEOUT_S = 10


class Loop(Protocol):
    """A part of the worker's work."""

    async def run(self, heart: Heartbeat) -> None:
        """Work, and beat once a second or so, until `close` was called and what is in hand
        is done, or until cancelled: then nothing may be lost that another worker can't find."""

    def close(self) -> None:
        """Take on nothing new."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of loop."""

    make: Callable[[Services], Loop]
    #: the setting that it can't do without
    needs: str | None = None


def _queue(services: Services) -> Loop:
    config, metrics, health = services.config, services.metrics, services.health
    region(config.queue_url)  # without one no call could be made: say so at the start
    intake = Intake(
        services.database,
        services.auth,
        services.batcher,
        metrics,
        health,
        services.announcer,
        project=config.queue_project,
    )
    refusals = Refusals(services.database)
    contents = Contents(intake, refusals, metrics)
    sqs = Sqs(config.queue_url, metrics)
    return Queue(sqs, contents, intake, refusals, metrics, health)


def _archive(services: Services) -> Loop:
    return Archive(
        Ledger(services.config.database_url, services.config.archive_part_events),
        open_objects(services.config.archive_url),
        services.metrics,
        services.health,
        services.config.archive_interval_s,
    )


def _rollup(services: Services) -> Loop:
    return RollUp(services.database, services.metrics, services.health, services.config)


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
    services = make_services(config)
    work = {name: LOOPS[name].make(services) for name in chosen(config, names)}
    runs = common(services) | {name: loop.run for name, loop in work.items()}
    app = web.Application(middlewares=[middleware.middleware(services.metrics)])
    app.add_routes(Operations(services.health, services.metrics, services.vitals).routes())
    app.cleanup_ctx.extend([clients(services), loops(services, runs)])
    app.on_shutdown.append(_draining(services, work))
    log.info("working on %s", ", ".join(work))
    return app


def _draining(
    services: Services, work: Mapping[str, Loop]
) -> Callable[[web.Application], Awaitable[None]]:
    async def drain(app: web.Application) -> None:
        """Take on nothing; finish what is in flight; commit what waits."""
        services.health.draining = True
        for loop in work.values():
            loop.close()
        running = [app[RUNNING][name] for name in work]
        _, unfinished = await asyncio.wait(running, timeout=FINISH_TIMEOUT_S)
        for task in unfinished:
            log.warning("the %s loop releases what it has not finished", task.get_name())
        await end(unfinished)
        services.batcher.close()
        _, unfinished = await asyncio.wait([app[RUNNING]["batcher"]], timeout=FLUSH_TIMEOUT_S)
        if unfinished:
            log.error("some events were not stored in time; they will come again")

    return drain
