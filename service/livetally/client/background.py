"""A thread with an event loop, and the client that lives in it.

Before the process ends what is queued is sent, if that takes no longer than `EXIT_S`; a warning
says how much was not. From then on every event is sent before `track` returns: there may be no
later.

`atexit` is for the end of an interpreter. Children of multiprocessing and billiard end without
that, by `os._exit`, after their own module's finalizers; those of Celery's pool after a signal of
Celery's. Nobody is asked at `os._exit` by itself, at SIGKILL, or at a signal that nobody handles,
as SIGTERM is by default: flush before.
"""

import asyncio
import atexit
import concurrent.futures
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .errors import ClientError, Closed
from .requests import AsyncClient
from .sending import EXIT_S

log = logging.getLogger(__name__)

#: After the finalizers of pools and managers, before daemonic children are ended.
_PRIORITY = 0
_FINALIZING = ("multiprocessing.util", "billiard.util")

T = TypeVar("T")


class Background:
    """The thread, and what it is asked to do."""

    def __init__(self, make: Callable[[], AsyncClient]) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="livetally", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise Closed(f"The process is ending: {error}.") from None
        self.client = self.wait(self._make(make))
        self.ending = False
        self._forget = before_process_ends(self._exiting)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _make(self, make: Callable[[], AsyncClient]) -> AsyncClient:
        return make()

    def wait(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Do it in the loop; Ctrl-C here cancels it there."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
        except (KeyboardInterrupt, concurrent.futures.CancelledError, TimeoutError):
            future.cancel()
            raise

    def send_queued(self) -> None:
        """What was put into the queue is to be sent."""
        if self.ending:
            self._send_the_last()
        else:
            self.loop.call_soon_threadsafe(self.client.send_queued)

    def _exiting(self) -> None:
        """The process ends, and nobody has closed the client."""
        self.ending = True
        self._send_the_last()

    def _send_the_last(self) -> None:
        try:
            # The loop keeps the time; the rest is for a loop that doesn't run any more.
            self.wait(self.client.rest(EXIT_S), EXIT_S + 1)
        except (ClientError, TimeoutError) as error:
            self.client.give_up(f"the process ends. {error}")

    def close(self, timeout_s: float) -> None:
        """Raises what `AsyncClient.close` does."""
        self._forget()
        try:
            self.wait(self.client.close(timeout_s))
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()


def before_process_ends(work: Callable[[], None]) -> Callable[[], None]:
    """Have it done at the end of this process, not of its forks. Returns what calls that off."""
    pid = os.getpid()

    def once(*_: object, **__: object) -> None:
        if os.getpid() == pid:
            work()

    atexit.register(once)
    finalizers = [
        sys.modules[name].Finalize(None, once, exitpriority=_PRIORITY)
        for name in _FINALIZING
        if name in sys.modules
    ]
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(once, weak=False)

    def forget() -> None:
        atexit.unregister(once)
        for finalizer in finalizers:
            finalizer.cancel()
        if celery is not None:
            celery.worker_process_shutdown.disconnect(once)

    return forget
