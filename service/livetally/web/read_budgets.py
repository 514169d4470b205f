"""Budgets of what clients have Postgres do: how many queries at once, and how many a second.

All that clients ask goes through `Reads`. A key has few queries at once, its project few more, and
never all connections. Who has to wait is let in by how little its project has running, so that one
who asks much waits behind one who asks little; who waits too long is refused. All of this is of one
process: what it protects is the process's own connections.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn

from psycopg.rows import DictRow

from ..base.errors import ReadRateExceeded, ReadsOverloaded
from ..db.database import Database
from ..ops.metrics import Metrics
from .auth import Key

#: Who is not let in by then is refused.
WAIT_S = 2.0
#: So many seconds' reads are saved up: what a page asks when it opens comes at once.
BURST_S = 2.0
#: Rates in memory; one that falls out begins anew.
MAX_RATES = 10_000


class Budgets(NamedTuple):
    """How much is read for a key and for a project."""

    connections: int
    key_reads: int
    project_reads: int
    key_rate: int
    project_rate: int


class Asker(NamedTuple):
    """For whom something is read; without a key, for all who watch a topic."""

    project: int
    key: int | None = None


class Reads:
    """The database as clients have it."""

    def __init__(self, database: Database, metrics: Metrics, budgets: Budgets) -> None:
        self.database = database
        self._metrics = metrics
        self._turns = Turns(budgets)
        self._key_rates = _Rates(budgets.key_rate)
        self._project_rates = _Rates(budgets.project_rate)

    def by(self, key: Key) -> "Reader":
        """What a key asks: within its budget and its project's."""
        return Reader(self, Asker(key.project, key.id))

    def of(self, project: int) -> "Reader":
        """What all of a project need: within its queries at once, at any rate."""
        return Reader(self, Asker(project))

    def charge(self, asker: Asker) -> None:
        """One more read. Raises ReadRateExceeded; nothing is charged then."""
        if asker.key is None:
            return
        if wait_s := self._key_rates.wait_s(asker.key):
            self._reject_rate("key", wait_s)
        if wait_s := self._project_rates.wait_s(asker.project):
            self._reject_rate("project", wait_s)
        self._key_rates.spend(asker.key)
        self._project_rates.spend(asker.project)

    @asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncIterator[None]:
        """While it lasts a query may run. Raises ReadsOverloaded."""
        try:
            await self._turns.enter(asker)
        except TimeoutError:
            self._metrics.reads_refused.labels("busy").inc()
            raise ReadsOverloaded from None
        try:
            yield
        finally:
            self._turns.leave(asker)

    def _reject_rate(self, whose: str, wait_s: float) -> NoReturn:
        self._metrics.reads_refused.labels(f"{whose}_rate").inc()
        raise ReadRateExceeded(f"This {whose} asks too often: ask again later.", wait_s)


class Reader:
    """Named queries for one asker. Raises ReadsOverloaded beside what Database does."""

    __slots__ = ("_asker", "_reads")

    def __init__(self, reads: Reads, asker: Asker) -> None:
        self._reads = reads
        self._asker = asker

    @property
    def project(self) -> int:
        return self._asker.project

    async def rows(
        self, name: str, *values: object, timeout_s: float | None = None
    ) -> list[DictRow]:
        self._reads.charge(self._asker)
        turn = self._reads.turn(self._asker)
        return await self._reads.database.rows(name, *values, timeout_s=timeout_s, turn=turn)

    async def value(self, name: str, *values: object, timeout_s: float | None = None) -> Any:
        """The first column of the first row."""
        (row, *_) = await self.rows(name, *values, timeout_s=timeout_s)
        return next(iter(row.values()))


class Turns:
    """Who may run a query now, and who is next."""

    def __init__(self, budgets: Budgets) -> None:
        self._free = budgets.connections
        self._project_reads = min(budgets.project_reads, max(1, budgets.connections - 1))
        self._key_reads = budgets.key_reads
        self._running_projects: Counter[int] = Counter()
        self._running_keys: Counter[int] = Counter()
        self._waiting: OrderedDict[Asker, deque[asyncio.Future[None]]] = OrderedDict()

    async def enter(self, asker: Asker) -> None:
        """Raises TimeoutError."""
        if asker not in self._waiting and self._may(asker):
            self._begin(asker)
            return
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker, deque()).append(admitted)
        try:
            async with asyncio.timeout(WAIT_S):
                await admitted
        except BaseException:
            self._give_up(asker, admitted)
            raise

    def leave(self, asker: Asker) -> None:
        self._free += 1
        _take_one(self._running_projects, asker.project)
        if asker.key is not None:
            _take_one(self._running_keys, asker.key)
        self._admit_next()

    def _may(self, asker: Asker) -> bool:
        return (
            self._free > 0
            and self._running_projects[asker.project] < self._project_reads
            and (asker.key is None or self._running_keys[asker.key] < self._key_reads)
        )

    def _begin(self, asker: Asker) -> None:
        self._free -= 1
        self._running_projects[asker.project] += 1
        if asker.key is not None:
            self._running_keys[asker.key] += 1

    def _admit_next(self) -> None:
        """Those whose project has least running; of them, who was let in longest ago."""
        while able := [each for each in self._waiting if self._may(each)]:
            asker = min(able, key=lambda each: self._running_projects[each.project])
            admitted = self._pop(asker)
            if not admitted.cancelled():
                self._begin(asker)
                admitted.set_result(None)

    def _pop(self, asker: Asker) -> asyncio.Future[None]:
        waiting = self._waiting[asker]
        first = waiting.popleft()
        if waiting:
            self._waiting.move_to_end(asker)
        else:
            del self._waiting[asker]
        return first

    def _give_up(self, asker: Asker, admitted: asyncio.Future[None]) -> None:
        if admitted.done() and not admitted.cancelled():
            self.leave(asker)  # it was let in at this very moment
            return
        waiting = self._waiting.get(asker, deque())
        if admitted in waiting:
            waiting.remove(admitted)
            if not waiting:
                del self._waiting[asker]


def _take_one(counter: Counter[int], name: int) -> None:
    """What has nothing running is not kept."""
    counter[name] -= 1
    if not counter[name]:
        del counter[name]


class _Rates:
    """Token buckets, in this process alone."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        #: By name: the tokens there were, and when.
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def wait_s(self, name: int) -> float:
        """How long until there is a token; 0: there is one."""
        return max(0.0, (1 - self._tokens(name, time.monotonic())) / self._rate)

    def spend(self, name: int) -> None:
        now = time.monotonic()
        self._buckets[name] = (self._tokens(name, now) - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_RATES:
            self._buckets.popitem(last=False)

    def _tokens(self, name: int, now: float) -> float:
        most = self._rate * BURST_S
        tokens, at = self._buckets.get(name, (most, now))
        return min(most, tokens + (now - at) * self._rate)
