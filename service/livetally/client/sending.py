"""`Sender`: the half of a client that sends events, and ends well."""

import asyncio
import functools
import logging
import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from ..schema.http import Ack, Reason
from .errors import Closed, Refused
from .events import Event, Sealed, batches, deliver, join, now, post, seal
from .outbox import Outbox
from .wire import Wire

log = logging.getLogger(__name__)

#: How long the end of a program, or of its event loop, waits for events that nobody has flushed.
EXIT_S = 5.0


class Sender:
    """Sends events, now or in the background."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        max_queue: int = 10_000,
        on_refused: Callable[[str, Reason], None] | None = None,
    ) -> None:
        key = key or os.environ.get("LIVETALLY_KEY", "")
        url = url or os.environ.get("LIVETALLY_URL", "http://127.0.0.1:8080")
        if not key:
            raise ValueError("A key is needed: give one, or set LIVETALLY_KEY.")
        self._wire = Wire(url, key, timeout_s)
        self._make_outbox = functools.partial(Outbox, self._wire, max_queue, on_refused)
        self._here: tuple[int, asyncio.AbstractEventLoop | None] = os.getpid(), None
        self._begin()
        self._closed = False
        #: A parent's: its sockets are not to be touched, not even by tidying up.
        self._inherited: list[object] = []

    def _begin(self) -> None:
        self.outbox = self._make_outbox()
        self._sending: asyncio.Task[None] | None = None
        weakref.finalize(self, _forgotten, self.outbox, os.getpid())

    def _move_in(self) -> None:
        """The loop may be another than the last time: somebody called `asyncio.run` again. In a
        fork nothing is queued, the parent sends that."""
        pid, _ = here = os.getpid(), asyncio.get_running_loop()
        if self._here == here:
            return
        if self._here[0] != pid:
            self._inherited.append(self._sending)
            self._begin()
        self._here = here
        self._sending = None
        self._resting = asyncio.Lock()
        self.outbox.move_in()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def track(
        self,
        type: str,
        subject: str,
        *,
        id: str | None = None,
        session: str | None = None,
        occurred_at: datetime | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> str:
        """Count something; it is sent in the background, and counted once. Returns its id.

        Never waits. Raises QueueFull, Closed, or Refused for properties that are no JSON.
        """
        self._move_in()
        event, asleep = self.queue(
            type,
            subject,
            id=id,
            session=session,
            occurred_at=occurred_at,
            properties=properties,
        )
        if asleep or self._sending is None:
            self.send_queued()
        return event.id

    def queue(
        self,
        type: str,
        subject: str,
        *,
        id: str | None,
        session: str | None,
        occurred_at: datetime | None,
        properties: Mapping[str, Any] | None,
    ) -> tuple[Sealed, bool]:
        """`track` for any thread; True: call `send_queued`, in the client's loop."""
        fields = {
            "type": type,
            "subject": subject,
            "id": id,
            "session": session,
            "occurred_at": occurred_at or now(),
            "properties": properties,
        }
        event = seal(fields)
        return event, self.outbox.put(event)

    def send_queued(self) -> None:
        """See to it that what is queued gets sent. In the client's loop only."""
        self._move_in()
        if self._sending is None:
            self._sending = asyncio.create_task(self._run(), name="livetally outbox")
        self.outbox.wake()

    async def _run(self) -> None:
        try:
            await self.outbox.run()
        except asyncio.CancelledError:
            if self._sending is not None:  # not by `rest`: the loop ends, and nobody has closed us
                await self._finish()
            raise

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(EXIT_S):
                await self.outbox.send_all()
        except TimeoutError:
            self.give_up("its event loop has ended")
        await self._wire.close()

    async def send(self, events: Iterable[Event | Sealed | Mapping[str, Any]]) -> Ack:
        """Send events now, any number of them; returns once they are on disk.

        They get ids if they have none, so that nothing counts twice: not even if it is called again
        after an error with the same `Event`s. Raises Refused if some are no good (the others are
        counted: see its `ack`), or another ClientError.
        """
        self._must_be_open()
        sealed = [event if isinstance(event, Sealed) else seal(event) for event in events]
        parts: list[tuple[int, Ack]] = []
        start = 0
        for batch in batches(sealed):
            parts.append((start, await deliver(self._post, batch)))
            start += len(batch)
        ack = join(parts)
        if ack.rejected:
            first = ack.rejected[0].error
            count = f"{len(ack.rejected)} of {len(sealed)} events were refused"
            raise Refused(f"{count}; the first: {first.message}", first.code, ack.rejected, ack)
        return ack

    async def _post(self, events: Sequence[Sealed]) -> Ack:
        return await self._wire.retry(lambda: post(self._wire, events))

    async def flush(self, timeout_s: float = 30.0) -> None:
        """Return once everything tracked so far is on disk.

        Raises Unavailable if that takes longer, Unauthorized or Forbidden if the key is no good
        (it goes on being tried), or what was wrong with events refused since the last flush.
        """
        self._move_in()
        if len(self.outbox):
            self.send_queued()
        await self.outbox.flush(timeout_s)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Flush, and end. Raises what `flush` does; then what is still queued is given up."""
        if self._closed:
            return
        self._closed = True
        self.outbox.close()
        try:
            await self.rest(timeout_s)
        finally:
            self.outbox.give_up()

    async def rest(self, timeout_s: float) -> None:
        """Flush, and hold nothing open: the process may end. What comes later begins anew."""
        self._move_in()
        async with self._resting:
            try:
                if len(self.outbox):
                    self.send_queued()
                await self.outbox.last_flush(timeout_s)
            finally:
                sending, self._sending = self._sending, None
                if sending is not None:
                    sending.cancel()
                    await asyncio.wait([sending])
                await self._wire.close()

    def give_up(self, why: str) -> None:
        """Nothing is sent any more; say what that loses."""
        if lost := self.outbox.give_up():
            log.warning("%d events were not sent: %s", lost, why)

    def _must_be_open(self) -> None:
        if self._closed:
            raise Closed


def _forgotten(outbox: Outbox, pid: int) -> None:
    """A client is not used any more, and was never closed. In a fork it is the parent's."""
    if os.getpid() == pid and (lost := outbox.give_up()):
        says = f"{lost} events were not sent: an AsyncClient was never closed."
        log.warning(says)
        warnings.warn(says, ResourceWarning, stacklevel=2)
