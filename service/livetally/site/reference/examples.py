"""The routes' examples: data in each package's `examples/*.json`, as `{"GET /v1/stats": [...]}`.

A route may have some in several files: those of the compatibility APIs follow the native ones.
"""

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from ...web.operation_docs import Operation

#: The packages that have routes.
_PACKAGES = ("ingest", "api", "live", "queue", "site", "compat")


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request and its response, both as they are; moments may differ."""

    summary: str
    #: What an admin must have sent before: `{"PUT /v1/items/van/1": body}`.
    given: dict[str, Any] = {}
    #: The parts of the path that are in braces.
    path: dict[str, str] = {}
    #: As in an address.
    query: str = ""
    headers: dict[str, str] = {}
    #: A JSON value, or a text of this media type.
    body: Any = msgspec.UNSET
    media_type: str = "application/json"
    #: The body is a list of so many of it, or the text so often.
    repeat: int = 1
    #: Without one it is the first of the operation's.
    status: int | None = None
    response: Any = msgspec.UNSET
    #: A service alone doesn't show it: tests look at its response only.
    needs_queue: bool = False

    def __post_init__(self) -> None:
        if self.repeat > 1:
            one = self.body if isinstance(self.body, str) else [self.body]
            msgspec.structs.force_setattr(self, "body", one * self.repeat)

    def status_of(self, operation: Operation) -> int:
        return self.status or next(iter(operation.responses))


def load() -> dict[str, list[Example]]:
    """Every route's examples, in the order of the files."""
    found: dict[str, list[Example]] = {}
    for file in _files():
        routes = msgspec.json.decode(file.read_bytes(), type=dict[str, list[Example]])
        for route, examples in routes.items():
            found.setdefault(route, []).extend(examples)
    return found


def _files() -> Iterator[Traversable]:
    for package in _PACKAGES:
        folder = resources.files("livetally") / package / "examples"
        files = (each for each in folder.iterdir() if each.name.endswith(".json"))
        yield from sorted(files, key=lambda file: file.name)
