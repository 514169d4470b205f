"""What can be asked about counts, and that asking stays cheap however much was counted."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from livetally.db import sql
from livetally.db.database import connect
from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys, query
from service.tests.support.server import Service, serving


async def ask(service: Service, query: str) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[Role.READ]}
    async with service.http.get(f"/v1/stats?{query}", headers=headers) as response:
        return response.status, await response.json()


def count(database_url: str, subject: str, minute: str, n: int, slot: int = 0) -> None:
    """Count clicks in a minute of the past, as if they had been sent then."""
    for name in (subject, ""):
        query(
            database_url,
            "INSERT INTO minutes VALUES (1, 'click', md5(%s)::uuid, %s, %s, %s)"
            " ON CONFLICT (project, type, subject_key, minute, slot)"
            " DO UPDATE SET n = minutes.n + excluded.n",
            name,
            minute,
            slot,
            n,
        )
        query(
            database_url,
            "INSERT INTO totals (project, type, subject, slot, n) VALUES (1, 'click', %s, %s, %s)"
            " ON CONFLICT (project, type, subject_key, slot)"
            " DO UPDATE SET n = totals.n + excluded.n",
            name,
            slot,
            n,
        )


async def test_totals_of_a_type_and_of_a_subject(service: Service) -> None:
    """A type has its total and its subjects, the largest first; a subject its own; and what never
    happened has 0."""
    for subject, times in {"red": 3, "blue": 5, "green": 1, "grey": 1}.items():
        await service.post([{"type": "click", "subject": subject}] * times)
    await service.post({"type": "hover", "subject": "red"})

    assert await service.stats(type="click") == {
        "type": "click",
        "total": 10,
        "subjects": [
            {"subject": "blue", "total": 5},
            {"subject": "red", "total": 3},
            {"subject": "green", "total": 1},
            {"subject": "grey", "total": 1},
        ],
    }
    assert await service.stats(type="click", subject="blue") == {
        "type": "click",
        "subject": "blue",
        "total": 5,
    }
    assert (await service.stats(type="click", subject="pink"))["total"] == 0
    assert await service.stats(type="never") == {"type": "never", "total": 0, "subjects": []}


async def test_the_largest_subjects_are_listed(service: Service) -> None:
    """`top` says how many, 100 unless told, 1,000 at most; the total is of all of them."""
    subjects = [f"s{number:04}" for number in range(1200)]
    for start in range(0, 1200, 600):
        await service.post(
            [{"type": "click", "subject": each} for each in subjects[start : start + 600]]
        )
    await service.post([{"type": "click", "subject": "s0777"}] * 2)

    def top(answer: dict[str, Any]) -> list[str]:
        assert answer["total"] == 1202
        return [each["subject"] for each in answer["subjects"]]

    assert top(await service.stats(type="click", top=1)) == ["s0777"]
    assert top(await service.stats(type="click", top=3)) == ["s0777", "s0000", "s0001"]
    assert len(top(await service.stats(type="click"))) == 100
    assert len(top(await service.stats(type="click", top=1000))) == 1000


async def test_all_subjects_come_page_by_page(service: Service) -> None:
    """Each subject is on one page, while counts grow between the pages; of a period likewise."""
    subjects = [f"s{number:04}" for number in range(1200)]

    async def count_all(named: list[str]) -> None:
        for start in range(0, len(named), 600):
            events = [{"type": "click", "subject": each} for each in named[start : start + 600]]
            await service.post(events)

    async def pages(**asked: object) -> list[str]:
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await service.stats(type="click", top=500, after=after, **asked)
            found += [each["subject"] for each in page["subjects"]]
            assert all(each["total"] >= 1 for each in page["subjects"])
            after = page["next"]
            await count_all(subjects[::7])
        return found

    await count_all(subjects)
    count(service.database_url, "long ago", "2026-03-01T10:00:00Z", 5)
    assert sorted(await pages()) == ["long ago", *subjects]
    assert sorted(await pages(**{"from": f"{datetime.now(UTC):%Y-%m-%dT00:00:00Z}"})) == subjects
    last = await service.stats(type="click", after="s0000", top=1)
    assert set(last) == {"type", "total", "subjects", "next"}
    for wrong in ("subject=red", "bucket=day"):
        status, refused = await ask(service, f"type=click&after=&{wrong}")
        assert (status, refused["error"]["code"]) == (422, "unprocessable"), wrong


async def test_the_largest_of_a_period_beside_the_period_before(service: Service) -> None:
    """With `top` and a time the totals are those of whole minutes, largest first; `compare=before`
    adds what the same subjects had in the time just before, which is as long."""
    url = service.database_url
    for subject, minute, n, slot in (
        ("red", "10:00", 1, 0),
        ("red", "10:00", 2, 7),
        ("blue", "10:01", 8, 0),
        ("gone", "10:01", 9, 0),
        ("red", "10:02", 4, 0),
        ("blue", "10:03", 2, 0),
        ("new", "10:03", 3, 0),
        ("red", "10:04", 100, 0),
    ):
        count(url, subject, f"2026-03-01T{minute}:00Z", n, slot=slot)
    period = {"from": "2026-03-01T10:02:30Z", "to": "2026-03-01T10:03:01Z"}

    answer = await service.stats(type="click", compare="before", **period)

    assert answer == {
        "type": "click",
        "from": "2026-03-01T10:02:00Z",
        "to": "2026-03-01T10:04:00Z",
        "total": 9,
        "before": 20,
        "ever": 129,
        "subjects": [
            {"subject": "red", "total": 4, "before": 3, "ever": 107},
            {"subject": "new", "total": 3, "before": 0, "ever": 3},
            {"subject": "blue", "total": 2, "before": 8, "ever": 10},
        ],
    }
    answer = await service.stats(type="click", top=1, **period)
    assert answer["subjects"] == [{"subject": "red", "total": 4, "ever": 107}]
    assert (answer["total"], answer["ever"]) == (9, 129)
    assert "before" not in answer
    now = await service.stats(type="click", top=5, **{"from": period["from"]})
    assert now["total"] == 109
    for wrong in (
        "top=3&to=2026-01-01T00:00:00Z",
        "compare=before",
        "subject=red&compare=before&from=2026-01-01T00:00:00Z",
        "top=3&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "compare=before&from=0001-01-02T00:00:00Z",
    ):
        status, refused = await ask(service, f"type=click&{wrong}")
        assert (status, refused["error"]["code"]) == (422, "unprocessable"), wrong


async def test_a_period_grows_by_what_live_totals_have_beyond_ever(service: Service) -> None:
    """While events are counted, a period and `ever` are read at one moment: the period's count and
    what a live total has beyond `ever` are the exact count at every time."""
    begin = {"from": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:00Z}"}
    count(service.database_url, "red", "2026-03-01T10:00:00Z", 1_000)

    async def send() -> None:
        for _ in range(100):
            await service.post([{"type": "click", "subject": "red"}] * 3)

    sending = asyncio.create_task(send())
    while not sending.done():
        answer = await service.stats(type="click", top=1, **begin)
        for counts in (answer, *answer["subjects"]):
            assert counts["ever"] - counts["total"] == 1_000
    await sending


async def test_a_projects_types_are_listed(service: Service) -> None:
    """Types come by name with their grand totals, page by page, of the key's own project only."""
    other = await make_key(service.database_url, "other", Role.READ)
    await service.post([{"type": name, "subject": "s"} for name in ("b", "a", "b", "c", "Z", "é")])

    async def types(key: str, **asked: object) -> tuple[int, dict[str, Any]]:
        async with service.http.get(
            "/v1/types", params=asked, headers={"x-api-key": key}
        ) as response:
            return response.status, await response.json()

    read = service.keys[Role.READ]
    counts = [("Z", 1), ("a", 1), ("b", 2), ("c", 1), ("é", 1)]
    listed = [{"type": name, "total": total} for name, total in counts]
    assert await types(read) == (200, {"types": listed, "next": None})
    assert await types(read, limit=2) == (200, {"types": listed[:2], "next": "a"})
    assert await types(read, limit=2, after="a") == (200, {"types": listed[2:4], "next": "c"})
    assert await types(read, limit=2, after="c") == (200, {"types": listed[4:], "next": None})
    assert await types(other) == (200, {"types": [], "next": None})
    assert (await types(service.keys[Role.WRITE]))[0] == 403
    assert (await types(read, limit=1001))[0] == 400
    assert (await types(read, type="click"))[0] == 400


