"""A box in front of the server answers in its stead, or the key is no good: nothing is lost, counts
twice or for somebody else, and nobody is asked in a hot loop."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from playwright.async_api import Page

from livetally.schema.keys import Role
from service.tests.support.browser.box import Box, page, passes_all
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import Shop, World, has_waiting, nothing_waits, track
from service.tests.support.postgres import make_key, query
from service.tests.support.waiting import until

pytestmark = needs_chromium


def redirect(status: int, to: str) -> web.Response:
    return page("Moved", status, Location=to)


STRANGERS = {
    "portal": lambda box: page("<h1>Welcome to our hotel</h1>"),
    "nothing": lambda box: page(""),
    "login": lambda box: redirect(302, f"{box.url}/login"),
    "apex": lambda box: redirect(301, f"{box.url}/"),
    "moved": lambda box: redirect(308, f"{box.url}/elsewhere"),
    "firewall": lambda box: page("Request blocked", 403),
    "router": lambda box: page("404 page not found", 404),
    "balancer": lambda box: page("no backend", 503, **{"Retry-After": "1"}),
    "other": lambda box: web.json_response(
        {"results": []}, headers={"Access-Control-Allow-Origin": "*"}
    ),
}


@asynccontextmanager
async def boxed(world: World) -> AsyncIterator[tuple[Box, Shop]]:
    """A shop that knows the server by the box's address."""
    async with Box.before(world.url) as box, Shop.open(box.url) as shop:
        yield box, shop


def script(box: Box, key: str, more: str = "") -> str:
    return f'<script async src="{box.url}/js/livetally-track.js?key={key}{more}"></script>'


async def open_page(world: World, shop: Shop, path: str = "/") -> Page:
    return await world.visit(await world.visitor(), path, shop=shop)


async def test_an_answer_counts_only_if_it_is_ours(world: World) -> None:
    """Whatever the box says, the page keeps its events, says once what is wrong, and asks again in
    growing pauses; once the box lets them pass each counts once."""
    key = await make_key(world.api.database_url, "demo", Role.READ_WRITE, "boxed")
    wanted: Counter[tuple[str, str]] = Counter()
    asked: Counter[str] = Counter()
    told: dict[str, list[str]] = {name: [] for name in STRANGERS}
    async with boxed(world) as (box, shop):

        def answer(request: web.Request, body: bytes) -> web.Response | None:
            name = next((name for name in STRANGERS if f'"{name}'.encode() in body), None)
            asked[name or f"{request.method} {request.path}"] += 1
            return STRANGERS[name](box) if name else None

        shop.body = script(box, key, "&page-views=off")
        pages = []
        for name in STRANGERS:
            opened = await open_page(world, shop)
            opened.on("console", lambda message, name=name: told[name].append(message.text))
            pages.append(opened)
        box.answer = answer
        for name, opened in zip(STRANGERS, pages, strict=True):
            for subject in (name, f"{name} too"):
                await track(opened, subject)
                wanted["sale", subject] = 1
        await until(lambda: all(asked[name] >= 3 for name in STRANGERS), 40, lambda: asked)
        assert set(asked) == set(STRANGERS), "no redirect is followed"
        for name in STRANGERS:
            warned = [text for text in told[name] if "(foreign_answer)" in text]
            assert len(warned) == (0 if name == "balancer" else 1), told
        assert world.logged() == []
        box.answer = passes_all
        await world.counted(wanted)
        for opened in pages:
            await until(lambda opened=opened: nothing_waits(opened), 10)
    assert await world.duplicates() == 0


async def test_a_login_page_before_everything_when_the_page_is_left(world: World) -> None:
    """Also the next page of a visitor sends what the first could not."""
    key = await make_key(world.api.database_url, "demo", Role.WRITE, "boxed")
    async with boxed(world) as (box, shop):
        shop.body = script(box, key, "&page-views=off")
        opened = await open_page(world, shop)
        box.answer = lambda request, body: page("<form>Log in</form>") if body else None
        await track(opened, "red", 5)
        await until(lambda: has_waiting(opened, 5), 10)
        await opened.reload()
        box.answer = passes_all
        await opened.reload()
        await world.counted(Counter({("sale", "red"): 5}))


async def test_what_waits_for_a_revoked_key_goes_with_the_next(world: World) -> None:
    """A key that is revoked while a page is open keeps its events; the page's next deployment, with
    another key of the same project, sends them. They never go to another project's key that is on
    the page too, nor to another server."""
    url = world.api.database_url
    first, second = [await make_key(url, "demo", Role.WRITE, name) for name in ("one", "two")]
    other = await make_key(url, "other", Role.WRITE, "other")
    context = await world.visitor()

    def shop_with(*keys: str, server: str = "") -> str:
        scripts = [f"start({{key: '{key}', pageViews: false}})" for key in keys]
        world.shop.module = (
            f"import {{ start }} from '{server or world.url}/js/livetally-track.mjs';"
            f"globalThis.clients = [{', '.join(scripts)}];"
        )
        return '<script type="module" src="/shop.mjs"></script>'

    world.shop.body = shop_with(other, first)
    opened = await world.visit(context)
    sell = "([i, subject]) => void clients[i].track('sale', subject)"
    await opened.evaluate(sell, [0, "other's"])
    await opened.evaluate(sell, [1, "before"])
    wanted = Counter({("sale", "other's"): 1, ("sale", "before"): 1})
    await until(lambda: world.stored() == wanted, 20, world.stored)

    query(url, "UPDATE keys SET revoked_at = now() WHERE name = 'one' RETURNING 1")

    async def refused() -> bool:
        await opened.evaluate(sell, [1, "late"])
        wanted["sale", "late"] += 1
        await asyncio.sleep(0.2)  # a server knows a key for some seconds
        return any("(unknown_key)" in text for text in world.warned)

    await until(refused, 20)
    world.shop.body = shop_with(other)
    await opened.reload()
    await opened.evaluate(sell, [0, "other's"])
    wanted["sale", "other's"] += 1
    await until(lambda: world.stored()["sale", "other's"] == 2, 20)
    assert await has_waiting(opened, 1)
    async with boxed(world) as (box, _):
        world.shop.also_runs = world.shop.also_connects = box.url
        world.shop.body = shop_with(second, server=box.url)
        await opened.reload()
        await opened.evaluate(sell, [0, "boxed"])
        wanted["sale", "boxed"] += 1
        await until(lambda: world.stored()["sale", "boxed"] == 1, 20)
        assert await has_waiting(opened, 1)
    world.shop.body = shop_with(other, second)
    await opened.reload()
    await opened.evaluate(sell, [1, "after"])
    wanted["sale", "after"] += 1
    await until(lambda: world.stored() == wanted, 20, world.stored)
    projects = query(
        url,
        "SELECT DISTINCT subject, name FROM events JOIN projects p ON p.id = project",
    )
    assert dict(projects) == {
        "after": "demo",
        "before": "demo",
        "boxed": "demo",
        "late": "demo",
        "other's": "other",
    }
    assert len(projects) == 5
    await until(lambda: nothing_waits(opened), 10)
