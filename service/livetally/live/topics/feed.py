"""The topic `feed`: every event of a type, in order within each slot, once, with positions.

The log in Postgres is the feed. The hub's messages only wake it up: it reads on from its head,
keeps the last pages in memory, and hands each page to all viewers that are at the head. A viewer
that is elsewhere (it comes back with a position, or read too slowly) gets pages from memory or
Postgres, at its own pace, until it stands at the head. All pages run from one position to another,
so there is no seam.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec

from ...base.errors import BadPosition
from ..frames import Message
from .base import Position, Subscription
from .log import LogTopic, covers

#: A page holds this many events, and about this many bytes, at most.
PAGE_EVENTS = 1_000
PAGE_BYTES = 256 * 1024
#: Pages kept in memory, for viewers that come back soon.
RECENT_BYTES = 2 * 1024 * 1024
#: More small pages than this cost each returning viewer more than one large page from Postgres
#: costs all of them.
RECENT_PAGES = 250
#: Pages of one feed that are read from Postgres at once for those who are behind.
PARALLEL_READS = 4


class FeedKey(msgspec.Struct, frozen=True):
    """The events of a type, or of one of its subjects."""

    project: int
    type: str
    subject: str | None


class _Page(msgspec.Struct):
    """The feed between two positions, ready to be sent."""

    before: Position
    after: Position
    cut: bool  # there is more to read
    empty: bool
    forgotten: Position  # what it would have to begin with is not kept any more
    message: Message


_position = msgspec.json.Decoder(Position)
_slot_seq = msgspec.json.Decoder(tuple[int, int] | None)
_encoder = msgspec.json.Encoder()


class FeedTopic(LogTopic):
    """A type's events, on their way from the log to those who watch."""

    key: FeedKey

    def __init__(self, key: FeedKey, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.key = key
        self._recent: deque[_Page] = deque()
        self._recent_bytes = 0
        self._asking: asyncio.Task[Position] | None = None
        self._reads = asyncio.Semaphore(PARALLEL_READS)

    async def load(self) -> None:
        self._head = await self._ask_positions()

    # Positions that viewers bring along

    async def admit(self, subscription: Subscription, since: Position | None) -> None:
        """Raises BadPosition if `since` can't have come from a feed of this project."""
        # Mostly it is not ahead of us: a storm of returning viewers asks Postgres nothing here.
        if since is not None:
            if not covers(self._head, since):
                positions = await self._ask_positions()
                if not covers(positions, since):
                    positions = await self._ask_positions()  # that may have been older than `since`
                if not covers(positions, since):
                    raise BadPosition
            subscription.position = {slot: seq for slot, seq in since.items() if seq}
        await super().admit(subscription, since)

    async def _ask_positions(self) -> Position:
        """One query for all who come back at the same moment."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._read_positions())
        return await asyncio.shield(self._asking)

    async def _read_positions(self) -> Position:
        try:
            rows = await self._database.rows("slot_positions", [self.key.project])
            return {row["slot"]: row["seq"] for row in rows}
        finally:
            self._asking = None

    # Those who are at the head

    async def send_news(self) -> None:
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
        def skipped(subscription: Subscription) -> None:
            subscription.position = page.before

        self.put_to_all(page.message, skipped)

    def _remember(self, page: _Page) -> None:
        self._recent.append(page)
        self._recent_bytes += len(page.message.rest)
        while len(self._recent) > 1 and (
            self._recent_bytes > RECENT_BYTES or len(self._recent) > RECENT_PAGES
        ):
            self._recent_bytes -= len(self._recent.popleft().message.rest)

    # Those who are not

    async def catch_up(self) -> None:
        elsewhere: dict[tuple[tuple[int, int], ...], list[Subscription]] = {}
        for subscription in self.ready_laggards():
            if subscription.position is None:
                subscription.position = self._head
            if not self._send_recent(subscription, subscription.position):
                position = tuple(sorted(subscription.position.items()))
                elsewhere.setdefault(position, []).append(subscription)
        await asyncio.gather(
            *(self._send_logged(dict(at), waiting) for at, waiting in elsewhere.items())
        )

    def _send_recent(self, subscription: Subscription, position: Position) -> bool:
        """Send from memory as much as the viewer takes; False if its position is not there."""
        pages = self._pages_after(position)
        if pages is None:
            return False
        for page in pages:
            if subscription.viewer.clogged:
                return True
            self._send(subscription, page)
        if subscription.fresh:  # it has missed nothing: tell it where it stands
            self.put(subscription, _events(b"[]", self._head))
            subscription.fresh = False
        del self.behind[subscription]
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
        waiting = [each for each in waiting if each in self.behind]  # it may have gone meanwhile
        if page.forgotten:
            self._send_gap(position | page.forgotten, waiting)
            return
        for subscription in waiting:
            if page.empty:
                subscription.position = page.after
            else:
                self._send(subscription, page)
        if not covers(self._head, page.after):
            # They come from a process that has read further: wait for the head to be there.
            self.has_news()
            await asyncio.sleep(self._interval_s)

    def _send_gap(self, position: Position, waiting: list[Subscription]) -> None:
        """Say that they have missed something, and where they go on."""
        at = _encoder.encode(position)
        gap = Message("gap", b'{"position":%b}' % at, at)
        for subscription in waiting:
            self.put(subscription, gap)
            subscription.position = position

    def _send(self, subscription: Subscription, page: _Page) -> None:
        self.put(subscription, page.message)
        subscription.position = page.after
        subscription.fresh = False

    async def _read_page(self, after: Position, upto: Position | None) -> _Page:
        (row,) = await self._database.rows(
            "feed_page",
            self.key.project,
            self.key.type,
            _encoder.encode(after).decode(),
            None if upto is None else _encoder.encode(upto).decode(),
            self.key.subject,
            PAGE_EVENTS,
            PAGE_BYTES,
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
        forgotten = _position.decode(row["forgotten"] or "{}")
        events = row["events"].encode()
        message = _events(events, position)
        return _Page(after, position, last is not None, events == b"[]", forgotten, message)


def _events(events: bytes, position: Position) -> Message:
    at = _encoder.encode(position)
    return Message("events", b'{"events":%b,"position":%b}' % (events, at), at)
