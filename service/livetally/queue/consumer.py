"""SQS in: messages become events and items, and are deleted once those are committed.

A message is in hand from its receiving until it is deleted, or let go of. While in hand it is kept
invisible to other workers, and nothing is ever deleted that isn't on disk: a worker that dies loses
nothing, and what it had committed but not deleted comes again, to be counted as duplicates.

A bad message is recorded with its reason and let go of; SQS brings it again, and after its
`maxReceiveCount` moves it to the dead letters. What may pass (Postgres away) doesn't count as bad:
the message stays in hand for as long as it takes.
"""

import asyncio
import logging
import time
from typing import Any

from ..base.backoff import Backoff
from ..base.errors import (
    DatabaseUnavailable,
    LivetallyError,
    ObjectForbidden,
    QueueUnavailable,
    ShuttingDown,
)
from ..ops.health import Health, Heartbeat, wait
from ..ops.metrics import Metrics
from ..ops.tasks import end
from .contents import Contents, PartlyRefused
from .message import Message, received
from .rejections import Refusals
from .sqs import Sqs, delay_s
from .writer import Intake

log = logging.getLogger(__name__)

#: Messages in hand. SQS's largest is 1 MiB: this bounds memory too.
IN_HAND = 50
#: When asked to stop, what is in hand may take so long; then it is given back.
FINISH_S = 10
#: Between two attempts to reach the queue.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_TRIM_INTERVAL_S = 60.0


class Queue:
    """The loop that reads the queue."""

    def __init__(
        self,
        sqs: Sqs,
        contents: Contents,
        intake: Intake,
        refusals: Refusals,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._sqs = sqs
        self._contents = contents
        self._intake = intake
        self._refusals = refusals
        self._metrics = metrics
        self._health = health
        self._closing = asyncio.Event()
        self._in_hand: dict[asyncio.Task[None], Message] = {}
        self._room = asyncio.Event()
        self._done: list[Message] = []
        self._some_done = asyncio.Event()

    def close(self) -> None:
        self._closing.set()
        self._intake.flowing.set()

    async def run(self, heart: Heartbeat) -> None:
        """The loop: receive, while others delete what is done and keep the rest invisible."""
        async with self._sqs:
            others = [
                asyncio.create_task(self._delete_done(), name="delete"),
                asyncio.create_task(self._keep_invisible(), name="keep"),
                asyncio.create_task(self._trim(), name="trim"),
            ]
            try:
                await self._receive(others, heart)
                await self._finish()
            finally:
                await end([*others, *self._in_hand])

    async def _receive(self, others: "list[asyncio.Task[None]]", heart: Heartbeat) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while not self._closing.is_set():
            heart.beat()
            for task in others:
                if task.done():
                    task.result()  # it has died, and so do we
            if len(self._in_hand) >= IN_HAND or not self._intake.flowing.is_set():
                self._room.clear()
                await wait(self._room if self._intake.flowing.is_set() else self._intake.flowing, 1)
                continue
            try:
                messages = await self._sqs.receive(IN_HAND - len(self._in_hand))
            except QueueUnavailable as error:
                self._health.trouble("queue", error.message)
                await heart.rest(backoff.next_s(), until=self._closing)
                continue
            if backoff.failures:
                log.info("the queue is there again")
            backoff.reset()
            self._health.trouble("queue", self._sqs.warning)
            if self._closing.is_set():
                await self._sqs.let_go([received(each) for each in messages], 0)
            else:
                self._take_in_hand(messages)

    def _take_in_hand(self, raw: list[dict[str, Any]]) -> None:
        now = time.time()
        messages = [received(each) for each in raw]
        ages = [max(now - message.sent_ms / 1000, 0) for message in messages]
        self._metrics.message_age.set(max(ages, default=0))
        for message in messages:
            task = asyncio.create_task(self._work_on(message), name=message.sqs_id)
            self._in_hand[task] = message
            task.add_done_callback(self._out_of_hand)
        self._metrics.messages_in_hand.set(len(self._in_hand))

    def _out_of_hand(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.pop(task, None)
        self._metrics.messages_in_hand.set(len(self._in_hand))
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("message %s could not be let go of", task.get_name(), exc_info=error)

    async def _work_on(self, message: Message) -> None:
        try:
            kind = await self._contents.take(message, self._sqs.s3)
        except ShuttingDown:
            await self._sqs.let_go([message], 0)
        except LivetallyError as error:
            await self._refuse(message, error)
        except Exception:
            log.exception("message %s failed", message.sqs_id)
            await self._refuse(message, LivetallyError())
        else:
            self._metrics.messages_done.labels(kind).inc()
            self._metrics.message_seconds.observe(max(time.time() - message.sent_ms / 1000, 0))
            self._done.append(message)
            self._some_done.set()

    async def _refuse(self, message: Message, error: LivetallyError) -> None:
        """Record why, then let go of it: a second later, and each time it comes twice as late."""
        self._metrics.messages_refused.labels(error.code).inc()
        log.warning(
            "message %s is refused, the %d. time (%s): %s",
            *(message.sqs_id, message.receives, error.code, error.message),
        )
        lines, of = [], ""
        if isinstance(error, PartlyRefused):
            lines, of = error.tally.rejections, str(error.ref or "")
        await self._intake.insist(
            lambda: self._refusals.record(message, error.code, error.message, lines, of)
        )
        patient = error.code == ObjectForbidden.code  # somebody may be about to allow it
        await self._sqs.let_go([message], delay_s(message.receives, patient=patient))

    async def _delete_done(self) -> None:
        while True:
            await wait(self._some_done, 1)
            self._some_done.clear()
            while self._done:
                await self._delete()

    async def _delete(self) -> None:
        """Up to ten at once. One that can't be deleted comes again, and counts as duplicates."""
        batch = self._done[:10]
        again = [message.sqs_id for message in batch if message.receives > 1]
        if again:
            try:
                await self._refusals.forgive(again)
            except DatabaseUnavailable:
                log.info("refusals of %s stay on record", ", ".join(again))
        await self._sqs.delete(batch)
        del self._done[: len(batch)]

    async def _keep_invisible(self) -> None:
        """A message is hidden for the queue's own visibility time-out; renewed at its third."""
        renewed = time.monotonic()
        while True:
            # In short steps: how long it is comes to be known after the start.
            await asyncio.sleep(min(self._sqs.visibility_s / 3, 0.5))
            if time.monotonic() - renewed < self._sqs.visibility_s / 3:
                continue
            renewed = time.monotonic()
            await self._sqs.hide([*self._in_hand.values(), *self._done])

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_INTERVAL_S)
            try:
                await self._refusals.trim()
            except DatabaseUnavailable:
                log.debug("refusals are not trimmed")

    async def _finish(self) -> None:
        """Give what is in hand a little time; what isn't done then, others get at once."""
        if self._in_hand:
            await asyncio.wait(list(self._in_hand), timeout=FINISH_S)
        left = list(self._in_hand.values())
        await end(list(self._in_hand))
        while self._done:
            await self._delete()
        if left:
            log.info("%d messages are given back unfinished", len(left))
            await self._sqs.let_go(left, 0)
