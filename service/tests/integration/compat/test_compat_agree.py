"""The five older formats and the native protocol show one truth: what comes in by any of them is
at once in the answers and pushes of all that have words for it.
"""

import asyncio
import base64
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from livetally.schema.keys import Role
from service.tests.support.clients.compat import opened
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Service, serving
from service.tests.support.waiting import until

URL = "https://shop.example/"
TYPES = ("click", "hover", "button_click", "page_view", "article_view", "unique_article_view")
Counts = dict[str, dict[str, int]]

#: What each way of sending counts, by type and subject.
VIEW = [
    ("page_view", "post"),
    ("article_view", "a1"),
    ("unique_page_view", "post"),
    ("unique_article_view", "a1"),
]


@pytest.fixture
async def service(database_url: str, redis_url: str) -> AsyncIterator[Service]:
    """Without the periodic re-read, which would make up for a push that never came."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, resync_interval_ms=60_000) as service:
        yield service


class Sender:
    """Sends in any of the formats, over connections that stay open."""

    def __init__(self, service: Service, page: Any, live: Any) -> None:
        self._http = service.http
        self._key = service.keys[Role.READ_WRITE]
        self._login = "Basic " + base64.b64encode(f"demo:{self._key}".encode()).decode()
        self._page = page
        self._live = live

    async def _post(self, path: str, body: object, authorization: str) -> None:
        headers = {"Authorization": authorization}
        async with self._http.post(path, json=body, headers=headers) as response:
            assert response.status in (200, 204), await response.text()

    async def native(self, type_: str, subject: str) -> None:
        await self._post("/v1/events", {"type": type_, "subject": subject}, f"Bearer {self._key}")

    async def track(self, type_: str, subject: str) -> None:
        event = {"type": type_, "subject": subject}
        await self._live.send_json({"type": "track", "events": [event]})

    async def colour(self, type_: str, subject: str) -> None:
        await self._post("/v1/events", {"action": type_, "color": subject}, self._key)

    async def rails(self, type_: str, subject: str) -> None:
        body = {"action_color": {"action_name": type_, "color_name": subject}}
        await self._post("/v2/events", body, f"Token token={self._key}")

    async def view(self, *_: str) -> None:
        view = {"message": "views", "articleId": "a1", "articleTitle": "T", "currentPage": "/p"}
        await self._page.send_json(view)

    async def button(self, *_: str) -> None:
        body = {"session_id": "s", "button_id": "buy"}
        await self._post("/button/click", body, self._login)

    async def web(self, *_: str) -> None:
        await self._post("/web/page_view", {"session_id": "s", "url": URL}, self._login)


class Screens:
    """All that is pushed, as the last message of each watcher has it."""

    def __init__(self) -> None:
        self.shown: dict[str, Counts] = defaultdict(lambda: defaultdict(dict))

    def colours(self, said: Any) -> None:
        counts = {cell["color"]: cell["count"] for cell in said["stats"]}
        self.shown["format 1's lists"][said["event_type"]] = counts

    def cells(self, said: Any) -> None:
        assert said["api_key"] == "demo"
        counts = self.shown["format 1's cells"][said["action"]]
        counts[said["color"]] = int(said["count"])

    def cable(self, said: Any) -> None:
        if "results" in (message := said.get("message") or {}):
            channel = json.loads(said["identifier"])["channel"]
            action = {"ClicksChannel": "click", "HoversChannel": "hover"}[channel]
            counts = {each["color"]: each["amount"] for each in message["results"]}
            self.shown["format 2's channels"][action] = counts

    def article(self, said: Any) -> None:
        shown = self.shown["format 3's articles"]
        shown["article_view"] = {said["articleId"]: said["totalViews"]}
        shown["unique_article_view"] = {said["articleId"]: said["uniqueViews"]}

    def native(self, name: str, type_: str = "") -> Callable[[Any], None]:
        def note(said: Any) -> None:
            if said["type"] in ("snapshot", "update"):
                self.shown[name][type_ or said["id"]].update(said["totals"])

        return note


async def follow(socket: aiohttp.ClientWebSocketResponse, note: Callable[[Any], None]) -> None:
    async for message in socket:
        said = json.loads(message.data)
        if not (isinstance(said, dict) and isinstance(said.get("message"), int)):  # a cable's ping
            note(said)


async def read_events(service: Service, type_: str, note: Callable[[Any], None]) -> None:
    path = f"/v1/live/sse?totals={type_}&api_key={service.keys[Role.READ_WRITE]}"
    async with service.http.get(path) as response:
        async for line in response.content:
            if line.startswith(b"data:"):
                note(json.loads(line.removeprefix(b"data:")))


@contextlib.asynccontextmanager
async def watched(service: Service) -> AsyncIterator[tuple[Sender, Screens]]:
    """Somebody watches by each protocol whatever it can show."""
    key, screens = service.keys[Role.READ_WRITE], Screens()
    async with contextlib.AsyncExitStack() as stack:

        async def watch(
            path: str, note: Callable[[Any], None], *first: object
        ) -> aiohttp.ClientWebSocketResponse:
            socket = (await stack.enter_async_context(opened(service, path))).socket
            for message in first:
                await socket.send_json(message)
            start(follow(socket, note))
            return socket

        start = await stack.enter_async_context(_cancelled())
        await watch("/ws", screens.colours, {"action": "add_api_key", "api_key": key})
        admin = service.keys[Role.ADMIN]
        await watch("/ws", screens.cells, {"action": "add_api_key", "api_key": admin})
        subscribe = [
            {"command": "subscribe", "identifier": json.dumps({"channel": channel})}
            for channel in ("ClicksChannel", "HoversChannel")
        ]
        await watch(f"/v1/events/cable?api_key={key}", screens.cable, *subscribe)
        page = await watch(f"/ws?api_key={key}", screens.article)
        live = await watch(
            f"/v1/live?api_key={key}",
            screens.native("live"),
            *({"type": "subscribe", "id": each, "topic": {"totals": each}} for each in TYPES),
        )
        for type_ in TYPES:
            start(read_events(service, type_, screens.native("sse", type_)))
        yield Sender(service, page, live), screens


@contextlib.asynccontextmanager
async def _cancelled() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Tasks that end with the test; one that fails fails it."""
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        def start(work: Coroutine[Any, Any, None]) -> None:
            tasks.append(group.create_task(work))

        yield start
        for task in tasks:
            task.cancel()


