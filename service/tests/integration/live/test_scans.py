"""What is read for a viewer is bounded, whatever is left out of it, and goes on where it was."""

import json
from typing import Any

import psycopg
import pytest

from livetally.api import items as api_items
from livetally.db import sql
from livetally.live.topics import feed
from livetally.live.topics import items as live_items
from livetally.schema.keys import Role
from service.tests.support.archives import fill
from service.tests.support.postgres import query
from service.tests.support.server import Service

NEVER = {"feed": "click", "subject": "never", "since": {}}


def looked_at(database_url: str, name: str, *values: object) -> int:
    """How many events and items Postgres fetches for a named query."""
    settings = "-c TimeZone=UTC -c enable_seqscan=off -c plan_cache_mode=force_generic_plan"
    with psycopg.connect(database_url, options=settings) as connection:
        psycopg.RawCursor(connection).execute(sql.query(name), values, prepare=True)
        cursor = connection.execute(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))"
            " FROM pg_stat_xact_user_tables WHERE relname ~ '^events_2|^items$'"
        )
        ((fetched,),) = cursor.fetchall()
        return int(fetched)


def test_a_page_of_one_subject_looks_at_so_many_events(database_url: str) -> None:
    """A subject that never occurs costs no more than the budget of its pages, and what the
    first page says of how far it looked makes the pages come to an end."""
    fill(database_url, 9_000, kinds=1)
    position, pages, more = "{}", 0, True
    while more:
        asked = (1, "click", position, None, "never", 1_000, 256 * 1024, 900)
        assert looked_at(database_url, "feed_page", *asked) <= 2 * 900 + 100
        with psycopg.connect(database_url) as connection:
            cursor = psycopg.RawCursor(connection).execute(sql.query("feed_page"), asked)
            ((events, _, position, more, _),) = cursor.fetchall()
        assert events == "[]"
        pages += 1
    assert pages == 10
    ((slots,),) = query(database_url, "SELECT json_object_agg(slot, seq) FROM slots")
    assert json.loads(position) == slots


async def test_a_feed_goes_on_where_nothing_matched(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower of a rare subject is told how far was looked, again and again, so that it can come
    back there; and gets the events there are, in the past and now, each once."""
    monkeypatch.setattr(feed, "SCAN_EVENTS", 900)
    rare = {"type": "click", "subject": "never"}
    fill(service.database_url, 9_000, kinds=1)
    await service.post({**rare, "id": "past"})
    async with service.live() as viewer:
        frames = [await viewer.subscribe(1, NEVER)]
        while not _ids(frames):
            frames.append(await viewer.receive())
        assert len(frames) > 5
        seen = [sum(frame["position"].values()) for frame in frames]
        assert seen == sorted(seen)
        await service.post({**rare, "id": "now"})
        while "now" not in _ids(frames):
            frames.append(await viewer.receive())
    assert _ids(frames) == ["past", "now"]
    async with service.live() as viewer:
        frames = [await viewer.subscribe(1, NEVER | {"since": frames[3]["position"]})]
        while "now" not in _ids(frames):
            frames.append(await viewer.receive())
    assert _ids(frames) == ["past", "now"]


def _ids(frames: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for frame in frames for event in frame["events"]]


def test_pointers_of_the_past_are_not_looked_through(database_url: str) -> None:
    """A page's pointers cost the newest events of each slot, though all of them be too old."""
    query(
        database_url,
        "INSERT INTO events"
        " (project, slot, seq, received_at, id, type, subject, session, properties)"
        " SELECT 1, 0, n, date_trunc('day', now()), n::text, 'pointer', '/', 's', '{}'"
        " FROM generate_series(1, 5000) AS n",
    )
    query(database_url, "INSERT INTO slots VALUES (1, 0, 5000)")
    assert looked_at(database_url, "pointers", 1, "/", "{}", 10.0, 100) <= 100


async def test_removed_items_are_not_looked_through(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of items costs so many rows, though all of them be of items that were removed; the
    pages come to those that are there, for who asks and for who watches."""
    for module in (api_items, live_items):
        monkeypatch.setattr(module, "SCAN_ITEMS", 300)
    query(
        service.database_url,
        "INSERT INTO items (project, key, id, value)"
        " SELECT 1, 'van', 'a' || n, '1'::json FROM generate_series(1, 1000) AS n"
        " UNION ALL SELECT 1, 'van', 'b', '2'",
    )
    query(service.database_url, "DELETE FROM items WHERE id <> 'b'")
    query(service.database_url, "VACUUM items")
    assert looked_at(service.database_url, "item_page", 1, "van", "", 10, 1000, 300) <= 700

    after, pages = "", []
    while after is not None:
        headers = {"x-api-key": service.keys[Role.READ]}
        path = f"/v1/items/van?after={after}"
        async with service.http.get(path, headers=headers) as response:
            pages.append(await response.json())
        after = pages[-1]["next"]
    assert [len(page["items"]) for page in pages] == [0, 0, 0, 1]
    async with service.live() as viewer:
        frames = [await viewer.subscribe(1, {"items": "van"})]
        while frames[-1]["more"]:
            frames.append(await viewer.receive())
    assert [item["id"] for frame in frames for item in frame["items"]] == ["b"]
