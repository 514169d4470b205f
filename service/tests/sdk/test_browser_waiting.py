"""What the browser SDK keeps until the server has it."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

from playwright.async_api import Error as PlaywrightError

from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import MortalWorld, World, has_waiting, nothing_waits, track
from service.tests.support.waiting import until

pytestmark = needs_chromium


async def test_offline_and_back_in_two_tabs(mortal_world: MortalWorld) -> None:
    """Events made offline in two tabs count when the network is back, each once, and are sent once:
    also those of a tab that was closed meanwhile, which the other one sends."""
    world = mortal_world
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


async def test_a_server_that_is_killed_while_pages_reload_and_close(
    mortal_world: MortalWorld,
) -> None:
    """What was tracked while there was no server counts once it is back, to the last one: through
    reloads, closed tabs and answers that never came."""
    world = mortal_world
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


async def test_leaving_the_page_sends_what_waits(world: World) -> None:
    """What happens as the page is left is counted though nobody comes back; what a browser doesn't
    take on leaving waits on disk for the next visit."""
    page_with_sdk = world.script("livetally-track.js", page_views="off")
    for _ in range(3):
        world.shop.body = page_with_sdk
        page = await world.visit(await world.visitor())
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
    context = await world.visitor()
    await context.route("**/v1/events*", lambda route: route.abort())
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
    await context.unroute("**/v1/events*")
    await page.reload()
    await world.counted(Counter({("sale", "mediumspringgreen"): 600, ("sale", "gold"): 2_000}))
