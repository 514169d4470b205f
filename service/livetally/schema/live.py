"""The live protocol's messages from the server, as types; `live` has those to the server.

Of a message of a topic, `id` is its subscription's.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .http import Count, Position, Rejected

SubscriptionId = int | str
#: Of the topic `admin`: project, type, subject, total.
Row = tuple[str, str, str, Count]


class FeedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a feed. What was not sent with it is not there."""

    id: str
    type: str
    subject: str
    received_at: datetime
    session: str | UnsetType | None = UNSET
    occurred_at: datetime | UnsetType | None = UNSET
    properties: dict[str, Any] | UnsetType | None = UNSET


class LiveItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it is now; one that was removed has no value, and says so."""

    key: str
    id: str
    version: Count
    updated_at: datetime | UnsetType = UNSET
    value: Any = UNSET
    removed: Literal[True] | UnsetType = UNSET


class Pointer(msgspec.Struct, frozen=True):
    """Where a session points at on a page, from 0 to 1 of its width and height."""

    session: str
    x: float
    y: float
    at: datetime


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The key is good."""

    project: str
    role: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """All there is to know of a topic: it replaces what was shown before.

    Of totals: `totals` (subject -> count) and `total`. Of items: `items`, and `more` while the rest
    follows in updates. Of admin: `rows` (the largest of all projects) and `total`.
    """

    id: SubscriptionId
    totals: dict[str, Count] | UnsetType = UNSET
    rows: list[Row] | UnsetType = UNSET
    total: Count | UnsetType = UNSET
    items: list[LiveItem] | UnsetType = UNSET
    more: bool | UnsetType = UNSET
    pointers: list[Pointer] | UnsetType = UNSET


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """What has changed of a topic, as it is now: absolute, not by how much."""

    id: SubscriptionId
    totals: dict[str, Count] | UnsetType = UNSET
    rows: list[Row] | UnsetType = UNSET
    total: Count | UnsetType = UNSET
    items: list[LiveItem] | UnsetType = UNSET
    more: bool | UnsetType = UNSET
    pointers: list[Pointer] | UnsetType = UNSET
    #: Sessions whose pointers are not there any more.
    gone: list[str] | UnsetType = UNSET


class Events(msgspec.Struct, frozen=True, tag="events"):
    """The next events of a feed, and the position after them: hand it in as `since`."""

    id: SubscriptionId
    events: list[FeedEvent]
    position: Position


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """Events up to this position are not kept any more; the feed goes on from there."""

    id: SubscriptionId
    position: Position


class Unsubscribed(msgspec.Struct, frozen=True, tag="unsubscribed"):
    """Nothing more comes of that topic."""

    id: SubscriptionId


class Acknowledged(msgspec.Struct, frozen=True, tag="ack"):
    """What became of tracked events. All of it is on disk."""

    ref: int | str | None
    accepted: Count
    duplicates: Count
    rejected: list[Rejected]


class Stale(msgspec.Struct, frozen=True, tag="stale"):
    """What is shown may be old: the database, or a topic that is watched here, can't be read."""


class Fresh(msgspec.Struct, frozen=True, tag="fresh"):
    """What is shown is exact again."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to a ping."""


class Error(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """Something can't be done; `id` or `ref` say what, `retry_after_s` that it can be later."""

    code: str
    message: str
    retry_after_s: int | UnsetType = UNSET
    id: SubscriptionId | UnsetType = UNSET
    ref: int | str | UnsetType = UNSET


class RestartHint(msgspec.Struct, frozen=True):
    """The reason of a close with 1012: come back after this time, not all at once."""

    reconnect_after_ms: int


#: What a topic tells its viewers; the rest is said to one connection, or to all.
TopicMessage = Snapshot | Update | Events | Gap

Message = Ready | TopicMessage | Unsubscribed | Acknowledged | Stale | Fresh | Pong | Error
