"""Every decoder of ours as a function of bytes that raises if a promise about it is broken.

Hypothesis (test_parsers_hostile.py) and Atheris (fuzz.py) try to make one raise.
"""

import json
from collections.abc import Callable

from msgspec import Raw

from livetally.base.errors import BadMessage, LivetallyError, MalformedJson
from livetally.base.lines import MAX_LINE_BYTES, Lines
from livetally.compat import actions
from livetally.compat.collector import detail
from livetally.compat.page_views import hosts
from livetally.compat.rails import channels
from livetally.ingest import events
from livetally.live import frames, subscriptions, websocket
from livetally.queue import message
from livetally.queue import parser as records
from loadtest.load.socket import Closed, take_frame

FIELDS = (detail.Field("session_id", 10), detail.Field("url", 10, required=False))


def body(data: bytes) -> None:
    """A body is events, each within its limits, or refused; so are an older system's."""
    for ndjson in (False, True):
        for translate in (bytes, actions.as_native):
            try:
                parsed = events.check(
                    [translate(bytes(text)) for text in events.split(data, ndjson)], 7
                )
            except LivetallyError as error:
                assert 400 <= error.status < 500, error  # noqa: PT017
                continue
            assert len(parsed.events) == len(parsed.indexes)
            for event in parsed.events:
                assert event.project == 7
                assert 1 <= len(event.type) <= 64
                assert 1 <= len(event.subject) <= 1_024
                assert "\0" not in event.type + event.subject + event.id
                (event.type + event.subject + event.id).encode()
            for rejection in parsed.rejected:
                assert len(rejection.message) < 1_000


def value(data: bytes) -> None:
    """What is let through as an item's value, Postgres can keep: strict JSON without U+0000."""
    try:
        events.check_value(data, 1_000)
    except LivetallyError as error:
        assert error.status in (400, 422), error  # noqa: PT017
    else:
        json.loads(data)
        assert len(data) <= 1_000


def live_message(data: bytes) -> None:
    """A message of the live protocol is one of its kinds, or 400 in few words; its topic is of the
    asker's project, whatever it says."""
    try:
        asked = websocket._decode(data.decode(errors="surrogateescape"))
        if isinstance(asked, websocket.SubscribeMessage):
            key = subscriptions.parse(asked.topic).topic(7)
            assert getattr(key, "project", 7) == 7
            hash(key)
    except LivetallyError as error:
        assert error.status == 400, error  # noqa: PT017
        assert len(str(error)) < 1_000  # noqa: PT017


def form(data: bytes) -> None:
    """Format 2's form, and format 1's fields: events' own words, or 400."""
    assert isinstance(actions.as_native(data), bytes)
    actions.fields_of(data)
    try:
        actions.from_rails(actions.form_fields(data))
    except LivetallyError as error:
        assert error.status == 400, error  # noqa: PT017


def cable(data: bytes) -> None:
    """Format 2's channels are known ones, or none."""
    channels.parse(data.decode(errors="replace"))
    channels.text_of(Raw(data))


def page(data: bytes) -> None:
    """Format 3's addresses: a host is lower case and nothing but a host."""
    text = data.decode(errors="surrogateescape")
    host = hosts.host_of(text)
    assert host is None or (host == host.lower() and not set(host) & set("/@?# \\")), host
    hosts.path_of(text)


def collected(data: bytes) -> None:
    """Format 5's fields are texts within their lengths, or refused by name."""
    try:
        found = detail.parse(data, FIELDS)
    except (detail.Invalid, MalformedJson):
        return
    assert found.keys() <= {"session_id", "url"}
    assert all(isinstance(each, str) and len(each) <= 10 for each in found.values())


def queue_message(data: bytes) -> None:
    """A message is records, objects, or refused with a cause; reading records never raises."""
    try:
        found = message.content(data.decode(errors="surrogateescape"))
    except LivetallyError as error:
        assert isinstance(error, BadMessage) or error.status in (400, 422), error  # noqa: PT017
        return
    if isinstance(found, message.S3Objects):
        assert all(ref.bucket and ref.key for ref in found.refs)
        return
    numbered: list[tuple[int, bytes | None]] = [
        (n, bytes(each)) for n, each in enumerate(found.texts, 1)
    ]
    read = records.read(numbered, 7, "m")
    assert len(read.events) + len(read.puts) + len(read.rejected) == len(numbered)
    assert all(event.project == 7 for event in read.events)


