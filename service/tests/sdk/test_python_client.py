"""The Python SDK against the real service, which is killed, restarted and refused on the way."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from livetally.client import (
    AsyncClient,
    Client,
    Closed,
    Conflict,
    Event,
    Events,
    Forbidden,
    NotFound,
    QueueFull,
    Reconnecting,
    Refused,
    Snapshot,
    Stale,
    Unauthorized,
    Unavailable,
    Update,
    feed,
    items,
    totals,
)
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys, query, totals_in, unreachable
from service.tests.support.process import Process
from service.tests.support.server import Service
from service.tests.support.waiting import until

Spawn = Callable[..., Process]


def client_of(service: Service, role: Role = Role.ADMIN, **options: object) -> AsyncClient:
    return AsyncClient(service.url, service.keys[role], **options)  # type: ignore[arg-type]


def test_importing_it_needs_nothing_of_the_server() -> None:
    """Who installs the SDK's two packages can import it: no Postgres, Redis, metrics, terminal."""
    code = (
        "import sys, livetally.client;"
        "ours = {name.split('.')[1] for name in sys.modules if name.startswith('livetally.')};"
        "print(*sorted(ours));"
        "print(*sorted({name.split('.')[0] for name in sys.modules} &"
        " {'psycopg', 'redis', 'prometheus_client', 'uvloop', 'rich', 'aiobotocore', 'arro3'}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["client schema", ""]


# Events


async def test_tracked_events_are_counted_once(service: Service) -> None:
    """`track` sends in batches, by itself; after `flush` all are on disk, with their own ids."""
    async with client_of(service) as client:
        ids = [client.track("click", "red", properties={"n": n}) for n in range(1200)]
        await client.flush()
        assert totals_in(service.database_url) == {"": 1200, "red": 1200}
        assert {id for (id,) in query(service.database_url, "SELECT id FROM events")} == set(ids)

        client.track("click", "blue")  # and without flush
        await until(lambda: client.outbox.accepted == 1201, 10)
        assert (client.outbox.refused, len(client.outbox)) == (0, 0)
        assert totals_in(service.database_url)["blue"] == 1


async def test_leaving_sends_what_is_queued(service: Service) -> None:
    """The end of `async with` is a flush; afterwards everything is refused."""
    async with client_of(service) as client:
        client.track("click", "red")
    assert totals_in(service.database_url)["red"] == 1
    with pytest.raises(Closed):
        client.track("click", "red")
    with pytest.raises(Closed):
        await client.totals("click")


async def test_what_is_refused_is_said_event_by_event(service: Service) -> None:
    """`send` counts the good ones and says why the others are not; a queue tells its listener."""
    told: list[tuple[str, str]] = []
    async with client_of(service, on_refused=lambda id, why: told.append((id, why.code))) as client:
        good = Event(type="click", subject="red", id="g")
        with pytest.raises(Refused) as caught:
            await client.send([good, {"type": "click"}, Event(type="x" * 65, subject="s"), good])
        refused = caught.value
        assert refused.ack is not None
        assert (refused.ack.accepted, refused.ack.duplicates) == (1, 1)
        assert [(each.index, each.error.code) for each in refused.rejected] == [
            (1, "invalid_event"),
            (2, "invalid_event"),
        ]
        with pytest.raises(Refused, match="1 of 1 events"):  # a 422
            await client.send([{"type": "", "subject": "s"}])

        client.track("x" * 65, "s", id="bad")
        client.track("click", "red", id="good")
        with pytest.raises(Refused, match="1 events were refused"):
            await client.flush()
        assert told == [("bad", "invalid_event")]
        await client.flush()  # it was said
        assert totals_in(service.database_url) == {"": 2, "red": 2}
        with pytest.raises(Refused, match="no JSON"):
            client.track("click", "red", properties={"f": object()})


async def test_many_events_go_in_many_requests(service: Service) -> None:
    """More than a request takes, by count or by bytes, is sent in several, and counted once."""
    events = [
        Event(type="click", subject="red", properties={"text": "x" * 10_000}) for _ in range(250)
    ] + [Event(type="click", subject="blue", id=f"b{n}") for n in range(1500)]
    async with client_of(service) as client:
        assert (await client.send(events)).accepted == 1750
        assert (await client.send(events[250:])).duplicates == 1500
    assert totals_in(service.database_url) == {"": 1750, "red": 250, "blue": 1500}


async def test_keys_that_are_no_good_are_said(service: Service) -> None:
    """An unknown key, or one of the wrong role, is an error of its own, at once; what waits is
    kept, and it is said each time how much that is."""
    client = AsyncClient(service.url, "lt_write_nobody")
    with pytest.raises(Unauthorized):
        await client.send([Event(type="click", subject="red")])
    with pytest.raises(Unauthorized):
        await anext(client.live(totals("click")))
    client.track("click", "red")
    for end in (client.flush, client.flush, client.close):
        with pytest.raises(Unauthorized, match="1 events wait"):
            await end()
    async with client_of(service, Role.WRITE) as client:
        with pytest.raises(Forbidden, match="read key"):
            await client.totals("click")
        with pytest.raises(Forbidden):
            await anext(client.live(totals("click")))
    with pytest.raises(ValueError, match="LIVETALLY_KEY"):
        AsyncClient(service.url)


async def test_a_full_queue_says_so(service: Service, postgres: LocalPostgres) -> None:
    """The queue is bounded: an event too many raises and is not taken; the others arrive."""
    async with client_of(service, max_queue=100) as client:
        with unreachable(postgres, service.database_url):
            for _ in range(100):
                client.track("click", "red")
            with pytest.raises(QueueFull):
                client.track("click", "red")
            with pytest.raises(Unavailable, match="100 events could not be sent"):
                await client.flush(0.1)
        await client.flush()
        assert totals_in(service.database_url) == {"": 100, "red": 100}


async def test_a_database_that_comes_back(service: Service, postgres: LocalPostgres) -> None:
    """503s are waited out as the server asks; when time is up it is said; nothing counts twice."""
    event = Event(type="click", subject="red", id="one")
    async with client_of(service) as client, client_of(service, timeout_s=0.1) as hasty:
        with unreachable(postgres, service.database_url):
            with pytest.raises(Unavailable) as caught:
                await hasty.send([event])
            assert caught.value.code == "database_unavailable"
            sending = asyncio.create_task(client.send([event]))
            await asyncio.sleep(0)
        ack = await sending
        assert ack.accepted + ack.duplicates == 1
    assert totals_in(service.database_url) == {"": 1, "red": 1}


async def test_an_answer_that_is_lost(service: Service) -> None:
    """The events are stored, and the connection breaks before the answer: they are sent again with
    the same ids, and counted once."""
    bodies: list[bytes] = []

    async def lose_the_first(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        status, answer = await service.post(bodies[-1])
        if len(bodies) == 1 and request.transport is not None:
            request.transport.abort()
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/v1/events", lose_the_first)
    async with TestServer(app) as relay:
        url = str(relay.make_url("/"))
        async with AsyncClient(url, service.keys[Role.WRITE]) as client:
            client.track("click", "red")
            client.track("click", "red")
            await client.flush()
    assert (len(bodies), bodies[0]) == (2, bodies[1])
    assert totals_in(service.database_url) == {"": 2, "red": 2}


async def test_a_server_killed_in_mid_batch(spawn: Spawn, database_url: str) -> None:
    """kill -9 again and again while thousands of events are sent: each is counted once."""
    keys = await make_keys(database_url)
    process = await asyncio.to_thread(spawn().wait_ready)
    async with AsyncClient(process.url, keys[Role.WRITE]) as client:
        for batch in range(3):
            for n in range(1_500):
                client.track("click", f"s{n % 7}")
            stored = batch * 1_500
            await until(lambda stored=stored: client.outbox.accepted > stored, 10)
            process.kill()
            await asyncio.to_thread(process.restart().wait_ready)
        await client.flush(60)
        assert client.outbox.accepted + client.outbox.duplicates == 4_500
    assert totals_in(database_url)[""] == 4_500
    assert query(database_url, "SELECT count(*), count(DISTINCT id) FROM events") == [(4500, 4500)]


# Counts and items


async def test_counts_are_asked(service: Service) -> None:
    """Totals, one subject, a series and pages come as types."""
    async with client_of(service) as client:
        await client.send([{"type": "click", "subject": "red"}] * 3)
        await client.send([{"type": "click", "subject": "blue"}])
        await client.send([{"type": "page_view", "subject": "/"}])

        found = await client.totals("click", top=1)
        assert (found.total, [(each.subject, each.total) for each in found.subjects]) == (
            4,
            [("red", 3)],
        )
        assert await client.total("click", "blue") == 1
        assert await client.total("click", "never") == 0
        hour = datetime.now(UTC) - timedelta(hours=1)
        series = await client.series("click", subject="red", bucket="hour", start=hour)
        assert sum(bucket.total for bucket in series.series) == 3
        assert series.from_ <= hour < series.to
        assert (await client.pages()).total == 1
        with pytest.raises(Refused, match="1000"):
            await client.totals("click", top=1001)


async def test_items_are_kept(service: Service) -> None:
    """Put, get, delete and list, over several pages; a version that has moved on is a Conflict."""
    async with client_of(service) as client:
        stored = await client.put("van", "a/b c", {"lat": 41.4}, version=0)
        assert (stored.version, (await client.get("van", "a/b c")).value) == (1, {"lat": 41.4})
        with pytest.raises(Conflict):
            await client.put("van", "a/b c", {}, version=0)
        assert (await client.put("van", "a/b c", [1], version=1)).version == 2
        assert len(await client.put_all("van", {f"n{n}": n for n in range(5)})) == 5
        assert [item.id async for item in client.list("van", page_size=2)] == [
            "a/b c",
            *(f"n{n}" for n in range(5)),
        ]
        with pytest.raises(Conflict):
            await client.delete("van", "n0", version=9)
        assert (await client.delete("van", "n0")).id == "n0"
        with pytest.raises(NotFound):
            await client.get("van", "n0")


# Live


async def test_totals_are_watched(service: Service) -> None:
    """A snapshot, then updates with absolute values; items likewise."""
    async with client_of(service) as client, client.live(totals("click")) as live:
        first = await anext(live)
        assert isinstance(first, Snapshot)
        assert (first.total, live.state) == (0, "live")
        await client.send([{"type": "click", "subject": "red"}] * 2)
        second = await anext(live)
        assert isinstance(second, Update)
        assert (second.totals, second.total) == ({"red": 2}, 2)

        await client.put("van", "1", 5)
        async with client.live(items("van")) as vans:
            snapshot = await anext(vans)
            assert isinstance(snapshot, Snapshot)
            assert snapshot.items
            assert (snapshot.items[0].id, snapshot.items[0].value) == ("1", 5)


async def test_a_feed_goes_on_after_restarts(spawn: Spawn, database_url: str) -> None:
    """Through a deploy (1012) and a kill -9, with events stored meanwhile by another process: every
    event once, in order."""
    keys = await make_keys(database_url)
    watched, other = spawn(), spawn()
    await asyncio.to_thread(watched.wait_ready)
    await asyncio.to_thread(other.wait_ready)
    seen: list[str] = []
    cuts: list[str] = []
    standing = asyncio.Event()

    async def follow() -> None:
        async with AsyncClient(watched.url, keys[Role.READ]) as client:
            async for message in client.live(feed("click")):
                match message:
                    case Events():
                        seen.extend(event.subject for event in message.events)
                        standing.set()
                    case Reconnecting():
                        cuts.append(message.reason)

    following = asyncio.create_task(follow())
    await standing.wait()
    wanted: list[str] = []
    async with AsyncClient(other.url, keys[Role.WRITE]) as sender:

        async def send(name: str) -> None:
            wanted.append(name)
            await sender.send([Event(type="click", subject=name)])

        await send("before")
        await until(lambda: seen == wanted, 10)
        for end in (watched.stop, watched.kill):
            await asyncio.to_thread(end)
            await send(f"while away {len(wanted)}")
            await asyncio.to_thread(watched.restart().wait_ready)
            await send(f"back {len(wanted)}")
            await until(lambda: seen == wanted, 30, lambda: f"{seen}, not {wanted}")
    following.cancel()
    await asyncio.wait([following])
    assert cuts[0] == "The server restarts."


async def test_an_unreachable_database_is_visible(
    service: Service, postgres: LocalPostgres
) -> None:
    """While Postgres is away a viewer is told, and told when all is exact again."""
    async with client_of(service) as client, client.live(totals("click")) as live:
        await anext(live)
        with unreachable(postgres, service.database_url):
            assert isinstance(await anext(live), Stale)
            assert live.state == "stale"
        async for _ in live:
            if live.state == "live":
                break


async def test_a_slow_consumer_misses_nothing(service: Service) -> None:
    """Who takes one message and then nothing for thousands of events gets all of them afterwards;
    the others have long had theirs."""
    subject = "x" * 1000
    async with client_of(service) as client:
        slow, quick = client.live(feed("click")), client.live(feed("click"))
        await anext(slow)
        await anext(quick)
        await client.send([Event(type="click", subject=f"{subject}{n}") for n in range(6_000)])
        for live in (quick, slow):
            seen: list[int] = []
            while len(seen) < 6_000:
                message = await anext(live)
                assert isinstance(message, Events), message
                seen += [int(event.subject.removeprefix(subject)) for event in message.events]
            assert seen == list(range(6_000))
            await live.aclose()


async def test_a_position_is_where_to_begin(service: Service) -> None:
    """A new program goes on where the last one was, by the position that it kept."""
    async with client_of(service) as client:
        async with client.live(feed("click")) as live:
            await anext(live)
            await client.send([Event(type="click", subject="a")])
            await anext(live)
            position = live.position
        await client.send([Event(type="click", subject="b")])
        async with client.live(feed("click"), since=position) as live:
            message = await anext(live)
            assert isinstance(message, Events)
            assert [event.subject for event in message.events] == ["b"]
        with pytest.raises(Refused, match="since"):
            await anext(client.live(feed("click"), since={0: 10**9}))


# Threads, forks, ends


async def test_one_client_serves_many_threads(service: Service) -> None:
    """Thirty threads track, send and ask with one client at once: nothing is lost or doubled."""

    def work(client: Client, failed: list[BaseException]) -> None:
        try:
            for _ in range(50):
                client.track("click", "red")
            client.send([Event(type="click", subject="blue")])
            assert client.total("click", "blue") >= 1
        except BaseException as error:
            failed.append(error)

    def run() -> list[BaseException]:
        failed: list[BaseException] = []
        with Client(service.url, service.keys[Role.ADMIN]) as client:
            threads = [threading.Thread(target=work, args=(client, failed)) for _ in range(30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return failed

    assert await asyncio.to_thread(run) == []
    assert totals_in(service.database_url) == {"": 1530, "red": 1500, "blue": 30}


async def test_the_synchronous_client_does_the_same(service: Service) -> None:
    """Counts, items, lists and live messages, without a loop of one's own."""

    def run() -> None:
        with Client(service.url, service.keys[Role.ADMIN]) as client:
            client.put_all("van", {"1": 1, "2": 2, "3": 3})
            assert [item.id for item in client.list("van", page_size=2)] == ["1", "2", "3"]
            assert client.delete("van", "1").version == 2
            with pytest.raises(NotFound):
                client.get("van", "1")
            with client.live(totals("click")) as live:
                assert isinstance(next(live), Snapshot)
                client.track("click", "red")
                update = next(live)
                assert isinstance(update, Update)
                assert (update.total, live.state) == (1, "live")
            assert list(live) == []
        with pytest.raises(Closed):
            client.track("click", "red")

    await asyncio.to_thread(run)


_FORKS = """
import os, sys
from livetally.client import Client

client = Client()
client.track("click", "before")
client.flush()
client.track("click", "parent")          # queued: the child must not send it too
child = os.fork()
client.track("click", "child" if child == 0 else "parent")
client.flush()
if child == 0:
    sys.exit()  # as any program ends
assert os.waitpid(child, 0)[1] == 0
assert client.totals("click").total == 4
client.close()
"""
_FORGETS = 'from livetally.client import Client; Client().track("click", "red")'


@pytest.mark.parametrize(
    ("program", "counts"),
    [
        (_FORKS, {"": 4, "before": 1, "parent": 2, "child": 1}),
        (_FORGETS, {"": 1, "red": 1}),
    ],
    ids=["fork", "exit"],
)
async def test_programs_that_fork_or_just_end(
    service: Service, program: str, counts: dict[str, int]
) -> None:
    """A forked child sends its own events and not its parent's, and disturbs it not; a program that
    ends without a word sends what is queued, also to a host that has to be looked up."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "LIVETALLY_URL": service.url.replace("127.0.0.1", "localhost"),
            "LIVETALLY_KEY": service.keys[Role.ADMIN],
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert totals_in(service.database_url) == counts
