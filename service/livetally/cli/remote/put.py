"""The command `put`: store items."""

import argparse
import sys
from typing import Any

import msgspec

from ...client import AsyncClient
from ..command import CommandError, number
from .server import add_remote

_EXAMPLES = """
livetally put vehicle-id 3 '{"lat": 41.4, "lon": 2.2}'
livetally put vehicle-id 3 '{"lat": 41.5}' --version 1
sensor | livetally put vehicle-id 3 -
livetally put vehicle-id < items.ndjson
"""

#: A request's worth; the server takes 1,000 items and 1 MiB.
_BATCH_ITEMS = 500
_BATCH_BYTES = 512 * 1024

_encoder = msgspec.json.Encoder()


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    value: Any


def add(commands: Any) -> None:
    command = add_remote(
        commands, "put", _put, 'store an item, or {"id","value"} lines from stdin', _EXAMPLES
    )
    command.add_argument("name", metavar="KEY", help="of which kind it is, like vehicle-id")
    command.add_argument("id", nargs="?", metavar="ID", help="which one")
    command.add_argument("value", nargs="?", metavar="VALUE", help="JSON; -: from stdin")
    command.add_argument(
        "--version",
        dest="only_over",
        type=number(0, 2**62),
        metavar="N",
        help="only over this version; 0: only if there is none",
    )


async def _put(client: AsyncClient, arguments: argparse.Namespace) -> int:
    if arguments.id is None:
        return await _put_lines(client, arguments.name)
    if arguments.value is None:
        raise CommandError("a value is missing: livetally put KEY ID VALUE.")
    text = sys.stdin.read() if arguments.value == "-" else arguments.value
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise CommandError(
            f"the value is not JSON (a text needs quotes of its own): {error}"
        ) from None
    # As it was written: a decoded number could be another one.
    del value
    stored = await client.put(
        arguments.name, arguments.id, msgspec.Raw(text.encode()), version=arguments.only_over
    )
    print(_encoder.encode(stored).decode())
    return 0


async def _put_lines(client: AsyncClient, key: str) -> int:
    stored, size = 0, 0
    values: dict[str, Any] = {}
    for at, text in enumerate(sys.stdin.buffer, 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CommandError(f"line {at}: {error}; {stored} items are stored.") from None
        # A later line of the same item is the one that counts.
        values[line.id] = line.value
        size += len(text)
        if len(values) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            stored += len(await client.put_all(key, values))
            values, size = {}, 0
    if values:
        stored += len(await client.put_all(key, values))
    print(_encoder.encode({"stored": stored}).decode())
    return 0