def lines(data: bytes) -> None:
    """However a stream is cut, its lines are the same, and none is longer than a line may be."""
    for size in (1, 7, len(data) or 1):
        cut = Lines()
        found = [
            line for at in range(0, len(data), size) for line in cut.feed(data[at : at + size])
        ]
        assert found + cut.end() == lines_of(data)


def lines_of(data: bytes) -> list[tuple[int, bytes | None]]:
    """Numbered; without those that are blank, and None for one that is too long."""
    return [
        (n, line if len(line) <= MAX_LINE_BYTES else None)
        for n, line in enumerate(data.split(b"\n"), 1)
        if len(line) > MAX_LINE_BYTES or line.strip()
    ]


def frame(data: bytes) -> None:
    """The load's websocket reads the same frames however they are cut, and those that the service
    writes are read as they were."""
    whole, rest = _frames(bytearray(data), len(data) or 1)
    assert _frames(bytearray(data), 1) == (whole, rest)
    text = frames.websocket_text(data)
    assert _frames(bytearray(text + data), len(text)) == ([(True, 1, data), *whole], rest)


def _frames(data: bytearray, size: int) -> tuple[list[tuple[bool, int, bytes]], bytes]:
    """The frames that are in `data`, given in pieces, and what is left; b"" once it is broken."""
    found, buffer = [], bytearray()
    for at in range(0, len(data), size):
        buffer += data[at : at + size]
        try:
            while (taken := take_frame(buffer)) is not None:
                found.append(taken)
        except Closed:
            return found, b""
    return found, bytes(buffer)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        body, value, live_message, form, cable, page, collected, queue_message, lines, frame,
    )
}  # fmt: skip

#: What each is for, and what once was nearly its end: begin with these.
SEEDS: dict[str, tuple[bytes, ...]] = {
    "body": (
        b'{"type":"click","subject":"red","id":"a","properties":{"x":1}}',
        b'[{"type":"click","subject":"red"},{"action":"click","color":"red"}]',
        b'{"type":"a","subject":"b"}\n\n{"type":"a","subject":"\\ud800"}\n',
        b'{"type":"a","subject":"b","occurred_at":"2026-11-21T10:00:00.25+01:00"}',
    ),
    "value": (b'{"lat":41.4,"on":[true,null]}', b'"\\u0000"', b"1e400", b"NaN", b"[" * 40),
    "live_message": (
        b'{"type":"subscribe","id":1,"topic":{"totals":"click","subjects":["red"]}}',
        b'{"type":"subscribe","id":"a","topic":{"feed":"click","since":{"0":812}}}',
        b'{"type":"subscribe","id":1,"topic":{"item":["van","1"]}}',
        b'{"type":"track","ref":"a","events":[{"type":"a","subject":"b"}]}',
        b'{"type":"auth","key":"k"}',
    ),
    "form": (
        b"action_color[action_name]=click&action_color[color_name]=red",
        b'{"action_color":{"action_name":"click","color_name":"red"}}',
    ),
    "cable": (b'{"channel":"ClicksChannel","api_key":"k","cable_ready":true}',),
    "page": (b"https://user@News.Example:8080/a?b#c", b"//a\\b", b"http://[::1]/"),
    "collected": (b'{"session_id":"s","url":"u"}', b'{"session_id":1}'),
    "queue_message": (
        b'{"Records":[{"eventName":"ObjectCreated:","s3":{"bucket":{"name":"b"},"object":{"key":"a%20b"}}}]}',
        b'{"Event":"s3:TestEvent"}',
        b'{"key":"price","id":"a","value":1,"version":3}',
        b'{"device_id":"truck-7","position":{"lat":1}}',
        b"eyJ0eXBlIjoiYSIsInN1YmplY3QiOiJiIn0=",
    ),
    "lines": (b"a\n\n b\r\nc", b"\n"),
    "frame": (
        b"\x81\x02{}",
        b"\x01\x01a\x89\x00\x80\x01b",
        b"\x81\x7e\x00\x80" + b"x" * 128,
        b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x\x88\x02\x03\xe8",
    ),
}
