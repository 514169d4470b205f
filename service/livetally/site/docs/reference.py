"""The API's reference, as a page: all of it from /openapi.json."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import html
from .documents import Document
from .markdown import prose

#: A longer example is one of a limit: its beginning says it.
_LONGEST = 2_000

_BOUNDS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "pattern": "like",
}


class RouteView(NamedTuple):
    """A route, and its operation as OpenAPI has it."""

    method: str
    path: str
    about: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.about["operationId"])


class Group(NamedTuple):
    """The routes of a tag."""

    name: str
    description: str
    operations: list[RouteView]


def render(document: dict[str, Any], documents: list[Document], address: str) -> str:
    """The whole page."""
    from markupsafe import Markup

    return html.page(
        "reference.html",
        address,
        title="API reference",
        style="/docs/docs.css",
        scripts=["/docs/search.js", "/docs/reference.js"],
        documents=documents,
        groups=list(_groups(document)),
        schemas=sorted(document["components"]["schemas"].items()),
        version=document["info"]["version"],
        description=document["info"]["description"],
        prose=lambda text: Markup(prose(text)),  # noqa: S704 - its HTML is escaped
        json=json.dumps,
        shown=_shown,
        first=_first,
        bounds=_bounds,
        codes_of=lambda text: ", ".join(re.findall(r"`(\w+)`:", text)),
    )


def routes(document: dict[str, Any]) -> Iterator[RouteView]:
    for path, item in document["paths"].items():
        for method, about in item.items():
            yield RouteView(method.upper(), path, about)


def _groups(document: dict[str, Any]) -> Iterator[Group]:
    for tag in document["tags"]:
        own = [each for each in routes(document) if tag["name"] in each.about["tags"]]
        if own:
            yield Group(tag["name"], tag["description"], own)


def _first(parameter: dict[str, Any]) -> str:
    """A parameter's first example."""
    return next((str(each["value"]) for each in parameter.get("examples", {}).values()), "")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= _LONGEST else f"{text[:200]}… ({len(text):,} characters)"


def _bounds(schema: dict[str, Any]) -> str:
    said = ", ".join(f"{words} {schema[name]}" for name, words in _BOUNDS.items() if name in schema)
    return f" ({said})" if said else ""
