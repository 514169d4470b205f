"""The tests' own way to Postgres: asking it past Livetally, making keys, taking it away."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import psycopg

from livetally.db.database import Database
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from livetally.web import keys

D = TypeVar("D", bound=Database)


def query(database_url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask Postgres itself, past Livetally."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def unreachable(postgres: LocalPostgres, database_url: str) -> Iterator[None]:
    """This database alone takes no connections, and loses those it has."""
    ((name,),) = query(database_url, "SELECT current_database()")
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def totals_in(database_url: str, type_: str = "click", project: int = 1) -> dict[str, int]:
    """The truth: each subject's total as Postgres holds it; "" is the grand total."""
    return dict(
        query(
            database_url,
            "SELECT subject, sum(n)::bigint FROM totals"
            " WHERE project = %s AND type = %s GROUP BY 1",
            project,
            type_,
        )
    )


@contextlib.asynccontextmanager
async def opened(database: D) -> AsyncIterator[D]:
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def make_key(
    database_url: str,
    project: str,
    role: Role,
    name: str = "",
    origins: tuple[str, ...] = (),
    rate: int | None = None,
) -> str:
    async with opened(Database(database_url, 1)) as database:
        return await keys.create(database, project, role, name or f"{role}", origins, rate)


async def make_keys(database_url: str, project: str = "demo") -> dict[Role, str]:
    async with opened(Database(database_url, 1)) as database:
        return {role: await keys.create(database, project, role, f"{role}") for role in Role}
