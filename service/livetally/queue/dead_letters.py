"""The dead letters: what ended there, why, and how it gets another chance.

SQS has no way to look without taking: what is looked at is hidden from others for a moment, and
then let go. Replaying sends a message again, under the name it had, and then deletes the dead one:
should that fail in between there are two, and their events count once.
"""

import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..base.aws import FAILURES, client, fault
from ..base.errors import NotFoundError, QueueUnavailable
from .message import ASKED, FIRST_ID, FIRST_SENT, SECRET, Message, received
from .rejections import HEAD_BYTES, Refusals

#: More are not looked at in one go; replaying has no such end.
MAX_LOOKED_AT = 1_000
#: What is looked at is hidden for so long, should we not let it go ourselves.
_HIDDEN_S = 30
_BATCH = 10


class DeadLetter(msgspec.Struct):
    """A message that was refused too often."""

    id: str
    sent_at: datetime
    receives: int
    bytes: int
    head: str
    #: why, as it was recorded the last time; None where nothing was
    cause: str | None
    reason: str | None


class BadLine(msgspec.Struct):
    """A record or line of a message that was refused."""

    line: int
    cause: str
    reason: str
    head: str


class Whole(DeadLetter):
    """A dead letter with all that is known."""

    body: str
    #: an API key's value is left out
    attributes: dict[str, str]
    lines: list[BadLine]


class NotSent(msgspec.Struct):
    """A dead letter that could not be sent again."""

    id: str
    reason: str


class SentAgain(msgspec.Struct):
    """What became of a replay."""

    #: sent again (or, in a dry run, what would have been)
    ids: list[str] = []
    #: asked for, but not there
    missing: list[str] = []
    #: not sent; they are still dead
    failed: list[NotSent] = []
    dry_run: bool = False


