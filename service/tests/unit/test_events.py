"""Parsing: whatever bytes arrive, each event is taken or refused by itself, and what is taken can
be stored."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livetally.base.config import MAX_EVENTS
from livetally.base.errors import LivetallyError, MalformedJson, TooManyEvents, Unprocessable
from livetally.ingest.events import MAX_DEPTH, MAX_PROPERTIES_BYTES, Parsed, parse
from livetally.ingest.store import Store
from service.tests.support.postgres import query

RED = b'{"type":"click","subject":"red"}'
BLUE = b'{"type":"click","subject":"blue"}'


def subjects(body: bytes, **options: Any) -> list[str]:
    return [event.subject for event in parse(body, 1, **options).events]


def refusal(body: bytes) -> tuple[str, str]:
    """The code and message that one event is refused with."""
    parsed = parse(b"[" + body + b"]", 1)
    assert not parsed.events, parsed.events
    (rejection,) = parsed.rejected
    return rejection.code, rejection.message


def nested(levels: int) -> bytes:
    """An event whose properties are this many levels deep."""
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"type":"t","subject":"s","properties":{"a":%b}}' % inner


@pytest.mark.parametrize(
    "body",
    [
        RED,
        b" \r\n\t" + RED + b"\n",
        b"[" + RED + b"]",
        b"[\n  " + RED + b"\n]\n",
        b'{\n"type": "click",\n"subject": "red"\n}',
        b'{"typ\\u0065":"click","subject":"\\u0072ed"}',
    ],
)
def test_one_event_in_any_layout_is_one_event(body: bytes) -> None:
    """White space, line breaks and escapes change nothing about which event was sent."""
    assert subjects(body) == ["red"]


def test_an_exported_line_is_an_event() -> None:
    """What an export or a feed adds to an event is known and checked, and changes nothing."""
    added = b'"project":"demo","received_at":"2026-11-21T10:00:00.000000Z","slot":3,"seq":812'
    assert subjects(RED[:-1] + b"," + added + b"}") == ["red"]
    assert refusal(RED[:-1] + b',"slot":"x"}')[0] == "invalid_event"
    assert refusal(RED[:-1] + b',"slot":1,"slot":1}')[0] == "duplicate_key"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\n\n", b" \n\t"])
@pytest.mark.parametrize("ndjson", [True, False])
def test_lines_are_events(newline: bytes, ndjson: bool) -> None:
    """NDJSON is recognised with and without its content type; blank lines are no events."""
    assert subjects(RED + newline + BLUE + newline, ndjson=ndjson) == ["red", "blue"]


def test_a_bad_line_is_refused_alone() -> None:
    """One broken line of NDJSON is refused by its index; the lines around it are taken."""
    parsed = parse(RED + b"\n{broken\n" + BLUE, 1)

    assert [event.subject for event in parsed.events] == ["red", "blue"]
    assert parsed.indexes == [0, 2]
    assert [(each.index, each.code) for each in parsed.rejected] == [(1, "malformed_json")]


def test_a_bad_event_is_refused_alone() -> None:
    """One wrong event of an array is refused by its index; the events around it are taken."""
    parsed = parse(b"[" + RED + b',{"type":"click"},' + BLUE + b"]", 1)

    assert parsed.indexes == [0, 2]
    (rejection,) = parsed.rejected
    assert rejection.index == 1
    assert (rejection.code, rejection.message) == (
        "invalid_event",
        "Object missing required field `subject`.",
    )


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"", Unprocessable, "The body is empty."),
        (b" \n\t ", Unprocessable, "The body is empty."),
        (b"[]", Unprocessable, "There is no event in the request."),
        (b"{", MalformedJson, "truncated"),
        (b"[" + RED, MalformedJson, "truncated"),
        (b"nonsense", MalformedJson, "invalid character"),
        (RED + b"x", MalformedJson, "trailing characters"),
        (b"\xff", MalformedJson, "invalid character"),
        (b"\xef\xbb\xbf" + RED, MalformedJson, "invalid character"),
        (RED.decode().encode("utf-16"), MalformedJson, "invalid character"),
        (b'{"type":"\xff","subject":"s"}', MalformedJson, "not valid UTF-8"),
        (b'{"type":"\xed\xa0\x80","subject":"s"}', MalformedJson, "not valid UTF-8"),
        (b'{"type":"\\ud800","subject":"s"}', MalformedJson, "half a character"),
        (b'{"type":"\\udc00","subject":"s"}', MalformedJson, "half a character"),
        (b'{"type":NaN,"subject":"s"}', MalformedJson, "invalid character"),
        (b'{"type":"a\x01","subject":"s"}', MalformedJson, "invalid character"),
        (b"[" * 100_000, MalformedJson, "nested too deeply"),
        (b'{"a":' * 100_000, MalformedJson, "nested too deeply"),
        (b"[" + b",".join([RED] * (MAX_EVENTS + 1)) + b"]", TooManyEvents, "1,000 events"),
        (b"\n".join([RED] * (MAX_EVENTS + 1)), TooManyEvents, "1,000 events"),
    ],
)
def test_what_is_no_events_at_all_is_refused_whole(
    body: bytes, error: type[LivetallyError], message: str
) -> None:
    """A body that isn't JSON, holds nothing, or holds too much has one error that says so."""
    with pytest.raises(error) as caught:
        parse(body, 1)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        (b"1", "invalid_event", "Expected `object`, got `int`."),
        (b"1" * 10_000, "invalid_event", "Number out of range."),
        (b"null", "invalid_event", "Expected `object`, got `null`."),
        (b"[]", "invalid_event", "Expected `object`, got `array`."),
        (b'{"subject":"s"}', "invalid_event", "missing required field `type`"),
        (b'{"type":"","subject":"s"}', "invalid_event", "`type`: Expected `str` of length >= 1."),
        (b'{"type":1,"subject":"s"}', "invalid_event", "`type`: Expected `str`, got `int`."),
        (
            b'{"type":"%b","subject":"s"}' % (b"t" * 65),
            "invalid_event",
            "`type`: Expected `str` of length <= 64.",
        ),
        (b'{"type":"t","subject":""}', "invalid_event", "`subject`: Expected `str` of length >= 1"),
        (
            b'{"type":"t","subject":"%b"}' % (b"s" * 1025),
            "invalid_event",
            "`subject`: Expected `str` of length <= 1024.",
        ),
        (
            b'{"type":"t","subject":"s","id":"%b"}' % (b"i" * 129),
            "invalid_event",
            "`id`: Expected `str` of length <= 128.",
        ),
        (
            b'{"type":"t","subject":"s","session":"%b"}' % (b"i" * 129),
            "invalid_event",
            "`session`: Expected `str` of length <= 128.",
        ),
        (b'{"type":"t","subject":"s","x":1}', "invalid_event", "unknown field `x`"),
        (
            b'{"type":"t","subject":"s","occurred_at":"yesterday"}',
            "invalid_event",
            "`occurred_at`: Invalid RFC3339 encoded datetime.",
        ),
        (
            b'{"type":"t","subject":"s","occurred_at":"2026-01-01T00:00:00"}',
            "invalid_event",
            "`occurred_at`: Expected `datetime` with a timezone component.",
        ),
        (
            b'{"type":"t","subject":"s","occurred_at":"0001-01-01T00:00:00+23:59"}',
            "invalid_event",
            "`occurred_at`: That time is too far away.",
        ),
        (b'{"type":"t","subject":"s","properties":[]}', "invalid_event", "must be an object"),
        (b'{"type":"t","subject":"s","properties":null}', "invalid_event", "must be an object"),
        (
            b'{"type":"t","subject":"s","properties":{"a":1e999}}',
            "invalid_event",
            "`properties`: A number is out of range.",
        ),
        (b'{"type":"t","subject":"a\\u0000b"}', "nul_character", "U+0000 can't be stored"),
        (b'{"type":"t","subject":"s","properties":{"\\u0000":1}}', "nul_character", "U+0000"),
        (b'{"type":"t","type":"u","subject":"s"}', "duplicate_key", "The key `type` is given"),
        (
            b'{"type":"t","subject":"s","properties":{"a":{"b":1,"\\u0062":1}}}',
            "duplicate_key",
            "The key `b` is given twice.",
        ),
        (nested(MAX_DEPTH + 1), "too_deep", "nested deeper than 32 levels"),
        (
            b'{"type":"t","subject":"s","properties":{"a":"%b"}}'
            % (b"x" * (MAX_PROPERTIES_BYTES + 1 - len('{"a":""}'))),
            "properties_too_large",
            "16,385 bytes; 16 KiB is the limit",
        ),
    ],
)
def test_each_wrong_event_has_its_reason(event: bytes, code: str, message: str) -> None:
    """What is wrong with an event is told by a code and by a message that names the field."""
    assert refusal(event)[0] == code
    assert message in refusal(event)[1]


