"""What is old is kept more coarsely: nobody who asks sees a seam, and no event that is not archived
is ever dropped."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from livetally.base.errors import DatabaseUnavailable
from livetally.schema.keys import Role
from livetally.worker.rollup import RollUp
from service.tests.support.archives import (
    archive_all,
    fill,
    in_archive,
    in_postgres,
    rolling,
    today,
    worker,
)
from service.tests.support.postgres import query
from service.tests.support.server import Service
from service.tests.support.waiting import until

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEPS = {"minute": MINUTE, "hour": HOUR, "day": DAY}


def count(database_url: str, counts: dict[tuple[int, str, int], int]) -> None:
    """(minutes before today, subject, slot) -> n clicks, as commits would have counted them."""
    for (ago, subject, slot), n in counts.items():
        for name in (subject, ""):
            query(
                database_url,
                "INSERT INTO minutes VALUES (1, 'click', md5(%s)::uuid, %s, %s, %s)"
                " ON CONFLICT (project, type, subject_key, minute, slot)"
                " DO UPDATE SET n = minutes.n + excluded.n",
                *(name, today() - ago * MINUTE, slot, n),
            )


async def ask(service: Service, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[Role.READ]}
    texts = {name.rstrip("_"): _text(value) for name, value in parameters.items()}
    async with service.http.get(path, params=texts, headers=headers) as response:
        return response.status, await response.json()


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


COUNTS = st.dictionaries(
    st.tuples(
        st.integers(-30, 8 * 1440) | st.integers(0, 180),
        st.sampled_from(["red", "blue"]),
        st.integers(0, 2),
    ),
    st.integers(1, 9),
    max_size=12,
)


#: Counted into an hour, and a day, that have been rolled up already.
PAST = {(8 * 1440 - 5, "red", 0): 2, (2 * 1440 - 5, "red", 0): 3}


@example(PAST, PAST, 1, 3, 40, "red", (9 * 1440, 6 * 1440))
@example(PAST, PAST, 1, 6, 40, "", (5 * 1440, 5 * 1440))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    counts=COUNTS,
    late=COUNTS,
    minutes_kept=st.integers(1, 4),
    hours_kept=st.integers(3, 6),
    steps=st.integers(0, 40),
    subject=st.sampled_from(["red", "blue", ""]),
    edges=st.tuples(st.integers(-40, 9 * 1440), st.integers(1, 4 * 1440)),
)
async def test_nobody_sees_a_seam(
    service: Service,
    counts: dict[tuple[int, str, int], int],
    late: dict[tuple[int, str, int], int],
    minutes_kept: int,
    hours_kept: int,
    steps: int,
    subject: str,
    edges: tuple[int, int],
) -> None:
    """A series by the hour or the day, or by the minute of what is kept so, is what a plain list of
    all counts says, however far rolling up has come, and whatever was counted into the past
    afterwards. Buckets that aren't kept any more are refused, with the time since when they are."""
    url = service.database_url
    query(url, "TRUNCATE minutes, hours, days")
    query(url, "UPDATE rolled_up SET minutes_until = NULL, hours_until = NULL")
    count(url, counts)
    async with rolling(url, minutes_kept_days=minutes_kept, hours_kept_days=hours_kept) as rollup:
        for _ in range(steps):
            await rollup.roll_up()
        count(url, late)
        for _ in range(steps // 2):
            await rollup.roll_up()
    model: Counter[datetime] = Counter()
    for ago, of, _ in (*counts, *late):
        if subject in ("", of):
            model[today() - ago * MINUTE] = 0
    for each in (counts, late):
        for (ago, of, _), n in each.items():
            if subject in ("", of):
                model[today() - ago * MINUTE] += n
    ((minutes_until, hours_until),) = query(url, "SELECT minutes_until, hours_until FROM rolled_up")
    start = today() - edges[0] * MINUTE
    for bucket, end in (("minute", minutes_until), ("hour", hours_until), ("day", None)):
        asked: dict[str, Any] = {"type": "click", "bucket": bucket, "from_": start}
        asked |= {"to": start + edges[1] * MINUTE} | ({"subject": subject} if subject else {})
        status, answer = await ask(service, "/v1/stats", **asked)
        epoch = datetime(2000, 1, 1, tzinfo=UTC)
        first = start - (start - epoch) % STEPS[bucket]
        if end and first < end:
            assert status == 422
            assert _text(end) in answer["error"]["message"]
            continue
        assert status == 200, answer
        totals = [point["total"] for point in answer["series"]]
        expected = []
        while first < start + edges[1] * MINUTE:
            following = first + STEPS[bucket]
            expected.append(sum(n for at, n in model.items() if first <= at < following))
            first = following
        assert totals == expected


async def test_a_period_that_cuts_an_hour_is_refused(service: Service) -> None:
    """Sums over periods and page views add up what was rolled up, from whole hours on; an edge
    within one says what can be asked."""
    url = service.database_url
    old = today() - 5 * DAY
    count(url, {(5 * 1440 - 70, "red", 0): 3, (5 * 1440 - 20, "red", 1): 4, (-1, "red", 0): 5})
    query(url, "INSERT INTO totals VALUES (1, 'click', 'red', DEFAULT, 0, 12)")
    async with rolling(url, minutes_kept_days=2, hours_kept_days=30) as rollup:
        while await rollup.roll_up():
            pass
    for path, extra in (("/v1/stats", {"type": "click", "top": 5}), ("/v1/pages", {})):
        whole = {"from_": old, "to": old + HOUR, **extra}
        status, answer = await ask(service, path, **whole)
        assert status == 200, answer
        if path == "/v1/stats":
            assert answer["total"] == 4
            assert (await ask(service, path, **{**whole, "to": today() + HOUR}))[1]["total"] == 12
        status, answer = await ask(service, path, **{**whole, "to": old + 90 * MINUTE})
        assert status == 422
        assert "by the hour" in answer["error"]["message"]


async def test_two_workers_roll_up_once(service: Service) -> None:
    """Together, and cut off at any moment, they move each count once; what can be asked before and
    after is the same, and all that is asked meanwhile."""
    url = service.database_url
    query(
        url,
        "INSERT INTO minutes SELECT 1, 'click', md5('')::uuid, minute, slot, 1 FROM"
        " generate_series(%s, %s, interval '17 minutes') AS minute, generate_series(0, 2) AS slot",
        *(today() - 6 * DAY, today() - 2 * DAY),
    )
    asked = {"type": "click", "bucket": "day", "from_": today() - 7 * DAY, "to": today()}
    before = (await ask(service, "/v1/stats", **asked))[1]
    assert sum(point["total"] for point in before["series"]) > 900
    async with (
        rolling(url, minutes_kept_days=1, hours_kept_days=3) as one,
        rolling(url, minutes_kept_days=1, hours_kept_days=3) as other,
    ):
        for _ in range(60):
            cut = asyncio.create_task(one.roll_up())
            *_, now = await asyncio.gather(
                other.roll_up(), one.roll_up(), ask(service, "/v1/stats", **asked)
            )
            cut.cancel()
            assert now[1] == before

        async def all_is_moved() -> bool:  # what was cut off may hold its lock a moment longer
            more = await other.roll_up()
            old = query(url, "SELECT count(*) FROM minutes WHERE minute < %s", today() - DAY)
            older = query(url, "SELECT count(*) FROM hours WHERE hour < %s", today() - 3 * DAY)
            return not more and old == older == [(0,)]

        await until(all_is_moved, 30)
    assert (await ask(service, "/v1/stats", **asked))[1] == before
    assert query(url, "SELECT count(*) FROM days")[0][0] > 0


def days_of_log(database_url: str) -> set[str]:
    rows = query(
        database_url,
        "SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'events'::regclass",
    )
    return {day for (day,) in rows}


async def test_only_what_is_archived_is_dropped(database_url: str, tmp_path: Path) -> None:
    """With an archive, a day of the log goes when it is past retention and every event of it is in
    a finished plan, not before; totals stay, the archive has it all, and a feed is told."""
    fill(database_url, 3000, hours=60, kinds=3)
    everything = in_postgres(database_url)
    before = len(days_of_log(database_url))
    totals = query(database_url, "SELECT * FROM totals ORDER BY 1, 2, 3, 4, 5")
    kept = {"retention_days": 2, "archive_url": str(tmp_path)}
    async with (
        rolling(database_url, **kept) as rollup,
        worker(database_url, tmp_path) as archive,
    ):
        # Days without an event, at the beginning, have nothing to lose.
        while await rollup.retire_day():
            pass
        assert in_postgres(database_url) == everything
        while await archive.step():
            while await rollup.retire_day():
                there = {*in_postgres(database_url), *in_archive(tmp_path)}
                assert there == set(everything)
        while await rollup.retire_day():
            pass
    assert in_archive(tmp_path) == everything
    assert len(in_postgres(database_url)) < len(everything)
    oldest = f"{today() - 2 * DAY:%Y%m%d}"
    assert min(days_of_log(database_url)) == oldest
    assert len(days_of_log(database_url)) < before
    assert query(database_url, "SELECT * FROM totals ORDER BY 1, 2, 3, 4, 5") == totals
    assert query(database_url, "SELECT count(*) FROM forgotten")[0][0] > 0


async def test_a_worker_without_the_archive_s_address_drops_nothing_either(
    database_url: str, tmp_path: Path
) -> None:
    """Where there ever was an archive, a worker that wasn't told of it still waits for it."""
    fill(database_url, 100, hours=1, kinds=1)
    async with worker(database_url, tmp_path) as archive:
        await archive_all(archive)
    fill(database_url, 200, since=100, hours=1, kinds=1)
    query(
        database_url,
        "UPDATE events SET received_at = received_at - interval '1 day' WHERE seq > 34",
    )
    events = len(in_postgres(database_url))
    async with rolling(database_url, retention_days=1) as rollup:
        while await rollup.retire_day():
            pass
        assert len(in_postgres(database_url)) == events == 200
        async with worker(database_url, tmp_path) as archive:
            await archive_all(archive)
        while await rollup.retire_day():
            pass
        assert len(in_postgres(database_url)) < 200


async def test_without_an_archive_retention_decides(database_url: str) -> None:
    """Nothing is dropped by default; with a retention, old days are, by the calendar of UTC."""
    fill(database_url, 300, hours=60, kinds=1)
    async with rolling(database_url) as rollup:
        assert not await rollup.retire_day()
    assert len(in_postgres(database_url)) == 300
    async with rolling(database_url, retention_days=2) as rollup:
        while await rollup.retire_day():
            pass
    kept = in_postgres(database_url)
    first = (today() - 2 * DAY).timestamp() * 1e6
    assert 0 < len(kept) < 300
    assert all(row[6] >= first for row in kept)


async def test_an_id_is_a_duplicate_after_its_event_was_dropped(service: Service) -> None:
    """Ids are remembered apart from the log: dropping today's events would not count one twice."""
    event = {"id": "once", "type": "click", "subject": "red"}
    assert (await service.post(event))[1]["accepted"] == 1
    query(service.database_url, "SELECT livetally_forget_day((now() AT TIME ZONE 'UTC')::date)")
    query(service.database_url, "SELECT livetally_roll_partitions(3)")
    assert in_postgres(service.database_url) == []
    assert (await service.post(event))[1] == {"accepted": 0, "duplicates": 1, "rejected": []}


async def test_a_reader_holds_up_a_drop_and_not_the_writers(service: Service) -> None:
    """While somebody reads the log for long, a day can't be dropped: the attempt gives up soon,
    so that events that come meanwhile are stored."""
    fill(service.database_url, 10, hours=1, kinds=1)
    reader = await asyncio.to_thread(_reading, service.database_url)
    try:
        async with rolling(service.database_url, retention_days=1) as rollup:
            dropping = asyncio.create_task(_until_refused(rollup))
            for n in range(5):
                status, _ = await service.post({"id": f"{n}", "type": "click", "subject": "red"})
                assert status == 200
            await dropping
    finally:
        reader.close()


def _reading(database_url: str) -> Any:
    import psycopg

    connection = psycopg.connect(database_url)
    connection.execute("SELECT count(*) FROM events")  # and the transaction stays open
    return connection


async def _until_refused(rollup: RollUp) -> None:
    refused = 0
    for _ in range(5):
        try:
            await rollup.retire_day()
        except DatabaseUnavailable:
            refused += 1
    assert refused


def test_the_roll_up_finds_the_oldest_by_an_index(database_url: str) -> None:
    """However many minutes there are, whether one is old enough is one look."""
    query(
        database_url,
        "INSERT INTO minutes SELECT 1, 'click', md5(n::text)::uuid,"
        " now() - make_interval(mins => n), 0, 1 FROM generate_series(1, 5000) AS n",
    )
    query(database_url, "ANALYZE minutes")
    plan = query(database_url, "EXPLAIN SELECT min(minute) FROM minutes")
    assert "minutes_minute" in "\n".join(line for (line,) in plan)
