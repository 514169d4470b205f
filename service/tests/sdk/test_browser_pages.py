"""Pages as they are: whatever else runs in them, or was taken from them, they count."""

from collections import Counter

from livetally.schema.keys import Role
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import World, track, views
from service.tests.support.postgres import make_key, query
from service.tests.support.waiting import until

pytestmark = needs_chromium


SALE = Counter({("sale", "the first one's"): 1})


def without(name: str, owner: str = "Navigator.prototype") -> str:
    return f"Object.defineProperty({owner}, '{name}', {{ value: undefined }});"


# What runs in a page before the SDK does.
SITUATIONS = {
    "prototype.js": "Array.prototype.toJSON = function () { return `[${this.join()}]`; };",
    "frozen-history": "Object.freeze(history);",
    "own-navigation": "var navigation = document.createElement('nav');",
    "own-global": "var livetally = document.createElement('ol');",
    "no-session-storage": """
        Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no'); } });""",
    "full-storage": "Storage.prototype.setItem = () => { throw new DOMException('full'); };",
    "no-database": without("indexedDB", "window"),
    "mute-database": "IDBFactory.prototype.open = () => ({});",
    "forbidden-database": "IDBFactory.prototype.open = () => { throw new Error('no'); };",
    "no-locks": without("locks"),
    "mute-locks": """
        const never = () => new Promise(() => {});
        const locks = window.LockManager?.prototype ?? {};
        locks.request = locks.query = never;""",
    "forbidden-locks": """
        const locks = window.LockManager?.prototype ?? {};
        locks.request = async () => { throw new DOMException('no'); };""",
    "no-beacon": without("sendBeacon"),
    "false-beacon": "Navigator.prototype.sendBeacon = () => true;",
    "no-request": without("Request", "window"),
    "old-performance": """
        Object.defineProperty(window, 'performance', { value: { now: () => Date.now() } });""",
    "late-fetch": """
        const broken = async () => { throw new Error('no'); };
        addEventListener('load', () => { window.fetch = broken; });""",
    "no-random-uuid": without("randomUUID", "Crypto.prototype"),
    "clobbered": """
        addEventListener('DOMContentLoaded', () => {
          const image = document.createElement('img');
          image.name = 'currentScript';
          const form = document.createElement('form');
          form.id = 'livetally';
          document.body.prepend(image, form);
        });""",
}


async def test_whatever_else_runs_in_a_page_it_counts(world: World) -> None:
    """Foreign code, dead storage, replaced globals: its view and what it tracks count, though it is
    left at once."""
    world.shop.body = world.script("livetally-track.js")
    wanted: Counter[tuple[str, str]] = Counter()
    for name, script in SITUATIONS.items():
        context = await world.visitor()
        await context.add_init_script(script)
        page = await world.visit(context, f"/{name}")
        await track(page, name)
        await page.goto("about:blank")
        wanted += views(f"/{name}") + Counter({("sale", name): 1})
    await world.counted(wanted)


async def test_a_clock_that_is_set_while_events_wait(world: World) -> None:
    """They were tracked a moment ago, whatever the clock says now."""
    world.shop.body = world.script("livetally-track.js", page_views="off")
    for days in (3, -3):
        context = await world.visitor()
        await context.route("**/v1/events*", lambda route: route.abort())
        page = await world.visit(context)
        await track(page, f"{days}", 2)
        await page.wait_for_event("requestfailed")
        await page.evaluate(
            "(days) => { const { now } = Date; Date.now = () => now() + days * 86_400_000; }", days
        )
        await context.unroute("**/v1/events*")
        await track(page, f"{days}")
    await world.counted(Counter({("sale", "3"): 3, ("sale", "-3"): 3}))


async def test_a_tag_manager_that_strips_attributes(world: World) -> None:
    """The key and all options may stand in the script's address."""
    asked = f"key={world.write_key}&join-paths=on&page-views=off"
    world.shop.body = f'<script async src="{world.url}/js/livetally-track.js?{asked}"></script>'
    page = await world.visit(await world.visitor(), "/quiet/")
    await track(page, "by address")
    await page.evaluate("livetally.pageView()")
    await world.counted(views("/quiet") + Counter({("sale", "by address"): 1}))


async def test_two_projects_on_one_page(world: World) -> None:
    """Each script counts for its own key, once though it is there twice; the page's calls are the
    first one's."""
    other = await make_key(world.api.database_url, "other", Role.WRITE, "other")
    one, two = [
        f'<script async src="{world.url}/js/livetally-track.js?key={key}"></script>'
        for key in (world.write_key, other)
    ]
    world.shop.body = one + one
    page = await world.visit(await world.visitor(), "/a")
    await world.counted(views("/a"))
    world.shop.body = one.replace("async ", "") + two + two
    page = await world.visit(await world.visitor(), "/b")
    await track(page, "the first one's")
    await until(lambda: world.stored() == views("/a") + views("/b", 2, 2) + SALE, 20, world.stored)
    projects = query(
        world.api.database_url,
        "SELECT name, array_agg(subject ORDER BY type) FROM events e JOIN projects p"
        " ON p.id = e.project WHERE subject <> '/a' GROUP BY 1 ORDER BY 1",
    )
    assert projects == [("demo", ["/b", "the first one's", "/b"]), ("other", ["/b", "/b"])]
