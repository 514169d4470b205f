"""The command `stats`: counts, once or live."""

import argparse
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...client import (
    AsyncClient,
    AsyncLive,
    Reconnecting,
    Snapshot,
    Stale,
    Totals,
    Update,
    totals,
)
from ..command import CommandError, number, printable
from .server import add_remote, as_json, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_EXAMPLES = """
livetally stats click
livetally stats click --subject red --json
livetally stats click --bucket hour --from 2026-11-21T00:00:00Z
livetally stats click --all --json
livetally stats click --watch
"""

#: The rate that is shown is that of the last so many seconds.
RATE_S = 5.0
_BAR = 40


def add(commands: Any) -> None:
    command = add_remote(commands, "stats", _stats, "show a type's counts, once or live", _EXAMPLES)
    command.add_argument("type")
    command.add_argument("--subject", help="of this one only")
    command.add_argument("--top", type=number(1, 1000), default=20, help="so many subjects (20)")
    command.add_argument("--all", action="store_true", help="all subjects, however many")
    command.add_argument("--bucket", choices=("minute", "hour", "day"), help="counts over time")
    command.add_argument("--from", dest="start", type=_moment, metavar="TIME", help="RFC 3339")
    command.add_argument("--to", dest="end", type=_moment, metavar="TIME")
    command.add_argument("--json", action="store_true", help="as the API answers")
    command.add_argument("--watch", action="store_true", help="live, until Ctrl-C")
    command.add_argument(
        "--updates", type=number(1, 10**9), metavar="N", help="with --watch: end after N messages"
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("like 2026-11-21T10:00:00Z") from None
    return moment if moment.tzinfo else moment.astimezone()


async def _stats(client: AsyncClient, arguments: argparse.Namespace) -> int:
    if arguments.watch:
        return await _watch(client, arguments)
    if arguments.all and (
        arguments.subject or arguments.bucket or arguments.start or arguments.end
    ):
        raise CommandError(
            "--all shows all subjects: leave --subject, --bucket, --from, --to away."
        )
    if arguments.bucket or arguments.start or arguments.end:
        series = await client.series(
            arguments.type,
            subject=arguments.subject,
            bucket=arguments.bucket or "minute",
            start=arguments.start,
            end=arguments.end,
        )
        rows = [(f"{each.at.astimezone():%Y-%m-%d %H:%M}", each.total) for each in series.series]
        _print(arguments, series, rows)
    elif arguments.subject is not None:
        total = await client.total(arguments.type, arguments.subject)
        said = {"type": arguments.type, "subject": arguments.subject, "total": total}
        _print(arguments, said, [(arguments.subject, total)])
    else:
        found = await _totals(client, arguments)
        rows = [(each.subject, each.total) for each in found.subjects]
        _print(arguments, found, [*rows, ("total", found.total)])
    return 0


async def _totals(client: AsyncClient, arguments: argparse.Namespace) -> Totals:
    if not arguments.all:
        return await client.totals(arguments.type, top=arguments.top)
    subjects = [each async for each in client.subjects(arguments.type)]
    subjects.sort(key=lambda each: (-each.total, each.subject))
    total = sum(each.total for each in subjects)
    return Totals(type=arguments.type, total=total, subjects=subjects)


def _print(arguments: argparse.Namespace, answer: object, rows: list[tuple[str, int]]) -> None:
    if arguments.json:
        print(as_json(answer))
        return
    width = max((len(str(n)) for _, n in rows), default=1)
    for name, n in rows:
        print(f"{n:>{width}}  {printable(name)}")


# Live


class Watched:
    """A type's totals as they were told, and how fast they grow."""

    def __init__(self, type: str, top: int) -> None:
        self.type = type
        self.total = 0
        self.state = "connecting"
        self._top = top
        self._totals: dict[str, int] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, message: Snapshot | Update) -> None:
        if isinstance(message, Snapshot):
            self._totals = {}
        self._totals |= message.totals or {}
        self.total = message.total or 0
        now = time.monotonic()
        self._seen.append((now, self.total))
        while len(self._seen) > 1 and now - self._seen[0][0] > RATE_S:
            self._seen.popleft()

    @property
    def largest(self) -> list[tuple[str, int]]:
        return sorted(self._totals.items(), key=lambda pair: (-pair[1], pair[0]))[: self._top]

    @property
    def rate(self) -> float:
        """Events a second, of late."""
        if not self._seen:
            return 0.0
        at, total = self._seen[0]
        return max(0.0, (self.total - total) / max(1.0, time.monotonic() - at))


async def _watch(client: AsyncClient, arguments: argparse.Namespace) -> int:
    if arguments.bucket or arguments.start or arguments.end or arguments.all:
        raise CommandError("--watch shows totals: leave --all, --bucket, --from and --to away.")
    subjects = None if arguments.subject is None else [arguments.subject]
    watched = Watched(arguments.type, arguments.top)
    async with client.live(totals(arguments.type, subjects)) as live:
        if sys.stdout.isatty() and not arguments.json:
            return await _draw(live, watched, arguments.updates)
        return await _list(live, watched, arguments.updates)


async def _list(live: AsyncLive, watched: Watched, updates: int | None) -> int:
    """A JSON line a message, for what is no terminal."""
    async for message in live:
        said: dict[str, object] = {"at": datetime.now(UTC)}
        match message:
            case Snapshot() | Update():
                watched.take(message)
                said |= {"total": watched.total, "totals": dict(watched.largest)}
            case Reconnecting():
                said |= {"state": "reconnecting", "in_s": round(message.in_s, 1)}
            case _:
                said |= {"state": live.state}
        print(as_json(said), flush=True)
        if updates is not None and (updates := updates - 1) == 0:
            break
    return 0


async def _draw(live: AsyncLive, watched: Watched, updates: int | None) -> int:
    from rich.live import Live

    with Live(_picture(watched), screen=False, refresh_per_second=10) as screen:
        async for message in live:
            match message:
                case Snapshot() | Update():
                    watched.take(message)
                    watched.state = live.state
                case Reconnecting():
                    watched.state = f"reconnecting in {message.in_s:.1f} s: {message.reason}"
                case Stale():
                    watched.state = "stale: the server can't reach its database"
                case _:
                    watched.state = live.state
            screen.update(_picture(watched))
            if updates is not None and (updates := updates - 1) == 0:
                break
    return 0


def _picture(watched: Watched) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    good = watched.state == "live"
    head = Text.assemble(
        (printable(watched.type), "bold"),
        f"  {watched.total:,} in all, {watched.rate:,.1f}/s  ",
        (f"● {one_line(watched.state)}", "green" if good else "yellow"),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column()
    largest = watched.largest
    most = largest[0][1] if largest else 1
    for subject, n in largest:
        bar = "█" * max(1, round(_BAR * n / most)) if n else ""
        table.add_row(f"{n:,}", Text(printable(subject)), Text(bar, "blue"))
    return Group(head, table)
