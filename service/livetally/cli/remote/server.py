"""What commands that talk to a running Livetally have in common: where it is, and who asks."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from ...client import AsyncClient, ClientError
from ..command import CommandError, add_command, printable

_encoder = msgspec.json.Encoder()

URL, KEY = "LIVETALLY_URL", "LIVETALLY_KEY"
DEFAULT_URL = "http://127.0.0.1:8080"

_ENDS = f"""where and who:
  {URL} is the server's address ({DEFAULT_URL}), {KEY} an API key; other
  people on this machine can see a command's options, but not its environment.
  LIVETALLY_* otherwise are the server's settings."""

Work = Callable[[AsyncClient, argparse.Namespace], Awaitable[int]]


def add_remote(
    commands: Any, name: str, work: Work, says: str, examples: str
) -> argparse.ArgumentParser:
    """A command that `work` does with a client; what the server refuses is one line on stderr."""

    def run(arguments: argparse.Namespace) -> int:
        return asyncio.run(_with_client(work, arguments))

    command = add_command(commands, name, run, says, examples=examples, ends=_ENDS)
    command.add_argument("--url", help=f"the server's address, instead of {URL}")
    command.add_argument("--key", help=f"an API key, instead of {KEY}")
    command.add_argument(
        "--key-file", type=Path, metavar="FILE", help="a file that holds the key and nothing else"
    )
    return command


def address(arguments: argparse.Namespace) -> tuple[str, str]:
    """The server's URL and the key. Raises CommandError."""
    key = (arguments.key or os.environ.get(KEY, "")).strip()
    if arguments.key_file is not None:
        key = _key_in(arguments.key_file)
    if not key:
        raise CommandError(f"no key: set {KEY}, or name a --key-file.")
    return arguments.url or os.environ.get(URL) or DEFAULT_URL, key


def _key_in(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig").strip()  # as Windows writes it
    except UnicodeDecodeError:
        raise CommandError(f"{file} holds no key: it is no UTF-8 text.") from None


async def _with_client(work: Work, arguments: argparse.Namespace) -> int:
    url, key = address(arguments)
    said = logging.StreamHandler()
    said.setFormatter(_OneLine())
    logging.basicConfig(handlers=[said], level=logging.WARNING)
    try:
        async with AsyncClient(url, key) as client:
            return await work(client, arguments)
    except (ClientError, ValueError) as error:
        raise CommandError(str(error)) from None


def note(text: str) -> None:
    """For people, not for pipes."""
    print(f"livetally: {one_line(text)}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def as_json(value: object) -> str:
    """For pipes; and somebody may look at it."""
    return printable(_encoder.encode(value).decode())


class _OneLine(logging.Formatter):
    """What the client says while it waits and tries again, and what a server has told it."""

    def format(self, record: logging.LogRecord) -> str:
        return f"livetally: {one_line(super().format(record))}"
