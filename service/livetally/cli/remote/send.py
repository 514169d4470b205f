"""The command `send`: one event, or a file of them, each acknowledged."""

import argparse
import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, BinaryIO

import msgspec

from ...client import Ack, AsyncClient, ClientError, Refused, Rejected
from ...client.events import BATCH_BYTES, BATCH_EVENTS
from ..command import CommandError
from .server import add_remote, note, printable

#: Refused lines that are shown one by one; the rest is counted.
SHOWN = 20
CHUNK_BYTES = 256 * 1024

_EXAMPLES = """
livetally send click red
livetally send click red --session s1 --property x=3 --property page=/about
livetally send < events.ndjson
zcat yesterday.ndjson.gz | livetally send --skip 120000
"""


def add(commands: Any) -> None:
    command = add_remote(
        commands,
        "send",
        _send,
        "send an event, or NDJSON from stdin, and say what became of it",
        _EXAMPLES,
    )
    command.add_argument("type", nargs="?", help="what happened; without it events come from stdin")
    command.add_argument("subject", nargs="?", help="to what")
    command.add_argument("--id", help="counts once, however often it is sent")
    command.add_argument("--session")
    command.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="VALUE is JSON, or else a text; may be given several times",
    )
    command.add_argument(
        "--file", type=argparse.FileType("rb"), help="instead of stdin: one event a line"
    )
    command.add_argument(
        "--skip", type=int, default=0, metavar="N", help="begin after N lines: they were sent"
    )


async def _send(client: AsyncClient, arguments: argparse.Namespace) -> int:
    if arguments.type is None:
        return await _send_lines(client, arguments.file or sys.stdin.buffer, arguments.skip)
    if arguments.subject is None:
        raise CommandError("a subject is missing: livetally send TYPE SUBJECT.")
    event = {
        "id": arguments.id,
        "type": arguments.type,
        "subject": arguments.subject,
        "session": arguments.session,
        "properties": _properties(arguments.property) or None,
    }
    ack = await client.send([event])
    _print(ack.accepted, ack.duplicates, 0)
    return 0


def _properties(given: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise CommandError(f"--property takes NAME=VALUE, not {each!r}.")
        try:
            properties[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            properties[name] = value
    return properties


class _Count:
    """What became of the lines, so far. Lines up to `settled` need not be sent again."""

    def __init__(self, skip: int) -> None:
        self.accepted = self.duplicates = self.refused = 0
        self.settled = skip

    def add(self, lines: list[tuple[int, Any]], ack: Ack | None, rejected: list[Rejected]) -> None:
        if ack is not None:
            self.accepted += ack.accepted
            self.duplicates += ack.duplicates
        for each in rejected:
            self.refuse(lines[each.index][0], each.error.code, each.error.message)
        self.settled = lines[-1][0]

    def refuse(self, line: int, code: str, message: str) -> None:
        self.refused += 1
        if self.refused <= SHOWN:
            note(f"line {line}: {code}: {printable(message)}")
        elif self.refused == SHOWN + 1:
            note("more lines are refused; they are counted.")


async def _send_lines(client: AsyncClient, file: BinaryIO, skip: int) -> int:
    count = _Count(skip)
    done = False
    try:
        with _progress() as advance:
            async for lines in _batches(file, skip, count):
                ack, rejected = await _deliver(client, lines)
                count.add(lines, ack, rejected)
                advance(len(lines))
        done = True
    except ClientError as error:
        note(f"{error} Lines up to {count.settled} are done: go on with --skip {count.settled}.")
    except asyncio.CancelledError:
        note(f"stopped. Lines up to {count.settled} are done: go on with --skip {count.settled}.")
        raise
    finally:
        _print(count.accepted, count.duplicates, count.refused)
    return 2 if not done else 1 if count.refused else 0


async def _deliver(
    client: AsyncClient, lines: list[tuple[int, Any]]
) -> tuple[Ack | None, list[Rejected]]:
    try:
        return await client.send(event for _, event in lines), []
    except Refused as error:
        if not error.rejected:
            raise
        return error.ack, error.rejected


async def _batches(
    file: BinaryIO, skip: int, count: _Count
) -> AsyncIterator[list[tuple[int, Any]]]:
    """Lines with their numbers, as many as go into a request, or as have come by now.

    Lines that are no event are refused here.
    """
    batch: list[tuple[int, Any]] = []
    size = number = 0
    async for lines in _lines(file):
        for line in lines:
            number += 1
            if number <= skip or not line.strip():
                continue
            try:
                event = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                count.refuse(number, "malformed_json", str(error))
                continue
            batch.append((number, event))
            size += len(line)
            if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch and len(lines) < BATCH_EVENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _lines(file: BinaryIO) -> AsyncIterator[list[bytes]]:
    """Whole lines, as they come."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue(4)
    loop = asyncio.get_running_loop()

    def read() -> None:
        # A thread that nobody waits for, and no buffer that it could lock: Ctrl-C ends the program
        # also while nothing comes.
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):
            more = True
            while more:
                chunk = os.read(file.fileno(), CHUNK_BYTES)
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
                more = bool(chunk)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    yield [rest]


def _progress() -> AbstractContextManager[Any]:
    """Called with how many lines more are done. Shown to people only."""
    if not sys.stderr.isatty():
        return nullcontext(lambda more: None)
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    stack = ExitStack()
    progress = stack.enter_context(
        Progress(
            SpinnerColumn(),
            TextColumn("{task.completed:,.0f} acknowledged, {task.speed:,.0f}/s"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
    )
    task = progress.add_task("", total=None)

    class Shown(AbstractContextManager[Any]):
        def __enter__(self) -> Any:
            return lambda more: progress.advance(task, more)

        def __exit__(self, *error: object) -> None:
            stack.close()

    return Shown()


def _print(accepted: int, duplicates: int, refused: int) -> None:
    counts = {"accepted": accepted, "duplicates": duplicates, "refused": refused}
    print(msgspec.json.encode(counts).decode(), flush=True)
