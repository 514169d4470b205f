"""What Postgres must hold after any fault: every count is that of the log."""

import json
from typing import Any

import psycopg

from livetally.db import sql
from service.tests.support.postgres import query


def check_counts(database_url: str) -> None:
    """Totals, minutes and positions are those of the log; `/v1/verify` says so too.

    All as of one moment: what hung when its process ended may still be committed.
    """
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _check_counts(psycopg.RawCursor(connection))


def _check_counts(cursor: psycopg.RawCursor[tuple[Any, ...]]) -> None:
    def rows(statement: str) -> list[tuple[Any, ...]]:
        return cursor.execute(statement).fetchall()

    (document,) = cursor.execute(sql.query("verify"), (1, 100)).fetchone() or ("{}",)
    assert json.loads(document)["differences"] == []
    counted = rows("SELECT type, subject, count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2")
    totals = rows("SELECT type, subject, sum(n) FROM totals GROUP BY 1, 2 ORDER BY 1, 2")
    assert [row for row in totals if row[1]] == counted
    grand = rows("SELECT type, '', count(*) FROM events GROUP BY 1 ORDER BY 1")
    assert [row for row in totals if not row[1]] == grand, "a grand total is another"
    of_subjects = "SELECT type, subject_key, sum(n) FROM {} GROUP BY 1, 2 ORDER BY 1, 2"
    assert rows(of_subjects.format("minutes")) == rows(of_subjects.format("totals"))
    positions = rows(
        "SELECT slot, min(seq), max(seq), count(DISTINCT seq), count(*) FROM events"
        " GROUP BY 1 ORDER BY 1"
    )
    for slot, first, last, distinct, count in positions:
        assert (first, last, distinct) == (1, count, count), f"slot {slot} has gaps"
    assert rows("SELECT slot, seq FROM slots ORDER BY 1") == [
        (slot, count) for slot, *_, count in positions
    ]


def lock_waits(database_url: str) -> int:
    """How many sessions wait for a lock that another one holds."""
    (waiting,) = query(
        database_url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return int(waiting[0])
