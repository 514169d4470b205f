"""Commands that run the service: serve, migrate, health, demo."""

import argparse
import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .command import CommandError, add_command, number


def add(commands: Any) -> None:
    command = add_command(commands, "serve", _serve, "serve the API and the pages")
    command.add_argument(
        "--workers", type=number(1, 256), default=1, metavar="N", help="processes on one port (1)"
    )
    command.add_argument("--fd", type=int, help=argparse.SUPPRESS)

    add_command(
        commands, "migrate", _migrate, "bring the database up to date; safe to run any time"
    )

    command = add_command(
        commands, "health", _health, "ask the service on this machine whether it is well"
    )
    command.add_argument("--path", default="/healthz", help="to ask for (/healthz)")
    command.add_argument("--timeout", type=float, default=3, metavar="S", help="for all of it (3)")

    command = add_command(
        commands, "demo", _demo, "run everything on this machine: Postgres, Redis, a project"
    )
    command.add_argument(
        "--port", type=number(0, 65535), default=8080, help="to listen on; 0: a free one"
    )
    command.add_argument("--host", default="127.0.0.1", help="to listen on (127.0.0.1)")
    command.add_argument(
        "--aws", action="store_true", help="with S3, SQS and SNS by moto's server, and a worker"
    )
    command.add_argument(
        "--data-dir", type=Path, default=Path(".livetally"), help="where it is kept (.livetally)"
    )


@contextlib.contextmanager
def plainly_refused() -> Iterator[None]:
    """What stops the service's own commands, as one line: a setting, Postgres, a port in use."""
    import psycopg

    from ..base.config import ConfigError
    from ..base.errors import LivetallyError
    from ..db.database import MigrationError
    from ..server.process import PortInUse

    try:
        yield
    except (ConfigError, MigrationError, PortInUse, LivetallyError, psycopg.Error) as error:
        raise CommandError(str(error)) from None


def _serve(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        from ..base.config import Config
        from ..db.database import schema_is_current
        from ..ops import logs
        from ..server import process

        config = Config.from_environ(os.environ)
        logs.configure(config.log_level)
        if arguments.fd is not None:
            return process.run(config, socket.socket(fileno=arguments.fd), supervised=True)
        asyncio.run(schema_is_current(config.database_url))
        sock = process.listen(config.host, config.port)
        if arguments.workers > 1:
            return process.run_workers(sock, arguments.workers)
        return process.run(config, sock)


def _migrate(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        from ..base.config import Config
        from ..db.database import migrate
        from ..db.service_role import prepare

        config = Config.from_environ(os.environ)
        for name in asyncio.run(migrate(config.database_url)):
            print(f"applied {name}")
        print("the database is up to date")
        if config.service_database_url:
            role = asyncio.run(prepare(config.database_url, config.service_database_url))
            print(f"the service's role is {role}")
    return 0


def _health(arguments: argparse.Namespace) -> int:
    from ..ops import probe

    return probe.run(arguments.path, arguments.timeout)


def _demo(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        from ..dev import demo  # needs the packages of the extra `local`, which a server lacks

        return demo.run(arguments.data_dir, arguments.host, arguments.port, aws=arguments.aws)