async def answers(service: Service) -> dict[str, Counts]:
    """What each protocol answers when it is asked."""
    key = service.keys[Role.READ_WRITE]
    login = "Basic " + base64.b64encode(f"demo:{key}".encode()).decode()

    async def get(path: str, authorization: str = key, **parameters: str) -> Any:
        headers = {"Authorization": authorization}
        async with service.http.get(path, params=parameters, headers=headers) as response:
            return await response.json()

    found: dict[str, Counts] = defaultdict(dict)
    for each in TYPES:
        stats = await get("/v1/stats", action=each)
        found["format 1"][each] = {cell["color"]: cell["count"] for cell in stats["stats"]}
        results = await get("/v3/events", f"Token {key}", action_name=each)
        found["format 2"][each] = {cell["color"]: cell["amount"] for cell in results["results"]}
        native = await get("/v1/stats", type=each)
        found["native"][each] = {cell["subject"]: cell["total"] for cell in native["subjects"]}
    for entry in (await get("/admin/v1/stats", service.keys[Role.ADMIN]))["stats"]:
        counts = {cell["color"]: cell["count"] for cell in entry["counts"]}
        found["format 1 of all projects"][entry["action"]] = counts
    pages = await get("/v1/pages")
    found["pages"]["page_view"] = {each["page"]: each["total"] for each in pages["pages"]}
    found["pages"]["article_view"] = {each["article"]: each["total"] for each in pages["articles"]}
    buttons = await get("/button/click/count", login, button_id="buy")
    found["format 5"]["button_click"] = {"buy": buttons["count"]}
    views = [await get("/web/page_view/count", login, url=url) for url in (URL, "post")]
    found["format 5"]["page_view"] = {URL: views[0]["count"], "post": views[1]["count"]}
    return found


async def exact(service: Service) -> bool:
    """Whether log, totals, minutes and viewers agree in every type."""
    headers = {"x-api-key": service.keys[Role.ADMIN]}
    async with service.http.get("/v1/verify?project=demo", headers=headers) as response:
        return bool((await response.json())["exact"])


def missing(seen: dict[str, Counts], truth: Counts) -> list[str]:
    """Where what is seen isn't the truth; nobody may show more than there is."""
    return [
        f"{who}: {type_} is {counts}, not {truth[type_]}"
        for who, shown in seen.items()
        for type_, counts in shown.items()
        if {subject: n for subject, n in counts.items() if n} != truth[type_]
    ]


WAYS: list[tuple[str, list[tuple[str, str]]]] = [
    *(
        (way, [event])
        for way in ("native", "track", "colour", "rails")
        for event in (
            ("click", "red"),
            ("hover", "blue"),
            ("button_click", "buy"),
            ("page_view", URL),
            ("article_view", "a1"),
        )
    ),
    ("view", VIEW),
    ("button", [("button_click", "buy")]),
    ("web", [("page_view", URL)]),
]


