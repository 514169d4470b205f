"""The browser SDK, in a real Chromium, on the pages of a shop of another origin, under a strict
policy: what happened there is what `/v1/stats` says, whatever broke on the way."""

import asyncio
import contextlib
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, expect
from playwright.async_api import Error as PlaywrightError

from livetally.dev.servers import LocalPostgres
from livetally.server.process import listen
from livetally.web.keys import Role
from service.tests.support.browser.chromium import find_chromium
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import make_key, make_keys, query, unreachable
from service.tests.support.process import Process
from service.tests.support.server import Service
from service.tests.support.waiting import until

DIST = FRONTEND / "dist"
AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found"),
    pytest.mark.skipif(
        not DIST.exists() and shutil.which("npm") is None, reason="no SDK: Node is missing"
    ),
]

# What Chromium's console says when the test takes the network or the server away, or sends what is
# no JSON.
AWAY = re.compile(r"net::ERR_|WebSocket connection to|status of 4(00|22)")


class Shop:
    """Somebody else's site: one page at every path, with a policy as strict as can be."""

    def __init__(self, livetally: str) -> None:
        self._livetally = livetally
        self.url = ""
        self.body = ""
        self.module = ""

    async def _page(self, request: web.Request) -> web.Response:
        socket = self._livetally.replace("http", "ws", 1)
        return web.Response(
            text=f'<!doctype html><html lang="en"><title>Shop</title><main>{self.body}</main>',
            content_type="text/html",
            headers={
                "Content-Security-Policy": f"default-src 'none'; base-uri 'none';"
                f" script-src 'self' {self._livetally}; connect-src {self._livetally} {socket};"
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
    """Livetally as a process, a shop that uses it, and a browser of somebody who visits."""

    def __init__(self, process: Process, api: Service, shop: Shop, browser: Browser) -> None:
        self.process = process
        self.api = api
        self.shop = shop
        self.browser = browser
        self.write_key = ""
        self.said: list[str] = []
        self.contexts: list[BrowserContext] = []

    def script(self, name: str = "livetally.js", **data: str) -> str:
        """A script element with these data attributes, for a shop's page."""
        given = {"key": self.write_key, "read-key": self.api.keys[Role.READ], **data}
        attributes = "".join(f' data-{each.replace("_", "-")}="{v}"' for each, v in given.items())
        return f'<script src="{self.process.url}/js/{name}"{attributes}></script>'

    async def visitor(self, **options: Any) -> BrowserContext:
        self.contexts.append(await self.browser.new_context(**options))
        return self.contexts[-1]

    async def visit(self, context: BrowserContext, path: str = "/", **options: Any) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.said.append(f"threw: {error}"))
        page.on("console", self._note)
        await page.goto(self.shop.url + path, **options)
        return page

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning") and not AWAY.search(message.text):
            self.said.append(message.text)

    async def counted(self, wanted: Counter[tuple[str, str]], within_s: float = 30) -> None:
        """Wait for exactly these events; /v1/stats says the same of every type."""

        def stored() -> Counter[tuple[str, str]]:
            return Counter(dict(self.logged()))

        await until(lambda: stored() == wanted, within_s, lambda: stored() - wanted or stored())
        for type_ in {type_ for type_, _ in wanted}:
            stats = await self.api.stats(type=type_)
            subjects = {each["subject"]: each["total"] for each in stats["subjects"]}
            assert subjects == {s: n for (t, s), n in wanted.items() if t == type_}
            assert stats["total"] == sum(subjects.values())

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


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    spawn: Callable[..., Process], database_url: str, chromium: Browser
) -> AsyncIterator[World]:
    keys = await make_keys(database_url)
    process = spawn(LIVETALLY_DATABASE_URL=database_url, LIVETALLY_PAGES_DIR=str(DIST))
    await asyncio.to_thread(process.wait_ready)
    api = Service(process.url, database_url, keys)
    async with Shop.open(process.url) as shop:
        world = World(process, api, shop, chromium)
        world.write_key = await make_key(
            database_url, "demo", Role.WRITE, "shop", origins=(shop.url,)
        )
        yield world
        for context in world.contexts:
            await context.close()
        assert world.said == []
    await api.close()