class DeadLetters:
    """A queue's dead letters. All of it raises QueueUnavailable, or NotFoundError without one."""

    def __init__(self, queue_url: str, dead_letter_queue_url: str, refusals: Refusals) -> None:
        self._queue_url = queue_url
        self._url = dead_letter_queue_url
        self._refusals = refusals

    async def count(self) -> int:
        """About how many there are."""
        async with self._client() as sqs:
            try:
                answer = await sqs.get_queue_attributes(
                    QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
                )
            except FAILURES as error:
                raise _unavailable(error) from None
            return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    async def first(self, limit: int) -> list[DeadLetter]:
        """At most `limit`, in no order: SQS has none."""
        async with self._client() as sqs, aclosing(self._look(sqs, to_end=False)) as looking:
            found: dict[str, Message] = {}
            async for raw in looking:
                message = received(raw)
                found[message.sqs_id] = message
                if len(found) >= limit:
                    break
        reasons = await self._refusals.of([*found])
        return [_told(message, reasons[id]) for id, message in found.items()]

    async def show(self, id: str) -> Whole:
        """One of them, whole. Raises NotFoundError."""
        async with self._client() as sqs, aclosing(self._look(sqs, to_end=False)) as looking:
            async for raw in looking:
                if raw["MessageId"] == id:
                    message = received(raw)
                    break
            else:
                raise NotFoundError(f"There is no dead letter {id!r}.")
        rows = (await self._refusals.of([id]))[id]
        return Whole(
            **msgspec.structs.asdict(_told(message, rows)),
            body=message.body,
            attributes={
                name: "(not shown)" if name in SECRET else value
                for name, value in message.attributes.items()
            },
            lines=[msgspec.convert(row, BadLine) for row in rows if row["line"]],
        )

    async def replay(
        self,
        ids: Collection[str] | None,
        *,
        dry_run: bool = False,
        progress: Callable[[], None] = lambda: None,
    ) -> SentAgain:
        """Send these again, or all; `progress` is called for each one that was looked at."""
        done = SentAgain(dry_run=dry_run)
        async with self._client() as sqs, aclosing(self._look(sqs, to_end=True)) as looking:
            async for raw in looking:
                id = raw["MessageId"]
                if ids is None or id in ids:
                    await self._replay_one(sqs, raw, done)
                progress()
                if ids is not None and len(done.ids) + len(done.failed) == len(set(ids)):
                    break
        known = {*done.ids, *(each.id for each in done.failed)}
        done.missing = sorted(set(ids or ()) - known)
        return done

    async def _replay_one(self, sqs: Any, raw: dict[str, Any], done: SentAgain) -> None:
        id = raw["MessageId"]
        if done.dry_run:
            done.ids.append(id)
            return
        try:
            await sqs.send_message(QueueUrl=self._queue_url, **_again(raw))
        except FAILURES as error:
            done.failed.append(NotSent(id, fault(error).message))
            return
        done.ids.append(id)
        try:
            await sqs.delete_message(QueueUrl=self._url, ReceiptHandle=raw["ReceiptHandle"])
        except FAILURES as error:
            raise _unavailable(error) from None
        raw["deleted"] = True
        await self._refusals.forgive([id])

    async def _look(self, sqs: Any, *, to_end: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Each one once, at most `MAX_LOOKED_AT` unless `to_end`; those that are not marked as
        deleted are let go of when nobody looks any more."""
        seen: dict[str, str] = {}  # by id the receipt; bodies would fill the memory
        try:
            while to_end or len(seen) < MAX_LOOKED_AT:
                batch = await self._receive(sqs)
                fresh = [raw for raw in batch if raw["MessageId"] not in seen]
                if not fresh:
                    return
                seen |= {raw["MessageId"]: raw["ReceiptHandle"] for raw in batch}
                for raw in fresh:
                    yield raw
                    if raw.get("deleted"):
                        del seen[raw["MessageId"]]
        finally:
            await self._let_go(sqs, [*seen.values()])

    async def _receive(self, sqs: Any) -> list[dict[str, Any]]:
        try:
            answer = await sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=_HIDDEN_S,
                WaitTimeSeconds=1,  # short polls may find nothing where there is something
                **ASKED,
            )
        except FAILURES as error:
            raise _unavailable(error) from None
        return list(answer.get("Messages", []))

    async def _let_go(self, sqs: Any, receipts: list[str]) -> None:
        for start in range(0, len(receipts), _BATCH):
            entries = [
                {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for n, receipt in enumerate(receipts[start : start + _BATCH])
            ]
            try:
                await sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except FAILURES as error:
                raise _unavailable(error) from None

    def _client(self) -> Any:
        if not self._url or not self._queue_url:
            raise NotFoundError(
                "LIVETALLY_QUEUE_URL and LIVETALLY_DEAD_LETTER_QUEUE_URL are not set."
            )
        return client("sqs", self._url)


def _unavailable(error: Exception) -> QueueUnavailable:
    found = fault(error)
    return QueueUnavailable(f"The queue can't be used ({found.cause}): {found.message}")


def _told(message: Message, rows: list[dict[str, Any]]) -> DeadLetter:
    whole = next((row for row in rows if row["line"] == 0), {})
    return DeadLetter(
        message.sqs_id,
        datetime.fromtimestamp(message.sent_ms / 1000, UTC),
        whole.get("receives", message.receives),
        len(message.body.encode(errors="replace")),
        message.body[:HEAD_BYTES],
        whole.get("cause"),
        whole.get("reason"),
    )


def _again(raw: dict[str, Any]) -> dict[str, Any]:
    """What to send: the same, named as it was, so that what is counted of it already stays so."""
    attributes = {
        name: {
            field: value[field]
            for field in ("DataType", "StringValue", "BinaryValue")
            if field in value
        }
        for name, value in raw.get("MessageAttributes", {}).items()
    }
    system = raw.get("Attributes", {})
    named = {FIRST_ID: raw["MessageId"], FIRST_SENT: system.get("SentTimestamp", "0")}
    for name, value in named.items():
        attributes.setdefault(name, {"DataType": "String", "StringValue": value})
    sent = {"MessageBody": raw["Body"], "MessageAttributes": attributes}
    if group := system.get("MessageGroupId"):  # a FIFO queue
        sent |= {"MessageGroupId": group, "MessageDeduplicationId": secrets.token_hex(16)}
    return sent
