"""Promise 2, and processes together: an id counts once, whoever takes it, whenever it comes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta

import aiohttp
import psycopg
import pytest

from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres
from livetally.ingest.store import SLOT_LOCKS
from livetally.schema.keys import Role
from service.tests.support.faults.books import check_counts, lock_waits
from service.tests.support.faults.load import SUBJECTS, Load
from service.tests.support.faults.viewers import Viewer, all_show
from service.tests.support.postgres import make_keys, query, totals_in
from service.tests.support.process import Process
from service.tests.support.server import Service, serving
from service.tests.support.waiting import until

BOUND_S = 2


@pytest.fixture
async def watched() -> AsyncIterator[AsyncExitStack]:
    """Holds the viewers, and closes them before the processes are stopped."""
    async with AsyncExitStack() as stack:
        yield stack


async def ready(*processes: Process) -> None:
    for process in processes:
        await asyncio.to_thread(process.wait_ready)


def slots_held(database_url: str) -> list[int]:
    """The slots that sessions of this database hold now, one entry for every holder."""
    return [
        slot
        for (slot,) in query(
            database_url,
            "SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
            " AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
            SLOT_LOCKS,
        )
    ]


async def accepted_by(url: str, key: str, events: list[dict[str, str]]) -> int:
    headers = {"x-api-key": key}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url + "/v1/events", json=events, headers=headers) as response,
    ):
        answer = await response.json()
        assert response.status == 200, answer
        assert answer["accepted"] + answer["duplicates"] == len(events)
        return int(answer["accepted"])


async def test_the_same_ids_through_three_processes_at_once(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """Three processes get the same events at the same time, twice over and twice within a request:
    together they accept each once, without waiting for each other for ever."""
    key = (await make_keys(database_url))[Role.WRITE]
    processes = [spawn() for _ in range(3)]
    await ready(*processes)
    shuffle = random.Random(1).shuffle
    for round_ in range(10):
        events = [
            {"id": f"{round_}-{n}", "type": "click", "subject": SUBJECTS[n % 8]} for n in range(100)
        ]
        requests = []
        for process in processes * 2:
            shuffled = events + events[:50]
            shuffle(shuffled)
            requests.append(accepted_by(process.url, key, shuffled))
        assert sum(await asyncio.gather(*requests)) == 100
    assert totals_in(database_url)[""] == 1000
    check_counts(database_url)


async def test_every_process_is_exact_together_with_the_others(
    spawn: Callable[..., Process], database_url: str, watched: AsyncExitStack
) -> None:
    """`serve --workers 2` and two separate processes on one database hold four slots, and stats
    and viewers are exact everywhere."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    team, *others = processes = [spawn("--workers", "2"), spawn(), spawn()]
    await ready(*processes)
    await until(lambda: team.log.read_text().count("serving on port") >= 2, 30)
    urls = [process.url for process in processes]
    viewers = [
        await watched.enter_async_context(Viewer(url, keys[Role.READ]).watching())
        for url in [*urls, team.url, team.url]
    ]
    async with load.running(*urls):
        # New connections to the shared port until both of its workers have had some.
        async with asyncio.timeout(60):
            while len(slots_held(database_url)) < 4:
                async with aiohttp.ClientSession() as http:
                    await load.post(http, team.url, load.events())
        await load.until_acked(200)
        assert slots_held(database_url) == [0, 1, 2, 3]
    await load.settle(*urls)
    await all_show(viewers, database_url, BOUND_S)
    truth = totals_in(database_url)
    async with aiohttp.ClientSession(headers={"x-api-key": keys[Role.READ]}) as http:
        for url in [*urls, team.url]:
            async with http.get(url + "/v1/stats", params={"type": "click"}) as response:
                stats = await response.json()
            assert {row["subject"]: row["total"] for row in stats["subjects"]} == {
                subject: n for subject, n in truth.items() if subject
            }
            assert stats["total"] == truth[""]
    load.check_books(database_url)
    for process in others:
        assert process.stop() == 0
    assert team.stop() == 0


