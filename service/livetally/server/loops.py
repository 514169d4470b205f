"""What runs while a process lives: its clients of Postgres and Redis, and its background loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from ..api.processes import Processes
from ..compat.rails.cable import Cable
from ..db.partitions import run_partitions
from ..live.listener import Listener
from ..live.publisher import connect_redis
from ..ops.emf import Emf
from ..ops.health import Heartbeat
from ..ops.tasks import FAILED, end, start
from .services import Services

Run = Callable[[Heartbeat], Coroutine[Any, Any, None]]
Context = Callable[[web.Application], AsyncIterator[None]]

#: The running loops by their names.
RUNNING: web.AppKey[dict[str, asyncio.Task[None]]] = web.AppKey("RUNNING", dict)


def clients(services: Services) -> Context:
    """Open what loops and requests need, before them; close it after them."""

    async def opened(app: web.Application) -> AsyncIterator[None]:
        await services.database.open()
        await services.vitals.open()
        yield
        await services.database.close()
        await services.vitals.close()
        await services.redis.aclose()
        if services.tracing is not None:
            await services.tracing.close()

    return opened


def loops(services: Services, runs: Mapping[str, Run]) -> Context:
    """Start the loops; end them. One that dies sets FAILED."""

    async def running(app: web.Application) -> AsyncIterator[None]:
        app[FAILED] = asyncio.Event()
        app[RUNNING] = {name: start(app, services.health, name, run) for name, run in runs.items()}
        yield
        await end(app[RUNNING].values())
        await services.batcher.disconnect()

    return running


def common(services: Services) -> dict[str, Run]:
    """The loops of every process."""
    return {
        "batcher": services.batcher.run,
        "publisher": services.publisher.run,
        "partitions": partial(run_partitions, services.vitals, services.health),
    }


def serving(services: Services, processes: Processes, cable: Cable) -> dict[str, Run]:
    """The loops of a process that serves."""
    config, hub = services.config, services.hub
    listener = Listener(
        connect_redis(config.redis_url), services.announcer.origin, hub, services.health
    )
    runs = common(services) | {
        "listener": listener.run,
        "processes": processes.run,
        "resync": hub.run_resync,
        "flush": hub.run_flush,
        "connections": services.connections.run_clock,
        "cable": cable.run_pings,
    }
    if config.emf_namespace:
        runs["emf"] = Emf(services.metrics, config.emf_namespace).run
    return runs
