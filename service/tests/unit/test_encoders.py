"""What a message of the hub is on each kind of connection, as bytes."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from livetally.compat import dispatch, items
from livetally.compat.colors.encoders import Cells, Lists, rejection
from livetally.compat.page_views import views
from livetally.live.frames import NO_ID, Broadcast, Encoder, sse_json, websocket_json
from livetally.schema.compat import ColorPush
from livetally.schema.live import (
    Error,
    Events,
    Fresh,
    Gap,
    LiveItem,
    Message,
    Pong,
    Ready,
    Snapshot,
    Stale,
    Update,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOTALS = Snapshot(id=NO_ID, totals={"red": 1}, total=1)
ERROR = Error(code="unknown_key", message="No.")
VAN = LiveItem(key="van", id="3", version=1, updated_at=MOMENT, value=Raw(b'{"lat": 41.40}'))


def texts(frames: bytes) -> list[bytes]:
    """The payloads of small text frames."""
    found = []
    while frames:
        assert frames[0] == 0x81
        size, frames = frames[1], frames[2:]
        found.append(frames[:size])
        frames = frames[size:]
    return found


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Ready("shop", "read"), b'{"type":"ready","project":"shop","role":"read"}'),
        (TOTALS, b'{"type":"snapshot","id":0,"totals":{"red":1},"total":1}'),
        (Update(id="a", gone=["s"]), b'{"type":"update","id":"a","gone":["s"]}'),
        (Events(2, [], {0: 8}), b'{"type":"events","id":2,"events":[],"position":{"0":8}}'),
        (Gap(2, {0: 8}), b'{"type":"gap","id":2,"position":{"0":8}}'),
        (Stale(), b'{"type":"stale"}'),
        (ERROR, b'{"type":"error","code":"unknown_key","message":"No."}'),
    ],
)
def test_the_live_protocol(message: Message, text: bytes) -> None:
    assert texts(websocket_json(message)) == [text]


def test_server_sent_events() -> None:
    """An event a chunk; a feed's position is its id, and no line of JSON ends the field."""
    assert sse_json(Pong()) == b'17\r\ndata: {"type":"pong"}\n\n\r\n'
    size, _, rest = sse_json(Gap(1, {0: 8, 3: 9})).partition(b"\r\n")
    event = rest[: int(size, 16)]
    assert event == b'id: {"0":8,"3":9}\ndata: {"type":"gap","id":1,"position":{"0":8,"3":9}}\n\n'
    stored = Events(1, Raw(b'[\n{"id":\r\n1}]'), {0: 1})  # type: ignore[arg-type]
    assert b'data: {"type":"events","id":1,"events":[ {"id":  1}]' in sse_json(stored)


def test_a_broadcast_is_encoded_once() -> None:
    """Viewers with the same encoder and the same id get the same bytes; each other id its own."""
    encoded: list[Message] = []

    def encode(message: Message) -> bytes:
        encoded.append(message)
        return websocket_json(message)

    broadcast = Broadcast(TOTALS)
    first = broadcast.frame(encode, 1)
    assert broadcast.frame(encode, 1) is first
    assert broadcast.frame(encode, "1") != first
    assert [message.id for message in encoded] == [1, "1"]  # type: ignore[union-attr]
    assert broadcast.frame(sse_json, 1) == sse_json(Snapshot(id=1, totals={"red": 1}, total=1))
    assert len({broadcast.frame(encode, id) for id in range(100)}) == 100


def test_whole_lists_of_colors() -> None:
    """All who are bound to a project share what was told; each message is the whole list."""
    lists = Lists()
    told = (
        lists(Snapshot(id="click", totals={"red": 1}, total=1)),
        lists(Update(id="click", totals={"blue": 2}, total=3)),
        lists(Update(id="hover", totals={"red": 5}, total=5)),
        lists(Snapshot(id="click", totals={}, total=0)),
    )
    pushes = [msgspec.json.decode(text, type=ColorPush) for text in texts(b"".join(told))]
    shown = [(push.event_type, {cell.color: cell.count for cell in push.stats}) for push in pushes]
    assert shown == [
        ("click", {"red": 1}),
        ("click", {"blue": 2, "red": 1}),
        ("hover", {"red": 5}),
        ("click", {}),
    ]


def test_views_of_an_article() -> None:
    counts = {"article_view": 15, "unique_article_view": 12}
    frame = views.encode(Snapshot(id="a1", totals=counts, total=27))
    assert texts(frame) == [b'{"articleId":"a1","uniqueViews":12,"totalViews":15}']


def test_items_as_dynamodb_writes_them() -> None:
    """A frame an item, none of one that was removed; one that can't be shown hides no other."""
    gone = LiveItem(key="van", id="4", version=2, removed=True)
    deep = LiveItem(key="van", id="5", version=1, value=Raw(b"[" * 20_000 + b"]" * 20_000))
    frames = items.encode(Update(id=1, items=[gone, deep, VAN]))
    assert texts(frames) == [b'{"van":{"S":"3"},"lat":{"N":"41.40"}}']


@pytest.mark.parametrize("encode", [Lists(), Cells(), rejection])
def test_what_is_wrong_with_a_color(encode: Encoder) -> None:
    (text,) = texts(encode(ERROR))
    assert json.loads(text) == {
        "message": "Unauthorized: No.",
        "error": {"code": "unknown_key", "message": "No."},
    }


@pytest.mark.parametrize("encode", [dispatch.encode, views.encode])
def test_what_is_wrong_as_a_text(encode: Encoder) -> None:
    assert texts(encode(ERROR)) == [b"No."]


@pytest.mark.parametrize(
    "encode", [Lists(), Cells(), rejection, dispatch.encode, views.encode, items.encode]
)
@pytest.mark.parametrize("message", [Stale(), Fresh(), Pong(), Gap(1, {})])
def test_what_they_have_no_words_for(encode: Any, message: Message) -> None:
    assert encode(message) == b""