def views(path: str, n: int = 1, unique: int = 1) -> Counter[tuple[str, str]]:
    return Counter({("page_view", path): n, ("unique_page_view", path): unique})


async def track(page: Page, subject: str, n: int = 1, type_: str = "sale") -> None:
    await page.evaluate(
        "([type, subject, n]) => { for (; n > 0; n--) livetally.track(type, subject); }",
        [type_, subject, n],
    )


HOSTILE = [
    "<img src=x onerror=globalThis.hacked=1>",
    "'\"></button><script>globalThis.hacked=1</script>",
    "__proto__",
    "\u202e\U0001f469\u200d\U0001f467 a\u0301",
    "  spaces  ",
    "x" * 1_024,
]


async def test_what_happens_on_a_page_is_counted(world: World) -> None:
    """Views, clicks and hovers on marked elements whenever they came, also by keyboard, also where
    the page stops events; names to the letter; what can't be counted is told to `onerror`. A key
    that is bound to the shop's origin counts there, and nowhere else. No cookie is set."""
    world.shop.body = world.script() + (
        '<button data-livetally="buy" data-livetally-on="click hover"><b>Buy</b></button>'
        '<a href="#x" data-livetally="more">More</a><p id="plain">Nothing</p>'
        '<form data-livetally="form"><input name="getAttribute"><input name="dataset"></form>'
    )
    context = await world.visitor()
    page = await world.visit(context)
    await page.evaluate(
        """(hostile) => {
          document.querySelector("button").addEventListener("click", (e) => e.stopPropagation());
          const main = document.querySelector("main");
          const host = document.createElement("div").attachShadow({ mode: "open" });
          for (const subject of [...hostile, "", "y".repeat(1_025)]) {
            const late = document.createElement("button");
            late.type = "button";
            late.className = "late";
            late.dataset.livetally = subject;
            late.textContent = "late";
            host.append(late);
          }
          main.append(host.host);
        }""",
        HOSTILE,
    )
    await page.locator("#plain").hover()
    for _ in range(2):
        await page.locator("b").hover()
        await page.locator("button", has_text="Buy").hover(position={"x": 2, "y": 2})
        await page.locator("#plain").hover()
    await page.locator("b").click()
    await page.keyboard.press("Enter")
    await page.locator("a").click()
    await page.locator("#plain").click()
    await page.evaluate("document.querySelector('input').click()")  # Playwright falls for its name
    for late in await page.locator(".late").all():
        await late.dispatch_event("click", {"bubbles": True, "composed": True})
    await page.evaluate("livetally.track('sale', 'buy', { price: 9, note: '\\u2028' })")
    assert await page.evaluate("livetally.track('x'.repeat(65), 'buy')") is None
    wanted = views("/") + Counter({("click", subject): 1 for subject in HOSTILE})
    wanted += {("click", "buy"): 2, ("click", "more"): 1, ("hover", "buy"): 3}
    wanted += {("click", "form"): 1, ("sale", "buy"): 1}
    await world.counted(wanted)
    ((price, sessions),) = query(
        world.api.database_url,
        "SELECT max(properties ->> 'price'), count(DISTINCT session) FROM events",
    )
    assert (price, sessions) == ("9", 1)
    assert await context.cookies() == []
    assert await page.evaluate("globalThis.hacked") is None

    async with Shop.open(world.process.url) as elsewhere:
        elsewhere.body = world.script()
        other = await context.new_page()
        async with other.expect_response("**/v1/events") as refusal:
            await other.goto(elsewhere.url)
        assert (await refusal.value).status == 403
        await other.close()
    await world.counted(wanted)


