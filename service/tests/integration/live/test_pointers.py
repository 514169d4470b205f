"""Pointers: who points where on a page now, the latest of each, and nobody who has left."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livetally.live.topics import pointers
from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.server import Live, Service, serving

TOPIC = {"pointers": "/pricing"}
Positions = dict[str, tuple[float, float]]


def pointer(
    session: str | None, x: object, y: object, page: str = "/pricing", **more: object
) -> dict[str, Any]:
    return {
        "type": "pointer",
        "subject": page,
        "session": session,
        "properties": {"x": x, "y": y},
        **more,
    }


class Watcher:
    """A client of the topic, as a page writes one."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.shown: Positions = {}

    async def subscribe(self) -> Positions:
        self.take(await self.live.subscribe(1, TOPIC))
        return self.shown

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "snapshot":
            self.shown = {}
        for each in frame["pointers"]:
            self.shown[each["session"]] = (each["x"], each["y"])
        for session in frame.get("gone", []):
            del self.shown[session]

    async def until(self, wanted: Positions) -> None:
        while self.shown != wanted:
            self.take(await self.live.receive())


@pytest.fixture
async def watcher(service: Service) -> AsyncIterator[Watcher]:
    async with service.live() as live:
        yield Watcher(live)


async def test_a_viewer_sees_who_is_there_and_who_moves(service: Service, watcher: Watcher) -> None:
    """First everybody who pointed at the page lately, then each move; other pages don't show."""
    await service.post([pointer("a", 0.1, 0.2), pointer("a", 0.3, 0.4), pointer("b", 0, 1)])
    await service.post(pointer("elsewhere", 0.5, 0.5, page="/about"))
    assert await watcher.subscribe() == {"a": (0.3, 0.4), "b": (0, 1)}

    await service.post([pointer("c", 0.25, 0.75), pointer("elsewhere", 0.6, 0.6, page="/about")])
    await watcher.until({"a": (0.3, 0.4), "b": (0, 1), "c": (0.25, 0.75)})


async def test_an_admin_sees_any_project(service: Service, watcher: Watcher) -> None:
    """An admin key names the project, whose page it is; others may not, and see their own."""
    other = await make_key(service.database_url, "other", Role.WRITE)
    topic = TOPIC | {"project": "other"}
    async with service.live(service.keys[Role.ADMIN]) as live:
        assert (await live.subscribe(1, topic))["pointers"] == []
        await watcher.subscribe()
        await service.post(pointer("theirs", 0.1, 0.2), key=other)
        (seen,) = (await live.receive())["pointers"]
        assert (seen["session"], seen["x"], seen["y"]) == ("theirs", 0.1, 0.2)
        unknown = await live.subscribe(2, TOPIC | {"project": "none"})
        assert (unknown["code"], unknown["id"]) == ("not_found", 2)
    assert (await watcher.live.subscribe(2, topic))["code"] == "wrong_role"
    await service.post(pointer("ours", 0.3, 0.4))
    await watcher.until({"ours": (0.3, 0.4)})


async def test_the_frames_say_no_more_than_the_protocol(service: Service) -> None:
    """A snapshot and an update to the letter; `at` is when the pointer was there."""
    at = "2026-11-21T10:00:00.250000Z"
    async with service.live() as live:
        assert await live.subscribe(1, TOPIC) == {"type": "snapshot", "id": 1, "pointers": []}
        await service.post(pointer("a", 0.5, 0.125, occurred_at=at))
        assert await live.receive() == {
            "type": "update",
            "id": 1,
            "pointers": [{"session": "a", "x": 0.5, "y": 0.125, "at": at}],
            "gone": [],
        }


