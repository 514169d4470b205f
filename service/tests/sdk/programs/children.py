"""Children of multiprocessing, by every start method, and its pools: none closes its client."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event

from livetally.client import Client

client = Client()
fork = multiprocessing.get_context("fork")


def work(n: int) -> None:
    client.track("click", "child")


def work_and_wait(worked: Event) -> None:
    for n in range(3):
        work(n)
    worked.set()
    time.sleep(60)


def work_in_a_thread() -> None:
    threading.Thread(target=work, args=(1,)).start()


def by_itself() -> None:
    """Children that nobody's module has begun."""
    for end in ("exit", "_exit"):
        if os.fork() == 0:
            work(1)
            sys.exit(4) if end == "exit" else os._exit(4)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 4


def terminated() -> None:
    """As a pool's processes are when its `with` is left, and daemons at their parent's end."""
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            pool.map(work, range(6))
    for ended_by_us in (True, False):
        worked = fork.Event()
        child = fork.Process(target=work_and_wait, args=(worked,), daemon=True)
        child.start()
        worked.wait()
        if ended_by_us:
            child.terminate()
            child.join()
            assert child.exitcode == -signal.SIGTERM


if __name__ == "__main__":
    for method, many in (("fork", 4), ("spawn", 1), ("forkserver", 1)):
        context = multiprocessing.get_context(method)
        children = [context.Process(target=work, args=(n,)) for n in range(many)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    with ProcessPoolExecutor(2, mp_context=fork) as executor:
        list(executor.map(work, range(6)))
    pool = fork.Pool(2, maxtasksperchild=2)
    pool.map(work, range(6), chunksize=1)
    pool.close()
    pool.join()
    child = fork.Process(target=work_in_a_thread)
    child.start()
    child.join()
    by_itself()
    terminated()
    client.track("click", "parent")
    sys.exit(3)