async def test_as_a_module_with_errors_told(world: World) -> None:
    """`import { start }` works under the same policy, from either file; `onerror` hears of what
    will never count, and what is good beside it counts."""
    for name in ("livetally.mjs", "livetally-track.mjs"):
        world.shop.module = f"""
          import {{ start }} from "{world.process.url}/js/{name}";
          globalThis.errors = [];
          const onerror = ({{ code, events: [{{ subject }}] }}) =>
            errors.push([code, subject.toWellFormed()]);
          globalThis.counter = start({{ key: "{world.write_key}", pageViews: false, onerror }});
          const big = "x".repeat(17_000), cyclic = {{}};
          cyclic.cyclic = cyclic;
          counter.track("sale", "good {name}");
          counter.track("sale", "");
          counter.track("sale", "cyclic", cyclic);
          counter.track("sale", "big", {{ big }});
          counter.track("sale", "nul\\0");
          counter.track("sale", "lone \\ud800");
        """
        world.shop.body = '<script type="module" src="/shop.mjs"></script>'
        page = await world.visit(await world.visitor())
        await page.wait_for_function("() => globalThis.errors?.length === 5")
        told = {tuple(error) for error in await page.evaluate("errors")}
        assert told == {
            ("invalid_event", ""),
            ("invalid_event", "cyclic"),
            ("properties_too_large", "big"),
            ("nul_character", "nul\0"),
            ("malformed_json", "lone \ufffd"),
        }
    await world.counted(
        Counter({("sale", f"good {name}"): 1 for name in ("livetally.mjs", "livetally-track.mjs")})
    )


async def test_views_of_a_single_page_app(world: World) -> None:
    """Each change of the path is a view, however it is made; a change of the rest is none. The
    first view of a path in a session is a unique one, and the site that led here is a referral."""
    world.shop.body = world.script()
    context = await world.visitor()
    page = await world.visit(context, "/a?x=1", referer="https://news.example/today")
    for step in (
        "history.pushState({}, '', '/b')",
        "history.replaceState({}, '', '/b?page=2#top')",
        "history.pushState({}, '', '/b#below')",
        "history.replaceState({}, '', '/c')",
        "history.pushState({}, '', '/a')",
    ):
        await page.evaluate(step)
    await page.go_back()
    await page.wait_for_url("**/c")
    await page.go_forward()
    await page.wait_for_url("**/a")
    await page.reload()
    wanted = views("/a", 4) + views("/b") + views("/c", 2)
    wanted["referral", "news.example /a"] = 1
    await world.counted(wanted)


@pytest.mark.parametrize("signal", ["globalPrivacyControl: true", "doNotTrack: '1'"])
async def test_who_does_not_want_to_be_counted_is_not(world: World, signal: str) -> None:
    """Nothing is sent and nothing stored for a browser that asks for it; watching works. A page may
    decide otherwise, and must say so."""
    world.shop.body = world.script() + '<button data-livetally="buy">Buy</button>'
    context = await world.visitor()
    await context.add_init_script(
        f"for (const [name, value] of Object.entries({{ {signal} }}))"
        " Object.defineProperty(Navigator.prototype, name, { get: () => value });"
    )
    page = await world.visit(context)
    await page.evaluate(
        "void livetally.live({ totals: 'sale' }, ({ total }) => (window.total = total))"
    )
    await page.locator("button").click()
    await track(page, "red")
    await page.wait_for_function("() => window.total === 0")
    stored = "indexedDB.databases().then((all) => [all.length, sessionStorage.length])"
    assert await page.evaluate(stored) == [0, 0]
    await page.close()

    world.shop.body = world.script(ignore_do_not_track="")
    await track(await world.visit(context, "/told"), "blue")
    await world.counted(views("/told") + Counter({("sale", "blue"): 1}))


