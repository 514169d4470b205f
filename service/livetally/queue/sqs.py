"""The queue itself: receive, hide, let go, delete. What fails is counted by its cause."""

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from ..base import aws
from ..base.aws import FAILURES, client, fault
from ..base.backoff import pause_s
from ..base.errors import QueueUnavailable
from ..ops.metrics import Metrics
from .message import ASKED, Message

log = logging.getLogger(__name__)

#: SQS takes so many messages in one call.
BATCH = 10
#: Until the queue has told its own.
_DEFAULT_VISIBILITY_S = 30.0
_LONGEST_DELAY_S = 900


def delay_s(receives: int, *, patient: bool = False) -> int:
    """How long a rejected message stays hidden: not at all, then about 1, 2, 4… s; or half a
    minute, 1, 2…"""
    if patient:
        return math.ceil(pause_s(receives, 30, _LONGEST_DELAY_S))
    return 0 if receives <= 1 else math.ceil(pause_s(receives - 1, 1, _LONGEST_DELAY_S))


class Sqs:
    """A queue and, for what its messages tell of, S3. Enter it before use."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self._url = url
        self._metrics = metrics
        self._clients = AsyncExitStack()
        self._client: Any = None
        self._cause = ""
        self._known = False
        self.s3: Any = None
        self.visibility_s = _DEFAULT_VISIBILITY_S
        #: what an operator should know of the queue
        self.warning: str | None = None

    async def __aenter__(self) -> Self:
        self._client = await self._clients.enter_async_context(client("sqs", self._url))
        self.s3 = await self._clients.enter_async_context(client("s3", self._url))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._clients.aclose()

    async def receive(self, most: int) -> list[dict[str, Any]]:
        """Some messages; none after a while. Raises QueueUnavailable.

        Not to be cancelled: what SQS is just sending would be hidden from everybody for a while.
        """
        if not self._known:
            await self._ask()
        try:
            answer = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, BATCH),
                WaitTimeSeconds=aws.LONG_POLL_S,
                **ASKED,
            )
        except FAILURES as error:
            raise self._failed(error) from None
        self._cause = ""
        return list(answer.get("Messages", []))

    async def _ask(self) -> None:
        """How the queue is set up. Raises QueueUnavailable."""
        try:
            answer = await self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
            )
        except FAILURES as error:
            if fault(error).cause == "access_denied":
                self._known = True  # receiving may be allowed all the same
                return
            raise self._failed(error) from None
        attributes = answer.get("Attributes", {})
        self.visibility_s = max(float(attributes.get("VisibilityTimeout", 0)), 1.0)
        self.warning = (
            None
            if attributes.get("RedrivePolicy")
            else "the queue has no redrive policy: bad messages come again and again"
        )
        self._known = True

    def _failed(self, error: Exception) -> QueueUnavailable:
        """Count it; log it when it is news, not at every attempt."""
        found = fault(error)
        self._metrics.aws_failures.labels("sqs", found.cause).inc()
        level = logging.DEBUG if found.cause == self._cause else logging.WARNING
        self._cause = found.cause
        log.log(level, "the queue can't be read (%s): %s", found.cause, found.message)
        return QueueUnavailable(f"the queue can't be read ({found.cause})")

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete at most `BATCH`. What fails is logged; it comes again."""
        await self._batch("delete_message_batch", messages, {})

    async def hide(self, messages: Sequence[Message]) -> None:
        """Keep them invisible to others for another `visibility_s`."""
        await self._change(messages, round(self.visibility_s))

    async def let_go(self, messages: Sequence[Message], delay_s: int) -> None:
        """Have them come again after this time, to anybody."""
        await self._change(messages, delay_s)

    async def _change(self, messages: Sequence[Message], timeout_s: int) -> None:
        for start in range(0, len(messages), BATCH):
            batch = messages[start : start + BATCH]
            more = {"VisibilityTimeout": timeout_s}
            await self._batch("change_message_visibility_batch", batch, more)

    async def _batch(self, call: str, messages: Sequence[Message], more: dict[str, int]) -> None:
        entries = [
            {"Id": str(n), "ReceiptHandle": message.receipt, **more}
            for n, message in enumerate(messages)
        ]
        for attempt in (1, 2, 3):
            try:
                answer = await getattr(self._client, call)(QueueUrl=self._url, Entries=entries)
            except FAILURES as error:
                self._failed(error)
                failed = entries
            else:
                told = answer.get("Failed", [])
                again = {each["Id"] for each in told if not each.get("SenderFault")}
                for each in told:
                    self._metrics.aws_failures.labels("sqs", "in_part").inc()
                    log.info("%s: %s %s", call, each.get("Code"), each.get("Message", ""))
                failed = [entry for entry in entries if entry["Id"] in again]
            if not failed or attempt == 3:
                break
            entries = failed
            await asyncio.sleep(pause_s(attempt, 0.2, 1))
        if failed:
            log.warning("%s: %d messages failed; they may come again", call, len(failed))
