"""`livetally demo`, or `make run`: everything on one machine, and a project to play with."""

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..base.config import Config
from ..base.errors import LivetallyError, NotFoundError, UnknownKey
from ..db.database import Database, migrate
from ..ops import logs
from ..schema.keys import Role
from ..server import process
from ..server.app import create_app
from ..site.examples import Login
from ..site.shipped import pages_folder
from ..web import keys
from ..web.auth import Auth
from .servers import LocalPostgres, LocalRedis, LocalServerError, postgres_bin

PROJECT = "demo"


class DemoError(LivetallyError):
    """The demo can't be started; says why and what to do."""


def run(data_dir: Path, host: str, port: int, *, aws: bool = False) -> int:
    """Start Postgres and Redis, migrate, make keys, serve until Ctrl-C, stop it all.

    With `aws` also an AWS of our own, and a worker on its queue.

    Raises DemoError, or PortInUse before anything is started.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):  # while starting: like Ctrl-C, stop the servers
        signal.signal(number, signal.default_int_handler)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(data_dir), contextlib.ExitStack() as servers:
        sock = process.listen(host, port)
        try:
            _say("starting Postgres and Redis")
            postgres = servers.enter_context(LocalPostgres(data_dir / "postgres"))
            redis = servers.enter_context(LocalRedis(data_dir / "redis"))
            aws_settings = _start_aws(servers, data_dir) if aws else {}
        except LocalServerError as error:
            raise DemoError(str(error)) from None
        database_url = postgres.dsn()
        for name in asyncio.run(migrate(database_url)):
            _say(f"applied {name}")
        url = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
        demo = asyncio.run(_demo_file(data_dir / "demo.json", database_url, url))
        settings = {
            **{name: value for name, value in os.environ.items() if name.startswith("LIVETALLY_")},
            **{name: aws_settings[name] for name in aws_settings if name.startswith("LIVETALLY_")},
            "LIVETALLY_DATABASE_URL": database_url,
            "LIVETALLY_REDIS_URL": redis.url,
            "LIVETALLY_PAGE_WRITE_KEY": demo["write_key"],
            "LIVETALLY_PAGE_READ_KEY": demo["read_key"],
        }
        warnings = {"LIVETALLY_LOG_LEVEL": "warning"}
        config = Config.from_environ(warnings | settings)
        _write_private(data_dir / "env", _shell_settings(config, demo, aws_settings))
        logs.configure(config.log_level)
        if aws:
            from . import demo_aws

            servers.enter_context(
                demo_aws.worker({**warnings, **settings, **aws_settings}, PROJECT)
            )
        status = process.run(
            config,
            sock,
            started=lambda: _welcome(url, data_dir, demo, config),
            make=partial(create_app, login=Login(PROJECT, demo["read_write_key"])),
        )
        _say("stopping Postgres and Redis; the data stays in " + str(data_dir))
    return status


def _start_aws(servers: contextlib.ExitStack, data_dir: Path) -> dict[str, str]:
    if find_spec("moto") is None:
        raise DemoError("--aws needs moto's server: pip install 'moto[server]'")
    from . import demo_aws

    _say("starting moto's server for S3, SQS and SNS")
    return servers.enter_context(demo_aws.local_aws(data_dir))


def _shell_settings(config: Config, demo: dict[str, str], aws: dict[str, str]) -> str:
    """What makes README's examples work in a shell: the keys, where the database is, the programs.

    Those come last on the PATH: a psql that is installed here may be newer.
    """
    programs = [Path(sys.executable).parent, postgres_bin()]
    wscat = pages_folder(config.pages_dir).resolve().parent / "node_modules" / ".bin"
    if wscat.is_dir():
        programs.append(wscat)
    variables = {
        "LIVETALLY_DATABASE_URL": config.database_url,
        "LIVETALLY_REDIS_URL": config.redis_url,
        **{f"{role}_key".upper(): demo[f"{role}_key"] for role in Role},
        "LIVETALLY_URL": demo["url"],
        "LIVETALLY_KEY": demo["admin_key"],
        **aws,
    }
    return f'export PATH="$PATH":{shlex.quote(":".join(map(str, programs)))}\n' + "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()
    )


async def _demo_file(path: Path, database_url: str, url: str) -> dict[str, str]:
    """The demo project's keys: those of the last run, or new ones if the database lacks them."""
    database = Database(database_url, 2)
    await database.open()
    try:
        kept = _read(path)
        demo = {"url": url, "project": PROJECT}
        for role in Role:
            field = f"{role}_key"
            key = kept.get(field, "")
            try:
                await Auth(database).find(key or "none", None)
            except UnknownKey:
                with contextlib.suppress(NotFoundError):
                    await keys.revoke(database, PROJECT, f"demo-{role}")
                key = await keys.create(database, PROJECT, role, f"demo-{role}")
            demo[field] = key
    finally:
        await database.close()
    _write_private(path, json.dumps(demo, indent=2) + "\n")
    return demo


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_private(path: Path, text: str) -> None:
    """Never readable by others, not even for a moment; never half-written."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(text)
    new.replace(path)


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """A second demo on the same data would stop the first one's servers. The lock dies with us."""
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"it is running already with the data in {data_dir}.") from None
        yield


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _welcome(url: str, data_dir: Path, demo: dict[str, str], config: Config) -> None:
    page = (pages_folder(config.pages_dir) / "index.html").is_file()
    print(
        f"""
Livetally is running at {url}   (Ctrl-C stops it)
{"" if page else "The page is not built: install Node 20+ with npm and start again. The API works."}
Count something:

  curl {url}/v1/events -H 'x-api-key: {demo["write_key"]}' \\
    -H 'content-type: application/json' -d '{{"type":"click","subject":"red"}}'

Ask for the counts:

  curl '{url}/v1/stats?type=click' -H 'x-api-key: {demo["read_key"]}'

For clients of older systems, in curl, JavaScript and Python: {url}/examples

Keys are in {data_dir / "demo.json"}; `. {data_dir / "env"}` gives a shell
what README's examples need, with `livetally stats click --watch` and psql.
""",
        flush=True,
    )
