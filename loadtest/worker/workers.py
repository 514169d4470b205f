"""`livetally worker` as a process that is killed at random moments and started again."""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from loadtest.lib.stand import Bench, Wrong

_COMMAND = [sys.executable, "-m", "livetally", "worker"]


class Worker:
    """One process after another, and the largest size of any."""

    def __init__(self, loops: list[str], environ: Mapping[str, str], log: Path) -> None:
        self._command = [*_COMMAND, *loops]
        self._environ = environ
        self._log = log
        self.peak_bytes = 0
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environ, stderr=log)

    def look(self) -> None:
        """Note how large it is; raises Wrong if it has ended by itself."""
        if self._process.poll() is not None:
            told = self._log.read_text()[-2000:]
            raise Wrong(f"a worker ended with status {self._process.returncode}:\n{told}")
        with contextlib.suppress(psutil.NoSuchProcess):
            size = psutil.Process(self._process.pid).memory_info().rss
            self.peak_bytes = max(self.peak_bytes, size)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


class Workers:
    """Some of them. `turn` looks after them, and kills one whenever it is time."""

    def __init__(self, workers: list[Worker], kills: int, chance: random.Random) -> None:
        self._workers = workers
        self._chance = chance
        self._due = sorted(chance.uniform(0.02, 0.95) for _ in range(kills))
        self.killed = 0

    def turn(self, done: float) -> None:
        """So much of the work (0 to 1) is done."""
        for worker in self._workers:
            worker.look()
        while self._due and done >= self._due[0]:
            self._due.pop(0)
            victim = self._chance.choice(self._workers)
            victim.kill()
            victim.start()
            self.killed += 1

    @property
    def peak_mib(self) -> float:
        return max(worker.peak_bytes for worker in self._workers) / 2**20


@contextlib.contextmanager
def working(
    bench: Bench, count: int, kills: int, seed: int, *loops: str, **settings: str
) -> Iterator[Workers]:
    """So many workers that run these loops; stopped in good order if all went well."""
    environ = {
        **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
        "LIVETALLY_DATABASE_URL": bench.database_url,
        "LIVETALLY_REDIS_URL": bench.redis_url,
        "LIVETALLY_LOG_LEVEL": "warning",
        "LIVETALLY_PORT": "0",
        **settings,
    }
    workers = [Worker([*loops], environ, bench.folder / f"worker-{n}.log") for n in range(count)]
    try:
        yield Workers(workers, kills, random.Random(seed))
        for worker in workers:
            worker.stop()
    finally:
        for worker in workers:
            worker.kill()
