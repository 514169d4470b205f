"""The role that the service runs as: it can do all of the service's work, and nothing else."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from livetally.db.database import DAYS_AHEAD, Database
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import serving

_numbers = itertools.count(1)
FIRST = "a secret's"
RED = {"type": "click", "subject": "red"}


def as_role(database_url: str, role: str, password: str = FIRST) -> str:
    """The URL of the same database for another role."""
    parts = conninfo_to_dict(database_url)
    quoted = password.replace(" ", "%20").replace("'", "%27")
    return f"postgresql://{role}:{quoted}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def migrate(database_url: str, service_url: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "livetally", "migrate"],
        env={
            **kept,
            "LIVETALLY_DATABASE_URL": database_url,
            "LIVETALLY_REDIS_URL": "redis://127.0.0.1:1",
            "LIVETALLY_SERVICE_DATABASE_URL": service_url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def role(postgres: LocalPostgres, database_url: str) -> Iterator[str]:
    """A name for a role that isn't there yet; whatever became of it is gone afterwards."""
    name = f"service-{next(_numbers)}"
    yield name
    if query(database_url, "SELECT FROM pg_roles WHERE rolname = %s", name):
        query(database_url, f'DROP OWNED BY "{name}"')
        query(database_url, f'DROP ROLE "{name}"')


@pytest.fixture
def service_url(database_url: str, role: str) -> str:
    url = as_role(database_url, role)
    ran = migrate(database_url, url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "the database is up to date" in ran.stdout
    assert f"the service's role is {role}" in ran.stdout
    return url


def test_the_password_is_needed(database_url: str, service_url: str, role: str) -> None:
    """The role logs in with its password, only; Postgres has it as a hash that was made outside."""
    assert query(service_url, "SELECT current_user") == [(role,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(as_role(database_url, role, "another"), "SELECT 1")
    stored = query(database_url, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", role)
    assert stored[0][0].startswith("SCRAM-SHA-256$")


async def test_the_service_works_as_this_role(service_url: str, redis_url: str) -> None:
    """Keys, events, totals, a viewer, items and the check of them all: none asks for more."""
    async with serving(service_url, redis_url, await make_keys(service_url)) as service:
        async with service.live() as live:
            assert (await live.subscribe(1, {"totals": "click"}))["total"] == 0
            assert (await service.post([RED, RED]))[0] == 200
            await live.until_total(2)
        assert (await service.stats(type="click"))["total"] == 2
        item = "/v1/items/vehicle-id/1"
        write = {"x-api-key": service.keys[Role.WRITE]}
        async with service.http.put(item, json={"lat": 1}, headers=write) as response:
            assert response.status == 200
        async with service.http.delete(item, headers=write) as response:
            assert response.status in (200, 204)
        admin = {"x-api-key": service.keys[Role.ADMIN]}
        async with service.http.get("/v1/verify?project=demo", headers=admin) as response:
            assert response.status == 200, await response.text()
        async with service.http.get("/readyz") as response:
            assert await response.json() == {"status": "ready", "reasons": []}


async def test_partitions_are_made_and_dropped(
    database_url: str, service_url: str, role: str
) -> None:
    """As the role runs them, the functions make the days ahead and forget a day; the tables they
    make are the owner's, and the role can write into them."""
    ((day,),) = query(
        database_url, "SELECT to_char((now() AT TIME ZONE 'UTC')::date + 2, 'YYYYMMDD')"
    )
    query(database_url, f"DROP TABLE events_{day}, event_ids_{day}")
    database = Database(service_url, 2)
    await database.open()
    try:
        await database.rows("roll_partitions", DAYS_AHEAD)
    finally:
        await database.close()
    owners = query(
        database_url,
        "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename IN (%s, %s)",
        f"events_{day}",
        f"event_ids_{day}",
    )
    assert len(owners) == 1
    assert owners != [(role,)]
    query(service_url, f"INSERT INTO event_ids_{day} VALUES (1, 'x', %s::date)", day)
    query(service_url, "SELECT livetally_forget_day(%s::date)", day)
    assert query(database_url, "SELECT to_regclass(%s)", f"events_{day}") == [(None,)]


FORBIDDEN = (
    "DROP TABLE totals",
    "TRUNCATE totals",
    "ALTER TABLE totals ADD mine integer",
    "CREATE TABLE mine (n integer)",
    "UPDATE migrations SET number = 99",
    "CREATE ROLE friend",
    "CREATE DATABASE mine",
    "COPY totals TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "ALTER FUNCTION livetally_forget_day(date) SECURITY INVOKER",
    "SELECT * FROM pg_authid",
)


def test_nothing_else_is_allowed(service_url: str) -> None:
    """What would outlive a break-in, or reach past the rows, is refused by Postgres itself."""
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(service_url, statement)


def test_others_can_not_run_the_owners_functions(database_url: str, service_url: str) -> None:
    """What runs with the owner's rights is for the service alone, not for every role there is."""
    query(database_url, "CREATE ROLE passer_by")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="livetally_forget_day"):
            query(database_url, "SET ROLE passer_by; SELECT livetally_forget_day(current_date - 9)")
    finally:
        query(database_url, "DROP ROLE passer_by")


def test_every_function_that_changes_tables_is_prepared(
    database_url: str, service_url: str
) -> None:
    """A function that a migration adds is found by what it does; none is left to fail at night."""
    found = dict(
        query(
            database_url,
            "SELECT proname, prosecdef FROM pg_proc WHERE proname LIKE 'livetally%'"
            " AND prosrc ~* '(CREATE|DROP|ALTER|TRUNCATE)\\s+TABLE'",
        )
    )
    assert {"livetally_roll_partitions", "livetally_forget_day"} <= found.keys()
    assert all(found.values()), found


def test_it_may_run_again_and_changes_the_password(
    database_url: str, service_url: str, role: str
) -> None:
    """Every deploy runs it: nothing changes, but that a new password is the one from then on."""
    assert migrate(database_url, service_url).returncode == 0
    assert query(service_url, "SELECT count(*) FROM keys") == [(0,)]
    other = as_role(database_url, role, "second")
    assert migrate(database_url, other).returncode == 0
    assert query(other, "SELECT count(*) FROM keys") == [(0,)]
    with pytest.raises(psycopg.OperationalError):
        query(service_url, "SELECT 1")


def test_a_role_with_too_many_rights_is_refused(database_url: str, role: str) -> None:
    """A superuser, an administrator or the owner itself is no role for a service, and is left as
    it was; so is a URL that names none."""
    for rights, says in (("SUPERUSER", "a superuser"), ("CREATEROLE", "an administrator")):
        query(database_url, f'CREATE ROLE "{role}" {rights}')
        ran = migrate(database_url, as_role(database_url, role))
        assert (ran.returncode, says in ran.stderr) == (2, True), ran.stderr
        assert query(database_url, "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", role) == [
            (False,)
        ]
        query(database_url, f'DROP ROLE "{role}"')
    ran = migrate(database_url, "postgresql://db/livetally")
    assert (ran.returncode, "names no user and password" in ran.stderr) == (2, True)
