"""The command `tail`: every event of a type as it happens, through any cut."""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from ...client import AsyncClient, Events, FeedEvent, Gap, Position, Reconnecting, Stale, feed
from ..command import CommandError, number, printable
from .server import add_remote, as_json, note

_EXAMPLES = """
livetally tail click
livetally tail click --subject red --all
livetally tail click --json | jq .properties
livetally tail click --position-file seen.json >> clicks.ndjson
"""

_encoder = msgspec.json.Encoder()


def add(commands: Any) -> None:
    command = add_remote(
        commands, "tail", _tail, "show every event of a type as it happens, each once", _EXAMPLES
    )
    command.add_argument("type", help="what happens")
    command.add_argument("--subject", help="to this one only")
    command.add_argument("--all", action="store_true", help="begin with the oldest event kept")
    command.add_argument(
        "--position-file",
        type=Path,
        metavar="FILE",
        help="go on where the last run ended; kept up to date here",
    )
    command.add_argument(
        "-n", dest="count", type=number(1, 10**9), metavar="N", help="end after N events"
    )
    command.add_argument(
        "--json", action="store_true", help="JSON lines; always so if it is no terminal"
    )


async def _tail(client: AsyncClient, arguments: argparse.Namespace) -> int:
    kept = arguments.position_file
    since = _read(kept) if kept is not None else None
    if since is None and arguments.all:
        since = {}
    show = _as_json if arguments.json or not sys.stdout.isatty() else _as_text
    left = arguments.count
    async with client.live(feed(arguments.type, arguments.subject), since=since) as live:
        async for message in live:
            match message:
                case Events():
                    events = message.events[:left]
                    for event in events:
                        print(show(event))
                    sys.stdout.flush()
                    # What is cut off from a page by -n comes again: nothing is lost that way.
                    if kept is not None and len(events) == len(message.events):
                        _write(kept, message.position)
                    if left is not None and (left := left - len(events)) == 0:
                        return 0
                case Gap():
                    note("some events are not kept any more; going on after them.")
                case Reconnecting():
                    note(f"{message.reason} Trying again in {message.in_s:.1f} s.")
                case Stale():
                    note("the server can't reach its database; waiting.")
    return 0


def _read(path: Path) -> Position | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Position)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise CommandError(f"{path} holds no position: {error}") from None


def _write(path: Path, position: Position) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(_encoder.encode(position))
    new.replace(path)


def _as_json(event: FeedEvent) -> str:
    return as_json(event)


def _as_text(event: FeedEvent) -> str:
    at = event.occurred_at if isinstance(event.occurred_at, datetime) else event.received_at
    parts = [f"{at.astimezone():%H:%M:%S}", printable(event.type), printable(event.subject)]
    if event.session is not UNSET and event.session is not None:
        parts.append(f"({printable(event.session)})")
    if event.properties:
        parts.append(as_json(event.properties))
    return "  ".join(parts)
