"""Databases for tests, each as if just migrated.

A copy of the template costs Postgres 150 ms of work, most of it for the catalog's own 300 files. So
one that a test has left is emptied for the next, if nothing but rows was changed in it.
"""

import asyncio
import itertools
from collections import Counter
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.abc import Query

from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres

TEMPLATE = "template_livetally"
#: Deleted rows take up room, and the planner counts with them: of more, a new copy is better.
_FEW_ROWS = 2_000

#: All that is not rows: a copy's catalog is the same to the last column. From 16384 on, an object
#: is ours.
_SHAPE = """
SELECT md5(concat(
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_class t WHERE oid >= 16384),
    (SELECT string_agg(t::text, '' ORDER BY attrelid, attnum)
        FROM pg_attribute t WHERE attrelid >= 16384),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_attrdef t),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_constraint t WHERE oid >= 16384),
    (SELECT string_agg(t::text, '' ORDER BY indexrelid) FROM pg_index t WHERE indexrelid >= 16384),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_proc t WHERE oid >= 16384),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_trigger t),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_namespace t WHERE nspname !~ '^pg_'),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_extension t),
    (SELECT string_agg(t::text, '' ORDER BY oid) FROM pg_default_acl t),
    (SELECT concat_ws(' ', datallowconn, datconnlimit, datacl)
        FROM pg_database WHERE datname = current_database()),
    (SELECT string_agg(s::text, '') FROM pg_db_role_setting s
        JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database())
))
"""

_ROWS = "SELECT coalesce(json_agg(t), '[]')::text FROM {} AS t"

_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1
"""

_SEQUENCES = """
SELECT setval(oid::regclass, 1, false) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""


class Databases:
    """Migrated databases in one Postgres, given out one by one."""

    def __init__(self, postgres: LocalPostgres) -> None:
        self._postgres = postgres
        self._numbers = itertools.count(1)
        self._ready: list[str] = []
        postgres.create_database(TEMPLATE)
        asyncio.run(migrate(postgres.dsn(TEMPLATE)))
        with psycopg.connect(postgres.dsn(TEMPLATE)) as connection:
            self._shape = _value(connection, _SHAPE)
            tables = [name for (name,) in connection.execute(_TABLES)]
            rows = {name: _value(connection, _about(_ROWS, name)) for name in tables}
        # What the migrations themselves put there; all else is deleted.
        self._rows = {name: found for name, found in rows.items() if found != "[]"}
        self._delete = sql.SQL(";").join(
            _about("DELETE FROM {}", name) for name in tables if name not in self._rows
        )
        self._deleted: Counter[str] = Counter()

    def take(self) -> str:
        """A database's name; nobody else has it until it is given back."""
        if self._ready:
            return self._ready.pop()
        name = f"test_{next(self._numbers)}"
        self._postgres.create_database(name, TEMPLATE)
        return name

    def give_back(self, name: str) -> None:
        """End whoever uses it, and make it what it was, or drop it."""
        if self._emptied(name):
            self._ready.append(name)
        else:
            self._postgres.drop_database(name)

    def _emptied(self, name: str) -> bool:
        """Whether it is as good as a new copy now."""
        try:
            with psycopg.connect(self._postgres.dsn(name)) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                self._empty(name, connection)
                # As if they never were: no vacuum comes for them in the middle of a test.
                connection.execute("SELECT pg_stat_reset()")
                # A deleted item leaves its tombstone.
                items = _value(connection, "SELECT count(*) FROM items")
                shape = _value(connection, _SHAPE)
                return not items and shape == self._shape and self._deleted[name] <= _FEW_ROWS
        except psycopg.Error:  # gone, closed to all, or with a table less
            return False

    def _empty(self, name: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Take out what tests put in, in any order of the tables."""
        connection.execute("SET session_replication_role = replica")
        cursor = connection.execute(self._delete)
        self._deleted[name] += cursor.rowcount
        while cursor.nextset():
            self._deleted[name] += cursor.rowcount
        for table, rows in self._rows.items():
            if _value(connection, _about(_ROWS, table)) != rows:
                connection.execute(_about("DELETE FROM {}", table))
                refill = "INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, %s)"
                connection.execute(_about(refill, table), (rows,))
        connection.execute(_SEQUENCES)


def _about(query: LiteralString, table: str) -> sql.Composed:
    return sql.SQL(query).format(sql.Identifier(table))


def _value(connection: psycopg.Connection[tuple[Any, ...]], query: Query) -> Any:
    (value,) = connection.execute(query).fetchone() or (None,)
    return value
