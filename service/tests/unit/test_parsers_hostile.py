"""Every parser of ours, given anything: it returns what it says, or refuses in the words it has."""

import ast
import contextlib
import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

import livetally
from livetally.base.client_address import client_address, parse_networks
from livetally.base.config import Config, ConfigError
from livetally.base.lines import MAX_LINE_BYTES, Lines
from livetally.live.frames import websocket_text
from service.tests.support import decoders

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
@given(texts())
def test_bodies(text: bytes) -> None:
    decoders.body(text)


@few
@given(texts())
def test_values(text: bytes) -> None:
    decoders.value(text)


@few
@given(values)
def test_topics(value: Any) -> None:
    decoders.live_message(_dumped({"type": "subscribe", "id": 1, "topic": value}))


@few
@given(texts(), words)
def test_older_formats(text: bytes, word: str) -> None:
    """Translators and readers of formats 1, 2, 3 and 5."""
    decoders.form(text)
    decoders.cable(text)
    decoders.cable(word.encode(errors="replace"))
    decoders.page(word.encode(errors="surrogatepass"))
    decoders.collected(text)


@few
@given(texts())
def test_queue_messages(text: bytes) -> None:
    decoders.queue_message(text)


@few
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"x" * MAX_LINE_BYTES])))
def test_lines_are_those_of_the_whole(chunks: list[bytes]) -> None:
    """However a stream is cut, its lines are the same, and none is longer than a line may be."""
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()
    assert found == decoders.lines_of(b"".join(chunks))


@few
@given(st.lists(st.binary(max_size=300)), st.binary(max_size=30))
def test_frames(payloads: list[bytes], rest: bytes) -> None:
    decoders.frame(b"".join(map(websocket_text, payloads)) + rest)


@pytest.mark.parametrize("size", [0, 125, 126, 127, 65_535, 65_536])
def test_frames_where_their_form_changes(size: int) -> None:
    decoders.frame(b" " * size)


@pytest.mark.parametrize("name", decoders.TARGETS)
def test_what_is_near_to_right(name: str) -> None:
    """Each seed of the fuzzer, cut at each place, and with each byte another: the same every time,
    so that what was found once stays mended."""
    target = decoders.TARGETS[name]
    for seed in decoders.SEEDS[name]:
        for at in range(len(seed) + 1):
            target(seed[:at])
            for byte in (b"", b"\0", b'"', b"[", b"\x7f", b"\xff", b"\n"):
                target(seed[:at] + byte + seed[at + 1 :])


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
    assert "compare_digest" in (PACKAGE / "web" / "auth.py").read_text("utf-8")


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
