"""What a route says of itself. It stands at the handler, as a decorator in OpenAPI's words:

    @operation(
        "A type's totals",
        tag="Counts",
        key="read",
        query=Query,
        responses={200: Totals},
        errors=(BadRequest, Unprocessable),
    )
    async def get_stats(self, request): …

Its examples are data in the package's folder `examples/`, in a file of the handler's module's name.
/openapi.json and /docs are made of both. A test runs every example against a real service, finds
routes without a decorator, and sees to it that every status that occurs is declared.
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
    ReadRateExceeded,
    ReadsOverloaded,
    UnknownKey,
    WrongRole,
)

Tag = Literal[
    "Events", "Counts", "Items", "Live", "Administration", "Operations", "Pages", "Compatibility"
]
KeyRole = Literal["write", "read", "admin"]

H = TypeVar("H", bound=Callable[..., Any])


class Text(msgspec.Struct, frozen=True):
    """A response or a body that is no JSON."""

    media_type: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a route beside its method, path and the handler's docstring.

    `responses` maps a status to a type (JSON), a Text, or None (no body). `errors` are those beside
    the ones that every route with a key has. `login` is for HTTP Basic.
    """

    summary: str
    tag: Tag
    key: KeyRole | None = None
    login: bool = False
    path: dict[str, Any] = {}
    query: Any = None
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    responses: dict[int, Any]
    errors: tuple[type[LivetallyError], ...] = ()

    @property
    def every_error(self) -> list[type[LivetallyError]]:
        """Every error that this route may answer with."""
        common: tuple[type[LivetallyError], ...] = ()
        if self.key is not None:
            common = (MissingKey, UnknownKey, WrongRole, ForeignOrigin)
            common += (RateLimited, DatabaseUnavailable, ReadRateExceeded, ReadsOverloaded)
        return list(dict.fromkeys((*common, *self.errors)))

    @property
    def statuses(self) -> set[int]:
        return {*self.responses, *(error.status for error in self.every_error)}

    def describe(self, handler: H) -> H:
        """Put this at a handler, where `operation_of` finds it."""
        handler.operation = self  # type: ignore[attr-defined]
        return handler


def operation(summary: str, **fields: Any) -> Callable[[H], H]:
    """Describe a handler; takes the fields of Operation."""
    return Operation(summary=summary, **fields).describe


def operation_of(handler: object) -> Operation | None:
    found = getattr(handler, "operation", None)
    return found if isinstance(found, Operation) else None
