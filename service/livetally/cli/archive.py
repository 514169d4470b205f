"""The commands `export` and `restore`: events out of Livetally, and an archive back into it."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from .command import add_command
from .server import plainly_refused

_FORMATS = ("ndjson", "csv", "parquet")


def add(commands: Any) -> None:
    command = add_command(
        commands,
        "export",
        _export,
        "write events of any time to a file, from the log and the archive",
        examples="""
            livetally export --project shop --from 2026-11-01 --output november.ndjson
            livetally export --type click --format csv | head
        """,
    )
    command.add_argument("--project", help="of this project only")
    command.add_argument("--type", help="of this type only")
    command.add_argument(
        "--from", dest="start", type=_moment, metavar="TIME", help="received then or later"
    )
    command.add_argument("--to", dest="end", type=_moment, metavar="TIME", help="received before")
    command.add_argument("--format", choices=_FORMATS, help="ndjson, or as the file's name ends")
    command.add_argument("--output", default="-", metavar="FILE", help="standard output if none")
    command.add_argument(
        "--archive", metavar="URL", help="for what was dropped (LIVETALLY_ARCHIVE_URL)"
    )
    command = add_command(
        commands,
        "restore",
        _restore,
        "load an archive into a database; run it again to go on after an interruption",
        examples="livetally restore s3://bucket/events --project shop",
    )
    command.add_argument("archive", metavar="ARCHIVE", help="s3://bucket/prefix or a directory")
    command.add_argument("--project", help="this one only")
    command.add_argument(
        "--merge", action="store_true", help="also beside events that a project has already"
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        says = "a day or a time: 2026-11-21 or 2026-11-21T10:00Z"
        raise argparse.ArgumentTypeError(says) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _export(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        since = asyncio.run(_export_all(arguments))
    if since is None:
        return 0
    say = "events received before %s were dropped from the log: --archive names where they are"
    print(f"livetally: {say % since}", file=sys.stderr)
    return 1


async def _export_all(arguments: argparse.Namespace) -> date | None:
    """Since when it is whole, if older events are nowhere to be found."""
    from ..archive import formats
    from ..archive.export import Export, Wanted
    from ..archive.stores import open_objects
    from ..base.config import Config
    from ..db.database import schema_is_current

    config = Config.from_environ(os.environ)
    await schema_is_current(config.database_url, timeout_s=0)
    wanted = Wanted(
        arguments.start or datetime(1970, 1, 1, tzinfo=UTC),
        arguments.end or datetime.now(UTC),
        arguments.project,
        arguments.type,
    )
    url = arguments.archive or config.archive_url
    objects = open_objects(url) if url else None
    export = Export(config.database_url, objects, wanted)
    ending = Path(arguments.output).suffix.removeprefix(".")
    chosen = arguments.format or (ending if ending in _FORMATS else "ndjson")
    write = getattr(formats, f"write_{chosen}")
    try:
        with _progress() as progress:
            task = progress.add_task("exporting", total=await export.count())

            async def pages() -> Any:
                async for rows in export.rows():
                    yield rows
                    progress.advance(task, len(rows))

            await _into(
                arguments.output, lambda file: write(file, pages()), whole=chosen == "parquet"
            )
        return await export.whole_since()
    finally:
        if objects is not None:
            await objects.close()


async def _into(output: str, write: Any, *, whole: bool) -> None:
    """Write the file beside its place, and rename it when it is whole. To standard output as it
    comes, save Parquet, whose writer wants a file."""
    if output == "-" and not whole:
        await write(sys.stdout.buffer)
        return
    if output == "-":
        with tempfile.TemporaryFile() as file:
            await write(file)
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout.buffer)
        return
    place = Path(output)
    new = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with new.open("wb") as file:
            await write(file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def _restore(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        asyncio.run(_restore_all(arguments))
    return 0


async def _restore_all(arguments: argparse.Namespace) -> None:
    from ..archive.restore import Progress, restore
    from ..archive.stores import open_objects
    from ..base.config import Config
    from ..db.database import schema_is_current

    config = Config.from_environ(os.environ)
    await schema_is_current(config.database_url, timeout_s=0)
    objects = open_objects(arguments.archive)
    try:
        with _progress() as progress:
            task = progress.add_task("restoring", total=None)

            def told(so_far: Progress) -> None:
                checked = so_far.checked == so_far.events
                progress.update(
                    task,
                    description="restoring" if checked else "checking",
                    completed=so_far.done if checked else so_far.checked,
                    total=so_far.events,
                )

            done = await restore(
                config.database_url,
                objects,
                project=arguments.project,
                merge=arguments.merge,
                told=told,
            )
    finally:
        await objects.close()
    print(f"restored {done.done:,} events", file=sys.stderr)


def _progress() -> Any:
    """A bar on standard error, if somebody watches."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    return Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
