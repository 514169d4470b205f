"""The topics `item` and `items`: the current values at once, then every change, the latest only.

That something changed comes as a message, or is found by asking Postgres which items were written
by transactions that were not finished at the last look: so a plain SQL writer reaches viewers too.
What it changed to is always read from Postgres, once for all viewers.
"""

import asyncio
from typing import Any

import msgspec

from ...schema.changes import Change, ItemsChanged
from ...schema.items import Item
from ..frames import Message, message
from .base import Position, Subscription, Topic

#: A frame of a snapshot holds this many items, and about this many bytes, at most.
PAGE_ITEMS = 500
PAGE_BYTES = 256 * 1024


class ItemsKey(msgspec.Struct, frozen=True):
    """All items of a key, or one."""

    project: int
    key: str
    id: str | None


class ItemsTopic(Topic):
    """Some items, as their viewers have been told of them."""

    key: ItemsKey

    def __init__(self, key: ItemsKey, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.key = key
        #: The last version that those who are not behind were told, of items that have changed.
        self._told: dict[str, int] = {}
        self._changed: set[str] = set()
        #: What was read first is put first: a viewer never sees an item go back.
        self._in_order = asyncio.Lock()

    # What feeds it

    def apply(self, change: Change) -> None:
        """Events change no items."""

    def apply_items(self, change: ItemsChanged) -> None:
        if change.key != self.key.key:
            return
        for id, version in change.versions:
            if self.key.id in (None, id) and version > self._told.get(id, 0):
                self._changed.add(id)
        if self._changed:
            self.has_news()

    def missed(self, positions: Position) -> bool:
        return False  # the hub asks for changed items itself

    async def resync(self) -> None:
        pass

    async def load(self) -> None:
        pass

    # Those who are up to date, and those who are being brought there

    async def send_news(self) -> None:
        async with self._in_order:
            asked, self._changed = self._changed, set()
            try:
                rows = await self._read("items_by_id", list(asked))
            except BaseException:
                self._changed |= asked
                raise
            items = [item for item in rows if item.version > self._told.get(item.id, 0)]
            if not items:
                return
            self._told |= {item.id: item.version for item in items}
            update = self._message("update", items)
            for subscription in self.subscriptions:
                if subscription in self.behind and subscription.after is None:
                    continue  # its snapshot will have them
                if subscription.viewer.clogged:
                    self._metrics.frames_skipped.inc()
                    subscription.after = None  # it begins anew
                    self.fall_behind(subscription)
                    continue
                self.put(subscription, update)

    async def catch_up(self) -> None:
        """A step for everybody: the next page of the snapshot, read once for all who want it."""
        waiting: dict[str | None, list[Subscription]] = {}
        for subscription in self.ready_laggards():
            waiting.setdefault(subscription.after, []).append(subscription)
        for after, subscriptions in waiting.items():
            async with self._in_order:
                items, more = await self._read_page(after)
                page = self._message("snapshot" if after is None else "update", items, more=more)
                for subscription in subscriptions:
                    if subscription in self.behind and subscription.after == after:
                        self.put(subscription, page)
                        if more:
                            subscription.after = items[-1].id
                        else:
                            del self.behind[subscription]

    def _message(self, kind: str, items: list[Item], **about: bool) -> Message:
        values = [item.as_json(self.key.key) for item in items]
        return Message(kind, message({"items": values, **about}))

    async def _read_page(self, after: str | None) -> tuple[list[Item], bool]:
        if self.key.id is not None:
            return await self._read("get_item", self.key.id), False
        rows = await self._database.rows(
            "item_page", self.key.project, self.key.key, after or "", PAGE_ITEMS, PAGE_BYTES
        )
        more = bool(rows) and rows[0]["more"]
        return [Item(r["id"], r["version"], r["updated_at"], r["value"]) for r in rows], more

    async def _read(self, query: str, ids: object) -> list[Item]:
        rows = await self._database.rows(query, self.key.project, self.key.key, ids)
        return [Item(**row) for row in rows]