@pytest.mark.parametrize(
    "event",
    [
        b'{"type":"%b","subject":"%b"}' % (b"t" * 64, "😀".encode() * 1024),
        b'{"type":"t","subject":"s","id":"%b","session":"%b"}' % (b"i" * 128, b"s" * 128),
        b'{"type":"t","subject":"s","id":null,"session":null,"occurred_at":null}',
        b'{"type":"t","subject":"\\ud83d\\ude00"}',
        b'{"type":"t","subject":"s\\\\u0000","properties":{"\\\\u0000":"\\\\":1}}'.replace(
            b'"\\\\":1', b'"\\\\"'
        ),
        nested(MAX_DEPTH),
        b'{"type":"t","subject":"s","properties":{"a":"%b"}}'
        % (b"x" * (MAX_PROPERTIES_BYTES - len('{"a":""}'))),
        b'{"type":"t","subject":"s","properties":{"a":"\\":","b":1}}',
    ],
)
def test_what_is_just_within_the_limits_is_taken(event: bytes) -> None:
    """Every limit is inclusive, and counts characters where it says characters."""
    assert len(parse(event, 1).events) == 1


@pytest.mark.parametrize("after", [b"", b"\n" + RED])
def test_a_number_out_of_range_spoils_its_event_only(after: bytes) -> None:
    """A number that no double holds is JSON nevertheless: alone or on a line, its event is wrong,
    not the body."""
    parsed = parse(b'{"type":"t","subject":"s","properties":{"a":1e999}}' + after, 1)

    assert len(parsed.events) == bool(after)
    assert [(each.index, each.code) for each in parsed.rejected] == [(0, "invalid_event")]