async def test_offline_and_back_in_two_tabs(world: World) -> None:
    """Events made offline in two tabs count when the network is back, each once, and are sent once:
    also those of a tab that was closed meanwhile, which the other one sends."""
    world.shop.body = world.script(page_views="off")
    context = await world.visitor()
    one, two = await world.visit(context), await world.visit(context)
    await track(one, "before")
    await world.counted(Counter({("sale", "before"): 1}))
    await context.set_offline(True)
    await track(one, "one", 30)
    await track(two, "two", 20)
    await until(lambda: has_waiting(two, 50), 10)
    # What a page sends as it closes gets past the emulation, and nobody hears the answer.
    world.process.kill()
    async with one.expect_event("close"):
        await one.close(run_before_unload=True)
    assert [n for _, n in world.logged()] == [1]
    await asyncio.to_thread(world.process.restart().wait_ready)
    await context.set_offline(False)
    await world.counted(Counter({("sale", "before"): 1, ("sale", "one"): 30, ("sale", "two"): 20}))
    await until(lambda: nothing_waits(two), 10)
    assert await world.duplicates() == 0

    three = await world.visit(context)
    await context.set_offline(True)
    await track(two, "two", 400)
    await track(three, "three", 400)
    await until(lambda: has_waiting(two, 800), 10)
    await context.set_offline(False)
    await until(lambda: nothing_waits(two), 30)
    assert dict(world.logged()) == {
        ("sale", "before"): 1,
        ("sale", "one"): 30,
        ("sale", "two"): 420,
        ("sale", "three"): 400,
    }
    assert await world.duplicates() == 0


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


async def test_a_server_that_is_killed_while_pages_reload_and_close(world: World) -> None:
    """What was tracked while there was no server counts once it is back, to the last one: through
    reloads, closed tabs and answers that never came."""
    world.shop.body = world.script(page_views="off")
    context = await world.visitor()
    page = await world.visit(context)
    await track(page, "red", 5)
    await world.counted(Counter({("sale", "red"): 5}))

    # Stored, but the answer is lost.
    async def cut(route: Any) -> None:
        await route.fetch()
        with contextlib.suppress(PlaywrightError):  # the page has gone, and its request with it
            await route.abort()

    await context.route("**/v1/events*", cut)
    await track(page, "red", 7)
    await world.counted(Counter({("sale", "red"): 12}))
    world.process.kill()
    await context.unroute("**/v1/events*")
    await track(page, "red", 11)
    await until(lambda: has_waiting(page, 18), 10)
    await page.reload()  # the script is in the browser's cache
    await track(page, "red", 13)
    await until(lambda: has_waiting(page, 31), 10)
    await page.close()
    await asyncio.to_thread(world.process.restart().wait_ready)
    back = await world.visit(context)
    await world.counted(Counter({("sale", "red"): 36}))
    await until(lambda: nothing_waits(back), 10)


async def has_waiting(page: Page, n: int) -> bool:
    return await waiting(page) >= n


async def test_leaving_the_page_sends_what_waits(world: World) -> None:
    """What happens as the page is left is counted though nobody comes back; what a browser doesn't
    take on leaving waits on disk for the next visit."""
    page_with_sdk = world.script("livetally-track.js", page_views="off")
    context = await world.visitor()
    for _ in range(3):
        world.shop.body = page_with_sdk
        page = await world.visit(context)
        world.shop.body = ""
        await page.evaluate(
            """() => {
              for (let i = 0; i < 200; i++) livetally.track("sale", "mediumspringgreen");
              location.assign("/elsewhere");
            }"""
        )
        await page.wait_for_url("**/elsewhere")
        await page.close()
    await world.counted(Counter({("sale", "mediumspringgreen"): 600}))

    world.shop.body = page_with_sdk
    await context.route("**/v1/events", lambda route: route.abort())
    page = await world.visit(context)
    await track(page, "gold")
    await until(lambda: has_waiting(page, 1), 10)
    await page.evaluate(
        """() => {
          navigator.sendBeacon = () => false;
          for (let i = 1; i < 2_000; i++) livetally.track("sale", "gold");
          location.assign("/left");
        }"""
    )
    await page.wait_for_url("**/left")
    await context.unroute("**/v1/events")
    await page.reload()
    await world.counted(Counter({("sale", "mediumspringgreen"): 600, ("sale", "gold"): 2_000}))


