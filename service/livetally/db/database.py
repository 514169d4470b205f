"""Postgres: how it is connected to, read from, and migrated.

A `Database` is a pool of connections. A process has two: one for what clients ask, and one for what
its health depends on, which no client can fill. Writing events is `store`'s alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ..base.backoff import Backoff
from ..base.errors import DatabaseUnavailable
from . import sql

log = logging.getLogger(__name__)

#: Longer than any query takes that isn't stuck; shorter than a client's patience.
READ_TIMEOUT_S = 5

#: For what health depends on: keys, positions, readiness. Each is a look-up by an index.
VITAL_CONNECTIONS = 2

#: Day partitions are made this many days ahead.
DAYS_AHEAD = 3

# What means "not reachable just now", as against "this query is wrong".
UNREACHABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a failover has made it a standby
    PoolTimeout,
    OSError,
    TimeoutError,
)

T = TypeVar("T")


class GivenUp(TimeoutError):
    """It took too long; it may still be under way."""


class Patience:
    """Gives up what takes too long, at that very moment.

    `asyncio.timeout` would not: psycopg answers a cancellation by asking the server to stop, and
    from a server that hangs it waits ten more seconds for that. Here nobody waits for it.
    """

    def __init__(self) -> None:
        self._given_up: set[asyncio.Task[Any]] = set()

    async def within(self, timeout_s: float, attempt: Coroutine[Any, Any, T]) -> T:
        """What `attempt` returns or raises; GivenUp if it takes longer."""
        task = asyncio.create_task(attempt)
        try:
            await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():
                self._given_up.add(task)
                task.add_done_callback(self._forget)
                task.cancel()
        if task in self._given_up:
            raise GivenUp
        return task.result()

    async def end(self, timeout_s: float) -> None:
        """Wait for what was given up, so that it leaves no connection behind."""
        if self._given_up:
            await asyncio.wait(self._given_up, timeout=timeout_s)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is there to hear of it


async def connect(url: str, *, application: str) -> AsyncConnection[DictRow]:
    """Open one connection, set up as every connection of ours. Raises psycopg.OperationalError."""
    return await AsyncConnection.connect(
        url, row_factory=dict_row, **_connection_settings(application)
    )


def _connection_settings(application: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "prepare_threshold": 0,
        "cursor_factory": AsyncRawCursor,
        "connect_timeout": 3,
        "application_name": application,
        # A dead peer is noticed in seconds, not after the kernel's two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        # Days and minutes are UTC's. Our statements are prepared, short and always planned alike;
        # planned while a table is small, they must not scan it for ever: every look-up has its
        # index. (A plan of the commit made on an empty day took 8 s for 80 events on a full one.)
        "options": "-c TimeZone=UTC -c jit=off -c plan_cache_mode=force_generic_plan"
        # What a process asked ends with it, even by kill -9.
        " -c enable_seqscan=off -c client_connection_check_interval=1s",
    }


class Database:
    """A pool of connections for reading. Every failure to reach Postgres is DatabaseUnavailable."""

    def __init__(self, url: str, size: int, application: str = "livetally read") -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            open=False,
            timeout=2,
            reconnect_timeout=1,
            kwargs={"row_factory": dict_row, **_connection_settings(application)},
        )
        self._patience = Patience()

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._patience.end(timeout_s=2)
        await self._pool.close(timeout=2)

    async def rows(
        self,
        name: str,
        *values: object,
        timeout_s: float | None = None,
        turn: AbstractAsyncContextManager[None] | None = None,
    ) -> list[DictRow]:
        """Run a named query of sql/, within a `turn`, which lasts until Postgres has let go of it.

        Raises DatabaseUnavailable, and what `turn` does.
        """
        running = self._rows(name, values, turn or nullcontext())
        try:
            return await self._patience.within(timeout_s or READ_TIMEOUT_S, running)
        except UNREACHABLE as error:
            log.debug("query %s failed: %s", name, error)
            raise DatabaseUnavailable from None

    async def _rows(
        self, name: str, values: tuple[object, ...], turn: AbstractAsyncContextManager[None]
    ) -> list[DictRow]:
        async with turn, self._pool.connection() as connection:
            cursor = await connection.execute(sql.query(name), values)
            return await cursor.fetchall() if cursor.description else []

    async def value(self, name: str, *values: object, timeout_s: float | None = None) -> Any:
        """The first column of the first row of a named query."""
        (row, *_) = await self.rows(name, *values, timeout_s=timeout_s)
        return next(iter(row.values()))


@asynccontextmanager
async def _migration_lock(connection: AsyncConnection[DictRow]) -> AsyncIterator[None]:
    """Two tasks that start at once migrate one after the other."""
    await connection.execute("SELECT pg_advisory_lock(hashtext('livetally migrations'))")
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock(hashtext('livetally migrations'))")


async def migrate(url: str) -> list[str]:
    """Bring the schema up to date; returns the names of the migrations applied, if any.

    Raises psycopg.OperationalError if Postgres can't be reached, MigrationError if the database is
    of a newer Livetally.
    """
    applied = []
    known = sql.migrations()
    async with await connect(url, application="livetally migrate") as connection:
        async with _migration_lock(connection):
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY,"
                " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            cursor = await connection.execute(
                "SELECT coalesce(max(number), 0) AS at FROM migrations"
            )
            at = (await cursor.fetchall())[0]["at"]
            if at > known[-1][0]:
                raise MigrationError(
                    f"The database is at migration {at}, this Livetally knows {known[-1][0]}:"
                    " run a newer one."
                )
            for number, name, text in known:
                if number > at:
                    async with connection.transaction():
                        await connection.execute(text, prepare=False)
                        await connection.execute(
                            "INSERT INTO migrations (number, name) VALUES ($1, $2)", (number, name)
                        )
                    applied.append(name)
        await roll_partitions(connection)
    return applied


async def roll_partitions(connection: AsyncConnection[DictRow]) -> None:
    """Make the days ahead, drop the ids of days long past. Safe to run anywhere, any time."""
    await connection.execute(sql.query("roll_partitions"), (DAYS_AHEAD,))


class MigrationError(Exception):
    """The schema can't be brought to what this version needs."""


async def schema_is_current(url: str, timeout_s: float = 30) -> None:
    """Wait for Postgres if need be, and see that it was migrated.

    Raises MigrationError, or psycopg.OperationalError when Postgres stays away.
    """
    newest = sql.migrations()[-1][0]
    deadline = time.monotonic() + timeout_s
    backoff = Backoff(0.25, 1)
    while True:
        try:
            async with await connect(url, application="livetally start") as connection:
                cursor = await connection.execute("SELECT to_regclass('migrations') AS made")
                at = 0
                if (await cursor.fetchall())[0]["made"]:
                    cursor = await connection.execute(sql.query("schema_version"))
                    at = (await cursor.fetchall())[0]["number"]
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting for Postgres: %s", error)
            await asyncio.sleep(backoff.next_s())
            continue
        if at != newest:
            raise MigrationError(
                f"The database is at migration {at}, this Livetally needs {newest}:"
                " run `livetally migrate`."
            )
        return
