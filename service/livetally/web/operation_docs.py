"""What a route says of itself. It stands beside the handler, as a decorator:

    @described(
        "A type's totals",
        tag="Counts",
        key="read",
        query=Query,
        answers={200: Totals},
        refuses=(BadRequest, Unprocessable),
        examples=(Example("The largest", query="type=click&top=1", answer={…}),),
    )
    async def get_stats(self, request): …

/openapi.json and /docs are made of these. A test runs every example against a real service, finds
routes without a description, and sees to it that every status that occurs is described.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from ..base.errors import (
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MissingKey,
    RateLimited,
    UnknownKey,
    WrongRole,
)

Tag = Literal["Events", "Counts", "Items", "Live", "Administration", "Operations", "Pages", "Older"]
KeyRole = Literal["write", "read", "admin"]

#: An example has no such part.
NONE = msgspec.UNSET


class Text(msgspec.Struct, frozen=True):
    """An answer or a body that is no JSON."""

    media_type: str


class Call(msgspec.Struct, frozen=True):
    """A request that must have been made before an example is true. It has an admin key."""

    method: str
    path: str
    body: Any = NONE


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A request and its answer, both as they are; moments may differ.

    The query is as in an address; a body is a JSON value, or a text of `media_type`. `path` has the
    parts of the path that are in braces. Without `status` it is the first of the answers.
    """

    says: str
    path: dict[str, str] = {}
    query: str = ""
    headers: dict[str, str] = {}
    body: Any = NONE
    media_type: str = "application/json"
    given: tuple[Call, ...] = ()
    status: int | None = None
    answer: Any = NONE
    #: It takes more than a service alone, a queue for one: tests look at its answer only.
    elsewhere: bool = False


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a route beside its method, path and the handler's docstring.

    `answers` maps a status to a type (JSON), a Text, or None (no body). `refuses` are errors beside
    those that every route with a key has. `login` is for HTTP Basic.
    """

    says: str
    tag: Tag
    key: KeyRole | None = None
    login: bool = False
    path: dict[str, Any] = {}
    query: Any = None
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    answers: dict[int, Any]
    refuses: tuple[type[LivetallyError], ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def refusals(self) -> list[type[LivetallyError]]:
        """Every error that this route may answer with."""
        common: tuple[type[LivetallyError], ...] = ()
        if self.key is not None:
            common = (MissingKey, UnknownKey, WrongRole, ForeignOrigin)
            common += (RateLimited, DatabaseUnavailable)
        return list(dict.fromkeys((*common, *self.refuses)))

    @property
    def statuses(self) -> set[int]:
        return {*self.answers, *(error.status for error in self.refusals)}


H = TypeVar("H", bound=Callable[..., Any])


def described(says: str, **about: Any) -> Callable[[H], H]:
    """Describe a handler; takes the fields of Described."""
    description = Described(says=says, **about)

    def describe(handler: H) -> H:
        handler.described = description  # type: ignore[attr-defined]
        return handler

    return describe


def described_as(description: Described, handler: H) -> H:
    """Describe what another handler was wrapped into."""
    handler.described = description  # type: ignore[attr-defined]
    return handler


def description_of(handler: object) -> Described | None:
    found = getattr(handler, "described", None)
    return found if isinstance(found, Described) else None


def sent(*events: tuple[str, str]) -> Call:
    """These events (type, subject) have been counted."""
    body = [{"type": type, "subject": subject} for type, subject in events]
    return Call("POST", "/v1/events", body)
