"""Why messages were refused: kept in Postgres, for who looks at the dead letters later."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from ..db.database import Database
from ..ingest.events import Rejection
from ..web.read_budgets import Reader
from .message import Message

#: Of one message or object: the reasons of its first bad lines.
KEEP_LINES = 100
#: Of all messages: the latest.
KEEP_ROWS = 100_000
#: Of what was refused, its beginning.
HEAD_BYTES = 256
_REASON_CHARACTERS = 1000

_encoder = msgspec.json.Encoder()


class Refusal(msgspec.Struct, frozen=True):
    """Why a message was refused (`line` is 0), or a record or line of it."""

    message: str
    line: int
    #: The object in S3 that it is a line of; else nothing.
    object: str
    receives: int
    cause: str
    reason: str
    head: str
    refused_at: datetime


class Refusals:
    """What is recorded of messages that were refused, and of bad lines in those that were not."""

    def __init__(self, database: Database | Reader) -> None:
        self._database = database

    async def record(
        self,
        message: Message,
        cause: str,
        reason: str,
        lines: Iterable[tuple[Rejection, bytes]] = (),
        object: str = "",
    ) -> None:
        """Keep why, in place of what was kept of the message before. Raises DatabaseUnavailable."""
        rows = [_row(message, 0, object, cause, reason, message.body[:HEAD_BYTES].encode())]
        rows += [
            _row(message, each.index, object, each.code, each.message, head) for each, head in lines
        ]
        await self._database.rows("queue_refuse", _encoder.encode(rows).decode())

    async def forgive(self, message_ids: list[str]) -> None:
        """These were taken after all. Raises DatabaseUnavailable."""
        await self._database.rows("queue_forgive", message_ids)

    async def trim(self) -> None:
        """Keep within bounds. Raises DatabaseUnavailable."""
        await self._database.rows("queue_trim", KEEP_ROWS)

    async def of(self, message_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """Each message's reasons, line by line; line 0 is the message itself."""
        found: dict[str, list[dict[str, Any]]] = {id: [] for id in message_ids}
        for row in await self._database.rows("queue_refusals", message_ids):
            found[row["message"]].append(row)
        return found

    async def lately(self, limit: int) -> list[Refusal]:
        """The latest reasons of all, the bad lines of objects that were taken among them."""
        rows = await self._database.rows("queue_refusals_lately", limit)
        return msgspec.convert(rows, list[Refusal])


def _row(
    message: Message, line: int, object: str, cause: str, reason: str, head: bytes
) -> dict[str, Any]:
    return {
        "message": message.sqs_id,
        "line": line,
        "object": _text(object.encode(errors="replace")),
        "receives": message.receives,
        "cause": cause,
        "reason": _text(reason.encode(errors="replace"))[:_REASON_CHARACTERS],
        "head": _text(head[:HEAD_BYTES]),
    }


def _text(raw: bytes) -> str:
    """As text that Postgres can hold, whatever it was."""
    return raw.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
