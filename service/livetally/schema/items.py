"""An item: a keyed value with a version, as it is read, and as it is shown."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Raw

from .http import Item
from .live import LiveItem

ItemKey = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z-]{2,49}$")]
ItemId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
#: Postgres's bigint.
VersionNumber = Annotated[int, Meta(ge=0, le=2**63 - 1)]
#: Rows that are looked at for a page of items: those that were removed are among them.
SCAN_ITEMS = 10_000


class ItemRow(NamedTuple):
    """What Postgres holds of an item, its value as JSON; without one it was removed."""

    id: str
    version: int
    updated_at: datetime
    value: str | None

    @classmethod
    def page(cls, rows: list[dict[str, Any]]) -> tuple[list["ItemRow"], str | None]:
        """The items of a query `item_page`, and after which id there may be more."""
        items = [cls(r["id"], r["version"], r["updated_at"], r["value"]) for r in rows]
        after = items[-1].id if items and rows[0]["more"] else None
        return [item for item in items if item.value is not None], after

    def as_item(self, key: str) -> Item:
        return Item(key, self.id, self.version, self.updated_at, Raw((self.value or "").encode()))

    def as_live(self, key: str) -> LiveItem:
        if self.value is None:
            return LiveItem(key=key, id=self.id, version=self.version, removed=True)
        return LiveItem(
            key=key,
            id=self.id,
            version=self.version,
            updated_at=self.updated_at,
            value=Raw(self.value.encode()),
        )
