"""What clients of older systems send and get over HTTP, as types for the API's document."""

from typing import Any, Literal

import msgspec

from .http import Count, KeyQuery, Reason

RailsVersion = Literal["v2", "v3"]


class ActionQuery(KeyQuery):
    """The parameters of format 2's counts."""

    action_name: str | None = None


class CableQuery(KeyQuery):
    """The parameters of the cable. `cable_ready`: as operations of the package of that name."""

    cable_ready: Literal["true"] | None = None


class ColorAction(msgspec.Struct):
    """Format 1's event: an action on a colour. Further fields become properties."""

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
    """Format 1's counts of an action, by colour."""

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
    rejected: list[Any]


class Amount(msgspec.Struct, omit_defaults=True):
    color: str
    amount: Count
    action: str | msgspec.UnsetType = msgspec.UNSET


class Results(msgspec.Struct):
    """Format 2's counts, by colour."""

    results: list[Amount]


class Click(msgspec.Struct):
    """Format 5's button click."""

    session_id: str
    button_id: str
    id: str | msgspec.UnsetType = msgspec.UNSET


class View(msgspec.Struct):
    """Format 5's page view."""

    url: str
    session_id: str
    referral_url: str | msgspec.UnsetType | None = msgspec.UNSET
    ipaddress: str | msgspec.UnsetType | None = msgspec.UNSET
    useragent: str | msgspec.UnsetType | None = msgspec.UNSET
    id: str | msgspec.UnsetType | None = msgspec.UNSET


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


class FailureDetail(msgspec.Struct):
    """A refusal with what format 5's clients look for beside it."""

    detail: str
    error: Reason
