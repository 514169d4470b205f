"""How a process that serves ends: what was taken is stored and answered, viewers move over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from .loops import RUNNING
from .services import Services

log = logging.getLogger(__name__)

#: What is queued is committed within this time after the signal to stop.
FLUSH_TIMEOUT_S = 12


def draining(services: Services) -> Callable[[web.Application], Awaitable[None]]:
    """What to do on shutdown."""

    async def drain(app: web.Application) -> None:
        """The listening sockets are closed. Reject, flush, answer, then let the viewers go."""
        services.health.draining = True
        services.batcher.close()
        _, unfinished = await asyncio.wait([app[RUNNING]["batcher"]], timeout=FLUSH_TIMEOUT_S)
        if unfinished:
            log.error("some events were not stored in time; their senders were not told they were")
        await services.connections.drain(services.config.drain_s)

    return drain
