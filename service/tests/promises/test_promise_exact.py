"""Promise 3: what a dashboard shows becomes equal to what Postgres holds, whatever happens between.

The bound is 2 s from the fault's end. The services are processes; the viewers sum up as clients do.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livetally.dev.servers import LocalRedis
from livetally.live.topics.counters import Counters
from livetally.schema.keys import Role
from service.tests.support.faults.load import Load
from service.tests.support.faults.relay import Relay
from service.tests.support.faults.viewers import Viewer, all_show
from service.tests.support.postgres import make_keys, totals_in
from service.tests.support.process import Process, paused
from service.tests.support.waiting import ready, until, until_ready_is

BOUND_S = 2


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LocalRedis]:
    """A Redis that a test may stop."""
    with LocalRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def watched() -> AsyncIterator[AsyncExitStack]:
    """Holds the viewers, and closes them before the processes are stopped."""
    async with AsyncExitStack() as stack:
        yield stack


async def two_processes(spawn: Callable[..., Process], redis_url: str) -> list[str]:
    processes = [spawn(LIVETALLY_REDIS_URL=redis_url) for _ in range(2)]
    for process in processes:
        await asyncio.to_thread(process.wait_ready)
    return [process.url for process in processes]


async def viewers_of(urls: list[str], read_key: str, watched: AsyncExitStack) -> list[Viewer]:
    """Two viewers of each process."""
    return [
        await watched.enter_async_context(Viewer(url, read_key).watching())
        for url in urls
        for _ in range(2)
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_messages_dropped_doubled_and_reordered_do_no_harm(
    seed: int,
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """With messages lost, repeated and shuffled on the way between two processes, and connections
    cut, every viewer of either is exact within 2 s of the faults' end."""
    print(f"seed {seed}")  # noqa: T201
    keys = await make_keys(database_url)
    load = Load(seed, keys[Role.WRITE])
    async with Relay("127.0.0.1", own_redis.port, seed).open() as relay:
        urls = await two_processes(spawn, relay.url(own_redis.url))
        viewers = await viewers_of(urls, keys[Role.READ], watched)
        relay.faulty = True
        async with load.running(*urls, http=1, websockets=1):
            for _ in range(3):
                await faults_more(relay, load.random.randint(20, 60))
                relay.cut()
            viewers += await viewers_of(urls, keys[Role.READ], watched)  # some come late
            await faults_more(relay, load.random.randint(20, 60))
        await load.settle(*urls, repeat=0)
        relay.heal()
        await all_show(viewers, database_url, BOUND_S)
        # These come after all that was late: then that has been taken in, and has done no harm.
        async with aiohttp.ClientSession() as http:
            for url in urls:
                assert await load.post(http, url, load.events())
        await all_show(viewers, database_url, BOUND_S)
    load.check_books(database_url)


async def faults_more(relay: Relay, number: int) -> None:
    faults = relay.faults + number
    await until(lambda: relay.faults >= faults, 60)


