"""Children of multiprocessing, by every start method, and its pools: none closes its client."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from livetally.client import Client

client = Client()


def work(n: int) -> None:
    client.track("click", "child")


if __name__ == "__main__":
    for method, many in (("fork", 4), ("spawn", 1), ("forkserver", 1)):
        context = multiprocessing.get_context(method)
        children = [context.Process(target=work, args=(n,)) for n in range(many)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=fork) as executor:
        list(executor.map(work, range(6)))
    pool = fork.Pool(2, maxtasksperchild=2)
    pool.map(work, range(6), chunksize=1)
    pool.close()
    pool.join()
    client.track("click", "parent")
    sys.exit(3)
