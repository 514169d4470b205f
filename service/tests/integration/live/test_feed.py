"""Feeds: every event, in order within its slot, once, through every interruption."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from typing import Any

import aiohttp
import pytest

from livetally.db.database import Database
from livetally.live.topics import feed
from livetally.live.topics.log import covers
from livetally.live.viewer import Viewer
from livetally.schema.keys import Role
from service.tests.support.archives import fill
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Live, Service, serving


def event(
    id: int | str, type: str = "click", subject: str = "red", **more: object
) -> dict[str, Any]:
    return {"id": str(id), "type": type, "subject": subject, **more}


class Follower:
    """A client of a feed, as an application writes one: it keeps the last position."""

    def __init__(self, live: Live, id: int | str = 1) -> None:
        self.live = live
        self.id = id
        self.ids: list[str] = []
        self.position: dict[str, int] = {}

    async def subscribe(self, topic: dict[str, object]) -> dict[str, Any]:
        first = await self.live.subscribe(self.id, topic)
        if first["type"] == "events":
            self.take(first)
        return first

    def take(self, frame: dict[str, Any]) -> None:
        self.ids += [each["id"] for each in frame["events"]]
        self.position = frame["position"]

    async def until(self, id: str) -> list[str]:
        """Follow until this event has come; all ids so far."""
        while id not in self.ids:
            frame = await self.live.receive()
            if frame.get("id") == self.id and frame["type"] == "events":
                self.take(frame)
        return self.ids


async def test_every_event_of_a_type_comes_in_order_with_a_position(service: Service) -> None:
    """A follower gets what is counted after it came, and nothing of other types."""
    await service.post(event("before"))
    async with service.live() as live:
        follower = Follower(live)
        first = await follower.subscribe({"feed": "click"})
        assert first == {"type": "events", "id": 1, "events": [], "position": {"0": 1}}

        await service.post([event("a", properties={"x": 1.50}), event("h", type="hover")])
        await service.post(event("b", session="s", occurred_at="2026-01-02T03:04:05Z"))

        assert await follower.until("b") == ["a", "b"]
        assert follower.position == {"0": 4}


async def test_a_returning_follower_gets_exactly_what_it_missed(service: Service) -> None:
    """With the last position nothing is lost and nothing comes twice."""
    async with service.live() as live:
        follower = Follower(live)
        await follower.subscribe({"feed": "click"})
        await service.post([event(i) for i in range(10)])
        await follower.until("9")
    await service.post([event(i) for i in range(10, 2500)][:1000])
    await service.post([event(i) for i in range(1010, 2010)])

    async with service.live() as live:
        back = Follower(live)
        await back.subscribe({"feed": "click", "since": follower.position})
        ids = await back.until("2009")

    assert ids == [str(i) for i in range(10, 2010)]


async def test_a_page_may_end_inside_several_slots(service: Service) -> None:
    """Of more than a page of each of three writing processes' events, a follower that comes from
    the beginning gets every one, once, in its slot's order, whichever slot a page ends in."""
    fill(service.database_url, 3 * 2_500, kinds=1)
    logged = query(service.database_url, "SELECT slot, id FROM events ORDER BY slot, seq")
    async with service.live() as live:
        follower = Follower(live)
        await follower.subscribe({"feed": "click", "since": {}})
        while follower.position != {"0": 2_500, "1": 2_500, "2": 2_500}:
            follower.take(await live.receive())
    slots = {id: slot for slot, id in logged}
    came = sorted(follower.ids, key=slots.__getitem__)  # stable: each slot's in their order
    assert came == [id for _, id in logged]


async def test_a_subject_can_be_followed_alone(service: Service) -> None:
    """A feed with a subject leaves out the others, and its position passes over them."""
    async with service.live() as live:
        follower = Follower(live)
        await follower.subscribe({"feed": "click", "subject": "blue"})
        await service.post([event("r1"), event("b1", subject="blue"), event("r2")])
        await service.post(event("b2", subject="blue"))

        assert await follower.until("b2") == ["b1", "b2"]
        assert follower.position == {"0": 4}


