"""The command `put`: store items."""

import argparse
import sys
from typing import Any

import msgspec

from ...client import AsyncClient
from ..command import CommandError, number
from .server import add_remote, as_json
from .values import Value, values

_EXAMPLES = """
livetally put vehicle-id 3 '{"lat": 41.4, "lon": 2.2}'
livetally put vehicle-id 3 '{"lat": 41.5}' --version 1
sensor | livetally put vehicle-id 3 -
livetally put vehicle-id < items.ndjson
"""

#: A request's worth; the server takes 1,000 items and 1 MiB.
_BATCH_ITEMS = 500
_BATCH_BYTES = 512 * 1024


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    value: msgspec.Raw  # as it was written


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
    text = arguments.value
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8-sig", "replace")
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
    print(as_json(stored))
    return 0


async def _put_lines(client: AsyncClient, key: str) -> int:
    stored, size = 0, 0
    batch: dict[str, Any] = {}
    async for found in values(sys.stdin.buffer):
        for value in found:
            # A later line of the same item is the one that counts.
            line = _parse(value, stored)
            batch[line.id] = line.value
            size += len(value.text)
            if len(batch) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
                stored += len(await client.put_all(key, batch))
                batch, size = {}, 0
    if batch:
        stored += len(await client.put_all(key, batch))
    print(as_json({"stored": stored}))
    return 0


def _parse(value: Value, stored: int) -> _Line:
    why_not = value.why_not
    if not why_not:
        try:
            return msgspec.json.decode(value.text, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            why_not = str(error)
    raise CommandError(f"line {value.line}: {why_not} {stored} items are stored.")
