"""The store: one transaction a batch, in this process's own counter slot.

Slots. Each process adds to counters of its own, so that processes don't queue on one hot row. A
slot is a session-level advisory lock of the very connection that writes: while a process can write
in a slot, no other can; a crash or a Postgres restart frees it, and the next connection takes
whichever is free. (Were two ever to share one, only speed would suffer: row locks keep the sums.)
A pooler between Livetally and Postgres must therefore pool by session.
"""

import asyncio
import logging

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from ..base.errors import DatabaseUnavailable, UnstorableEvent
from ..db import sql
from ..db.database import UNREACHABLE, GivenUp, Patience, connect, roll_partitions
from .events import CheckedEvent

log = logging.getLogger(__name__)

#: The first half of the advisory locks that hand out slots; the second is the slot.
SLOT_LOCKS = 0x11FE
#: More processes than this never write to one database at once.
MAX_SLOTS = 10_000

_encoder = msgspec.json.Encoder()


class Committed(msgspec.Struct):
    """What one transaction did."""

    #: It wrote nothing: midnight is near, and the caller must hold the midnight lock.
    midnight: bool
    #: Indexes into the batch of the events that were new.
    accepted: list[int]
    #: For each project the positions it gave out in this slot: (project, first, last).
    positions: list[tuple[int, int, int]]
    #: The slot's new absolute counts (project, type, subject, n); subject '' is the type's total.
    totals: list[tuple[int, str, str, int]]
    slot: int = -1


_committed = msgspec.json.Decoder(Committed)


class Store:
    """The only writer of events in this process. Not for concurrent use: the batcher calls it."""

    def __init__(self, url: str, commit_timeout_s: float) -> None:
        self._url = url
        self._commit_timeout_s = commit_timeout_s
        self._patience = Patience()
        self._connection: AsyncConnection[DictRow] | None = None
        self.slot = -1

    async def commit(self, events: list[CheckedEvent]) -> Committed:
        """Store a batch durably. Either all of it is on disk when this returns, or it raised.

        Raises DatabaseUnavailable (the batch may or may not be stored: a retry with the same ids is
        safe), or UnstorableEvent if Postgres refuses something in it.
        """
        batch = _encoder.encode(events).decode()
        try:
            return await self._patience.within(self._commit_timeout_s, self._commit_soon(batch))
        except (GivenUp, asyncio.CancelledError) as error:
            self._connection, self.slot = None, -1  # still in use; `_commit` closes it
            if isinstance(error, asyncio.CancelledError):
                raise
            log.warning("Postgres does not answer")
            raise DatabaseUnavailable from None
        except UNREACHABLE as error:
            await self.disconnect()
            log.warning("Postgres is not available: %s", str(error).strip() or type(error).__name__)
            raise DatabaseUnavailable from None

    async def _commit_soon(self, batch: str) -> Committed:
        try:
            return await self._commit(batch)
        except UNREACHABLE:
            # Perhaps only this connection was cut. The ids make it safe to try once more.
            await self.disconnect()
            return await self._commit(batch)

    async def _connected(self) -> AsyncConnection[DictRow]:
        """The connection that writes, with a slot. Raises one of `UNREACHABLE`."""
        if self._connection is None or self._connection.closed:
            await self.disconnect()
            connection = await connect(self._url, application="livetally write")
            try:
                slot = await self._take_slot(connection)
            except BaseException:
                await connection.close()
                raise
            self._connection, self.slot = connection, slot
            log.info("writing in slot %d", slot)
        return self._connection

    async def disconnect(self) -> None:
        """Let go of the connection, and with it of the slot."""
        if self._connection is not None:
            connection, self._connection, self.slot = self._connection, None, -1
            await connection.close()

    async def _take_slot(self, connection: AsyncConnection[DictRow]) -> int:
        cursor = await connection.execute(sql.query("take_slot"), (SLOT_LOCKS, MAX_SLOTS))
        rows = await cursor.fetchall()
        if not rows:
            raise psycopg.OperationalError(f"all {MAX_SLOTS} counter slots are taken")
        return int(rows[0]["slot"])

    async def _commit(self, batch: str) -> Committed:
        connection = await self._connected()
        try:
            committed = await self._commit_on(connection, batch)
        except psycopg.errors.CheckViolation:
            log.warning("there was no partition for today; making it")
            await roll_partitions(connection)
            committed = await self._commit_on(connection, batch)
        except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
            raise UnstorableEvent(f"Postgres can't store this: {error}") from None
        except asyncio.CancelledError:
            await connection.close()
            raise
        committed.slot = self.slot
        return committed

    async def _commit_on(self, connection: AsyncConnection[DictRow], batch: str) -> Committed:
        committed = await self._execute(connection, batch, locked=False)
        if committed.midnight:
            async with connection.transaction():
                await connection.execute(sql.query("midnight_lock"))
                committed = await self._execute(connection, batch, locked=True)
        return committed

    async def _execute(
        self, connection: AsyncConnection[DictRow], batch: str, *, locked: bool
    ) -> Committed:
        cursor = await connection.execute(sql.query("commit"), (batch, self.slot, locked))
        (row,) = await cursor.fetchall()
        (document,) = row.values()
        return _committed.decode(document)