async def test_a_series_has_every_bucket(service: Service) -> None:
    """Minutes, hours and days add up what was counted in them, from all slots; those in which
    nothing happened are there with 0; `from` is rounded down and `to` up."""
    url = service.database_url
    count(url, "red", "2026-03-01T10:00:00Z", 1)
    count(url, "red", "2026-03-01T10:00:00Z", 2, slot=7)
    count(url, "blue", "2026-03-01T10:02:00Z", 4)
    count(url, "red", "2026-03-01T11:59:00Z", 8)
    count(url, "red", "2026-03-02T00:00:00Z", 16)

    async def series(**asked: str) -> tuple[str, str, list[int]]:
        answer = await service.stats(type="click", **{"from": asked.pop("start"), **asked})
        assert answer["bucket"] == asked["bucket"]
        assert answer.get("subject") == asked.get("subject")
        starts = [each["at"] for each in answer["series"]]
        assert starts == sorted(starts)
        assert starts[0] == answer["from"]
        return answer["from"], answer["to"], [each["total"] for each in answer["series"]]

    assert await series(
        bucket="minute", start="2026-03-01T10:00:59Z", to="2026-03-01T10:02:01Z"
    ) == ("2026-03-01T10:00:00Z", "2026-03-01T10:03:00Z", [3, 0, 4])
    assert await series(
        bucket="minute", start="2026-03-01T10:00:00Z", to="2026-03-01T10:02:00Z"
    ) == ("2026-03-01T10:00:00Z", "2026-03-01T10:02:00Z", [3, 0])
    assert await series(
        bucket="hour", subject="red", start="2026-03-01T12:30:00+02:00", to="2026-03-01T12:00:00Z"
    ) == ("2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z", [3, 8])
    assert await series(bucket="day", start="2026-02-28T23:00:00Z", to="2026-03-02T00:00:01Z") == (
        "2026-02-28T00:00:00Z",
        "2026-03-03T00:00:00Z",
        [0, 15, 16],
    )
    assert await series(
        bucket="day", subject="pink", start="2026-03-01T00:00:00Z", to="2026-03-02T00:00:00Z"
    ) == ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", [0])


