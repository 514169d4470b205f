"""What Livetally answers, as types: the API's document is generated from them, clients decode them.

A field that an answer only has sometimes is UNSET where it isn't there.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Count = Annotated[int, Meta(ge=0)]
#: The last event of each slot (a writing process) that was seen: slot -> number.
Position = dict[int, int]


class KeyQuery(msgspec.Struct):
    """The parameters of a request that takes none but the key."""

    api_key: str | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why something was refused: a code for programs, a message for people."""

    code: str
    message: str


class Failure(msgspec.Struct, frozen=True):
    """The answer to a request that was refused, or failed."""

    error: Reason


class Rejected(msgspec.Struct, frozen=True):
    """An event that was refused; `index` is its place in the request."""

    index: Count
    error: Reason


#: What became of an event.
Fate = Literal["accepted", "duplicate", "rejected"]


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """What became of events. All of it is on disk."""

    accepted: Count
    duplicates: Count
    rejected: list[Rejected]
    #: The fate of every event in order, if the request has `?results=each`.
    results: list[Fate] | UnsetType = UNSET


class NoneValid(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when none of a request's events is valid."""

    accepted: Count
    duplicates: Count
    rejected: list[Rejected]
    results: list[Fate] | UnsetType = UNSET
    error: Reason


class Subject(msgspec.Struct, frozen=True):
    """A subject of a type, and its total."""

    subject: str
    total: Count
    #: Its total of the period before, if `compare=before` asked for it.
    before: Count | UnsetType = UNSET
    #: Of a period: its total of ever at that moment. What a live total has beyond it came later.
    ever: Count | UnsetType = UNSET


class Totals(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A type's grand total, and its largest subjects; of a period if one is asked for."""

    type: str
    from_: datetime | UnsetType = UNSET
    to: datetime | UnsetType = UNSET
    total: Count
    before: Count | UnsetType = UNSET
    ever: Count | UnsetType = UNSET
    subjects: list[Subject]
    #: Of a page, if one is asked for with `after`: the next page's; null: there is none.
    next: str | UnsetType | None = UNSET


class Type(msgspec.Struct, frozen=True):
    """A type of the project, and its grand total."""

    type: str
    total: Count


class Types(msgspec.Struct, frozen=True):
    """Types by name. `next` is the `after` of the next page; null: there is none."""

    types: list[Type]
    next: str | None


class SubjectTotal(msgspec.Struct, frozen=True):
    """One subject's total."""

    type: str
    subject: str
    total: Count


class Bucket(msgspec.Struct, frozen=True):
    """The count of the bucket that begins at this moment."""

    at: datetime
    total: Count


class Series(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Counts over time. Every bucket from `from` until before `to` is there, also those with 0."""

    type: str
    subject: str | UnsetType = UNSET
    bucket: Literal["minute", "hour", "day"]
    from_: datetime
    to: datetime
    series: list[Bucket]


class Page(msgspec.Struct, frozen=True):
    """A page, and how often it was viewed."""

    page: str
    total: Count
    unique: Count


class Article(msgspec.Struct, frozen=True):
    """An article, and how often it was viewed."""

    article: str
    total: Count
    unique: Count


class Referrer(msgspec.Struct, frozen=True):
    """A site from which readers came to a page."""

    host: str
    page: str
    total: Count


class Pages(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Views of pages and articles, and where their readers came from."""

    from_: datetime | UnsetType | None = UNSET
    to: datetime | UnsetType = UNSET
    total: Count
    unique: Count
    pages: list[Page] | UnsetType = UNSET
    articles: list[Article] | UnsetType = UNSET
    referrers: list[Referrer]


class Item(msgspec.Struct, frozen=True):
    """A keyed value. Versions of an item only ever grow."""

    key: str
    id: str
    version: Count
    updated_at: datetime
    value: Any


class StoredItem(msgspec.Struct, frozen=True):
    """An item was stored; this is its version now."""

    key: str
    id: str
    version: Count
    updated_at: datetime


class RemovedItem(msgspec.Struct, frozen=True):
    """An item was removed; this was its last version."""

    key: str
    id: str
    version: Count


class ItemVersion(msgspec.Struct, frozen=True):
    """An item of a batch, as it was stored."""

    id: str
    version: Count
    updated_at: datetime


class StoredItems(msgspec.Struct, frozen=True):
    """All items of a batch, in its order."""

    items: list[ItemVersion]


class ItemPage(msgspec.Struct, frozen=True):
    """Items of a key, by id. `next` is the `after` of the next page; null: there is none."""

    items: list[Item]
    next: str | None


class Difference(msgspec.Struct, frozen=True):
    """Two places in Postgres that don't agree, and their counts."""

    between: str
    at: str
    counts: tuple[Count, Count]


class HubDifference(msgspec.Struct, frozen=True):
    """Where a topic's viewers were told something else than Postgres holds, and both counts."""

    topic: str
    at: str
    counts: tuple[Count, Count]


class Verified(msgspec.Struct, frozen=True):
    """Whether log, counts and viewers agree; if not, where."""

    project: str
    exact: bool
    events: Count
    total: Count
    differences: list[Difference]
    hub: list[HubDifference]


class State(msgspec.Struct, frozen=True):
    """How a process is, and why."""

    status: Literal["alive", "stuck", "ready", "degraded", "unavailable"]
    reasons: list[str]


class PageKeys(msgspec.Struct, frozen=True):
    """The keys that this installation gives to everybody who opens its page."""

    project: str | None
    write_key: str | None
    read_key: str | None
