"""Ways to end without closing one's client; the first argument says which."""

import asyncio
import atexit
import multiprocessing
import signal
import sys
import threading
from contextlib import suppress
from itertools import count

from livetally.client import AsyncClient, Client, QueueFull

client = Client()


async def forget_to_close(events: int) -> None:
    kept = AsyncClient()
    for _ in range(events):
        kept.track("click", "loop")


def by_run() -> None:
    """Its loop is ended by asyncio.run, with 700 events queued."""
    asyncio.run(forget_to_close(700))


def by_runs() -> None:
    """The same client in one loop after another, and in a child's."""
    kept = AsyncClient()

    async def work(subject: str, *, flushes: bool = False) -> None:
        kept.track("click", subject)
        kept.track("click", subject)
        if flushes:
            await kept.flush()
            kept.track("click", subject)

    asyncio.run(work("first"))
    asyncio.run(work("second", flushes=True))
    fork = multiprocessing.get_context("fork")
    for child in (
        fork.Process(target=lambda: asyncio.run(work("child", flushes=True))),
        fork.Process(target=lambda: asyncio.run(kept.close())),
    ):
        child.start()
        child.join()
    asyncio.run(work("last", flushes=True))


def by_loop() -> None:
    """Its loop is stopped without a word to anybody."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(forget_to_close(3))
    loop.close()


def by_hooks() -> None:
    """Others' hooks of the same end count too, also those that come after the client's own."""
    atexit.register(lambda: client.track("click", "late"))
    client.track("click", "early")
    atexit.register(lambda: client.track("click", "hook"))


def by_signals() -> None:
    """A signal's handler counts, whatever was going on when it came."""
    fired = count()

    def fire(*_: object) -> None:
        client.track("click", "signal", id=f"s{next(fired)}")

    signal.signal(signal.SIGALRM, fire)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for n in range(3_000):
        client.track("click", "loop", id=f"l{n}")
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stdout.write(str(next(fired)))


def by_thread() -> None:
    """A daemon thread counts until the interpreter is gone."""

    def work() -> None:
        while True:
            with suppress(QueueFull):
                client.track("click", "daemon")

    client.track("click", "main")
    threading.Thread(target=work, daemon=True).start()


def by_child() -> None:
    """A child of multiprocessing ends."""
    child = multiprocessing.get_context("fork").Process(target=client.track, args=("click", "c"))
    child.start()
    child.join()


def count_one(n: int) -> None:
    client.track("click", "pool")


def by_pool() -> None:
    """Some of its processes end by themselves, and are terminated meanwhile."""
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(count_one, range(8))


def by_exception() -> None:
    """An error that nobody catches."""
    client.track("click", "error")
    raise SystemExit("it went wrong")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
