"""What the search box looks through: every section of every document, and every route."""

from collections.abc import Iterator
from typing import Any

from .documents import Document
from .markdown import Rendered
from .reference import routes


def entries(document: Document, rendered: Rendered) -> Iterator[dict[str, str]]:
    """A document's sections."""
    for section in rendered.sections:
        address = f"{document.address}#{section.id}"
        yield {"page": document.title, "title": section.title, "address": address} | {
            "text": section.text
        }


def route_entries(document: Document, openapi: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The routes; their errors' codes and parameters are found too."""
    for route in routes(openapi):
        names = [each["name"] for each in route.about["parameters"]]
        said = [each["description"] for each in route.about["responses"].values()]
        yield {
            "page": document.title,
            "title": f"{route.method} {route.path}",
            "address": f"{document.address}#{route.id}",
            "text": " ".join([route.about["summary"], route.about["description"], *names, *said]),
        }