async def test_no_seam_between_catching_up_and_live(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followers that come and go, while two processes write, miss and double nothing."""
    monkeypatch.setattr(feed, "PAGE_EVENTS", 7)  # pages that end anywhere
    monkeypatch.setattr(feed, "RECENT_BYTES", 20_000)
    monkeypatch.setattr(feed, "RECENT_PAGES", 8)
    keys = await make_keys(database_url)
    settings = {"frame_interval_ms": 5}
    async with (
        serving(database_url, redis_url, keys, **settings) as one,
        serving(database_url, redis_url, keys, **settings) as two,
    ):
        total = 600

        async def write(service: Service, name: str) -> None:
            for i in range(total):
                await service.post(event(f"{name}{i}"))

        async def follow(start: int) -> list[str]:
            ids: list[str] = []
            position: dict[str, int] = {}
            visit = start
            while len(ids) < 2 * total:
                visit += 1
                async with (one, two)[visit % 2].live() as live:
                    follower = Follower(live)
                    await follower.subscribe({"feed": "click", "since": position})
                    wanted = min(40 + 13 * start, 2 * total - len(ids))
                    while len(follower.ids) < wanted:
                        follower.take(await live.receive())
                    ids += follower.ids
                    position = follower.position
            return ids

        followers = [asyncio.create_task(follow(start)) for start in range(4)]
        await asyncio.gather(write(one, "a"), write(two, "b"))
        for ids in await asyncio.gather(*followers):
            assert sorted(ids) == sorted(f"{n}{i}" for n in "ab" for i in range(total))
            for name in "ab":
                assert [i for i in ids if i[0] == name] == [f"{name}{i}" for i in range(total)]


async def test_a_slow_reader_gets_everything_at_its_own_pace(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads nothing for long costs a bounded buffer, delays nobody, and misses nothing."""
    unsent = 0
    flush = Viewer.flush

    def watched(viewer: Viewer) -> int:
        nonlocal unsent
        frames = flush(viewer)
        unsent = max(unsent, viewer._transport.get_write_buffer_size())
        return frames

    monkeypatch.setattr(Viewer, "flush", watched)

    def small_socket(address: Any) -> socket.socket:
        sock = socket.socket(address[0], address[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        return sock

    batches, size = 60, 100  # 6 MB: more than all buffers together, and three times what is kept
    ids = [str(n) for n in range(batches * size)]
    connector = aiohttp.TCPConnector(socket_factory=small_socket)
    async with (
        service.live() as live,
        aiohttp.ClientSession(service.url, connector=connector) as slow_http,
        slow_http.ws_connect(f"/v1/live?api_key={service.keys[Role.READ]}") as unread,
    ):
        quick, slow = Follower(live), Follower(Live(unread))
        await quick.subscribe({"feed": "click"})
        await slow.subscribe({"feed": "click"})
        slowest = 0.0
        for start in range(0, len(ids), size):
            batch = ids[start : start + size]
            await service.post([event(id, properties={"x": "x" * 1_000}) for id in batch])
            answered = time.monotonic()
            await quick.until(batch[-1])
            slowest = max(slowest, time.monotonic() - answered)
        assert quick.ids == ids
        assert slowest < 2, "a slow reader delayed another"
        assert unsent > 128 * 1024, "it kept up: this proves nothing"

        assert await slow.until(ids[-1]) == ids
    assert unsent < 128 * 1024 + 2 * feed.PAGE_BYTES


async def test_a_returning_follower_may_be_ahead_of_the_process(
    database_url: str, redis_url: str
) -> None:
    """A process that has heard of nothing takes a position from another, and goes on from there."""
    keys = await make_keys(database_url)
    deaf = {"resync_interval_ms": 60_000}
    async with (
        serving(database_url, redis_url, keys) as one,
        serving(database_url, "redis://127.0.0.1:1", keys, **deaf) as two,
        two.live() as early,
        one.live() as live,
    ):
        waiting, follower = Follower(early), Follower(live)
        await waiting.subscribe({"feed": "click"})
        await follower.subscribe({"feed": "click"})
        await one.post([event("a"), event("b")])
        await follower.until("b")

        async with two.live() as live:
            back = Follower(live)
            first = await back.subscribe({"feed": "click", "since": follower.position})
            assert (first["events"], first["position"]) == ([], follower.position)
            await two.post(event("c"))
            assert await back.until("c") == ["c"]
        assert await waiting.until("c") == ["a", "b", "c"]


async def test_a_storm_of_returning_followers_reads_the_log_a_few_times(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart all come back with a few positions: each page is read once for all."""
    await service.post([event(n) for n in range(100)])
    asked: Counter[str] = Counter()
    rows = Database.rows

    async def counted(database: Database, name: str, *values: object, **options: Any) -> Any:
        asked[name] += 1
        return await rows(database, name, *values, **options)

    monkeypatch.setattr(Database, "rows", counted)
    async with contextlib.AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(service.live()) for _ in range(60)]
        back = [Follower(live) for live in lives]
        await asyncio.gather(
            *(
                follower.subscribe({"feed": "click", "since": {"0": 90 + n % 3}})
                for n, follower in enumerate(back)
            )
        )
        await service.post(event("last"))
        for n, follower in enumerate(back):
            expected = [str(i) for i in range(90 + n % 3, 100)]
            assert await follower.until("last") == [*expected, "last"]
    assert asked["feed_page"] <= 12
    assert asked["key_by_hash"] <= 3


async def test_who_missed_many_small_pages_gets_them_as_a_large_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came one by one for the others comes at once for who was away for long."""
    monkeypatch.setattr(feed, "RECENT_PAGES", 20)
    async with service.live() as live:
        quick = Follower(live)
        await quick.subscribe({"feed": "click"})
        for n in range(feed.RECENT_PAGES + 10):
            await service.post(event(n))
            await quick.until(str(n))
        async with service.live() as other:
            back = Follower(other)
            first = await back.subscribe({"feed": "click", "since": {}})
            assert [each["id"] for each in first["events"]] == quick.ids


async def test_a_gap_is_said_out_loud(service: Service) -> None:
    """Who asks for events older than what is kept is told so, and goes on from what there is."""
    await service.post([event("old1"), event("old2")])
    day = query(service.database_url, "SELECT (received_at AT TIME ZONE 'UTC')::date FROM events")
    query(service.database_url, "SELECT livetally_forget_day(%s)", day[0][0])
    query(service.database_url, "SELECT livetally_roll_partitions(3)")
    await service.post(event("new"))

    async with service.live() as live:
        first = await live.subscribe(1, {"feed": "click", "since": {"0": 1}})
        assert first == {"type": "gap", "id": 1, "position": {"0": 2}}
        follower = Follower(live)
        assert await follower.until("new") == ["new"]
        first = await live.subscribe(2, {"feed": "click", "since": {"0": 2}})
        assert [each["id"] for each in first["events"]] == ["new"]


@pytest.mark.parametrize(
    ("since", "code"),
    [
        ({"0": 99}, "bad_position"),
        ({"7": 1}, "bad_position"),
        ({"0": -1}, "bad_request"),
        ({"x": 1}, "bad_request"),
        ({"0": "1"}, "bad_request"),
        ({"0": 2**63}, "bad_request"),
        ([1], "bad_request"),
        ("0", "bad_request"),
    ],
)
async def test_positions_from_elsewhere_are_refused(
    service: Service, since: object, code: str
) -> None:
    """A position that can't be one of this project's feeds gets a clear error, nothing else."""
    await service.post(event("a"))
    async with service.live() as live:
        answer = await live.subscribe(1, {"feed": "click", "since": since})
        assert (answer["type"], answer["code"]) == ("error", code)


async def test_a_follower_of_one_project_sees_nothing_of_another(service: Service) -> None:
    """Events of another project with the same type don't show, live or from the log."""
    other = await make_keys(service.database_url, "other")
    async with service.live(other[Role.READ]) as live:
        follower = Follower(live)
        await follower.subscribe({"feed": "click", "since": {}})
        await service.post(event("foreign"))
        await service.post(event("own"), key=other[Role.WRITE])
        assert await follower.until("own") == ["own"]


def test_positions_compare_by_slot() -> None:
    """A position covers another if no slot of it is behind; a slot not named is at 0."""
    assert covers({0: 5, 1: 2}, {0: 5})
    assert covers({0: 5}, {})
    assert not covers({0: 5}, {1: 1})
    assert not covers({0: 4, 1: 9}, {0: 5})


async def test_topics_of_different_kinds_with_the_same_name_are_apart(service: Service) -> None:
    """Totals of a type, its feed, and items of that name: each gets its own messages, in any order
    of coming."""
    topics: dict[str, dict[str, Any]] = {
        "totals": {"totals": "click"},
        "feed": {"feed": "click"},
        "items": {"items": "click"},
    }
    first = {"totals": "snapshot", "feed": "events", "items": "snapshot"}
    holds = {"totals": "totals", "feed": "events", "items": "items"}
    for order in (list(topics), list(reversed(topics))):
        async with service.live() as live:
            for name in order:
                answer = await live.subscribe(name, topics[name])
                assert answer["type"] == first[name]
                assert holds[name] in answer