async def test_watching_through_a_killed_server(world: World) -> None:
    """All subscriptions share one connection. Through a kill -9 of the server a feed has every
    event, in order, once, and a total is exact; the state says what is going on."""
    world.shop.body = world.script(page_views="off")
    page = await world.visit(await world.visitor())
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.evaluate(
        """() => {
          Object.assign(window, { ids: [], states: [], total: null, subjects: null });
          livetally.live({ feed: "click" }, ({ events }) => {
            for (const { id } of events ?? []) ids.push(id);
          });
          livetally.live({ totals: "click" }, (message) => (total = message.total),
            ({ name }) => states.at(-1) !== name && states.push(name));
          window.end = livetally.live({ totals: "click", subjects: ["no"] }, () => (subjects = 1));
        }"""
    )
    await page.wait_for_function("() => states.at(-1) === 'live' && subjects")
    await page.evaluate("end()")
    assert len(sockets) == 1
    sent: list[str] = []

    async def post(n: int) -> None:
        events = [{"id": f"e{len(sent) + i}", "type": "click", "subject": "red"} for i in range(n)]

        async def stored() -> bool:
            return (await world.api.post(events))[0] == 200

        await until(stored, 20)
        sent.extend(event["id"] for event in events)

    for _ in range(2):
        await post(50)
        await page.wait_for_function("(n) => total === n && ids.length >= n", arg=len(sent))
        world.process.kill()
        await page.wait_for_function("() => states.at(-1) === 'reconnecting'")
        await asyncio.to_thread(world.process.restart().wait_ready)
        await post(30)  # while the page is still away
        await page.wait_for_function("() => states.at(-1) === 'live'", timeout=40_000)
    await post(10)
    await page.wait_for_function("(n) => total === n && ids.length >= n", arg=len(sent))
    assert await page.evaluate("ids") == sent


async def test_pointers_only_where_asked_for_and_nothing_typed(world: World) -> None:
    """Where the pointer is, as fractions of the document, live for who watches the page; without
    `data-pointer` nothing of it; what is typed or pointed at is in no event."""
    form = '<input name="secret" type="password"><pre>' + "\n" * 200 + "</pre>"
    world.shop.body = world.script() + form
    context = await world.visitor(viewport={"width": 1_000, "height": 500})
    page = await world.visit(context, "/quiet")
    await page.mouse.move(10, 10)
    await page.mouse.move(500, 250)
    world.shop.body = world.script(page_views="off")
    watcher = await world.visit(context, "/watcher")
    world.shop.body = world.script(pointer="", page_views="off") + form
    page = await world.visit(context, "/pointed")
    await watcher.evaluate(
        """() => {
          window.shown = new Map();
          livetally.live({ pointers: "/pointed" }, ({ pointers }) => {
            for (const { session, x, y } of pointers) shown.set(session, [x, y]);
          });
        }"""
    )
    height = await page.evaluate("document.documentElement.scrollHeight")
    width = await page.evaluate("document.documentElement.scrollWidth")
    await page.locator("input").click()
    await page.keyboard.type("correct horse")
    await page.mouse.move(width / 2, 250, steps=20)
    await page.wait_for_timeout(150)
    await page.mouse.wheel(0, 1_000)
    await page.wait_for_function("() => scrollY === 1_000")
    await page.mouse.move(width / 4, 100)
    await page.mouse.down()
    at = [0.25, round(1_100 / height, 4)]
    await watcher.wait_for_function(
        "(at) => [...shown.values()].some(([x, y]) => x === at[0] && y === at[1])", arg=at
    )
    rows = query(
        world.api.database_url,
        "SELECT subject, properties::text FROM events WHERE type = 'pointer' ORDER BY seq",
    )
    assert {subject for subject, _ in rows} == {"/pointed"}
    assert '"down":true' in rows[-1][1]
    assert f'"width":{width},"height":{height}' in rows[-1][1]
    everything = query(world.api.database_url, "SELECT row_to_json(e)::text FROM events AS e")
    assert not any("horse" in text or "secret" in text for (text,) in everything)