def test_a_thousand_events_are_taken() -> None:
    """The largest request is taken whole, and every event gets an id of its own."""
    parsed = parse(b"[" + b",".join([RED] * MAX_EVENTS) + b"]", 1)
    assert len({event.id for event in parsed.events}) == MAX_EVENTS


def test_a_time_is_kept_as_the_moment_it_is() -> None:
    """Offsets that Postgres doesn't take are valid ones: the moment is what counts."""
    (event,) = parse(RED[:-1] + b',"occurred_at":"2026-01-01T00:00:00+23:59"}', 1).events
    assert event.occurred_at == datetime(2025, 12, 31, 0, 1, tzinfo=UTC)


@given(
    body=st.binary()
    | st.lists(
        st.sampled_from(
            [
                *(bytes([each]) for each in b"[]{},: \n\xff"),
                *(b'"type"', b'"subject"', b'"properties"', b'"a"', b'"\\ud800"', b'"\\u0000"'),
                *(b"1e999", b"9" * 400, RED),
            ]
        ),
        max_size=40,
    ).map(b"".join),
    ndjson=st.booleans(),
)
@settings(max_examples=500, deadline=None)
@example(b'{"type":"t","subject":"s","properties":{"a" :' + b"1" * 5000 + b"}}", False)
@example(b'[{"type":"t","subject":"s","properties":{"a" :' + b"1" * 5000 + b"}}]", False)
def test_any_bytes_are_parsed_or_refused(body: bytes, ndjson: bool) -> None:
    """Hostile bytes raise nothing but the documented errors, and every event is accounted for."""
    try:
        parsed = parse(body, 1, ndjson=ndjson)
    except (MalformedJson, TooManyEvents, Unprocessable):
        return
    told = parsed.indexes + [rejection.index for rejection in parsed.rejected]
    assert sorted(told) == list(range(len(told)))
    assert told
    assert len(parsed.events) == len(parsed.indexes)


# Hand-made JSON: a text with white space, escapes and repeated keys that json.dumps never writes.

_space = st.sampled_from(["", "", "", " ", "\n", "\t "])
_keys = st.sampled_from(["a", "b", "ab", '"', ":", '":', "\\", "é", "type"])


@st.composite
def _written(draw: st.DrawFn, value: st.SearchStrategy[str]) -> str:
    """A string as JSON, each character escaped or not."""
    text = draw(value)
    escaped = draw(st.booleans())
    if escaped:
        return '"' + "".join(f"\\u{ord(each):04x}" for each in text) + '"'
    return json.dumps(text, ensure_ascii=draw(st.booleans()))


@st.composite
def _object(draw: st.DrawFn, value: st.SearchStrategy[str], max_size: int = 4) -> str:
    pairs = draw(st.lists(st.tuples(_written(_keys), _space, _space, value), max_size=max_size))
    return "{" + ",".join(f"{key}{a}:{b}{value}" for key, a, b, value in pairs) + "}"


@st.composite
def _array(draw: st.DrawFn, value: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(st.lists(value, max_size=3))) + "]"


