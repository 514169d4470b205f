"""What people really have, into `livetally send`: any layout of JSON, packed, torn, exported."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from livetally.cli.remote.values import MAX_VALUE_BYTES, Values, values
from livetally.schema.keys import Role
from service.tests.support.command import Command
from service.tests.support.faults.box import Box
from service.tests.support.postgres import query, totals_in
from service.tests.support.server import Service
from service.tests.support.waiting import until

Send = Callable[..., Any]


def event(subject: str, **more: object) -> dict[str, object]:
    return {"type": "click", "subject": subject, **more}


EVENTS = [event("a", properties={"x": [1, {"y": '}{][\\"'}]}), event("b"), event("c")]
LINES = "".join(json.dumps(each) + "\n" for each in EVENTS)
PRETTY = "\n".join(json.dumps(each, indent=2) for each in EVENTS)

LAYOUTS = {
    "lines": LINES.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + LINES.encode(),
    "CRLF and blank lines": LINES.replace("\n", "\r\n\r\n").encode(),
    "no last newline": LINES.rstrip().encode(),
    "UTF-16 of PowerShell": LINES.encode("utf-16"),
    "one array": json.dumps(EVENTS).encode(),
    "an array, pretty-printed": json.dumps(EVENTS, indent=4).encode(),
    "pretty-printed": PRETTY.encode(),
    "pretty-printed with CRLF": PRETTY.replace("\n", "\r\n").encode(),
    "one after another": LINES.replace("\n", "").encode(),
    "arrays of lines": f"[{json.dumps(EVENTS[0])}]\n{json.dumps(EVENTS[1:])}\n".encode(),
    "gzip": gzip.compress(LINES.encode()),
    "two gzips, joined": b"".join(gzip.compress(json.dumps(each).encode()) for each in EVENTS),
    "gzip of a pretty array with a mark": gzip.compress(
        b"\xef\xbb\xbf" + json.dumps(EVENTS, indent=1).encode()
    ),
}


@pytest.fixture
def send(service: Service) -> Send:
    async def send(*arguments: str, stdin: bytes, url: str = "") -> tuple[int, dict, str]:
        command = Command(url or service.url, service.keys[Role.ADMIN], "send", *arguments)
        status, said, complained = await command.end(stdin)
        return status, json.loads(said), complained

    return send


@pytest.mark.parametrize("name", LAYOUTS)
async def test_events_come_in_any_layout(name: str, tmp_path: Path) -> None:
    """Whatever way JSON is written, packed or marked, each object is found, as it was written."""
    (tmp_path / "events").write_bytes(LAYOUTS[name])
    with (tmp_path / "events").open("rb") as file:
        found = [value async for each in values(file) for value in each]
    assert [(json.loads(each.text), each.why_not) for each in found] == [(e, "") for e in EVENTS]


async def test_a_packed_array_is_sent(send: Send, service: Service) -> None:
    """A pretty-printed array with a byte order mark, in a gzip: three events."""
    expected = {"accepted": 3, "duplicates": 0, "refused": 0}
    assert await send(stdin=LAYOUTS["gzip of a pretty array with a mark"]) == (0, expected, "")
    assert totals_in(service.database_url) == {"": 3, **dict.fromkeys(("a", "b", "c"), 1)}


@pytest.mark.parametrize(
    "body", [gzip.compress(LINES.encode())[:-20], b"\x1f\x8bno gzip"], ids=["torn", "none"]
)
async def test_a_file_that_is_cut_off_is_said(send: Send, body: bytes) -> None:
    """What can't be unpacked to its end is an error, and says how far it was read."""
    status, counts, complained = await send(stdin=body)
    assert (status, counts["refused"]) == (2, 0)
    assert "It can't be read on from there. Lines up to 0 are done" in complained


def _found(pieces: list[bytes]) -> list[tuple[int, str, str]]:
    stream = Values()
    found = [value for piece in pieces for value in stream.feed(piece)]
    found += stream.feed(b"", last=True)
    return [(each.line, each.text.decode().strip()[:40], each.why_not) for each in found]


