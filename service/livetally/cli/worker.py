"""The command `worker`: what works behind the scenes."""

import argparse
import asyncio
import os
from typing import Any

from .command import add_command
from .server import plainly_refused

#: Each loop that can be named, and what it does.
OPTIONS = {
    "queue": "read events and items from SQS",
    "archive": "write events to the archive",
    "rollup": "add up old minutes and hours, drop old days of the log",
}


def add(commands: Any) -> None:
    command = add_command(
        commands, "worker", _worker, "work on queues and archives: on all that is configured"
    )
    for name, says in OPTIONS.items():
        command.add_argument(
            f"--{name}",
            dest="loops",
            action="append_const",
            const=name,
            default=[],
            help=f"{says}, and do nothing else that isn't named",
        )
    command.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def _worker(arguments: argparse.Namespace) -> int:
    with plainly_refused():
        from ..base.config import Config
        from ..db.database import schema_is_current
        from ..ops import logs
        from ..server import process
        from ..worker import app as worker

        config = Config.from_environ(os.environ)
        names = frozenset(arguments.loops)
        worker.chosen(config, names)
        logs.configure(config.log_level)
        asyncio.run(schema_is_current(config.database_url))
        sock = process.listen(config.host, config.port)
        return process.run(
            config,
            sock,
            make=lambda config: worker.create_worker(config, names),
            supervised=arguments.supervised,
        )
