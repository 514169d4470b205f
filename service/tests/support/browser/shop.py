"""Somebody else's site that uses the browser SDK, and whoever visits it."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page

from livetally.schema.keys import Role
from livetally.server.process import listen
from service.tests.support.postgres import query
from service.tests.support.process import Process
from service.tests.support.server import Service
from service.tests.support.waiting import until

# What Chromium's console says when the test takes the network or the server away, or sends what is
# no JSON.
AWAY = re.compile(r"net::ERR_|WebSocket connection to|status of [45]\d\d")


class Shop:
    """Somebody else's site: one page at every path, with a policy as strict as can be."""

    def __init__(self, livetally: str) -> None:
        self._livetally = livetally
        self.url = ""
        self.body = ""
        self.module = ""
        #: What the policy also lets run, an origin or 'unsafe-inline', and ask.
        self.also_runs = ""
        self.also_connects = ""

    async def _page(self, request: web.Request) -> web.Response:
        socket = self._livetally.replace("http", "ws", 1)
        return web.Response(
            text=f'<!doctype html><html lang="en"><title>Shop</title><main>{self.body}</main>',
            content_type="text/html",
            headers={
                "Content-Security-Policy": f"default-src 'none'; base-uri 'none';"
                f" script-src 'self' {self._livetally} {self.also_runs};"
                f" connect-src {self._livetally} {socket} {self.also_connects};"
                " require-trusted-types-for 'script'",
                "Cross-Origin-Embedder-Policy": "require-corp",
            },
        )

    async def _module(self, request: web.Request) -> web.Response:
        return web.Response(text=self.module, content_type="text/javascript")

    @classmethod
    @asynccontextmanager
    async def open(cls, livetally: str) -> AsyncIterator["Shop"]:
        shop = cls(livetally)
        app = web.Application()
        app.add_routes([web.get("/shop.mjs", shop._module), web.get("/{path:.*}", shop._page)])
        runner = web.AppRunner(app)
        await runner.setup()
        sock = listen("127.0.0.1", 0)
        await web.SockSite(runner, sock).start()
        shop.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        try:
            yield shop
        finally:
            await runner.cleanup()


class World:
    """Livetally, a shop that uses it, and a browser of somebody who visits."""

    def __init__(self, api: Service, shop: Shop, browser: Browser) -> None:
        self.url = api.url
        self.api = api
        self.shop = shop
        self.browser = browser
        self.write_key = ""
        #: What a console said that wasn't expected, and what the SDK said there by itself.
        self.said: list[str] = []
        self.warned: list[str] = []
        self.contexts: list[BrowserContext] = []

    def script(self, name: str = "livetally.js", **data: str) -> str:
        """A script element with these data attributes, for a shop's page."""
        given = {"key": self.write_key, "read-key": self.api.keys[Role.READ], **data}
        attributes = "".join(f' data-{each.replace("_", "-")}="{v}"' for each, v in given.items())
        return f'<script async src="{self.url}/js/{name}"{attributes}></script>'

    async def visitor(self, **options: Any) -> BrowserContext:
        self.contexts.append(await self.browser.new_context(**options))
        return self.contexts[-1]

    async def visit(
        self, context: BrowserContext, path: str = "/", shop: Shop | None = None, **options: Any
    ) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.said.append(f"threw: {error}"))
        page.on("console", self._note)
        await page.goto((shop or self.shop).url + path, **options)
        return page

    def _note(self, message: Any) -> None:
        if message.text.startswith("livetally: "):
            self.warned.append(message.text)
        elif message.type in ("error", "warning") and not AWAY.search(message.text):
            self.said.append(message.text)

    async def counted(self, wanted: Counter[tuple[str, str]], within_s: float = 30) -> None:
        """Wait for exactly these events; /v1/stats says the same of every type."""

        await until(
            lambda: self.stored() == wanted,
            within_s,
            lambda: (self.stored() - wanted, wanted - self.stored()),
        )
        for type_ in {type_ for type_, _ in wanted}:
            stats = await self.api.stats(type=type_)
            subjects = {each["subject"]: each["total"] for each in stats["subjects"]}
            assert subjects == {s: n for (t, s), n in wanted.items() if t == type_}
            assert stats["total"] == sum(subjects.values())

    def stored(self) -> Counter[tuple[str, str]]:
        return Counter(dict(self.logged()))

    def logged(self) -> list[tuple[tuple[str, str], int]]:
        rows = query(
            self.api.database_url, "SELECT type, subject, count(*) FROM events GROUP BY 1, 2"
        )
        return [((type_, subject), n) for type_, subject, n in rows]

    async def duplicates(self) -> float:
        """How many events came to the server again."""
        async with self.api.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith("livetally_events_duplicate_total")
        )


class MortalWorld(World):
    """Livetally is a process here, which a test may kill and start again."""

    process: Process


def views(path: str, n: int = 1, unique: int = 1) -> Counter[tuple[str, str]]:
    return Counter({("page_view", path): n, ("unique_page_view", path): unique})


async def track(page: Page, subject: str, n: int = 1, type_: str = "sale") -> None:
    await page.evaluate(
        "([type, subject, n]) => { for (; n > 0; n--) livetally.track(type, subject); }",
        [type_, subject, n],
    )


async def waiting(page: Page) -> int:
    """How many events are on this origin's disk."""
    return int(
        await page.evaluate(
            """() => new Promise((done) => {
              const request = indexedDB.open("livetally");
              request.onsuccess = () => {
                const { result } = request;
                const count = result.transaction("events").objectStore("events").count();
                count.onsuccess = () => { done(count.result); result.close(); };
              };
            })"""
        )
    )


async def nothing_waits(page: Page) -> bool:
    return await waiting(page) == 0


async def has_waiting(page: Page, n: int) -> bool:
    return await waiting(page) >= n
