"""The command `send`: one event, or a file of them, each acknowledged."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, BinaryIO, NamedTuple

import msgspec

from ...client import Ack, AsyncClient, ClientError, Refused, Rejected
from ...client.events import BATCH_BYTES, BATCH_EVENTS, Sealed, seal_text
from ..command import CommandError, number, printable
from .server import add_remote, as_json, note
from .values import values

#: Refused lines that are shown one by one; the rest is counted.
SHOWN = 20

_EXAMPLES = """
livetally send click red
livetally send click red --session s1 --property x=3 --property page=/about
livetally send < events.ndjson
livetally send --file yesterday.ndjson.gz
livetally export --project shop | livetally send --url https://elsewhere.example
"""


def add(commands: Any) -> None:
    command = add_remote(
        commands,
        "send",
        _send,
        "send an event, or those from stdin, and say what became of them",
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
        "--file",
        type=argparse.FileType("rb"),
        help="instead of stdin: JSON events, one a line or in arrays, also packed by gzip",
    )
    command.add_argument(
        "--skip",
        type=number(0, 2**62),
        default=0,
        metavar="N",
        help="begin after N lines: they were sent",
    )
    command.add_argument(
        "--ids", metavar="PREFIX", help="with --skip: as the run that was stopped said"
    )


async def _send(client: AsyncClient, arguments: argparse.Namespace) -> int:
    if arguments.type is None:
        file = arguments.file or sys.stdin.buffer
        return await _send_lines(client, file, arguments.skip, arguments.ids)
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


class _Line(NamedTuple):
    """An event and where it was."""

    line: int
    done: int
    event: Sealed


class _Count:
    """What became of the events, so far. Lines up to `settled` need not be sent again."""

    def __init__(self, skip: int) -> None:
        self.accepted = self.duplicates = self.refused = 0
        self.settled = skip

    def add(self, lines: list[_Line], ack: Ack | None, rejected: list[Rejected]) -> None:
        if ack is not None:
            self.accepted += ack.accepted
            self.duplicates += ack.duplicates
        for each in rejected:
            self.refuse(lines[each.index].line, each.error.code, each.error.message)
        self.settled = max(self.settled, lines[-1].done)

    def how_to_go_on(self, ids: str) -> str:
        so_far = f"Lines up to {self.settled} are done"
        return f"{so_far}: go on with the same file and --ids {ids} --skip {self.settled}."

    def refuse(self, line: int, code: str, message: str) -> None:
        self.refused += 1
        if self.refused <= SHOWN:
            note(f"line {line}: {code}: {printable(message)}")
        elif self.refused == SHOWN + 1:
            note("more lines are refused; they are counted.")


async def _send_lines(client: AsyncClient, file: BinaryIO, skip: int, ids: str | None) -> int:
    count = _Count(skip)
    # Those without ids get the same ones when it goes on: what was in doubt counts once.
    ids = ids or secrets.token_hex(8)
    done = False
    try:
        with _progress() as advance:
            async for lines in _batches(file, skip, ids, count):
                ack, rejected = await _deliver(client, lines)
                count.add(lines, ack, rejected)
                advance(len(lines))
        done = True
    except (ClientError, CommandError) as error:
        note(f"{error} {count.how_to_go_on(ids)}")
    except asyncio.CancelledError:
        note(f"stopped. {count.how_to_go_on(ids)}")
        raise
    finally:
        _print(count.accepted, count.duplicates, count.refused)
    return 2 if not done else 1 if count.refused else 0


async def _deliver(client: AsyncClient, lines: list[_Line]) -> tuple[Ack | None, list[Rejected]]:
    try:
        return await client.send(line.event for line in lines), []
    except Refused as error:
        if not error.rejected:
            raise
        return error.ack, error.rejected


async def _batches(
    file: BinaryIO, skip: int, ids: str, count: _Count
) -> AsyncIterator[list[_Line]]:
    """Events with their lines, as many as go into a request, or as have come by now.

    What is no event is refused here.
    """
    batch: list[_Line] = []
    size = number = 0
    async for found in values(file):
        for value in found:
            number += 1
            if value.line <= skip:
                continue
            if value.why_not:
                count.refuse(value.line, "malformed_json", value.why_not)
                continue
            try:
                event = seal_text(value.text, f"{ids}-{number}")
            except Refused as error:
                count.refuse(value.line, error.code, str(error))
                continue
            batch.append(_Line(value.line, value.done, event))
            size += len(event.text)
            if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch and len(found) < BATCH_EVENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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
    print(as_json(counts), flush=True)
