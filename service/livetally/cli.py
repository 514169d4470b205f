"""The command `livetally`."""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from . import __version__, keys, logs, serve
from .config import Config, ConfigError
from .database import Database, MigrationError, migrate, schema_is_current
from .errors import LivetallyError
from .keys import Role

_SETTINGS = "Settings are environment variables LIVETALLY_*; README has the table."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What went wrong is one line on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except (ConfigError, MigrationError, serve.PortInUse, LivetallyError) as error:
        print(f"livetally: {error}", file=sys.stderr)
        return 2
    except (psycopg.Error, OSError) as error:
        # Postgres can't be reached, or an address is not ours; psycopg says so in several lines.
        print("livetally:", *str(error).split(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what a shell says of a command that Ctrl-C ended
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livetally",
        description="Exact, live counts of what is happening now.",
        epilog=_SETTINGS,
    )
    parser.add_argument("--version", action="version", version=f"livetally {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _add(commands, "serve", _serve, "serve the API and the pages")
    command.add_argument(
        "--workers", type=_workers, default=1, metavar="N", help="processes on the one port (1)"
    )
    command.add_argument("--fd", type=int, help=argparse.SUPPRESS)

    _add(commands, "migrate", _migrate, "bring the database up to date; safe to run any time")

    command = _add(commands, "keys", None, "make, list and revoke API keys")
    subcommands = command.add_subparsers(required=True, metavar="COMMAND")
    command = _add(subcommands, "create", _keys_create, "make a key and print it, this once")
    command.add_argument("--project", required=True, help="made if it doesn't exist")
    command.add_argument("--role", required=True, type=Role, choices=list(Role))
    command.add_argument("--name", required=True, help="to know the key by, unique in the project")
    command.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="https://…",
        help="a page's origin that may use this write key; may be given several times",
    )
    command = _add(subcommands, "list", _keys_list, "show keys (not their secrets)")
    command.add_argument("--project", help="of this project only")
    command = _add(subcommands, "revoke", _keys_revoke, "end a key, everywhere within 5 s")
    command.add_argument("--project", required=True)
    command.add_argument("--name", required=True)

    command = _add(
        commands, "demo", _demo, "run everything on this machine: Postgres, Redis, a project"
    )
    command.add_argument("--port", type=_port, default=8080, help="to listen on; 0: a free one")
    command.add_argument("--host", default="127.0.0.1", help="to listen on (127.0.0.1)")
    command.add_argument(
        "--data-dir", type=Path, default=Path(".livetally"), help="where it is kept (.livetally)"
    )
    return parser


def _add(commands: Any, name: str, run: Any, says: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=says, description=f"{says[0].upper()}{says[1:]}.", epilog=_SETTINGS
    )
    command.set_defaults(run=run)
    return command


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("from 0 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("from 1 to 256")
    return int(text)


def _serve(arguments: argparse.Namespace) -> int:
    config = Config.from_environ(os.environ)
    logs.configure(config.log_level)
    if arguments.fd is not None:
        return serve.run(config, socket.socket(fileno=arguments.fd), supervised=True)
    asyncio.run(schema_is_current(config.database_url))
    sock = serve.listen(config.host, config.port)
    if arguments.workers > 1:
        return serve.run_workers(sock, arguments.workers)
    return serve.run(config, sock)


def _migrate(arguments: argparse.Namespace) -> int:
    applied = asyncio.run(migrate(Config.from_environ(os.environ).database_url))
    for name in applied:
        print(f"applied {name}")
    print("the database is up to date")
    return 0


@contextlib.asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    url = Config.from_environ(os.environ).database_url
    await schema_is_current(url, timeout_s=0)
    database = Database(url, 2)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def _keys_create(arguments: argparse.Namespace) -> int:
    async def create() -> str:
        async with _database() as database:
            return await keys.create(
                database, arguments.project, arguments.role, arguments.name, arguments.origin
            )

    print(asyncio.run(create()))
    print("Keep it: it is not stored and can't be shown again.", file=sys.stderr)
    return 0


def _keys_list(arguments: argparse.Namespace) -> int:
    async def list_all() -> list[dict[str, Any]]:
        async with _database() as database:
            return await keys.list_all(database, arguments.project)

    for key in asyncio.run(list_all()):
        state = f"revoked {key['revoked_at']:%Y-%m-%d}" if key["revoked_at"] else "live"
        print(key["project"], key["name"], key["role"], state, *key["origins"], sep="\t")
    return 0


def _keys_revoke(arguments: argparse.Namespace) -> int:
    async def revoke() -> None:
        async with _database() as database:
            await keys.revoke(database, arguments.project, arguments.name)

    asyncio.run(revoke())
    print(
        f"revoked {arguments.name!r} of {arguments.project!r}; every process refuses it within 5 s"
    )
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from . import demo  # needs the packages of the extra `local`, which a server lacks

    return demo.run(arguments.data_dir, arguments.host, arguments.port)
