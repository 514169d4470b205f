"""The topics `item` and `items`: the current values at once, then every change, the latest only.

That something changed comes as a message, or is found by asking Postgres which items were written
by transactions that were not finished at the last look: so a plain SQL writer reaches viewers too.
What it changed to is always read from Postgres, once for all viewers.
"""

import asyncio

from ...schema.changes import Change, ItemsChanged
from ...schema.http import Position
from ...schema.items import SCAN_ITEMS, ItemRow
from ...schema.live import LiveItem, Snapshot, Update
from ..frames import NO_ID, Broadcast
from .base import Subscription, Topic, TopicContext, TopicId

#: A frame of a snapshot holds this many items, and about this many bytes, at most.
PAGE_ITEMS = 500
PAGE_BYTES = 256 * 1024


class ItemsTopicId(TopicId, frozen=True):
    """All items of a key, or one."""

    item_key: str
    item_id: str | None

    def make(self, context: TopicContext) -> "ItemsTopic":
        return ItemsTopic(self, context)


class ItemsTopic(Topic):
    """Some items, as their viewers have been told of them."""

    id: ItemsTopicId

    def __init__(self, id: ItemsTopicId, context: TopicContext) -> None:
        super().__init__(context, id)
        #: The last version that those who are not lagging were told, of items that have changed.
        self._told: dict[str, int] = {}
        #: Up to which item those have their snapshot who have begun it, and are lagging still.
        self._after: dict[Subscription, str] = {}
        self._changed: set[str] = set()
        #: What was read first is put first: a viewer never sees an item go back.
        self._in_order = asyncio.Lock()

    # What feeds it

    def apply(self, change: Change) -> None:
        """Events change no items."""

    def apply_items(self, change: ItemsChanged) -> None:
        if change.key != self.id.item_key:
            return
        for id, version in change.versions:
            if self.id.item_id in (None, id) and version > self._told.get(id, 0):
                self._changed.add(id)
        if self._changed:
            self.has_updates()

    def missed(self, positions: Position) -> bool:
        return False  # the hub asks for changed items itself

    async def resync(self) -> None:
        pass

    async def load(self) -> None:
        pass

    def remove(self, subscription: Subscription) -> None:
        super().remove(subscription)
        self._after.pop(subscription, None)

    # Those who are up to date, and those who are being brought there

    async def send_updates(self) -> None:
        async with self._in_order:
            changed, self._changed = self._changed, set()
            try:
                rows = await self._read("items_by_id", list(changed))
            except BaseException:
                self._changed |= changed
                raise
            newer = [row for row in rows if row.version > self._told.get(row.id, 0)]
            if newer:
                self._told |= {row.id: row.version for row in newer}
                self._put_update(Broadcast(Update(id=NO_ID, items=self._shown(newer))))

    def _put_update(self, update: Broadcast) -> None:
        """To those who are up to date, and those in the middle of a snapshot."""
        for subscription in self.subscriptions:
            if subscription in self.lagging and subscription not in self._after:
                continue  # its snapshot will have them
            if subscription.viewer.backpressured:
                self._after.pop(subscription, None)  # it begins anew
                self.slow_down(subscription)
                continue
            self.put(subscription, update)

    async def catch_up(self) -> None:
        """A step for everybody: the next page of the snapshot, read once for all who want it."""
        waiting: dict[str | None, list[Subscription]] = {}
        for subscription in self.with_room():
            waiting.setdefault(self._after.get(subscription), []).append(subscription)
        for after, subscriptions in waiting.items():
            async with self._in_order:
                rows, upto = await self._read_page(after)
                page = self._page(rows, upto is not None, first=after is None)
                for subscription in subscriptions:
                    if subscription in self.lagging and self._after.get(subscription) == after:
                        self.put(subscription, page)
                        self._note(subscription, upto)

    def _note(self, subscription: Subscription, after: str | None) -> None:
        """It has its snapshot up to this item, or all of it."""
        if after is not None:
            self._after[subscription] = after
        else:
            self._after.pop(subscription, None)
            del self.lagging[subscription]

    def _page(self, rows: list[ItemRow], more: bool, *, first: bool) -> Broadcast:
        items = self._shown(rows)
        if first:
            return Broadcast(Snapshot(id=NO_ID, items=items, more=more))
        return Broadcast(Update(id=NO_ID, items=items, more=more))

    def _shown(self, rows: list[ItemRow]) -> list[LiveItem]:
        return [row.as_live(self.id.item_key) for row in rows]

    async def _read_page(self, after: str | None) -> tuple[list[ItemRow], str | None]:
        """Items after an id, and after which id there may be more."""
        if self.id.item_id is not None:
            return await self._read("get_item", self.id.item_id), None
        at = (self.id.project, self.id.item_key, after or "")
        page = await self._database.rows("item_page", *at, PAGE_ITEMS, PAGE_BYTES, SCAN_ITEMS)
        return ItemRow.page(page)

    async def _read(self, query: str, ids: object) -> list[ItemRow]:
        rows = await self._database.rows(query, self.id.project, self.id.item_key, ids)
        return [ItemRow(**row) for row in rows]