_json = st.recursive(
    st.sampled_from(["1", "null", "true", "-0.5e3"]) | _written(_keys),
    lambda value: _object(value) | _array(value),
    max_leaves=12,
)


def _has_duplicates(text: str) -> bool:
    """The slow reference: look at every pair of every object."""
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=look)
    return found


@given(
    properties=_object(_json),
    around=_space,
    again=st.sampled_from(["", ',"type":"t"', ',"subject" :"s"', ',"i\\u0064":"x"']),
    id_=st.sampled_from(["", ',"id":"\\":"', ',"id":null']),
)
@settings(max_examples=300, deadline=None)
def test_duplicate_keys_are_found_as_a_slow_reference_finds_them(
    properties: str, around: str, again: str, id_: str
) -> None:
    """Counting keys in the text refuses exactly the events in which some object repeats one."""
    text = f'{{"type":"t",{around}"subject":"s"{id_},"properties":{properties}{again}}}'

    parsed = parse(f"[{text}]".encode(), 1)

    codes = [rejection.code for rejection in parsed.rejected]
    assert codes == (["duplicate_key"] if _has_duplicates(text) else [])


# Controls, noncharacters, what JSON and SQL give a meaning; now and then what can't be stored.
_storable = "a\"\\/:{}[],'$%\x01\x08\x1f\x7f\x80\u2028\ufeff\ufffe😀é"
_nasty = st.one_of(
    *[st.text(st.sampled_from(_storable), min_size=1, max_size=12)] * 5,
    st.text(st.sampled_from(_storable + "\0\ud800\udc00"), min_size=1, max_size=12),
)
_numbers = st.sampled_from(
    [
        "0",
        "-0",
        "1e308",
        "1e999",
        "-1e-999",
        "1E+5",
        "9" * 30,
        "9" * 400,
        "0.1e-400",
        "1." + "3" * 50,
    ]
)
_values = st.recursive(
    _numbers | _written(_nasty) | st.sampled_from(["null", "true"]),
    lambda value: _object(value) | _array(value),
    max_leaves=8,
)
_moments = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "2026-02-28T12:00:00+15:59",
        "2026-02-28T12:00:00+16:00",
        "2026-02-28T12:00:00.123456-23:59",
        "1582-10-10T00:00:00Z",
    ]
)


@st.composite
def _events(draw: st.DrawFn) -> str:
    """An event that is valid, or nearly, with everything in it that is hard to store."""
    fields = {"type": draw(_written(_nasty)), "subject": draw(_written(_nasty))}
    if draw(st.booleans()):
        fields["id"] = draw(_written(_nasty))
    if draw(st.booleans()):
        fields["session"] = draw(_written(_nasty))
    if draw(st.booleans()):
        fields["occurred_at"] = json.dumps(draw(_moments))
    if draw(st.booleans()):
        depth = draw(st.sampled_from([0, 0, 0, MAX_DEPTH - 6, MAX_DEPTH - 1, MAX_DEPTH]))
        value = "[" * depth + draw(_values) + "]" * depth
        fields["properties"] = draw(_object(st.just(value)))
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def test_whatever_is_accepted_can_be_stored(database_url: str) -> None:
    """No event that was accepted is refused by Postgres, where it would fail its whole batch; and
    what Postgres holds is what was sent."""
    seen = 0

    @given(st.lists(_events(), min_size=1, max_size=20))
    @settings(max_examples=150, deadline=None)
    def check(texts: list[str]) -> None:
        nonlocal seen
        lines = [text.encode(errors="surrogatepass") for text in texts]
        parsed: Parsed = parse(b"\n".join(lines), 1, ndjson=True)
        if not parsed.events:
            return
        committed = runner.run(store.commit(parsed.events))
        seen += len(committed.accepted)

        accepted = [parsed.events[index] for index in committed.accepted]
        held = {
            row[0]: row[1:]
            for row in query(
                database_url,
                "SELECT id, type, subject, session, occurred_at, properties::text FROM events"
                " WHERE id = ANY(%s)",
                [event.id for event in accepted],
            )
        }
        for event in accepted:
            type_, subject, session, occurred_at, properties = held[event.id]
            assert (type_, subject) == (event.type, event.subject)
            assert (session, occurred_at) == (event.session or None, event.occurred_at or None)
            sent = bytes(event.properties).decode() if event.properties else None
            assert properties == sent, "numbers stay as they were written"

    store = Store(database_url, 10)
    with asyncio.Runner() as runner:
        check()
        runner.run(store.disconnect())
    assert seen > 100, "the generator has to make events that are accepted"
    assert query(database_url, "SELECT count(*) FROM events") == [(seen,)]
