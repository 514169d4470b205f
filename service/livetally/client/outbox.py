"""Events that wait to be sent: a bounded queue, and the loop that empties it in batches.

Every event gets its id before it is sent at all, so that it counts once however often it has to be
sent. A batch is sent until it is answered by Livetally itself; meanwhile the next ones wait, in
order. Nothing is dropped in silence: what is refused, given up or not taken is told.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

from ..schema.http import Ack, Reason, Rejected
from .errors import ClientError, Closed, Forbidden, QueueFull, Refused, Unauthorized, Unavailable
from .events import BATCH_BYTES, BATCH_EVENTS, Sealed, deliver, post
from .wire import Wire, pause

log = logging.getLogger(__name__)

#: The first event goes at once: its process may end in any moment. What comes after it waits this
#: long for company.
LINGER_S = 0.1
#: A key that is refused is tried again this much later, at the earliest.
KEY_PAUSE_S = 30.0
#: The queue's bound in bytes; the one in events is the user's choice.
QUEUE_BYTES = 64 * 1024 * 1024
#: Refusals that are remembered until somebody asks.
KEPT_REFUSALS = 1_000


_NO_KEY = (Unauthorized, Forbidden)


class Outbox:
    """The queue. `put` may be called by any thread, the rest by the loop that runs it."""

    def __init__(
        self, wire: Wire, max_events: int, on_refused: Callable[[str, Reason], None] | None
    ) -> None:
        self._wire = wire
        self._max_events = max_events
        self._on_refused = on_refused
        #: A signal's handler may count something while its own thread is at it.
        self._lock = threading.RLock()
        self._queue: deque[Sealed] = deque()
        self._bytes = 0
        self._taken = self._settled = 0
        self._closed = False
        self.move_in()
        self._refused: deque[Rejected] = deque(maxlen=KEPT_REFUSALS)
        #: Why the last try failed; None after one that didn't.
        self._failure: ClientError | None = None
        self.accepted = self.duplicates = self.refused = 0

    def move_in(self) -> None:
        """Belong to no loop yet."""
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._last_call = asyncio.Event()
        self._moved = asyncio.Condition()

    def __len__(self) -> int:
        """Events that are not settled yet."""
        return self._taken - self._settled

    def put(self, event: Sealed) -> bool:
        """Take it, or raise QueueFull or Closed. True: the loop may be asleep, call `wake`."""
        with self._lock:
            if self._closed:
                raise Closed
            if len(self) >= self._max_events or self._bytes + len(event.text) > QUEUE_BYTES:
                raise QueueFull(f"{len(self):,} events wait: this one was not taken.{self._why()}")
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
            await self.send_all()
            await _unless(self._hurry, LINGER_S)

    async def send_all(self) -> None:
        """Send what waits."""
        while batch := self._next():
            try:
                ack = await self._send(batch)
            except BaseException:
                with self._lock:
                    self._queue.extendleft(reversed(batch))
                raise
            self._note(batch, ack)
            await self._settle(batch)

    def _next(self) -> list[Sealed]:
        batch: list[Sealed] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
                event = self._queue.popleft()
                batch.append(event)
                size += len(event.text)
        return batch

    async def _send(self, batch: list[Sealed]) -> Ack:
        """Until it is answered, however long the server is away or the key no good."""
        attempt = 0
        while True:
            try:
                ack = await deliver(lambda events: post(self._wire, events), batch)
            except ClientError as error:
                failure = error
            except Exception as error:
                log.exception("sending failed")
                failure = Unavailable(f"{type(error).__name__}: {error}")
            else:
                self._failure = None
                return ack
            wait = _least_wait(failure) + pause(attempt)
            log.warning("%d events wait for %.1f s: %s", len(self), wait, failure)
            await self._fail(failure)
            await _unless(self._last_call, wait)
            attempt += 1

    async def _fail(self, error: ClientError) -> None:
        async with self._moved:
            self._failure = error
            self._moved.notify_all()

    async def _settle(self, batch: list[Sealed]) -> None:
        async with self._moved:
            with self._lock:
                self._settled += len(batch)
                self._bytes -= sum(len(event.text) for event in batch)
            self._moved.notify_all()

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

        Raises Unavailable if that takes too long, Unauthorized or Forbidden if the key is no good
        (the events stay queued), or Refused for what was refused since the last flush.
        """
        wanted = self._taken
        self._wake.set()
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(
                    lambda: self._settled >= wanted or isinstance(self._failure, _NO_KEY)
                )
        except TimeoutError:
            count = f"{wanted - self._settled} events could not be sent within {timeout_s:g} s."
            raise Unavailable(count + self._why()) from None
        if self._settled < wanted and self._failure is not None:
            count = f"{wanted - self._settled} events wait."
            raise type(self._failure)(f"{self._failure} {count}", self._failure.code)
        self._complain()

    async def last_flush(self, timeout_s: float) -> None:
        """`flush` with nothing after it: what waits for its next try is tried now."""
        self._failure = None
        self._last_call.set()
        await self.flush(timeout_s)

    def give_up(self) -> int:
        """Wait for nothing any more; how many events that loses."""
        with self._lock:
            lost = len(self)
            self._queue.clear()
            self._settled, self._bytes = self._taken, 0
        return lost

    def _why(self) -> str:
        return "" if self._failure is None else f" {self._failure}"

    def _complain(self) -> None:
        rejected = list(self._refused)
        self._refused.clear()
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


def _least_wait(error: ClientError) -> float:
    if isinstance(error, Unavailable):
        return error.wait_s
    return KEY_PAUSE_S if isinstance(error, _NO_KEY) else 0.0


async def _unless(event: asyncio.Event, seconds: float) -> None:
    """Wait so long, unless something happens; that it did is forgotten then."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
