"""What Postgres must hold after any fault: every count is that of the log."""

import json

import psycopg

from livetally.db import sql
from service.tests.support.postgres import query, totals_in


def check_counts(database_url: str) -> None:
    """Totals, minutes and positions are those of the log; `/v1/verify` says so too."""
    with psycopg.connect(database_url) as connection:
        cursor = psycopg.RawCursor(connection)
        (document,) = cursor.execute(sql.query("verify"), (1, 100)).fetchone() or ("{}",)
    assert json.loads(document)["differences"] == []
    counted = query(database_url, "SELECT type, subject, count(*) FROM events GROUP BY 1, 2")
    assert {(type_, subject): n for type_, subject, n in counted} == {
        (type_, subject): n
        for type_ in ("click", "hover")
        for subject, n in totals_in(database_url, type_).items()
        if subject
    }
    for type_ in {type_ for type_, _, _ in counted}:
        totals = totals_in(database_url, type_)
        assert totals.pop("") == sum(totals.values()), "the grand total is another"
    minutes = (
        "SELECT type, subject_key, sum(n) FROM {} GROUP BY 1, 2 ORDER BY 1, 2"  # whatever the slot
    )
    assert query(database_url, minutes.format("minutes")) == query(
        database_url, minutes.format("totals")
    )
    positions = (
        "SELECT slot, min(seq), max(seq), count(DISTINCT seq), count(*) FROM events GROUP BY 1"
    )
    for slot, first, last, distinct, count in query(database_url, positions):
        assert (first, last, distinct) == (1, count, count), f"slot {slot} has gaps"
        assert query(database_url, "SELECT seq FROM slots WHERE slot = %s", slot) == [(count,)]


def lock_waits(database_url: str) -> int:
    """How many sessions wait for a lock that another one holds."""
    (waiting,) = query(
        database_url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return int(waiting[0])