async def test_a_killed_process_s_slot_is_used_again(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """A slot is free when its process has died, however it died, and not before."""
    key = (await make_keys(database_url))[Role.WRITE]
    first, second, third = processes = [spawn() for _ in range(3)]
    await ready(*processes)
    for n, process in enumerate(processes):
        await accepted_by(process.url, key, [{"id": f"{n}", "type": "click", "subject": "red"}])
        assert slots_held(database_url) == list(range(n + 1))
    second.kill()
    await until(lambda: slots_held(database_url) == [0, 2], 30)
    await ready(second.restart())
    await accepted_by(second.url, key, [{"id": "3", "type": "click", "subject": "red"}])
    assert slots_held(database_url) == [0, 1, 2]
    for process in (first, third):
        assert process.stop() == 0
    await until(lambda: slots_held(database_url) == [1], 30)
    counted = query(database_url, "SELECT slot, n FROM totals WHERE subject <> '' ORDER BY slot")
    assert counted == [(0, 1), (1, 2), (2, 1)]
    check_counts(database_url)


async def test_a_writer_s_connection_is_terminated_under_load(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """An administrator ends the writing sessions again and again, in whatever state they are:
    nothing is lost, nothing counts twice, and no two processes get one slot."""
    load = Load(1, (await make_keys(database_url))[Role.WRITE])
    processes = [spawn() for _ in range(2)]
    await ready(*processes)
    urls = [process.url for process in processes]
    terminate = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'livetally write' AND datname = current_database()"
    )
    terminated = 0
    async with load.running(*urls):
        for _ in range(10):
            await load.until_acked(load.random.randint(50, 200))
            terminated += query(database_url, terminate)[0][0]
            slots = slots_held(database_url)
            assert len(slots) == len(set(slots))
        await load.until_acked(100)
    assert terminated >= 10
    await load.settle(*urls)
    load.check_books(database_url)
    assert {code for _, _, code, _ in load.refusals} <= {"database_unavailable"}


async def test_slots_are_handed_out_anew_after_a_restart_of_postgres(
    spawn: Callable[..., Process],
    postgres: LocalPostgres,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """When Postgres comes back every process takes a slot of its own again, and counting goes on
    exactly, in whichever slots."""
    with LocalPostgres(tmp_path_factory.mktemp("restarted")) as own:
        await migrate(own.dsn())
        load = Load(1, (await make_keys(own.dsn()))[Role.WRITE])
        processes = [spawn(LIVETALLY_DATABASE_URL=own.dsn()) for _ in range(3)]
        await ready(*processes)
        urls = [process.url for process in processes]
        async with load.running(*urls, http=1, websockets=1):
            for _ in range(2):
                await until(lambda: slots_held(own.dsn()) == [0, 1, 2], 60)
                await load.until_acked(200)
                await asyncio.to_thread(own.stop)
                await asyncio.to_thread(own.start)
            await until(lambda: slots_held(own.dsn()) == [0, 1, 2], 60)
            await load.until_acked(200)
        await load.settle(*urls)
        load.check_books(own.dsn())
        for process in processes:
            assert process.stop() == 0


class Clock:
    """The database's clock, which then stands still: our function is found before Postgres's."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        query(
            database_url,
            """
            CREATE SCHEMA clock;
            CREATE TABLE clock.hand (at timestamptz NOT NULL);
            INSERT INTO clock.hand VALUES (now());
            CREATE FUNCTION clock.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
                AS 'SELECT at FROM clock.hand';
            """,
        )
        name = database_url.rpartition("/")[2]
        query(database_url, f"ALTER DATABASE {name} SET search_path = clock, pg_catalog, public")

    def set(self, at: datetime) -> None:
        query(self._url, "UPDATE clock.hand SET at = %s", at)


@pytest.fixture
def clock(database_url: str) -> Clock:
    return Clock(database_url)


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


TICK = timedelta(seconds=0.1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
async def pair(
    database_url: str, redis_url: str, clock: Clock
) -> AsyncIterator[tuple[Service, Service]]:
    """Two servers of one database whose clock is in the test's hand."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys) as one,
        serving(database_url, redis_url, keys) as other,
    ):
        yield one, other


RED = {"id": "a", "type": "click", "subject": "red"}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (DAY - TICK, DAY + TICK),
        (DAY - TICK, DAY),
        (12 * 60 * 60 * SECOND, DAY + 12 * 60 * 60 * SECOND - SECOND),
        (timedelta(0), DAY - SECOND),
        (TICK, DAY + TICK - SECOND),
        (SECOND, 2 * DAY - SECOND),
        (DAY + TICK, DAY - TICK),
    ],
    ids=[
        "over midnight",
        "at midnight",
        "noon",
        "one day",
        "a day less a second",
        "two days",
        "back",
    ],
)
async def test_an_id_is_known_for_a_day_and_over_midnight(
    first: timedelta, then: timedelta, clock: Clock, pair: tuple[Service, Service]
) -> None:
    """Accepted by one process, an id is another's duplicate 24 h less a second later, on the other
    side of midnight, and also when the database's clock has stepped back over it."""
    one, other = pair
    clock.set(today() + first)
    assert (await one.post(RED))[1]["accepted"] == 1
    clock.set(today() + then)
    assert (await other.post(RED))[1] == {"accepted": 0, "duplicates": 1, "rejected": []}
    assert totals_in(one.database_url) == {"red": 1, "": 1}


