"""What a client may subscribe to: from a topic in JSON to the hub's id of it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from ..base.config import MAX_SUBJECTS
from ..base.errors import BadRequest
from ..base.validation import has_nul, plainly
from ..ingest.events import Name, Subject
from ..ingest.store import MAX_SLOTS
from ..schema.http import Position
from ..schema.items import ItemId, ItemKey
from .topics.admin import AdminTopicId
from .topics.base import TopicId
from .topics.feed import FeedTopicId
from .topics.items import ItemsTopicId
from .topics.pointers import PointersTopicId
from .topics.totals import TotalsTopicId

_Slot = Annotated[int, Meta(ge=0, lt=MAX_SLOTS)]
_Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TotalsRequest(msgspec.Struct, forbid_unknown_fields=True):
    totals: Name
    subjects: Annotated[list[Subject], Meta(min_length=1, max_length=MAX_SUBJECTS)] | None = None

    def topic(self, project: int) -> TotalsTopicId:
        subjects = None if self.subjects is None else frozenset(self.subjects)
        return TotalsTopicId(project, self.totals, subjects)


class FeedRequest(msgspec.Struct, forbid_unknown_fields=True):
    feed: Name
    subject: Subject | None = None
    since: dict[_Slot, _Seq] | None = None

    def topic(self, project: int) -> FeedTopicId:
        return FeedTopicId(project, self.feed, self.subject)


class ItemRequest(msgspec.Struct, forbid_unknown_fields=True):
    item: tuple[ItemKey, ItemId]

    def topic(self, project: int) -> ItemsTopicId:
        return ItemsTopicId(project, *self.item)


class ItemsRequest(msgspec.Struct, forbid_unknown_fields=True):
    items: ItemKey

    def topic(self, project: int) -> ItemsTopicId:
        return ItemsTopicId(project, self.items, None)


class PointersRequest(msgspec.Struct, forbid_unknown_fields=True):
    pointers: Subject
    #: Another project than the key's own: for admin keys.
    project: Name | None = None

    def topic(self, project: int) -> PointersTopicId:
        return PointersTopicId(project, self.pointers)


class AdminRequest(msgspec.Struct, forbid_unknown_fields=True):
    admin: Literal[True]

    def topic(self, project: int) -> AdminTopicId:
        return AdminTopicId()


#: By the field that tells the kind.
_KINDS: dict[str, Any] = {
    "totals": TotalsRequest,
    "feed": FeedRequest,
    "item": ItemRequest,
    "items": ItemsRequest,
    "pointers": PointersRequest,
    "admin": AdminRequest,
}


def kinds() -> tuple[Any, ...]:
    """The types of all topics, for the protocol's document."""
    return tuple(_KINDS.values())


class SubscriptionRequest(NamedTuple):
    """What a client wants to watch."""

    #: The hub's id of the topic, in a project.
    topic: Callable[[int], TopicId]
    #: The position that the client has got to, if it says one.
    since: Position | None
    #: The project it names, if not its key's own.
    project: str | None


def parse(topic: Raw) -> SubscriptionRequest:
    """Raises BadRequest."""
    try:
        fields = msgspec.json.decode(topic)
        names = _KINDS.keys() & fields.keys() if isinstance(fields, dict) else set()
        if len(names) != 1:
            raise BadRequest(f"A topic is an object with one of: {', '.join(_KINDS)}.")
        if has_nul(fields):
            raise BadRequest("topic: Nothing has the character U+0000: it can't be stored.")
        request = msgspec.json.decode(topic, type=_KINDS[names.pop()])
    except msgspec.ValidationError as error:
        raise BadRequest(f"topic: {plainly(str(error))}") from None
    since, project = getattr(request, "since", None), getattr(request, "project", None)
    return SubscriptionRequest(request.topic, since, project)