async def test_who_is_silent_is_gone(
    service: Service, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pointer that doesn't move any more is taken away, also when nothing else happens, and is
    there again with its next move."""
    monkeypatch.setattr(pointers, "SILENT_S", 0.4)
    await watcher.subscribe()
    await service.post([pointer("a", 0.1, 0.1), pointer("b", 0.2, 0.2)])
    await watcher.until({"a": (0.1, 0.1), "b": (0.2, 0.2)})
    await watcher.until({})
    await service.post(pointer("a", 0.3, 0.3))
    await watcher.until({"a": (0.3, 0.3)})
    await watcher.until({})
    async with service.live() as live:
        assert await Watcher(live).subscribe() == {}


async def test_a_page_shows_so_many_pointers_and_no_more(
    service: Service, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes when the page is full is not shown, and pushes nobody out; there is room again when
    somebody leaves."""
    monkeypatch.setattr(pointers, "MAX_POINTERS", 2)
    monkeypatch.setattr(pointers, "SILENT_S", 1.0)
    await watcher.subscribe()
    await service.post([pointer("a", 0.1, 0), pointer("b", 0.2, 0)])
    await watcher.until({"a": (0.1, 0), "b": (0.2, 0)})
    for x in range(8):
        await service.post([pointer("late", 0.5, 0.5), pointer("a", x / 10, 0)])
        await watcher.until({"a": (x / 10, 0), "b": (0.2, 0)})
    await watcher.until({})
    await service.post(pointer("late", 0.5, 0.5))
    await watcher.until({"late": (0.5, 0.5)})


async def test_a_move_that_was_held_up_does_not_take_a_pointer_back(
    service: Service, watcher: Watcher
) -> None:
    """Events of a session may arrive in another order than they happened."""
    await watcher.subscribe()
    await service.post(pointer("a", 0.9, 0.9, occurred_at="2026-11-21T10:00:09Z"))
    await watcher.until({"a": (0.9, 0.9)})
    await service.post(
        [
            pointer("a", 0.1, 0.1, occurred_at="2026-11-21T10:00:01Z"),
            pointer("b", 0.5, 0.5),
        ]
    )
    await watcher.until({"a": (0.9, 0.9), "b": (0.5, 0.5)})


async def test_properties_that_are_no_position_show_nothing(
    service: Service, watcher: Watcher
) -> None:
    """A write key may be public, so anything may come: it harms neither viewers nor the topic."""
    await watcher.subscribe()
    hostile: list[dict[str, Any]] = [
        pointer("a", "0.5", 0.5),
        pointer("b", 0.5, None),
        pointer("c", 1.5, 0.5),
        pointer("d", -0.1, 0.5),
        pointer("e", [0.5], {}),
        pointer(None, 0.5, 0.5),
        {**pointer("f", 0, 0), "properties": {}},
        {"type": "pointer", "subject": "/pricing", "session": "g"},
    ]
    status, answer = await service.post(hostile)
    assert (status, answer["accepted"]) == (200, len(hostile))
    await service.post(
        b'{"type":"pointer","subject":"/pricing","session":"h","properties":{"x":1e999,"y":0}}'
    )
    await service.post(pointer("__proto__", 0.5, 0.5))
    await watcher.until({"__proto__": (0.5, 0.5)})


async def test_nobody_without_a_read_key_watches(service: Service) -> None:
    """A write key, and a page that can't be a subject, are refused."""
    async with service.live(key=service.keys[Role.WRITE]) as live:
        assert (await live.subscribe(1, TOPIC))["code"] == "wrong_role"
    async with service.live() as live:
        for page in ("", "/" * 1_025, 5, ["/"]):
            assert (await live.subscribe(1, {"pointers": page}))["code"] == "bad_request"


async def test_viewers_of_two_processes_agree_also_without_redis(database_url: str) -> None:
    """Whoever came early or late, wherever the events went: all show the same, exactly."""
    keys = await make_keys(database_url)
    moves = random.Random(1)
    wanted: Positions = {}
    away = "redis://127.0.0.1:1"
    async with (
        serving(database_url, away, keys) as one,
        serving(database_url, away, keys) as two,
        one.live() as early_live,
    ):
        early = Watcher(early_live)
        await early.subscribe()
        for _ in range(30):
            batch = []
            for _ in range(moves.randrange(1, 8)):
                session = f"s{moves.randrange(20)}"
                wanted[session] = (moves.randrange(1_000) / 1_000, moves.randrange(1_000) / 1_000)
                batch.append(pointer(session, *wanted[session]))
            await moves.choice([one, two]).post(batch)
        async with two.live() as late_live:
            late = Watcher(late_live)
            await late.subscribe()
            async with asyncio.timeout(10):
                await late.until(wanted)
                await early.until(wanted)


async def test_pointers_as_server_sent_events(service: Service) -> None:
    """The topic can be had without a websocket."""
    await service.post(pointer("a", 0.5, 0.5))
    query = {"pointers": "/pricing", "api_key": service.keys[Role.READ]}
    async with service.http.get("/v1/live/sse", params=query) as response:
        async with asyncio.timeout(10):
            while not (line := await response.content.readline()).startswith(b"data:"):
                assert line, "the stream has ended"
    assert b'"session":"a"' in line
