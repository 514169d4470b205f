"""Events that wait to be sent: a bounded queue, and the loop that empties it in batches.

Every event gets its id before it is sent at all, so that it counts once however often it has to be
sent. A batch is sent until it is answered; meanwhile the next ones wait, in order.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..schema.http import Ack, NoneValid, Reason, Rejected
from .errors import ClientError, Closed, QueueFull, Refused, Unavailable
from .wire import Answer, Wire

log = logging.getLogger(__name__)

#: A request takes 1,000 events and 1 MiB; one event at most 16 KiB of properties and a subject.
BATCH_EVENTS = 500
BATCH_BYTES = 512 * 1024
MAX_EVENT_BYTES = 64 * 1024
#: What waits longest for company.
LINGER_S = 0.1
#: The queue's bound in bytes; the one in events is the user's choice.
QUEUE_BYTES = 64 * 1024 * 1024
#: Refusals that are remembered until somebody asks.
KEPT_REFUSALS = 1_000

_encoder = msgspec.json.Encoder()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened: `type` is what, `subject` to what."""

    type: str
    subject: str
    id: str | UnsetType = UNSET
    session: str | UnsetType | None = UNSET
    occurred_at: datetime | UnsetType | None = UNSET
    properties: Mapping[str, Any] | UnsetType | None = UNSET


class Sealed(msgspec.Struct, frozen=True):
    """An event as it is sent, every time."""

    id: str
    text: bytes


def seal(event: Event | Mapping[str, Any]) -> Sealed:
    """Give it an id, and encode it. Raises Refused for what is no JSON, or too large."""
    fields = (
        {name: value for name, value in msgspec.structs.asdict(event).items() if value is not UNSET}
        if isinstance(event, Event)
        else dict(event)
    )
    fields = {name: value for name, value in fields.items() if value is not None}
    id = str(fields.setdefault("id", secrets.token_hex(16)))
    try:
        text = _encoder.encode(fields)
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        raise Refused(f"The event is no JSON: {error}", "invalid_event") from None
    if len(text) > MAX_EVENT_BYTES:
        raise Refused(f"The event takes {len(text):,} bytes: too large.", "properties_too_large")
    return Sealed(id, text)


def now() -> datetime:
    return datetime.now(UTC)


async def deliver(wire: Wire, events: Sequence[Sealed], timeout_s: float | None = None) -> Ack:
    """Send events that fit into a request, until they are answered. Raises a ClientError.

    Refused events are in the Ack; only what is refused whole raises.
    """
    body = b"[%b]" % b",".join(event.text for event in events)
    answer = await wire.call("POST", "/v1/events", body=body, accept=(422,), timeout_s=timeout_s)
    if answer.status == 422:
        return await _refused(wire, events, answer, timeout_s)
    return answer.decode(Ack)


async def _refused(
    wire: Wire, events: Sequence[Sealed], answer: Answer, timeout_s: float | None
) -> Ack:
    """Which of them it is. When the answer doesn't say, halves are sent apart until it is clear."""
    try:
        found = msgspec.json.decode(answer.body, type=NoneValid)
    except msgspec.ValidationError:
        if len(events) == 1:
            reason = answer.decode(_Whole).error
            return Ack(accepted=0, duplicates=0, rejected=[Rejected(0, reason)])
        half = len(events) // 2
        return join(
            [
                (0, await deliver(wire, events[:half], timeout_s)),
                (half, await deliver(wire, events[half:], timeout_s)),
            ]
        )
    return Ack(accepted=found.accepted, duplicates=found.duplicates, rejected=found.rejected)


class _Whole(msgspec.Struct):
    error: Reason


def join(parts: Sequence[tuple[int, Ack]]) -> Ack:
    """The Ack of all parts; each begins with the event of this index."""
    return Ack(
        accepted=sum(ack.accepted for _, ack in parts),
        duplicates=sum(ack.duplicates for _, ack in parts),
        rejected=[
            Rejected(start + each.index, each.error)
            for start, ack in parts
            for each in ack.rejected
        ],
    )


