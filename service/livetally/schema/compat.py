"""What clients of the compatibility APIs send and get, as types."""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .http import Count, KeyQuery, Reason, Rejected

RailsVersion = Literal["v2", "v3"]


class ActionQuery(KeyQuery):
    """The parameters of format 2's counts."""

    action_name: str | None = None


class CableQuery(KeyQuery):
    """The parameters of the cable. `cable_ready`: as operations of the package of that name."""

    cable_ready: Literal["true"] | None = None


class ColorAction(msgspec.Struct):
    """Format 1's event: an action on a color. Further fields become properties."""

    action: str
    color: str


class RailsColor(msgspec.Struct):
    color_name: str
    action_name: str | None = None


class RailsAction(msgspec.Struct):
    """Format 2's event."""

    action_color: RailsColor
    action_name: str | None = None


class ColorCount(msgspec.Struct):
    action: str
    color: str
    count: Count


class ColorStats(msgspec.Struct):
    """Format 1's counts of an action, by color."""

    stats: list[ColorCount]


class ProjectCounts(msgspec.Struct):
    """A project's counts of an action; `api_key` is the project's name."""

    api_key: str
    action: str
    counts: list[ColorCount]


class AdminStats(msgspec.Struct):
    """Format 1's counts of all projects."""

    stats: list[ProjectCounts]


class ColorStored(msgspec.Struct):
    """Format 1's answer to an event."""

    message: str
    accepted: Count
    duplicates: Count
    rejected: list[Rejected]


class Amount(msgspec.Struct):
    action: str
    color: str
    amount: Count


class Results(msgspec.Struct):
    """Format 2's counts, by color."""

    results: list[Amount]


class Click(msgspec.Struct):
    """Format 5's button click."""

    session_id: str
    button_id: str
    id: str | UnsetType = UNSET


class View(msgspec.Struct):
    """Format 5's page view."""

    url: str
    session_id: str
    referral_url: str | UnsetType | None = UNSET
    ipaddress: str | UnsetType | None = UNSET
    useragent: str | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET


class Said(msgspec.Struct):
    """Format 5's answer."""

    message: str


class Counted(msgspec.Struct):
    """Format 5's count."""

    count: Count


class Problem(msgspec.Struct):
    """What is wrong with a field, as FastAPI says it."""

    loc: list[str | int]
    msg: str
    type: str


class Problems(msgspec.Struct):
    detail: list[Problem]


class CompatFailure(msgspec.Struct, kw_only=True):
    """Why a request was refused, where clients of color tracking look for it."""

    error: Reason
    status: Literal["error"] | UnsetType = UNSET
    message: str


class ActionRejected(msgspec.Struct, kw_only=True):
    """Why an action was refused, the only one of a request."""

    error: Reason
    message: str
    status: Literal["error"] | UnsetType = UNSET
    accepted: Count
    duplicates: Count
    rejected: list[Rejected]


class FailureDetail(msgspec.Struct):
    """A refusal with what format 5's clients look for beside it."""

    detail: str
    error: Reason


# What is pushed over their websockets


class ColorPush(msgspec.Struct):
    """Format 1: an action's counts by color, all of them."""

    stats: list[ColorCount]
    event_type: str


class ColorCell(msgspec.Struct):
    """Format 1, for admin keys: one count of one project; `api_key` is the project's name."""

    api_key: str
    action: str
    color: str
    count: str


class ColorRejection(msgspec.Struct):
    """Format 1: what is wrong with a message."""

    message: str
    error: Reason


class ArticleViews(msgspec.Struct, rename="camel"):
    """Format 3: an article's views."""

    article_id: str
    unique_views: Count
    total_views: Count


class CableWelcome(msgspec.Struct, tag="welcome"):
    """Format 2: the key that came with the request, if any, is good."""


class CablePing(msgspec.Struct, tag="ping"):
    """Format 2: the server lives; `message` is its Unix time."""

    message: int


class CableDisconnect(msgspec.Struct, tag="disconnect"):
    """Format 2: the connection ends, and whether to come back."""

    reason: str
    reconnect: bool


class CableAnswer(msgspec.Struct):
    """Format 2: whether a subscription was made; its identifier as it was written."""

    identifier: Raw
    type: Literal["confirm_subscription", "reject_subscription"]


class ConsoleLog(msgspec.Struct):
    message: Results


class CableOperations(msgspec.Struct, rename="camel"):
    console_log: list[ConsoleLog]


class CableReady(msgspec.Struct, rename="camel"):
    """Format 2's counts as an operation of cable_ready."""

    cable_ready: Literal[True]
    operations: CableOperations


class CableMessage(msgspec.Struct):
    """Format 2: what is pushed to a subscription."""

    identifier: Raw
    message: Results


class CableReadyMessage(msgspec.Struct):
    """The same to a subscription that wants operations."""

    identifier: Raw
    message: CableReady


class Attribute(msgspec.Struct, omit_defaults=True):
    """Format 4: a value as DynamoDB writes it, in the one field that is its type."""

    S: str | UnsetType = UNSET
    N: str | UnsetType = UNSET
    BOOL: bool | UnsetType = UNSET
    NULL: Literal[True] | UnsetType = UNSET
    L: "list[Attribute] | UnsetType" = UNSET
    M: "dict[str, Attribute] | UnsetType" = UNSET
