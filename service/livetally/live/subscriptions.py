"""What a client may ask to watch: from a topic in JSON to the hub's key for it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from ..base.config import MAX_SUBJECTS
from ..base.errors import BadRequest
from ..base.validation import has_nul, plainly
from ..ingest.events import Name, Subject
from ..ingest.store import MAX_SLOTS
from ..schema.items import ItemId, ItemKey
from .hub import TopicKey
from .topics.admin import AdminKey
from .topics.base import Position
from .topics.feed import FeedKey
from .topics.items import ItemsKey
from .topics.pointers import PointersKey
from .topics.totals import TotalsKey

_Slot = Annotated[int, Meta(ge=0, lt=MAX_SLOTS)]
_Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TotalsTopic(msgspec.Struct, forbid_unknown_fields=True):
    totals: Name
    subjects: Annotated[list[Subject], Meta(min_length=1, max_length=MAX_SUBJECTS)] | None = None

    def key(self, project: int) -> TotalsKey:
        subjects = None if self.subjects is None else frozenset(self.subjects)
        return TotalsKey(project, self.totals, subjects)


class FeedTopic(msgspec.Struct, forbid_unknown_fields=True):
    feed: Name
    subject: Subject | None = None
    since: dict[_Slot, _Seq] | None = None

    def key(self, project: int) -> FeedKey:
        return FeedKey(project, self.feed, self.subject)


class ItemTopic(msgspec.Struct, forbid_unknown_fields=True):
    item: tuple[ItemKey, ItemId]

    def key(self, project: int) -> ItemsKey:
        return ItemsKey(project, *self.item)


class ItemsTopic(msgspec.Struct, forbid_unknown_fields=True):
    items: ItemKey

    def key(self, project: int) -> ItemsKey:
        return ItemsKey(project, self.items, None)


class PointersTopic(msgspec.Struct, forbid_unknown_fields=True):
    pointers: Subject
    #: Another project than the key's own: for admin keys.
    project: Name | None = None

    def key(self, project: int) -> PointersKey:
        return PointersKey(project, self.pointers)


class AdminTopic(msgspec.Struct, forbid_unknown_fields=True):
    admin: Literal[True]

    def key(self, project: int) -> AdminKey:
        return AdminKey()


#: By the field that tells the kind.
_KINDS: dict[str, Any] = {
    "totals": TotalsTopic,
    "feed": FeedTopic,
    "item": ItemTopic,
    "items": ItemsTopic,
    "pointers": PointersTopic,
    "admin": AdminTopic,
}


def kinds() -> tuple[Any, ...]:
    """The types of all topics, for the protocol's document."""
    return tuple(_KINDS.values())


class Asked(NamedTuple):
    """A topic that a client asks for."""

    #: The hub's key for it, in a project.
    key: Callable[[int], TopicKey]
    #: The position that the client has got to, if it says one.
    since: Position | None
    #: The project it names, if not its key's own.
    project: str | None


def parse(topic: Raw) -> Asked:
    """Raises BadRequest."""
    try:
        fields = msgspec.json.decode(topic)
        names = _KINDS.keys() & fields.keys() if isinstance(fields, dict) else set()
        if len(names) != 1:
            raise BadRequest(f"A topic is an object with one of: {', '.join(_KINDS)}.")
        if has_nul(fields):
            raise BadRequest("topic: Nothing has the character U+0000: it can't be stored.")
        kind = _KINDS[names.pop()]
        asked = msgspec.json.decode(topic, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"topic: {plainly(str(error))}") from None
    return Asked(asked.key, getattr(asked, "since", None), getattr(asked, "project", None))
