"""Every route of the application, with all that is said of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from ...web.operation_docs import Operation, operation_of
from . import examples
from .examples import Example


class Route(NamedTuple):
    """A route of the application, and all that is said of it."""

    method: str
    path: str
    handler: Any
    operation: Operation
    examples: list[Example]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def with_status(self, status: int) -> Iterator[Example]:
        return (each for each in self.examples if each.status_of(self.operation) == status)


def handlers_of(app: web.Application) -> Iterator[tuple[str, str, Any]]:
    """Every method, path and handler."""
    for route in app.router.routes():
        if route.method == hdrs.METH_HEAD or route.resource is None:
            continue
        # Behind a stage, or with a slash more, it is the same route.
        path = route.resource.canonical
        if not path.startswith("/{stage}") and (path == "/" or not path.endswith("/")):
            yield route.method, path, route.handler


def routes_of(app: web.Application) -> Iterator[Route]:
    """The routes that say something of themselves: a test finds those that don't."""
    given = examples.load()
    for method, path, handler in handlers_of(app):
        operation = operation_of(handler)
        if operation is not None:
            yield Route(method, path, handler, operation, given.get(f"{method} {path}", []))
