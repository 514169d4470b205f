"""The topic `feed`: every event of a type, in order within each slot, once, with positions.

The log in Postgres is the feed. The hub's messages only wake it up: it reads on from its head,
keeps the last pages in memory, and hands each page to all viewers that are at the head. A viewer
that is elsewhere (it comes back with a position, or read too slowly) gets pages from memory or
Postgres, at its own pace, until it stands at the head. All pages run from one position to another,
so there is no seam.
"""

import asyncio
from collections import deque
from typing import cast

import msgspec
from msgspec import Raw

from ...base.errors import BadPosition
from ...schema.http import Position
from ...schema.live import Events, FeedEvent, Gap
from ..frames import NO_ID, Broadcast
from .base import Subscription, TopicContext, TopicId
from .log import LogTopic, covers

#: A page holds this many events, and about this many bytes, at most.
PAGE_EVENTS = 1_000
PAGE_BYTES = 256 * 1024
#: Events that are looked at for a page of one subject, of which most may be of others.
SCAN_EVENTS = 10_000
#: Pages kept in memory, for viewers that come back soon.
RECENT_BYTES = 2 * 1024 * 1024
#: More small pages than this cost each returning viewer more than one large page from Postgres
#: costs all of them.
RECENT_PAGES = 250
#: Pages of one feed that are read from Postgres at once for those who are lagging.
PARALLEL_READS = 4


class FeedTopicId(TopicId, frozen=True):
    """The events of a type, or of one of its subjects."""

    type: str
    subject: str | None

    def make(self, context: TopicContext) -> "FeedTopic":
        return FeedTopic(self, context)


class _Page(msgspec.Struct):
    """The feed between two positions, ready to be sent."""

    before: Position
    after: Position
    cut: bool  # there is more to read
    truncated: Position  # what it would have to begin with is not kept any more
    size: int  # of its events as JSON
    broadcast: Broadcast

    @property
    def empty(self) -> bool:
        return self.size == len(_NONE)


class _Reader(msgspec.Struct):
    """Where a lagging viewer stands."""

    #: Up to where it was sent everything; None: it starts at the head.
    position: Position | None = None
    #: Nothing was sent to it yet.
    new: bool = True


_position = msgspec.json.Decoder(Position)
_slot_seq = msgspec.json.Decoder(tuple[int, int] | None)
_encoder = msgspec.json.Encoder()

#: No events, as JSON.
_NONE = b"[]"


