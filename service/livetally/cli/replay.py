"""The command `replay`: the queue's dead letters, looked at or given another chance."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .command import CommandError, add_command, number, printable
from .server import plainly_refused

if TYPE_CHECKING:
    from ..queue.dead_letters import DeadLetters, SentAgain

T = TypeVar("T")

_EXAMPLES = """
    livetally replay --list               what is there, and why
    livetally replay --show ID            one of them, with its body and its bad lines
    livetally replay --all --dry-run      what would be sent again
    livetally replay ID ID                send these again
"""


def add(commands: Any) -> None:
    command = add_command(
        commands,
        "replay",
        _run,
        "list, show and replay the queue's dead letters",
        examples=_EXAMPLES,
    )
    command.add_argument("ids", nargs="*", metavar="ID", help="messages to send again")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what is there, a line each")
    what.add_argument("--show", metavar="ID", help="show one, as JSON")
    what.add_argument("--all", action="store_true", help="send all of them again")
    command.add_argument("--dry-run", action="store_true", help="send nothing, say what would be")
    command.add_argument(
        "--limit", type=number(1, 1000), default=100, metavar="N", help="of --list (100)"
    )


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list(arguments.limit)
    if arguments.show:
        return _show(arguments.show)
    if arguments.all == bool(arguments.ids):
        raise CommandError("name messages, or say --all (or --list, to see what is there)")
    return _replay(None if arguments.all else arguments.ids, arguments.dry_run)


def _with_dead_letters(do: "Callable[[DeadLetters], Awaitable[T]]") -> T:
    """Do something with the dead letters of the queue that the settings name."""
    from ..base.config import Config
    from ..db.database import Database, schema_is_current
    from ..queue.dead_letters import DeadLetters
    from ..queue.rejections import Refusals

    async def run() -> T:
        config = Config.from_environ(os.environ)
        await schema_is_current(config.database_url, timeout_s=0)
        database = Database(config.database_url, 2)
        await database.open()
        try:
            refusals = Refusals(database)
            urls = config.queue_url, config.dead_letter_queue_url
            return await do(DeadLetters(*urls, refusals))
        finally:
            await database.close()

    with plainly_refused():
        return asyncio.run(run())


def _list(limit: int) -> int:
    for each in _with_dead_letters(lambda dead_letters: dead_letters.first(limit)):
        at = f"{each.sent_at:%Y-%m-%dT%H:%M:%SZ}"
        why = f"{each.cause}: {each.reason}" if each.cause else "(no reason was recorded)"
        print(each.id, at, f"{each.receives} times", printable(" ".join(why.split())), sep="\t")
    return 0


def _show(id: str) -> int:
    import msgspec

    whole = _with_dead_letters(lambda dead_letters: dead_letters.show(id))
    text = json.dumps(msgspec.to_builtins(whole), indent=2, ensure_ascii=False)
    print("\n".join(map(printable, text.split("\n"))))
    return 0


def _replay(ids: list[str] | None, dry_run: bool) -> int:
    async def replay(dead_letters: "DeadLetters") -> "SentAgain":
        from rich.console import Console
        from rich.progress import Progress

        total = len(set(ids)) if ids is not None else await dead_letters.count()
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("dead letters", total=total)
            return await dead_letters.replay(
                ids, dry_run=dry_run, progress=lambda: bar.advance(task)
            )

    done = _with_dead_letters(replay)
    for id in done.ids:
        print(id)
    print(f"{'would be' if dry_run else 'were'} sent again: {len(done.ids)}", file=sys.stderr)
    for each in done.failed:
        print(f"{each.id} was not sent: {printable(each.reason)}", file=sys.stderr)
    for id in done.missing:
        print(f"{id} is not among the dead letters", file=sys.stderr)
    return 1 if done.failed or done.missing else 0
