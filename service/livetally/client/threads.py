"""`Client`: the same as `AsyncClient`, for programs without an event loop and for any thread.

The asynchronous client does the work, in a thread of its own that starts with the first call. After
a fork the child has a client of its own: nothing queued (the parent sends that), and a new thread.
However a process ends, what is still queued is sent, or it is said how much was not: see
`background`.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ..schema.http import (
    Ack,
    Item,
    ItemVersion,
    Pages,
    Position,
    Reason,
    RemovedItem,
    Series,
    StoredItem,
    Subject,
    Totals,
)
from .background import Background
from .errors import Closed
from .events import Event
from .live import AsyncLive, LiveMessage, State, Topic
from .requests import AsyncClient

T = TypeVar("T")


class Client:
    """A client of one project, for any number of threads. Takes what `AsyncClient` takes."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        max_queue: int = 10_000,
        on_refused: Callable[[str, Reason], None] | None = None,
    ) -> None:
        def make() -> AsyncClient:
            return AsyncClient(
                url, key, timeout_s=timeout_s, max_queue=max_queue, on_refused=on_refused
            )

        make()  # what is wrong with the arguments is said here
        self._make = make
        self._lock = threading.RLock()  # a signal's handler may come while it is held
        self._running: Background | None = None
        self._closed = False
        #: A parent's: its sockets are not to be touched, not even by tidying up.
        self._inherited: list[Background] = []
        me = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(me()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Events

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
        running = self._loop()
        event, asleep = running.client.queue(
            type,
            subject,
            id=id,
            session=session,
            occurred_at=occurred_at,
            properties=properties,
        )
        if asleep or running.ending:
            running.send_queued()
        return event.id

    def send(self, events: Iterable[Event | Mapping[str, Any]]) -> Ack:
        """Send events now; returns once they are on disk. Raises as `AsyncClient.send` does."""
        return self._do(lambda client: client.send(events))

    def flush(self, timeout_s: float = 30.0) -> None:
        """Return once everything tracked so far is on disk. Raises as `AsyncClient.flush` does."""
        self._do(lambda client: client.flush(timeout_s))

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush, and end. Raises what `flush` does; then what is still queued is given up."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.close(timeout_s)

    # Counts

    def totals(self, type: str, *, top: int = 100) -> Totals:
        """A type's grand total and its `top` largest subjects."""
        return self._do(lambda client: client.totals(type, top=top))

    def total(self, type: str, subject: str) -> int:
        """One subject's total; 0 if it was never counted."""
        return self._do(lambda client: client.total(type, subject))

    def subjects(self, type: str, *, page_size: int = 1_000) -> Iterator[Subject]:
        """All subjects of a type with their totals, in no order, asked for page by page."""
        return self._each(lambda client: client.subjects(type, page_size=page_size))

    def series(
        self,
        type: str,
        *,
        subject: str | None = None,
        bucket: Literal["minute", "hour", "day"] = "minute",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Series:
        """Counts over time; by default the last 60 buckets. Moments need a time zone."""
        return self._do(
            lambda client: client.series(type, subject=subject, bucket=bucket, start=start, end=end)
        )

    def pages(
        self,
        *,
        page: str | None = None,
        article: str | None = None,
        top: int = 100,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Pages:
        """Views of pages and articles and their referrers; or of one `page` or `article`."""
        return self._do(
            lambda client: client.pages(page=page, article=article, top=top, start=start, end=end)
        )

    # Items

    def put(self, key: str, id: str, value: Any, *, version: int | None = None) -> StoredItem:
        """Store an item. With `version`, only over that one (0: only if there is none)."""
        return self._do(lambda client: client.put(key, id, value, version=version))

    def put_all(self, key: str, values: Mapping[str, Any]) -> list[ItemVersion]:
        """Store up to 1,000 items (id -> value), all of them or none."""
        return self._do(lambda client: client.put_all(key, values))

    def get(self, key: str, id: str) -> Item:
        """An item as it is now. Raises NotFound."""
        return self._do(lambda client: client.get(key, id))

    def delete(self, key: str, id: str, *, version: int | None = None) -> RemovedItem:
        """Remove an item, with `version` only that one. Raises NotFound, Conflict."""
        return self._do(lambda client: client.delete(key, id, version=version))

    def list(self, key: str, *, page_size: int = 1_000) -> Iterator[Item]:
        """All items of a key, by id, asked for page by page."""
        return self._each(lambda client: client.list(key, page_size=page_size))

    # Live

    def live(self, topic: Topic, *, since: Position | None = None) -> "Live":
        """Watch a topic: an iterator of messages that comes back by itself when it is cut."""
        running = self._loop()

        async def make() -> AsyncLive:
            return running.client.live(topic, since=since)

        return Live(running, running.wait(make()))

    # The rest

    def _loop(self) -> Background:
        running = self._running
        if running is None:
            with self._lock:
                if self._closed:
                    raise Closed
                running = self._running = self._running or Background(self._make)
        return running

    def _do(self, ask: Callable[[AsyncClient], Coroutine[Any, Any, T]]) -> T:
        running = self._loop()
        return running.wait(ask(running.client))

    def _each(self, ask: Callable[[AsyncClient], AsyncIterator[T]]) -> Iterator[T]:
        running = self._loop()
        found = ask(running.client)
        with contextlib.suppress(StopAsyncIteration):
            while True:
                yield running.wait(_next(found))

    def _begin_anew(self) -> None:
        """In a forked child, where no other thread is alive."""
        self._lock = threading.RLock()
        if self._running is not None:
            self._inherited.append(self._running)
            self._running = None


class Live:
    """An iterator of a topic's messages; see `AsyncLive`. Close it, or leave its `with`."""

    def __init__(self, running: Background, live: AsyncLive) -> None:
        self._running = running
        self._live = live

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LiveMessage:
        try:
            return self._running.wait(_next(self._live))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._running.wait(self._live.aclose())

    @property
    def state(self) -> State:
        return self._live.state

    @property
    def position(self) -> Position | None:
        return self._live.position


async def _next(iterator: AsyncIterator[T]) -> T:
    return await anext(iterator)


def _forked(client: Client | None) -> None:
    if client is not None:
        client._begin_anew()
