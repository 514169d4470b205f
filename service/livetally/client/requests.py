"""`AsyncClient`: what can be sent and asked."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from ..schema.http import (
    Item,
    ItemPage,
    ItemVersion,
    Pages,
    Position,
    RemovedItem,
    Series,
    StoredItem,
    StoredItems,
    Subject,
    SubjectTotal,
    Totals,
)
from .live import AsyncLive, Topic
from .sending import Sender
from .wire import query_of

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class AsyncClient(Sender):
    """A client of one project, for one event loop at a time.

    `url` and `key` default to the environment's LIVETALLY_URL and LIVETALLY_KEY. `timeout_s` is how
    long a request is tried before it raises Unavailable. `max_queue` events wait at most to be sent
    in the background; what is refused of those is told to `on_refused(id, reason)`, or logged.

    Close it, or leave its `async with`. If the loop ends first, as by `asyncio.run`, what is queued
    is still sent, if that takes no longer than `EXIT_S`; a warning says how much was not.
    """

    # Counts

    async def totals(self, type: str, *, top: int = 100) -> Totals:
        """A type's grand total and its `top` largest subjects."""
        return await self._get("/v1/stats", Totals, query_of(type=type, top=top))

    async def total(self, type: str, subject: str) -> int:
        """One subject's total; 0 if it was never counted."""
        query = query_of(type=type, subject=subject)
        return (await self._get("/v1/stats", SubjectTotal, query)).total

    async def subjects(self, type: str, *, page_size: int = 1_000) -> AsyncIterator[Subject]:
        """All subjects of a type with their totals, in no order, asked for page by page."""
        after = ""
        while True:
            query = query_of(type=type, top=page_size, after=after)
            page = await self._get("/v1/stats", Totals, query)
            for subject in page.subjects:
                yield subject
            if not page.next:
                return
            after = page.next

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
        return await self._call(
            "PUT",
            _path(key, id),
            StoredItem,
            body=_encoder.encode(value),
            headers=headers,
            again=version is None,
        )

    async def put_all(self, key: str, values: Mapping[str, Any]) -> list[ItemVersion]:
        """Store up to 1,000 items (id -> value), all of them or none."""
        body = _encoder.encode([{"id": id, "value": value} for id, value in values.items()])
        return (await self._call("PUT", _path(key), StoredItems, body=body)).items

    async def get(self, key: str, id: str) -> Item:
        """An item as it is now. Raises NotFound."""
        return await self._get(_path(key, id), Item)

    async def delete(self, key: str, id: str, *, version: int | None = None) -> RemovedItem:
        """Remove an item, with `version` only that one. Raises NotFound, Conflict."""
        headers = {} if version is None else _if_version(version)
        return await self._call("DELETE", _path(key, id), RemovedItem, headers=headers, again=False)

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

    async def _call(self, method: str, path: str, answer: type[T], **options: Any) -> T:
        self._must_be_open()
        return await self._wire.call(method, path, answer, **options)

    async def _get(self, path: str, answer: type[T], query: dict[str, str] | None = None) -> T:
        return await self._call("GET", path, answer, query=query)


def _path(key: str, id: str | None = None) -> str:
    parts = (key,) if id is None else (key, id)
    return "/v1/items/" + "/".join(quote(part, safe="") for part in parts)


def _if_version(version: int) -> dict[str, str]:
    return {"If-None-Match": "*"} if version == 0 else {"If-Match": str(version)}