async def test_a_number_on_a_foreign_page(
    world: World, postgres: LocalPostgres, database_url: str
) -> None:
    """`<livetally-count>` under a strict policy: the exact total, live, over one connection however
    many there are; hostile attributes are text; it says when it is stale, and axe finds nothing."""
    script = f'<script src="{world.process.url}/js/livetally-count.js"></script>'
    read_key = world.api.keys[Role.READ]
    hostile = "&lt;img src=x onerror=globalThis.hacked=1&gt;"
    world.shop.body = script + "".join(
        f'<p lang="{lang}"><livetally-count type="click" {more} key="{key}"></livetally-count></p>'
        for lang, key, more in (
            ("en", read_key, 'subject="red" label="clicks on red"'),
            ("x-no!", read_key, 'label="clicks"'),
            ("en", read_key, f'subject="{hostile}" label="{hostile}"'),
            ("en", "lt_read_wrong", ""),
        )
    )
    name = "<img src=x onerror=globalThis.hacked=1>"
    red = [{"type": "click", "subject": "red"}]
    await world.api.post([*red * 999, {"type": "click", "subject": name}])
    context = await world.visitor()
    page = await context.new_page()
    page.on("pageerror", lambda error: world.said.append(f"threw: {error}"))
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.goto(world.shop.url)
    counts = page.locator("livetally-count")
    text = page.locator("livetally-count [part=count]")
    await expect(text).to_have_text(["999 clicks on red", "1000 clicks", f"1 {name}", "\u2013"])
    await expect(counts.nth(3)).to_have_attribute("data-state", "refused")
    assert len(sockets) == 2  # one a key
    await world.api.post(red * 2)
    await expect(text.nth(0)).to_have_text("1,001 clicks on red")
    assert await page.evaluate("globalThis.hacked") is None
    assert await page.locator("img").count() == 0
    await expect(page.get_by_role("status").nth(0)).to_contain_text("clicks on red")
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run('main', {resultTypes: ['violations']})")
    ids = [v["id"] for v in found["violations"] if v["id"] != "valid-lang"]  # the test's own
    assert ids == []

    with unreachable(postgres, database_url):
        await expect(counts.nth(0)).to_have_attribute("data-state", "stale", timeout=20_000)
        await expect(page.locator("[part=note]").nth(0)).to_have_text("(stale)")
    await expect(counts.nth(0)).to_have_attribute("data-state", "live", timeout=20_000)
    await counts.nth(0).evaluate("(count) => count.setAttribute('subject', 'blue')")
    await expect(text.nth(0)).to_have_text("0 clicks on red")
    await page.evaluate("document.querySelectorAll('p').forEach((p) => p.remove())")
    assert await page.evaluate("globalThis[Symbol.for('livetally.connections')].size") == 0


async def test_how_the_scripts_are_served(world: World) -> None:
    """At addresses that stay, gzipped for who takes that, to any origin; nothing else is there."""
    for name in ("livetally.js", "livetally.mjs", "livetally-track.js", "livetally-count.js"):
        async with world.api.http.get(f"/js/{name}") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert response.headers["Cache-Control"] == "public, max-age=3600"
            assert await response.text() == (DIST / "js" / name).read_text()
            etag = response.headers["ETag"]
        async with world.api.http.get(f"/js/{name}", headers={"If-None-Match": etag}) as again:
            assert again.status == 304
        plain = {"Accept-Encoding": "identity"}
        async with world.api.http.get(f"/js/{name}", headers=plain) as response:
            assert "Content-Encoding" not in response.headers
    for name in ("nothing.js", "livetally.js.gz", "..%2findex.html", "%2e%2e/index.html", ".js"):
        async with world.api.http.get(f"/js/{name}") as response:
            assert response.status == 404
