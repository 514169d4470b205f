"""A thread with an event loop, and the client that lives in it.

Before the process ends what is queued is sent, if that takes no longer than `EXIT_S`; a warning
says how much was not. From then on every event is sent before `track` returns: there may be no
later.

`atexit` is for the end of an interpreter. Children of multiprocessing and billiard (so also those
of Celery's pool), RQ's work horses and many a daemon end by `os._exit` instead, which asks nobody:
so it gets to do that first. A child of multiprocessing is also ended by SIGTERM, whenever somebody
leaves `with Pool()`. Nobody is asked at SIGKILL, and of other processes' signals at those that
nobody handles, as SIGTERM is by default: flush before.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from .errors import ClientError, Closed
from .requests import AsyncClient
from .sending import EXIT_S

log = logging.getLogger(__name__)

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


class _Exit:
    """`os._exit`, which asks nobody, after what is to be done."""

    def __init__(self, exit: Callable[[int], NoReturn]) -> None:
        self.works: list[Callable[[], None]] = []
        self.ending = False
        self._exit = exit

    def __call__(self, status: int) -> NoReturn:
        self.end()
        self._exit(status)

    def end(self) -> None:
        for work in self.works.copy():
            try:
                work()
            except Exception:
                log.exception("the process ends")


def before_process_ends(work: Callable[[], None]) -> Callable[[], None]:
    """Have it done at the end of this process, not of its forks. Returns what calls that off."""
    pid = os.getpid()

    at_exit = os._exit if isinstance(os._exit, _Exit) else _Exit(os._exit)
    os._exit = at_exit

    def once() -> None:
        if os.getpid() == pid and not at_exit.ending:
            at_exit.ending = True
            work()
            at_exit.ending = False

    at_exit.works.append(once)
    atexit.register(once)
    _hear_of_termination(at_exit)

    def forget() -> None:
        at_exit.works.remove(once)
        atexit.unregister(once)

    return forget


def _hear_of_termination(at_exit: _Exit) -> None:
    """A child of multiprocessing that is terminated ends so, but first does what is to be done."""

    def terminated(number: int, _: object) -> None:
        if at_exit.ending:
            return  # as it does anyway
        at_exit.end()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    is_child = multiprocessing.parent_process() is not None
    if is_child and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # not in the main thread, which alone may
            signal.signal(signal.SIGTERM, terminated)
