"""`AsyncClient`: what can be sent and asked."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec

from ..schema.http import (
    Ack,
    Item,
    ItemPage,
    ItemVersion,
    Pages,
    Position,
    Reason,
    RemovedItem,
    Series,
    StoredItem,
    StoredItems,
    SubjectTotal,
    Totals,
)
from . import outbox
from .errors import Closed, Refused
from .live import AsyncLive
from .outbox import Event, Outbox, Sealed, batches, deliver, join, seal
from .topics import Topic
from .wire import Answer, Wire, query_of

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class AsyncClient:
    """A client of one project, for one event loop.

    `url` and `key` default to the environment's LIVETALLY_URL and LIVETALLY_KEY. `timeout_s` is how
    long a request is tried before it raises Unavailable. `max_queue` events wait at most to be sent
    in the background; what is refused of those is told to `on_refused(id, reason)`, or logged.
    """

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
        self.outbox = Outbox(self._wire, max_queue, on_refused)
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

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
        event, asleep = self.queue(
            type,
            subject,
            id=id,
            session=session,
            occurred_at=occurred_at,
            properties=properties,
        )
        if asleep:
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
            "occurred_at": occurred_at or outbox.now(),
            "properties": properties,
        }
        event = seal(fields)
        return event, self.outbox.put(event)

    def send_queued(self) -> None:
        """See to it that what is queued gets sent. In the client's loop only."""
        if self._sending is None:
            self._sending = asyncio.create_task(self.outbox.run(), name="livetally outbox")
        self.outbox.wake()

    async def send(self, events: Iterable[Event | Mapping[str, Any]]) -> Ack:
        """Send events now, any number of them; returns once they are on disk.

        They get ids if they have none, so that nothing counts twice. Raises Refused if some are no
        good (the others are counted: see its `ack`), or another ClientError.
        """
        self._must_be_open()
        sealed = [seal(event) for event in events]
        parts: list[tuple[int, Ack]] = []
        start = 0
        for batch in batches(sealed):
            parts.append((start, await deliver(self._wire, batch)))
            start += len(batch)
        ack = join(parts)
        if ack.rejected:
            first = ack.rejected[0].error
            count = f"{len(ack.rejected)} of {len(sealed)} events were refused"
            raise Refused(f"{count}; the first: {first.message}", first.code, ack.rejected, ack)
        return ack

    async def flush(self, timeout_s: float = 30.0) -> None:
        """Return once everything tracked so far is on disk.

        Raises Unavailable if that takes longer (it goes on being tried), or what was wrong with
        events that were refused since the last flush.
        """
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
            await self.flush(timeout_s)
        finally:
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.wait([self._sending])
            await self._wire.close()

    # Counts

    async def totals(self, type: str, *, top: int = 100) -> Totals:
        """A type's grand total and its `top` largest subjects."""
        return await self._get("/v1/stats", Totals, query_of(type=type, top=top))

    async def total(self, type: str, subject: str) -> int:
        """One subject's total; 0 if it was never counted."""
        query = query_of(type=type, subject=subject)
        return (await self._get("/v1/stats", SubjectTotal, query)).total

    async def series(
        self,
        type: str,
        *,
        subject: str | None = None,
        bucket: Literal["minute", "hour", "day"] = "minute",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Series:
        """Counts over time; by default the last 60 buckets. Moments need a time zone."""
        query = query_of(type=type, subject=subject, bucket=bucket, from_=start, to=end)
        return await self._get("/v1/stats", Series, query)

    async def pages(
        self,
        *,
        page: str | None = None,
        article: str | None = None,
        top: int = 100,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Pages:
        """Views of pages and articles and their referrers; or of one `page` or `article`."""
        query = query_of(page=page, article=article, top=top, from_=start, to=end)
        return await self._get("/v1/pages", Pages, query)

    # Items

    async def put(self, key: str, id: str, value: Any, *, version: int | None = None) -> StoredItem:
        """Store an item. With `version`, only over that one (0: only if there is none).

        Raises Conflict, Refused…; Unavailable means that it is not known whether it was stored.
        """
        headers = {} if version is None else _if_version(version)
        answer = await self._call(
            "PUT",
            _path(key, id),
            body=_encoder.encode(value),
            headers=headers,
            again=version is None,
        )
        return answer.decode(StoredItem)

    async def put_all(self, key: str, values: Mapping[str, Any]) -> list[ItemVersion]:
        """Store up to 1,000 items (id -> value), all of them or none."""
        body = _encoder.encode([{"id": id, "value": value} for id, value in values.items()])
        answer = await self._call("PUT", _path(key), body=body)
        return answer.decode(StoredItems).items

    async def get(self, key: str, id: str) -> Item:
        """An item as it is now. Raises NotFound."""
        return await self._get(_path(key, id), Item)

    async def delete(self, key: str, id: str, *, version: int | None = None) -> RemovedItem:
        """Remove an item, with `version` only that one. Raises NotFound, Conflict."""
        headers = {} if version is None else _if_version(version)
        answer = await self._call("DELETE", _path(key, id), headers=headers, again=False)
        return answer.decode(RemovedItem)

    async def list(self, key: str, *, page_size: int = 1_000) -> AsyncIterator[Item]:
        """All items of a key, by id, asked for page by page."""
        after = ""
        while True:
            query = query_of(after=after, limit=page_size)
            page = await self._get(_path(key), ItemPage, query)
            for item in page.items:
                yield item
            if page.next is None:
                return
            after = page.next

    # Live

    def live(self, topic: Topic, *, since: Position | None = None) -> AsyncLive:
        """Watch a topic: an async iterator of messages that comes back by itself when it is cut.

        A feed goes on exactly where it was; `since` is a position to begin at.
        """
        self._must_be_open()
        return AsyncLive(self._wire, topic, since)

    # The rest

    def _must_be_open(self) -> None:
        if self._closed:
            raise Closed

    async def _call(self, method: str, path: str, **options: Any) -> Answer:
        self._must_be_open()
        return await self._wire.call(method, path, **options)

    async def _get(self, path: str, answer: type[T], query: dict[str, str] | None = None) -> T:
        return (await self._call("GET", path, query=query)).decode(answer)


def _path(key: str, id: str | None = None) -> str:
    parts = (key,) if id is None else (key, id)
    return "/v1/items/" + "/".join(quote(part, safe="") for part in parts)


def _if_version(version: int) -> dict[str, str]:
    return {"If-None-Match": "*"} if version == 0 else {"If-Match": str(version)}