RED, BLUE = '{"type":"click","subject":"red"}', '{"type":"click","subject":"blue"}'
TORN = "It breaks off."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'{{"type":"x",\n{RED}\n', [(1, '{"type":"x",', TORN), (2, RED, "")]),
        (f"{RED}\n{{\n", [(1, RED, ""), (2, "{", TORN)]),
        (
            f'{{"type":"x","subject":"y\n{RED}\n',
            [(1, '{"type":"x","subject":"y', "A text breaks off at the line's end."), (2, RED, "")],
        ),
        (f"no json, at all\n{RED}", [(1, "no json, at all", "It is no object."), (2, RED, "")]),
        (
            f'[1, "a,b",\n{RED}, null]',
            [
                (1, "1", "It is no object."),
                (1, '"a,b"', "It is no object."),
                (2, RED, ""),
                (2, "null", "It is no object."),
            ],
        ),
        (f"[{RED},\n{BLUE}\n", [(1, RED, ""), (2, BLUE, ""), (3, "", "The array never ends.")]),
        (
            f'{{"type":"x","p":\n{{"y":1}}\n}}\n{RED}',
            [(1, '{"type":"x","p":\n{"y":1}\n}', ""), (4, RED, "")],
        ),
    ],
)
def test_what_is_torn_is_one_refusal(text: str, found: list[tuple[int, str, str]]) -> None:
    """It is named with its line, and the next object is found, however the bytes arrive."""
    body = text.encode()
    assert _found([body]) == found
    assert _found([body[n : n + 1] for n in range(len(body))]) == found


def test_nothing_is_kept_but_what_is_not_whole() -> None:
    """An object without an end is given up at a bound; an array is taken as it comes."""
    stream = Values()
    for _ in range(6):
        stream.feed(b'{"a":[' * 10_922)
        assert len(stream.rest) <= MAX_VALUE_BYTES + 65536
    stream = Values()
    stream.feed(b"[")
    assert sum(len(stream.feed(RED.encode() + b",")) for _ in range(10_000)) == 10_000
    assert stream.rest == b""


async def test_bad_ones_are_refused_alone(send: Send, service: Service) -> None:
    """Half an emoji, a text that is none, too much: each with its line; the others count."""
    lines = [
        json.dumps(event("a")),
        '{"type":"click","subject":"cut \\ud83d"}',
        '{"type":"click","subject":"\xff"}',
        json.dumps(event("b", colour="red")),
        json.dumps(event("b", properties={"x": "y" * 70_000})),
        json.dumps(event("c")),
    ]
    status, counts, complained = await send(stdin="\r\n".join(lines).encode("latin-1"))
    assert (status, counts) == (1, {"accepted": 2, "duplicates": 0, "refused": 4})
    for line, code in (
        (2, "malformed_json"),
        (3, "malformed_json"),
        (4, "invalid_event"),
        (5, "properties_too_large"),
    ):
        assert f"livetally: line {line}: {code}: " in complained
    assert totals_in(service.database_url) == {"": 2, "a": 1, "c": 1}


async def test_an_export_can_be_sent_as_it_is(send: Send, service: Service) -> None:
    """`export | send` counts each event once, here and elsewhere; numbers stay as written."""
    text = (
        b'{"id":"a","type":"click","subject":"s","properties":{"n":12345678901234567890,"p":1.10}}'
    )
    assert (await send(stdin=text))[1]["accepted"] == 1
    await service.post([event("red", session="s1", occurred_at="2020-01-01T00:00:00+01:00")] * 2)
    exported = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "livetally", "export"],
        env={
            **os.environ,
            "LIVETALLY_DATABASE_URL": service.database_url,
            "LIVETALLY_REDIS_URL": "redis://127.0.0.1:1",
        },
        capture_output=True,
        check=False,
    )
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.count(b"\n") == 3
    expected = {"accepted": 0, "duplicates": 3, "refused": 0}
    assert await send(stdin=exported.stdout) == (0, expected, "")
    query(service.database_url, "DELETE FROM event_ids")
    assert (await send(stdin=exported.stdout))[1]["accepted"] == 3
    kept = query(service.database_url, "SELECT properties::text FROM events WHERE id = 'a'")
    assert kept == [('{"n":12345678901234567890,"p":1.10}',)] * 2


async def test_a_run_that_was_stopped_goes_on(send: Send, service: Service) -> None:
    """The server has taken a batch, its answer was lost, and the command is stopped: it says how to
    go on, and what was in doubt counts once, though the events have no ids."""
    body = b"".join(json.dumps(event("red")).encode() + b"\n" for _ in range(700))
    async with Box(service.url) as box:
        box.swallow(10**9)
        command = Command(box.url, service.keys[Role.ADMIN], "send")
        ended = asyncio.create_task(command.end(body))
        await until(lambda: totals_in(service.database_url).get("red") == 500, 30)
        command.process.send_signal(signal.SIGINT)
        status, said, complained = await ended
    assert (status, json.loads(said)["accepted"]) == (130, 0)
    *_, last = complained.splitlines()
    options = last.partition("--ids ")[2].rstrip(".").split()
    status, counts, _ = await send("--ids", *options, stdin=body)
    assert (status, counts) == (0, {"accepted": 200, "duplicates": 500, "refused": 0})
    assert totals_in(service.database_url)["red"] == 700