async def test_the_counts_agree_in_every_format(service: Service) -> None:
    """One event after another, in each format: after each the pushes and answers of all formats,
    the native stats, the live protocol and server-sent events are the very same counts."""
    truth: Counts = defaultdict(lambda: defaultdict(int))
    async with watched(service) as (sender, screens):
        for way, counted in [("view", VIEW), *WAYS]:
            await getattr(sender, way)(*counted[0])
            for type_, subject in counted:
                truth[type_][subject] += 1

            async def agree() -> bool:
                return not missing(screens.shown, truth) and not missing(
                    await answers(service), truth
                )

            await until(agree, 20, lambda way=way: (way, missing(screens.shown, truth)))
    assert {
        "format 1's lists", "format 1's cells", "format 2's channels", "format 3's articles",
        "live", "sse",
    } == screens.shown.keys()  # fmt: skip
    assert await exact(service)


async def test_an_item_shows_in_every_protocol_that_has_items(service: Service) -> None:
    """Format 4, native live, server-sent events and GET: the same value at once."""
    key = service.keys[Role.READ_WRITE]
    seen: dict[str, Any] = {}

    def native(name: str) -> Callable[[Any], None]:
        def note(said: Any) -> None:
            for item in said.get("items", []):
                seen[name] = item["value"]["n"]

        return note

    async with (
        opened(service, f"/ws?vehicle-id=3&api_key={key}") as items,
        opened(service, f"/v1/live?api_key={key}") as live,
        service.http.get(f"/v1/live/sse?item=vehicle-id/3&api_key={key}") as events,
        _cancelled() as start,
    ):
        topic = {"item": ["vehicle-id", "3"]}
        await live.send({"type": "subscribe", "id": 1, "topic": topic})

        async def read() -> None:
            async for line in events.content:
                if line.startswith(b"data:"):
                    native("sse")(json.loads(line.removeprefix(b"data:")))

        def typed(said: Any) -> None:
            seen["format 4"] = int(said["n"]["N"])

        start(follow(items.socket, typed))
        start(follow(live.socket, native("live")))
        start(read())
        for n in range(1, 4):
            path, headers = "/v1/items/vehicle-id/3", {"x-api-key": key}
            async with service.http.put(path, json={"n": n}, headers=headers) as response:
                assert (await response.json())["version"] == n

            async def agree(n: int = n) -> bool:
                return seen == dict.fromkeys(("format 4", "live", "sse"), n)

            await until(agree, 20, lambda: seen)
            async with service.http.get(path, headers=headers) as response:
                assert (await response.json())["value"] == {"n": n}


async def test_twenty_writers_in_each_format_at_once_are_exact(service: Service) -> None:
    """A hundred writers, twenty of each format, all at the same time: every count is exact, in
    Postgres and on every screen; an item has had as many versions as writes."""
    each = 5
    key = service.keys[Role.READ_WRITE]

    async def views() -> None:
        async with opened(service, f"/ws?api_key={key}") as page:
            for n in range(1, each + 1):
                await page.send({"message": "views", "articleId": "a1", "articleTitle": "T"})
                while (await page.receive())["totalViews"] < n:
                    pass

    async def put(writer: int) -> None:
        for n in range(each):
            async with service.http.put(
                "/v1/items/vehicle-id/3", json={"n": [writer, n]}, headers={"x-api-key": key}
            ) as response:
                assert response.status == 200

    async def repeat(send: Callable[..., Awaitable[None]], *event: str) -> None:
        for _ in range(each):
            await send(*event)

    async with (
        watched(service) as (sender, screens),
        opened(service, f"/ws?vehicle-id=3&api_key={key}") as items,
    ):
        await asyncio.gather(
            *(repeat(sender.colour, "click", "red") for _ in range(20)),
            *(repeat(sender.rails, "click", "red") for _ in range(20)),
            *(views() for _ in range(20)),
            *(put(number) for number in range(20)),
            *(repeat(sender.button) for _ in range(20)),
        )
        await sender.view()  # so that its page is told of the article
        n = 20 * each
        truth: Counts = {
            "click": {"red": 2 * n},
            "hover": {},
            "button_click": {"buy": n},
            "page_view": {"post": n + 1},
            "article_view": {"a1": n + 1},
            "unique_article_view": {"a1": n + 1},
        }

        async def agree() -> bool:
            return not missing(screens.shown, truth)

        await until(agree, 30, lambda: missing(screens.shown, truth))
        assert missing(await answers(service), truth) == []
        ((version, value),) = query(service.database_url, "SELECT version, value FROM items")
        assert version == n
        while (await items.receive())["n"]["L"] != [{"N": f"{each}"} for each in value["n"]]:
            pass
    assert await exact(service)
