"""What reading a byte costs as texts grow, in shapes that were made to be slow.

Every decoder of ours is linear: a byte of a text of 1 MiB costs what one of 64 KiB does. The same
shapes go through `service/tests/load/test_bench.py`, which holds the growth to a bound.
"""

import asyncio
import contextlib
import gzip
import json
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable

from livetally.base.errors import LivetallyError
from livetally.base.lines import Lines, unpacked
from livetally.base.validation import whole_characters
from livetally.cli.remote.values import Values
from livetally.compat import actions
from livetally.compat.collector import detail
from livetally.compat.page_views import hosts
from livetally.compat.rails import channels
from livetally.ingest import events
from livetally.ingest.packing import unpacked as unpacked_body
from livetally.live import subscriptions, websocket
from livetally.queue import message, parser
from loadtest.lib.figures import Figures
from loadtest.lib.stand import Stand

SIZES = (64 * 1024, 1024 * 1024)
#: A byte of the larger text may cost so much more: caches are small, and machines noisy.
MOST_GROWTH = 3.0

Shape = tuple[Callable[[bytes], object], Callable[[int], bytes]]


def parsing(stand: Stand, figures: Figures, rounds: int) -> None:
    """What reading a byte costs, in shapes made to be slow."""
    for name, shape in SHAPES.items():
        for _ in range(rounds):
            small, large = (cost_ns(shape, size) for size in SIZES)
            figures.add(f"reading {name}", "ns a byte", large)
            figures.add("growth of what a byte costs, 64 KiB to 1 MiB", "times", large / small)


def cost_ns(shape: Shape, size: int) -> float:
    """CPU a byte, of the quickest of three tries."""
    read, make = shape
    text = make(size)
    tries = []
    for _ in range(3):
        began = time.process_time_ns()
        with contextlib.suppress(LivetallyError, detail.Invalid):
            read(text)
        tries.append(time.process_time_ns() - began)
    return min(tries) / len(text)


def _times(part: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + part * (size // len(part)) + after


def _names(doubled: bool) -> Callable[[int], bytes]:
    """An object of many keys; the last is there twice, and a space calls the careful parser."""

    def make(size: int) -> bytes:
        names = [f'"k{n}" :0' for n in range(size // 10)]
        return ("{" + ",".join([*names, names[-1]] if doubled else names) + "}").encode()

    return make


def _bombs(size: int) -> bytes:
    """Events with the largest properties that there may be, each with a key that is there twice."""
    bomb = b'{"type":"a","subject":"b","properties":%s}' % _names(doubled=True)(15_000)
    return b"[" + b",".join([bomb] * (size // len(bomb))) + b"]"


def _envelope(size: int) -> bytes:
    envelope = {"Type": "Notification", "MessageId": "m", "TopicArn": "t"}
    return json.dumps(envelope | {"Message": "\\" * (size // 2)}).encode()


def _members(size: int) -> bytes:
    return gzip.compress(b"") * (size // 20)


def _unpack(packed: bytes) -> None:
    async def chunk() -> AsyncGenerator[bytes, None]:
        yield packed

    async def run() -> None:
        async for _ in unpacked(chunk()):
            pass

    asyncio.run(run())


def _parse(text: bytes) -> object:
    return events.parse(text, 1)


def _parse_older(text: bytes) -> object:
    return events.check([actions.as_native(bytes(each)) for each in events.split(text)], 1)


def _check_value(text: bytes) -> None:
    events.check_value(text, len(text))


def _form_parts(text: bytes) -> object:
    return actions.form_fields(text, "multipart/form-data; boundary=x")


def _live(text: bytes) -> None:
    asked = websocket._decode(text.decode())
    if isinstance(asked, websocket.SubscribeMessage):
        subscriptions.parse(asked.topic).topic(1)
    elif isinstance(asked, websocket.TrackMessage):
        events.check(asked.events, 1)


def _queue(text: bytes) -> None:
    found = message.content(text.decode())
    if isinstance(found, message.Records):
        parser.read([(n, bytes(each)) for n, each in enumerate(found.texts, 1)], 1, "m")


_FIELDS = (detail.Field("session_id", 10),)
_HALF = rb"\ud800"
_PART = b'--x\nContent-Type: %b\nContent-Disposition: form-data; name="a"\n\n'

#: What reads it, and what makes such a text of about so many bytes.
SHAPES: dict[str, Shape] = {
    "events, a key twice in each": (_parse, _bombs),
    "events without a field": (_parse, _times(b"{},", b"[", b"{}]")),
    "lines without a field": (_parse, _times(b"{}\n")),
    "lines that aren't JSON": (_parse, _times(b"{\n", b"{}\n")),
    "an array in an array": (_parse, _times(b"[")),
    "halves of characters": (_parse, _times(_HALF, b'["', b'"]')),
    "escapes, and half a character": (_parse, _times(rb"\n", b'["', _HALF + b'"]')),
    "backslashes": (_parse, _times(rb"\\", b'["' + _HALF, b'"]')),
    "a half character in each event": (_parse, _times(b'"\\ud800",', b"[", b"0]")),
    "an older event of many fields": (_parse_older, _times(b'"action":1,', b"{", b'"color":1}')),
    "a value, a key twice": (_check_value, _names(doubled=True)),
    "a value of many keys": (_check_value, _names(doubled=False)),
    "a value with U+0000": (_check_value, _times(b'"\\u0000",', b"[", b"0]")),
    "a value, quotes and spaces": (_check_value, _times(b'"" ,', b"[", b"0]")),
    "a value of white space": (_check_value, _times(b" ", b'{"a"', b":1}")),
    "a form": (actions.form_fields, _times(b"a=%20&")),
    "a form of signs": (actions.form_fields, _times(b"&=%")),
    "a form in parts": (_form_parts, _times(b"\n\r", _PART % b"text/plain")),
    "a form in parts in parts": (
        _form_parts, _times(b"\n", (_PART % b"multipart/mixed; boundary=x") * 99),
    ),
    "a form's heads": (_form_parts, _times(b"A: b\n", b"--x\n")),
    "a collector's fields": (lambda text: detail.parse(text, _FIELDS), _names(doubled=True)),
    "a channel": (lambda text: channels.parse(text.decode()), _names(doubled=True)),
    "a host": (lambda text: hosts.host_of(text.decode()), _times(b"a.", b"http://")),
    "a host of hyphens": (lambda text: hosts.host_of(text.decode()), _times(b"-", b"http://a")),
    "a topic": (
        _live,
        _times(
            b'"\xf0\x9f\x98\x80",',
            b'{"type":"subscribe","id":1,"topic":{"totals":"a","subjects":[',
            b'"a"]}}',
        ),
    ),
    "a track of halves": (
        _live, _times(b'"\\ud800",', b'{"type":"track","events":[', b"0]}"),
    ),
    "a live message that isn't JSON": (_live, _times(rb"\u\ud800")),
    "a queue's message": (_queue, _times(b'{"type":"a","subject":"b"}\n')),
    "a queue's message in base64": (_queue, lambda size: b64encode(b"\\" * (size * 3 // 4))),
    "a queue's report": (_queue, _names(doubled=True)),
    "a queue's envelope": (_queue, _envelope),
    "lines of nothing": (lambda text: Lines().feed(text), _times(b"\n")),
    "empty members of gzip": (_unpack, _members),
    "members of a body": (lambda packed: unpacked_body(packed, "gzip"), _members),
    "objects for `livetally send`": (lambda text: Values().feed(text), _times(b'{"a":\n{}}')),
    "half characters": (whole_characters, _times(rb"\\\ud800")),
}  # fmt: skip
