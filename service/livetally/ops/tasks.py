"""Background loops: each is started by an owner, and one that dies ends the process."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from aiohttp import web

from .health import Health, Heartbeat

log = logging.getLogger(__name__)

#: Set when a background loop has died: the process should end, and be started again.
FAILED: web.AppKey[asyncio.Event] = web.AppKey("FAILED", asyncio.Event)


def start(
    app: web.Application,
    health: Health,
    name: str,
    run: Callable[[Heartbeat], Coroutine[Any, Any, None]],
) -> asyncio.Task[None]:
    """Run a background loop, which `health` watches by the heartbeat that `run` is given.

    One that dies takes the process with it: half a service is a lie.
    """

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.critical("the %s loop died", name, exc_info=error)
            app[FAILED].set()

    task = asyncio.create_task(run(Heartbeat(health, name)), name=name)
    task.add_done_callback(ended)
    return task


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel, and cancel again: a library that waits for a reply may swallow a cancellation."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
