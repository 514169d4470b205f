"""A blog's page and its socket, and what its views should count."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from livetally.compat.page_views.views import BlogView
from livetally.schema.keys import Role
from service.tests.support.server import Service


class Reader:
    """A page's socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def view(self, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"message": "views", **fields}))

    async def text(self) -> str:
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return str(message.data)

    async def counts(self, article: str = "a1") -> tuple[int, int]:
        """(unique, total) of the next message."""
        answer = json.loads(await self.text())
        assert answer.keys() == {"articleId", "uniqueViews", "totalViews"}
        assert answer["articleId"] == article
        return answer["uniqueViews"], answer["totalViews"]

    async def counts_of(self, article: str) -> tuple[int, int]:
        """(unique, total) of the next message about this article."""
        while (answer := json.loads(await self.text()))["articleId"] != article:
            pass
        return answer["uniqueViews"], answer["totalViews"]

    async def until(self, unique: int, total: int) -> None:
        last = (0, 0)
        while last != (unique, total):
            counts = await self.counts()
            assert counts[0] >= last[0]
            assert counts[1] >= last[1], "a count went back"
            last = counts


@contextlib.asynccontextmanager
async def reader(service: Service, key: str | None = "", origin: str = "") -> AsyncIterator[Reader]:
    """A socket with the write key, with `key`, or (None) with its Origin only."""
    parameters = {} if key is None else {"api_key": key or service.keys[Role.WRITE]}
    headers = {"Origin": origin} if origin else {}
    async with service.http.ws_connect("/ws", params=parameters, headers=headers) as socket:
        yield Reader(socket)


class Model:
    """What the old blog's counts should have been."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def view(self, view: BlogView) -> None:
        path = (view.current_page or "").split("?")[0].split("#")[0]
        if view.current_page and not path:
            path = "/"
        kinds = [
            (path == "/", "/"),
            ("/pages/about" in path, "about"),
            ("/pages/contacts" in path, "contact"),
            (bool(view.article_id and view.article_title), "post"),
            (path != "", path),
            (True, "unknown"),
        ]
        page = next(kind for holds, kind in kinds if holds)
        names = ["page_view"] if view.refreshed else ["page_view", "unique_page_view"]
        self.counts.update((name, page) for name in names)
        if view.article_id:
            self.counts.update((name.replace("page", "article"), view.article_id) for name in names)
        if view.referrer and view.referrer.lower().startswith("https://n."):
            at = f"post:{view.article_id}" if page == "post" else page
            self.counts["referral", f"n.example {at}"] += 1