class FeedTopic(LogTopic):
    """A type's events, on their way from the log to those who watch."""

    id: FeedTopicId

    def __init__(self, id: FeedTopicId, context: TopicContext) -> None:
        super().__init__(context, id, id.type, id.subject)
        self._readers: dict[Subscription, _Reader] = {}
        self._recent: deque[_Page] = deque()
        self._recent_bytes = 0
        self._reads = asyncio.Semaphore(PARALLEL_READS)

    async def load(self) -> None:
        self._head = await self.query_positions()

    # Positions that viewers bring along

    def add(self, subscription: Subscription) -> None:
        super().add(subscription)
        self._readers[subscription] = _Reader()

    async def admit(self, subscription: Subscription, since: Position | None) -> None:
        """Raises BadPosition if `since` can't have come from a feed of this project."""
        if since is not None:
            await self._check(since)
            position = {slot: seq for slot, seq in since.items() if seq}
            self._readers[subscription] = _Reader(position)
        await super().admit(subscription, since)

    async def _check(self, since: Position) -> None:
        # Mostly it is not ahead of us: a storm of returning viewers asks Postgres nothing here.
        if covers(self._head, since) or covers(await self.query_positions(), since):
            return
        # That may have been older than `since`.
        if not covers(await self.query_positions(), since):
            raise BadPosition

    def remove(self, subscription: Subscription) -> None:
        super().remove(subscription)
        self._readers.pop(subscription, None)

    # Those who are at the head

    async def send_updates(self) -> None:
        self._reading = True
        try:
            cut = True
            while cut:
                page = await self._read_page(self._head, None)
                self._head = page.after
                if not page.empty:
                    self._remember(page)
                    self._push(page)
                cut = page.cut
        finally:
            self._reading = False

    def _push(self, page: _Page) -> None:
        for slow in self.put_to_all(page.broadcast):
            self._readers[slow] = _Reader(page.before, new=False)

    def _remember(self, page: _Page) -> None:
        self._recent.append(page)
        self._recent_bytes += page.size
        while len(self._recent) > 1 and (
            self._recent_bytes > RECENT_BYTES or len(self._recent) > RECENT_PAGES
        ):
            self._recent_bytes -= self._recent.popleft().size

    # Those who are not

    async def catch_up(self) -> None:
        elsewhere: dict[tuple[tuple[int, int], ...], list[Subscription]] = {}
        for subscription in self.with_room():
            reader = self._readers[subscription]
            if reader.position is None:
                reader.position = self._head
            if not self._send_recent(subscription, reader, reader.position):
                position = tuple(sorted(reader.position.items()))
                elsewhere.setdefault(position, []).append(subscription)
        await asyncio.gather(
            *(self._send_logged(dict(at), waiting) for at, waiting in elsewhere.items())
        )

    def _send_recent(self, subscription: Subscription, reader: _Reader, position: Position) -> bool:
        """Send from memory as much as the viewer takes; False if its position is not there."""
        pages = self._pages_after(position)
        if pages is None:
            return False
        for page in pages:
            if subscription.viewer.backpressured:
                return True
            self._send(subscription, reader, page)
        if reader.new:  # it has missed nothing: tell it where it stands
            self.put(subscription, _events(_NONE, self._head))
        del self.lagging[subscription], self._readers[subscription]
        return True

    def _pages_after(self, position: Position) -> list[_Page] | None:
        """The recent pages that follow a position; None if it doesn't lie between two of them."""
        following: deque[_Page] = deque()
        upto, floor = self._head, self._recent[0].before if self._recent else self._head
        for page in reversed(self._recent):
            if covers(position, page.after):
                floor = page.after
                break
            following.appendleft(page)
            upto = page.before
        if covers(position, floor) and covers(upto, position):
            return list(following)
        return None

    async def _send_logged(self, position: Position, waiting: list[Subscription]) -> None:
        """Send a page from Postgres, never past the head, to all who stand at this position."""
        async with self._reads:
            page = await self._read_page(position, self._head)
        readers = {  # some may have gone meanwhile
            each: reader for each in waiting if (reader := self._readers.get(each)) is not None
        }
        if page.truncated:
            self._send_gap(position | page.truncated, readers)
            return
        for subscription, reader in readers.items():
            if not page.empty:
                self._send(subscription, reader, page)
                continue
            reader.position = page.after
            if page.cut:  # how far was looked in vain: who comes back goes on from there
                self.put(subscription, page.broadcast)
        if not covers(self._head, page.after):
            # They come from a process that has read further: wait for the head to be there.
            self.has_updates()
            await asyncio.sleep(self._interval_s)

    def _send_gap(self, position: Position, readers: dict[Subscription, _Reader]) -> None:
        """Say that events are missing, and where the feed goes on."""
        gap = Broadcast(Gap(NO_ID, position))
        for subscription, reader in readers.items():
            self.put(subscription, gap)
            reader.position = position

    def _send(self, subscription: Subscription, reader: _Reader, page: _Page) -> None:
        self.put(subscription, page.broadcast)
        reader.position = page.after
        reader.new = False

    async def _read_page(self, after: Position, upto: Position | None) -> _Page:
        (row,) = await self._database.rows(
            "feed_page",
            self.id.project,
            self.id.type,
            _encoder.encode(after).decode(),
            None if upto is None else _encoder.encode(upto).decode(),
            self.id.subject,
            PAGE_EVENTS,
            PAGE_BYTES,
            SCAN_EVENTS,
        )
        position = _position.decode(row["position"])
        last = _slot_seq.decode(row["last"] or "null")
        if last is not None:
            slot, seq = last
            position = {
                each: end if each < slot else seq if each == slot else after.get(each, 0)
                for each, end in position.items()
            }
        position = {slot: seq for slot, seq in position.items() if seq}
        truncated = _position.decode(row["forgotten"] or "{}")
        events = row["events"].encode()
        return _Page(
            before=after,
            after=position,
            cut=last is not None or row["more"],
            truncated=truncated,
            size=len(events),
            broadcast=_events(events, position),
        )


def _events(events: bytes, position: Position) -> Broadcast:
    # As Postgres wrote them: to read them here would only cost, and their numbers may be any.
    written = cast(list[FeedEvent], Raw(events))
    return Broadcast(Events(NO_ID, written, position))
