"""An item: a keyed value with a version, as it is read and shown."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Raw

ItemKey = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z-]{2,49}$")]
ItemId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
#: Postgres's bigint.
ItemVersion = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Item(NamedTuple):
    """What is known of an item; without a value it is a removed one."""

    id: str
    version: int
    updated_at: datetime
    value: str | None

    def as_json(self, key: str) -> dict[str, Any]:
        if self.value is None:
            return {"key": key, "id": self.id, "version": self.version, "removed": True}
        return {
            "key": key,
            "id": self.id,
            "version": self.version,
            "updated_at": self.updated_at,
            "value": Raw(self.value.encode()),
        }