def batches(events: Sequence[Sealed]) -> list[Sequence[Sealed]]:
    """The same events in the same order, in parts that fit into a request."""
    parts, start, size = [], 0, 0
    for index, event in enumerate(events):
        if index - start >= BATCH_EVENTS or size + len(event.text) > BATCH_BYTES:
            parts.append(events[start:index])
            start, size = index, 0
        size += len(event.text) + 1
    return [*parts, events[start:]] if start < len(events) else parts


class Outbox:
    """The queue. `put` may be called by any thread, the rest by the loop that runs it."""

    def __init__(
        self, wire: Wire, max_events: int, on_refused: Callable[[str, Reason], None] | None
    ) -> None:
        self._wire = wire
        self._max_events = max_events
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._queue: deque[Sealed] = deque()
        self._bytes = 0
        self._taken = self._settled = 0
        self._closed = False
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()
        self._refused: deque[Rejected] = deque(maxlen=KEPT_REFUSALS)
        self._failure: ClientError | None = None
        self.accepted = self.duplicates = self.refused = 0

    def __len__(self) -> int:
        """Events that are not settled yet."""
        return self._taken - self._settled

    def put(self, event: Sealed) -> bool:
        """Take it, or raise QueueFull or Closed. True: the loop may be asleep, call `wake`."""
        with self._lock:
            if self._closed:
                raise Closed
            if len(self) >= self._max_events or self._bytes + len(event.text) > QUEUE_BYTES:
                raise QueueFull
            self._queue.append(event)
            self._bytes += len(event.text)
            self._taken += 1
            return len(self._queue) == 1

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """The loop. Ends when it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._hurry.wait()
            self._hurry.clear()
            while batch := self._next():
                await self._send(batch)

    def _next(self) -> list[Sealed]:
        batch: list[Sealed] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
                event = self._queue.popleft()
                batch.append(event)
                size += len(event.text)
        return batch

    async def _send(self, batch: list[Sealed]) -> None:
        """Until it is answered, however long the server is away."""
        ack = None
        while ack is None:
            try:
                ack = await deliver(self._wire, batch)
            except Unavailable as error:
                log.warning("%d events wait: %s", len(self), error)
            except ClientError as error:
                ack = self._refuse_all(batch, error)
        self._note(batch, ack)
        async with self._moved:
            self._settled += len(batch)
            with self._lock:
                self._bytes -= sum(len(event.text) for event in batch)
            self._moved.notify_all()

    def _refuse_all(self, batch: list[Sealed], error: ClientError) -> Ack:
        """The key is no good, or the address: sending it again wouldn't help."""
        self._failure = error
        reason = Reason(error.code, str(error))
        rejected = [Rejected(index, reason) for index in range(len(batch))]
        return Ack(accepted=0, duplicates=0, rejected=rejected)

    def _note(self, batch: list[Sealed], ack: Ack) -> None:
        self.accepted += ack.accepted
        self.duplicates += ack.duplicates
        self.refused += len(ack.rejected)
        self._refused.extend(ack.rejected)
        if ack.rejected and self._on_refused is None:
            why = ack.rejected[0].error.message
            log.error("%d events were refused; the first: %s", len(ack.rejected), why)
        elif self._on_refused is not None:
            for each in ack.rejected:
                try:
                    self._on_refused(batch[each.index].id, each.error)
                except Exception:
                    log.exception("on_refused failed")

    async def flush(self, timeout_s: float) -> None:
        """Return once all events of now are on disk.

        Raises Unavailable if that takes too long (they stay queued), or Refused, Unauthorized… for
        what was refused since the last flush.
        """
        wanted = self._taken
        self._wake.set()
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self._settled >= wanted)
        except TimeoutError:
            raise Unavailable(
                f"{wanted - self._settled} events could not be sent within {timeout_s:g} s."
            ) from None
        self._complain()

    def _complain(self) -> None:
        failure, self._failure = self._failure, None
        rejected = list(self._refused)
        self._refused.clear()
        if failure is not None:
            raise failure
        if rejected:
            first = rejected[0].error
            raise Refused(
                f"{len(rejected)} events were refused; the first: {first.message}",
                first.code,
                rejected,
            )

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True
