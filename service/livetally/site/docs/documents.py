"""Which documents there are, where they lie, and where their links lead.

`documents.json` is the table, in the order of the contents; its first is at /docs itself. One
without a path is made from the code.
"""

from importlib import resources
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

import msgspec

from ..shipped import shipped


class Document(msgspec.Struct, frozen=True):
    """A page of the docs."""

    title: str
    name: str
    path: str | None

    @property
    def address(self) -> str:
        return f"/docs/{self.name}" if self.name else "/docs"


class _Table(msgspec.Struct, frozen=True):
    documents: list[Document]
    images: list[str]


class Documents:
    """All of them."""

    def __init__(self) -> None:
        text = (resources.files(__package__) / "documents.json").read_bytes()
        table = msgspec.json.decode(text, type=_Table)
        self.all = table.documents
        self._by_name = {each.name: each for each in self.all}
        self._by_path = {each.path: each for each in self.all if each.path}
        self.images = table.images
        self._images = {path.rpartition("/")[2]: path for path in table.images}

    def named(self, name: str) -> Document | None:
        return self._by_name.get(name)

    def text(self, path: str) -> str:
        return shipped(path).read_text("utf-8")

    def image(self, name: str) -> Path | None:
        path = self._images.get(name)
        return shipped(path) if path else None

    def link(self, document: Document, link: str) -> str | None:
        """Where a link of a document leads here; None: to a file that isn't shown."""
        parts = urlsplit(link)
        if parts.scheme or not parts.path or parts.path.startswith("/"):
            return link
        path = normpath(join(dirname(document.path or ""), unquote(parts.path)))
        if target := self._by_path.get(path):
            return target.address + (f"#{parts.fragment}" if parts.fragment else "")
        name = path.rpartition("/")[2]
        return f"/docs/{name}" if self._images.get(name) == path else None