async def test_a_last_message_that_is_lost_is_missed(
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """When the one message about the one last event is lost, viewers elsewhere see it all the
    same, though nothing follows that would tell."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    async with Relay("127.0.0.1", own_redis.port, 1).open() as relay:
        urls = await two_processes(spawn, relay.url(own_redis.url))
        viewers = await viewers_of(urls, keys[Role.READ], watched)
        relay.fall_silent()
        async with aiohttp.ClientSession() as http:
            event = {"id": "last", "type": "click", "subject": Viewer.FILTER[0]}
            assert await load.post(http, urls[0], [event])
        await all_show(viewers, database_url, BOUND_S)
        assert totals_in(database_url)[""] == 1


async def test_a_network_gone_silent_is_noticed(
    spawn: Callable[..., Process], database_url: str, own_redis: LocalRedis
) -> None:
    """When Redis neither answers nor closes, and nothing is published, /readyz says so
    nevertheless; reconnecting into the silence doesn't get the process stuck; then it is ready."""
    async with Relay("127.0.0.1", own_redis.port, 1).open() as relay:
        process = spawn(LIVETALLY_REDIS_URL=relay.url(own_redis.url))
        await asyncio.to_thread(process.wait_ready)
        await until_ready_is(process.url, "ready")
        relay.fall_silent()
        assert "Redis" in " ".join(await until_ready_is(process.url, "degraded"))
        relay.cut()
        assert "Redis" in " ".join(await until_ready_is(process.url, "degraded"))
        relay.heal()
        await until_ready_is(process.url, "ready")


async def test_redis_killed_and_started_under_load(
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """While Redis is gone events are counted, /readyz gives the reason, and viewers of the process
    that took an event see it at once; with Redis back all are exact within 2 s."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    urls = await two_processes(spawn, own_redis.url)
    viewers = await viewers_of(urls, keys[Role.READ], watched)
    # It reads Postgres again so rarely that what it shows at once is what it was told itself.
    alone = spawn(LIVETALLY_REDIS_URL=own_redis.url, LIVETALLY_RESYNC_INTERVAL_MS="60000")
    await asyncio.to_thread(alone.wait_ready)
    (neighbour,) = (await viewers_of([alone.url], keys[Role.READ], watched))[:1]
    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(200)
        own_redis.kill()
        await load.until_acked(200)
        for url in urls:
            assert "Redis" in " ".join(await until_ready_is(url, "degraded"))
            assert (await ready(url))[0] == 200
    await load.settle(*urls, repeat=0)
    await all_show(viewers, database_url, BOUND_S)  # without Redis too: by the re-read

    seen = neighbour.total["all"]
    async with aiohttp.ClientSession() as http:
        assert await load.post(http, alone.url, [{"id": "x", "type": "click", "subject": "new"}])
    await until(lambda: neighbour.topics["all"].get("new") == 1, 10)
    assert neighbour.total["all"] > seen

    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(100)
        await asyncio.to_thread(own_redis.start)
        await load.until_acked(100)
    await load.settle(*urls, repeat=0)
    await all_show(viewers, database_url, BOUND_S)
    for url in urls:
        await until_ready_is(url, "ready")
    load.check_books(database_url)


async def test_redis_paused_under_load(
    spawn: Callable[..., Process],
    database_url: str,
    own_redis: LocalRedis,
    watched: AsyncExitStack,
) -> None:
    """While Redis hangs events are counted, /readyz gives the reason, and viewers everywhere are
    exact by the re-read; when it goes on, old messages do no harm and all is well again."""
    keys = await make_keys(database_url)
    load = Load(1, keys[Role.WRITE])
    urls = await two_processes(spawn, own_redis.url)
    viewers = await viewers_of(urls, keys[Role.READ], watched)
    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(200)
    with paused(own_redis):
        async with load.running(*urls, http=1, websockets=1):
            await load.until_acked(200)
            for url in urls:
                assert "Redis" in " ".join(await until_ready_is(url, "degraded"))
                assert (await ready(url))[0] == 200
        await load.settle(*urls, repeat=0)
        await all_show(viewers, database_url, BOUND_S)
    async with load.running(*urls, http=1, websockets=1):
        await load.until_acked(200)
    await load.settle(*urls, repeat=0)
    await all_show(viewers, database_url, BOUND_S)
    for url in urls:
        await until_ready_is(url, "ready")
    load.check_books(database_url)


class OneProcess:
    """What one process knows of a type, beside what Postgres holds, and a viewer's sums of it."""

    def __init__(self, subjects: frozenset[str] | None, limit: int) -> None:
        self.subjects, self.limit = subjects, limit
        self.counters = Counters(subjects)
        self.postgres: dict[tuple[str, int], int] = {}
        self.messages: list[dict[tuple[str, int], int]] = []
        self.heard: set[int] = set()
        self.asked: tuple[int, list[tuple[str, int, int]]] | None = None
        self.shown: dict[str, int] = {}
        self.shown_total = 0

    def commit(self, slot: int, subjects: list[str], arrives: bool) -> None:
        for subject in [*subjects, *[""] * len(subjects)]:
            self.postgres[subject, slot] = self.postgres.get((subject, slot), 0) + 1
        self.messages.append(
            {(subject, slot): self.postgres[subject, slot] for subject in [*subjects, ""]}
        )
        if arrives:
            self.deliver(-1)

    def deliver(self, which: int) -> None:
        """A message arrives: any of them, at any time, again and again."""
        if self.messages:
            which %= len(self.messages)
            self.heard.add(which)
            for (subject, slot), n in self.messages[which].items():
                self.counters.merge(subject, slot, n)

    def ask(self) -> None:
        """Postgres is asked; it answers with how things are now, whenever the answer comes."""
        if self.asked is None:
            self.counters.must_rank = False
            cells = [(subject, slot, n) for (subject, slot), n in self.postgres.items()]
            wanted = self.truth().keys() | ({""} if self.subjects is None else set())
            self.asked = len(self.messages), [cell for cell in cells if cell[0] in wanted]

    def answer(self) -> None:
        if self.asked is not None:
            known, cells = self.asked
            self.asked = None
            self.heard |= set(range(known))
            self.counters.load(cells)

    def send(self) -> None:
        """A frame goes to the viewer, who sums up as a client does."""
        if self.counters.must_snapshot:
            self.shown = {}
            self.shown |= self.counters.totals()
        else:
            self.shown |= self.counters.changed_totals()
        self.shown_total = self.counters.total
        self.counters.settle()

    def heal(self) -> None:
        """Faults have ended: Postgres is asked again as long as there is a reason to."""
        self.answer()
        for _ in range(2):
            if self.counters.must_rank or len(self.heard) < len(self.messages):
                self.ask()
                self.answer()
        assert not self.counters.must_rank
        self.send()

    def truth(self) -> dict[str, int]:
        """The largest subjects, or those that were named, in the plainest way."""
        sums: dict[str, int] = {}
        for (subject, _), n in self.postgres.items():
            sums[subject] = sums.get(subject, 0) + n
        sums.pop("", None)
        if self.subjects is not None:
            return {subject: n for subject, n in sums.items() if subject in self.subjects}
        largest = sorted(sums, key=lambda subject: (-sums[subject], md5_key(subject)))
        return {subject: sums[subject] for subject in largest[: self.limit]}


def md5_key(subject: str) -> bytes:
    return hashlib.md5(subject.encode(), usedforsecurity=False).digest()


STEPS = st.one_of(
    st.tuples(
        st.just("commit"),
        st.integers(0, 2),
        st.lists(st.sampled_from("abcde"), min_size=1, max_size=3),
        st.booleans(),
    ),
    st.tuples(st.just("deliver"), st.integers(0, 30)),
    st.tuples(st.just("ask")),
    st.tuples(st.just("answer")),
    st.tuples(st.just("send")),
)


# The largest subject counts on while Postgres chooses, and is not among what it chose.
COUNTED_MEANWHILE = [
    ("commit", 0, ["a"], True),
    ("commit", 0, ["b", "b"], False),
    ("ask",),
    ("commit", 0, ["a", "a"], True),
    ("answer",),
]


@settings(max_examples=500, deadline=None)
@example(steps=COUNTED_MEANWHILE, subjects=None, limit=1)
@given(
    steps=st.lists(STEPS, max_size=40),
    subjects=st.sampled_from([None, frozenset("ab"), frozenset("az")]),
    limit=st.sampled_from([1, 2, 3, 100]),
)
def test_any_order_of_messages_and_reads_ends_equal(
    steps: list[Any], subjects: frozenset[str] | None, limit: int
) -> None:
    """Whatever messages are lost, doubled or late, and however old an answer of Postgres is when it
    comes, a viewer ends with the subjects and totals of a plain count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("livetally.live.topics.counters.MAX_SUBJECTS", limit)
        process = OneProcess(subjects, limit)
        for name, *values in steps:
            getattr(process, name)(*values)
        process.heal()
    truth = process.truth()
    assert process.shown == truth
    assert process.shown_total == (
        sum(n for (subject, _), n in process.postgres.items() if not subject)
        if subjects is None
        else sum(truth.values())
    )
