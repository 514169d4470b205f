"""The command `keys`: make, list and revoke API keys, by the database."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .command import add_command
from .server import plainly_refused

if TYPE_CHECKING:
    from ..db.database import Database

_ROLES = ("write", "read", "read_write", "admin")


def add(commands: Any) -> None:
    command = add_command(commands, "keys", None, "make, list and revoke API keys")
    subcommands = command.add_subparsers(required=True, metavar="COMMAND")
    command = add_command(subcommands, "create", _create, "make a key and print it, this once")
    command.add_argument("--project", required=True, help="made if it doesn't exist")
    command.add_argument(
        "--role", required=True, choices=_ROLES, help="what it may do; read_write: older clients"
    )
    command.add_argument("--name", required=True, help="to know the key by, unique in the project")
    command.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="https://…",
        help="a page's origin that may use this write key; may be given several times",
    )
    command.add_argument(
        "--rate", type=int, metavar="N", help="events a second that it may send; else any number"
    )
    command.add_argument(
        "--key", metavar="VALUE", help="take this one, which pages hold already, instead of a new"
    )
    command.add_argument("--weak", action="store_true", help="it may be short, and so be guessed")
    command = add_command(subcommands, "list", _list, "show keys (not their secrets)")
    command.add_argument("--project", help="of this project only")
    command = add_command(subcommands, "revoke", _revoke, "end a key, everywhere within 5 s")
    command.add_argument("--project", required=True)
    command.add_argument("--name", required=True)


@contextlib.asynccontextmanager
async def _database() -> AsyncIterator["Database"]:
    from ..base.config import Config
    from ..db.database import Database, schema_is_current

    url = Config.from_environ(os.environ).database_url
    await schema_is_current(url, timeout_s=0)
    database = Database(url, 2)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def _create(arguments: argparse.Namespace) -> int:
    from ..schema.keys import Role
    from ..web import keys

    async def create() -> str:
        async with _database() as database:
            role = Role(arguments.role)
            return await keys.create(
                database,
                arguments.project,
                role,
                arguments.name,
                arguments.origin,
                arguments.rate,
                key=arguments.key,
                weak=arguments.weak,
            )

    with plainly_refused():
        print(asyncio.run(create()))
    print("Keep it: it is not stored and can't be shown again.", file=sys.stderr)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ..web import keys

    async def list_all() -> list[dict[str, Any]]:
        async with _database() as database:
            return await keys.list_all(database, arguments.project)

    with plainly_refused():
        rows = asyncio.run(list_all())
    for key in rows:
        state = f"revoked {key['revoked_at']:%Y-%m-%d}" if key["revoked_at"] else "live"
        print(
            key["project"], key["name"], key["role"], state, *key["origins"], *_rate(key), sep="\t"
        )
    return 0


def _rate(key: dict[str, Any]) -> list[str]:
    return [f"{key['rate']}/s"] if key["rate"] else []


def _revoke(arguments: argparse.Namespace) -> int:
    from ..web import keys

    async def revoke() -> None:
        async with _database() as database:
            await keys.revoke(database, arguments.project, arguments.name)

    with plainly_refused():
        asyncio.run(revoke())
    print(
        f"revoked {arguments.name!r} of {arguments.project!r}; every process refuses it within 5 s"
    )
    return 0
