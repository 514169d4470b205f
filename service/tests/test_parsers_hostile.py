"""Every parser of ours, given anything: it returns what it says, or refuses in the words it has."""

import ast
import contextlib
import ipaddress
import json
import re
from pathlib import Path
from typing import Any

from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

import livetally
from livetally import events, live, topics
from livetally.address import client_address, parse_networks
from livetally.config import Config, ConfigError
from livetally.errors import BadMessage, LivetallyError, MalformedJson
from livetally.protocols import actions, channels, detail, hosts
from livetally.workers import message, records
from livetally.workers.lines import MAX_LINE_BYTES, Lines

PACKAGE = Path(livetally.__file__).parent
#: The same every time, and few: they run with every other test.
few = settings(max_examples=150, deadline=None, derandomize=True, database=None)

WORDS = (
    *("type", "subject", "id", "session", "occurred_at", "properties", "key", "value", "version"),
    *("action", "color", "action_color", "action_name", "channel", "api_key", "totals", "subjects"),
    *("feed", "since", "item", "items", "pointers", "Records", "Event", "deviceId", "vehicle_name"),
    *("click", "red", "2026-11-21T10:00:00Z", "\0", "\ud800", "💥", "", "s3:TestEvent", "0", "-1"),
)
words = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=()), max_size=20)
FIELDS = (detail.Field("session_id", 10), detail.Field("url", 10, required=False))
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**64), 10**400])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=12,
)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON that is nearly ours, the same with a part cut out or put in, and plain bytes."""
    text = draw(values.map(_dumped) | st.binary(max_size=60))
    if draw(st.booleans()):
        at, until = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        middle = draw(st.binary(max_size=4) | st.sampled_from([b'"', b"[" * 2_000, b"\n", b"\\u"]))
        text = text[:at] + middle + text[until:]
    return text


@few
@given(texts(), st.booleans())
def test_bodies(body: bytes, ndjson: bool) -> None:
    """A body is events, each of its limits, or refused; so are an older system's."""
    for translate in (None, actions.as_native):
        try:
            parsed = events.parse(body, 7, ndjson=ndjson, translate=translate)
        except LivetallyError as error:
            assert 400 <= error.status < 500  # noqa: PT017
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


@few
@given(texts())
def test_values(text: bytes) -> None:
    """What is let through as an item's value, Postgres can keep: strict JSON without U+0000."""
    try:
        events.check_value(text, 1_000)
    except LivetallyError as error:
        assert error.status in (400, 422)  # noqa: PT017
    else:
        json.loads(text)
        assert len(text) <= 1_000


@few
@given(values)
def test_topics(value: Any) -> None:
    """A topic is of the asker's project, whatever it says; or 400 in few words."""
    try:
        asked = live._decode(json.dumps({"type": "subscribe", "id": 1, "topic": value}))
        assert isinstance(asked, live.SubscribeMessage)
        key = topics.parse(asked.topic).key(7)
    except LivetallyError as error:
        refused: LivetallyError = error
    else:
        assert key.project == 7
        hash(key)
        return
    assert refused.status == 400
    assert len(str(refused)) < 1_000


@few
@given(texts(), words)
def test_older_formats(text: bytes, word: str) -> None:
    """Translators and readers of formats 1, 2, 3 and 5 refuse in their own words or return."""
    assert isinstance(actions.as_native(text), bytes)
    actions.fields_of(text)
    try:
        actions.from_rails(actions.form_fields(text))
    except LivetallyError as error:
        assert error.status == 400  # noqa: PT017
    channels.parse(word)
    channels.text_of(Raw(text))
    host = hosts.host_of(word)
    assert host is None or (host == host.lower() and not set(host) & set("/@?# \\"))
    hosts.path_of(word)
    try:
        found = detail.parse(text, FIELDS)
    except (detail.Invalid, MalformedJson):
        pass
    else:
        assert found.keys() <= {"session_id", "url"}
        assert all(isinstance(each, str) and len(each) <= 10 for each in found.values())


@few
@given(texts())
def test_queue_messages(text: bytes) -> None:
    """A message is records, objects, or refused with a cause; reading records never raises."""
    try:
        found = message.content(text.decode(errors="surrogateescape"))
    except LivetallyError as error:
        assert isinstance(error, BadMessage) or error.status in (400, 422)  # noqa: PT017
        return
    if isinstance(found, message.Records):
        numbered: list[tuple[int, bytes | None]] = [
            (n, bytes(each)) for n, each in enumerate(found.texts, 1)
        ]
        read = records.read(numbered, 7, "m")
        assert len(read.events) + len(read.puts) + len(read.rejected) == len(numbered)
        assert all(event.project == 7 for event in read.events)


@few
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"x" * MAX_LINE_BYTES])))
def test_lines_are_those_of_the_whole(chunks: list[bytes]) -> None:
    """However a stream is cut, its lines are the same, and none is longer than a line may be."""
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()
    whole = b"".join(chunks).split(b"\n")
    assert found == [
        (n, line if len(line) <= MAX_LINE_BYTES else None)
        for n, line in enumerate(whole, 1)
        if len(line) > MAX_LINE_BYTES or line.strip()
    ]


addresses = st.ip_addresses().map(str) | st.text(max_size=10)


@few
@given(st.lists(addresses, max_size=5))
def test_whose_request_it_is(hops: list[str]) -> None:
    """Whatever a client writes into X-Forwarded-For, it is taken for an address or not at all, and
    without trusted proxies for none."""
    written = ", ".join(hop.replace("\r", "").replace("\n", "") for hop in hops)
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": written})
    request = request.clone(remote="10.0.0.1")
    assert client_address([])(request) == "10.0.0.1"
    address = client_address(parse_networks("10.0.0.0/8"))(request)
    ipaddress.ip_address(str(address))


@few
@given(st.text(max_size=30))
def test_networks(text: str) -> None:
    """ValueError or networks, no other error."""
    with contextlib.suppress(ValueError):
        parse_networks(text)


_NAMES = [f"LIVETALLY_{name.upper()}" for name in Config.__struct_fields__]


@few
@given(st.dictionaries(st.sampled_from(_NAMES), words | st.integers().map(str), max_size=4))
def test_settings(environ: dict[str, str]) -> None:
    """Bad settings are a ConfigError that names a variable, whatever bytes are in them."""
    whole = {"LIVETALLY_DATABASE_URL": "postgresql://h/d", "LIVETALLY_REDIS_URL": "redis://h"}
    try:
        Config.from_environ(whole | environ)
    except ConfigError as error:
        assert "LIVETALLY_" in str(error)  # noqa: PT017


# What needs no fuzzing: two habits that keep whole kinds of holes out.


def test_no_key_is_compared_by_its_characters() -> None:
    """`==` ends at the first byte that differs, which can be measured: what is secret is looked up
    by its hash and compared by hmac.compare_digest."""
    secret = re.compile(r"(hash|digest|password|secret|api_key|token)(?!s)$", re.IGNORECASE)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                for side in (node.left, *node.comparators):
                    assert not secret.search(ast.unparse(side)), f"{file.name}:{node.lineno}"
    assert "compare_digest" in (PACKAGE / "auth.py").read_text("utf-8")


def test_no_sql_is_made_of_text() -> None:
    """SQL comes from sql/: nothing is formatted, joined or added into a statement."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("execute", "executemany", "copy")
                and node.args
            ):
                bad = (ast.JoinedStr, ast.BinOp)
                assert not isinstance(node.args[0], bad), f"{file.name}:{node.lineno}"
