"""Watching from a page."""

import asyncio

from playwright.async_api import expect

from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import MortalWorld, World
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import unreachable
from service.tests.support.waiting import until

AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = needs_chromium


async def test_watching_through_a_killed_server(mortal_world: MortalWorld) -> None:
    """All subscriptions share one connection. Through a kill -9 of the server a feed has every
    event, in order, once, and a total is exact; the state says what is going on."""
    world = mortal_world
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


async def test_a_number_on_a_foreign_page(
    world: World, postgres: LocalPostgres, database_url: str
) -> None:
    """`<livetally-count>` under a strict policy: the exact total, live, over one connection however
    many there are; hostile attributes are text; it says when it is stale, and axe finds nothing."""
    script = f'<script async src="{world.url}/js/livetally-count.js"></script>'
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