async def test_a_series_is_of_the_last_sixty_buckets_unless_told(service: Service) -> None:
    """Without from and to a series ends with the bucket of now, what was counted now included."""
    before = datetime.now(UTC)
    await service.post({"type": "click", "subject": "red"})
    for bucket, step in {"minute": timedelta(minutes=1), "day": timedelta(days=1)}.items():
        answer = await service.stats(type="click", bucket=bucket)
        after = datetime.now(UTC)

        assert len(answer["series"]) == 60
        assert sum(each["total"] for each in answer["series"]) == 1
        assert before <= datetime.fromisoformat(answer["to"]) < after + step
    status, answer = await ask(service, f"type=click&to={before:%Y-%m-%dT%H:%M:%SZ}")
    assert (status, len(answer["series"]), answer["bucket"]) == (200, 60, "minute")


async def test_each_bad_parameter_has_its_error(service: Service) -> None:
    """What can't be understood is 400 and names the parameter; what makes no sense is 422."""
    for asked, status, message in (
        ("", 400, "The query missing required field `type`."),
        ("type=", 400, "`type`: Expected `str` of length >= 1."),
        ("type=" + "t" * 65, 400, "`type`: Expected `str` of length <= 64."),
        ("type=a&subject=", 400, "`subject`: Expected `str` of length >= 1."),
        ("type=a&subject=" + "s" * 1025, 400, "`subject`: Expected `str` of length <= 1024."),
        ("type=%00", 400, "U+0000"),
        ("type=a&subject=%00", 400, "U+0000"),
        ("type=a&type=b", 400, "A parameter is given twice."),
        ("type=a&colour=red", 400, "The query contains unknown field `colour`."),
        ("type=a&top=0", 400, "`top`: Expected `int` >= 1."),
        ("type=a&top=1001", 400, "`top`: Expected `int` <= 1000."),
        ("type=a&top=many", 400, "`top`: Expected `int`, got `str`."),
        ("type=a&top=" + "9" * 5000, 400, "`top`: "),
        ("type=a&bucket=week", 400, "`bucket`: Invalid enum value 'week'."),
        ("type=a&from=yesterday", 400, "`from`: Invalid RFC3339 encoded datetime."),
        ("type=a&from=2026-01-01T00:00:00", 400, "with a timezone component"),
        ("type=a&to=inf", 400, "`to`: Invalid epoch timestamp."),
        ("type=a&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "before `to`"),
        ("type=a&from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "before `to`"),
        ("type=a&from=2020-01-01T00:00:00Z", 422, "more than 10,000 buckets"),
        ("type=a&from=0001-01-01T00:00:00%2B05:00", 422, "too far away"),
        ("type=a&to=0001-01-01T00:00:00Z&bucket=day", 422, "too far away"),
        ("type=a&to=9999-12-31T23:59:59Z", 422, "too far away"),
    ):
        answered, answer = await ask(service, asked)
        assert answered == status, (asked, answer)
        assert answer["error"]["code"] == ("bad_request" if status == 400 else "unprocessable")
        assert message in answer["error"]["message"], asked


#: Every query that reads counters, with what the service gives it.
_MINUTE = datetime(2026, 1, 1, tzinfo=UTC)
QUERIES: dict[str, tuple[object, ...]] = {
    "total": (7, "t7", "s7"),
    "top_subjects": (7, "t7", 100),
    "subjects_after": (7, "t7", "s3", 100),
    "between_after": (7, "t7", _MINUTE, _MINUTE + timedelta(hours=1), _MINUTE, "s3", 100),
    "types": (7, "t3", 100),
    "sum_between": (7, "t7", _MINUTE, _MINUTE + timedelta(hours=1), _MINUTE),
    "top_between": (7, "t7", _MINUTE, _MINUTE + timedelta(hours=1), _MINUTE, 100),
    "series": (7, "t7", "s7", _MINUTE, _MINUTE + timedelta(hours=1), "minute"),
    "watch_type": (7, "t7", 1000),
    "watch_subjects": (7, "t7", ["s7", "s8"]),
    "slot_positions": ([7, 8],),
}


def fill(database_url: str) -> None:
    """Many projects, types, subjects, minutes and slots: 90,000 rows."""
    query(
        database_url,
        "INSERT INTO totals (project, type, subject, slot, n)"
        " SELECT p, 't' || t, 's' || s, slot, 1 FROM generate_series(1, 50) AS p,"
        " generate_series(1, 20) AS t, generate_series(1, 10) AS s, generate_series(0, 2) AS slot",
    )
    query(
        database_url,
        "INSERT INTO minutes SELECT p, 't7', md5('s' || s)::uuid, m, 0, 1"
        " FROM generate_series(1, 50) AS p, generate_series(1, 10) AS s,"
        " generate_series('2026-01-01Z'::timestamptz, '2026-01-01 01:00Z', '1 minute') AS m",
    )
    query(
        database_url,
        "INSERT INTO slots SELECT p, slot, 1"
        " FROM generate_series(1, 5000) AS p, generate_series(0, 5) AS slot",
    )
    query(database_url, "ANALYZE totals, minutes, slots")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for each in plan.get("Plans", []) for node in nodes(each)]


async def test_every_question_is_a_look_up_in_an_index(database_url: str) -> None:
    """On tables with many rows, the plans that the service's connections make for its questions
    look rows up by the leading column of an index, never read a table or an index end to end."""
    fill(database_url)
    async with await connect(database_url, application="test") as connection:
        for name, values in QUERIES.items():
            # Named parameters of a prepared statement, so that the plan is the generic one.
            types = {int: "integer", str: "text", datetime: "timestamptz"}
            lists = {int: "integer[]", str: "text[]"}
            signature = ", ".join(
                lists[type(value[0])] if isinstance(value, list) else types[type(value)]
                for value in values
            )
            await connection.execute(
                f"PREPARE q ({signature}) AS {sql.query(name)}".encode(), prepare=False
            )
            given = ", ".join(_literal(value) for value in values)
            cursor = await connection.execute(
                f"EXPLAIN (FORMAT JSON) EXECUTE q ({given})".encode(), prepare=False
            )
            ((plan,),) = [tuple(row.values()) for row in await cursor.fetchall()]
            await connection.execute("DEALLOCATE q", prepare=False)
            tree = json.loads(plan) if isinstance(plan, str) else plan
            scans = [node for node in nodes(tree[0]["Plan"]) if "Relation Name" in node]
            assert scans, name
            for scan in scans:
                looked_up = scan.get("Index Cond") or scan.get("Recheck Cond", "")
                assert "(project = " in looked_up, (name, scan)  # the index's leading column


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return str(value) if isinstance(value, int) else f"'{value}'"


def wait_until_alone(database_url: str) -> None:
    """Until all other sessions are gone: each reports what it did before it leaves the list."""
    others = (
        "SELECT application_name, state, query FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    deadline = time.monotonic() + 30
    while left := query(database_url, others):
        assert time.monotonic() < deadline, left


async def test_the_running_service_scans_no_table(database_url: str, redis_url: str) -> None:
    """What Postgres itself counted after every kind of question was asked, live ones included: no
    sequential scan of totals, minutes or slots."""
    fill(database_url)
    keys = await make_keys(database_url)
    counted = (
        "SELECT sum(seq_scan), sum(idx_scan) FROM pg_stat_user_tables"
        " WHERE relname IN ('totals', 'minutes', 'slots')"
    )
    wait_until_alone(database_url)  # what `fill` did is not to be counted
    ((scans, lookups),) = query(database_url, counted)
    async with serving(database_url, redis_url, keys, resync_interval_ms=50) as service:
        assert (await service.stats(type="t7"))["total"] == 0
        await service.stats(type="t7", subject="s7")
        await service.stats(type="t7", subject="s7", bucket="minute")
        await service.stats(type="t7", compare="before", **{"from": "2026-01-01T00:30:00Z"})
        async with service.live() as viewer:
            await viewer.subscribe(1, {"totals": "t7"})
            await viewer.subscribe(2, {"totals": "t7", "subjects": ["s7"]})
            await service.post({"type": "t7", "subject": "s7"})
            await viewer.receive()
    wait_until_alone(database_url)
    ((scans_after, lookups_after),) = query(database_url, counted)
    assert scans_after == scans
    assert lookups_after > lookups