async def test_an_id_is_known_before_midnight_s_transaction_has_ended(
    clock: Clock, pair: tuple[Service, Service]
) -> None:
    """While the transaction that took an id at 23:59:59.9 is still open, another process gets the
    same id at 00:00:00.1: it waits, and answers that it is a duplicate."""
    one, other = pair
    url = one.database_url
    await one.post({**RED, "id": "the slot exists"})
    clock.set(today() + DAY - TICK)
    with psycopg.connect(url) as blocker:
        # What the first transaction needs after it has taken the id.
        blocker.execute("SELECT FROM slots FOR UPDATE")
        first = asyncio.create_task(one.post(RED))
        await until(lambda: lock_waits(url) == 1, 30)
        clock.set(today() + DAY + TICK)
        second = asyncio.create_task(other.post(RED))
        await until(lambda: lock_waits(url) == 2, 30)
        assert not first.done()
        assert not second.done()
        blocker.rollback()
    assert (await first)[1] == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert (await second)[1] == {"accepted": 0, "duplicates": 1, "rejected": []}
    assert totals_in(url) == {"red": 2, "": 2}


async def test_days_nobody_prepared_are_made_when_they_come(
    clock: Clock, pair: tuple[Service, Service]
) -> None:
    """Should the partitions not have been made ahead, the first event of a day makes them."""
    one, other = pair
    for days in (10, 11, 30):
        clock.set(today() + days * DAY + 6 * 60 * 60 * SECOND)
        answers = await asyncio.gather(
            one.post({**RED, "id": f"{days}"}), other.post({**RED, "id": f"{days}"})
        )
        assert sorted(answer["accepted"] for _, answer in answers) == [0, 1]
    assert totals_in(one.database_url)[""] == 3


def partitions(database_url: str, table: str) -> set[date]:
    rows = query(
        database_url,
        "SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass",
        table,
    )
    return {datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date() for (day,) in rows}


def test_partitions_are_made_ahead_and_old_ids_dropped(database_url: str, clock: Clock) -> None:
    """Rolling makes today and the days ahead, keeps yesterday's ids, drops those before it, and
    never touches the events; doing it again changes nothing."""
    clock.set(today() + 100 * DAY + DAY - TICK)
    day = today().date() + 100 * DAY
    made_before = partitions(database_url, "events")
    for _ in range(2):
        query(database_url, "SELECT livetally_roll_partitions(3)")
        ahead = {day + n * DAY for n in range(4)}
        assert partitions(database_url, "event_ids") == ahead
        assert partitions(database_url, "events") == made_before | ahead
    clock.set(today() + 101 * DAY)
    query(database_url, "SELECT livetally_roll_partitions(3)")
    assert partitions(database_url, "event_ids") == ahead | {day + 4 * DAY}
    clock.set(today() + 102 * DAY)
    query(database_url, "SELECT livetally_roll_partitions(3)")
    assert partitions(database_url, "event_ids") == (ahead - {day}) | {day + 4 * DAY, day + 5 * DAY}
    assert partitions(database_url, "events") == made_before | ahead | {
        day + 4 * DAY,
        day + 5 * DAY,
    }
