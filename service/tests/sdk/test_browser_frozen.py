"""A server that hangs delays no page that counts there, and calls made meanwhile are kept."""

import asyncio
import json
from collections import Counter

from livetally.schema.keys import Role
from service.tests.support.browser.box import Box
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import Shop, World
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import make_key
from service.tests.support.waiting import until

pytestmark = needs_chromium

CALLS = """
  livetally.pageView("/by-hand", { plan: "pro" });
  livetally.track("sale", "early", { price: 9 });
  livetally.live({ totals: "sale" }, ({ total }) => (window.total = total));
  livetally.live({ totals: "never" }, () => (window.never = true))();
"""


async def snippet(**options: str) -> str:
    """What the SDK says is to be put into a page."""
    code = (
        f"import {{ snippet }} from {json.dumps(str(FRONTEND / 'src/sdk/bundles/stub.js'))};"
        f"console.log(snippet({json.dumps(options)}))"
    )
    node = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "-e", code), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await node.communicate()
    return out.decode()


async def test_a_frozen_server_delays_no_page(world: World) -> None:
    """With the snippet neither DOMContentLoaded nor `load` waits, and what was called before the
    SDK came is counted and watched once it does. With a plain `async` script the page is there and
    can be used, only `load` waits."""
    key = await make_key(world.api.database_url, "demo", Role.WRITE, "boxed")
    read_key = world.api.keys[Role.READ]
    async with Box.before(world.url) as box, Shop.open(box.url) as shop:
        box.thawed.clear()
        shop.also_runs = "'unsafe-inline'"
        options = {"server": box.url, "key": key, "readKey": read_key}
        shop.body = await snippet(**options) + f"<script>{CALLS}</script>"
        page = await world.visit(await world.visitor(), shop=shop, wait_until="load")
        assert await page.evaluate("typeof livetally.track") == "function"
        assert world.logged() == []

        shop.body = f'<script async src="{box.url}/js/livetally-track.js?key={key}"></script>'
        plain = await world.visit(
            await world.visitor(), "/plain", shop=shop, wait_until="domcontentloaded"
        )
        assert await plain.evaluate("document.readyState") == "interactive"

        box.thawed.set()
        wanted = Counter({("sale", "early"): 1})
        for path in ("/", "/by-hand", "/plain"):
            wanted += Counter({("page_view", path): 1, ("unique_page_view", path): 1})
        await world.counted(wanted)
        # Its websocket goes past the box, which speaks none.
        assert await page.evaluate("livetally.track('sale', 'later')")
        await until(lambda: world.stored()["sale", "later"] == 1, 10)
