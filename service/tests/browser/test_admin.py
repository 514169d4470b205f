"""The admin page, used by a real Chromium: all counts, keys, processes, dead letters, pointers."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import expect

from livetally.schema.keys import Role
from service.tests.support.aws import Account, working
from service.tests.support.browser.axe import axe_finds_nothing
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.names import HOSTILE
from service.tests.support.browser.site import OpenTab, Site, SiteProcess, StartSite
from service.tests.support.browser.tab import AWAY, REFUSED, Tab
from service.tests.support.postgres import make_key

pytestmark = needs_chromium


# A key that the API refuses first ends a connection that is only being made.
LEFT = "closed before the connection is established"
ANY = rf"{AWAY}|{REFUSED}|{LEFT}|status of 404|ERR_INTERNET_DISC"

# A look at the queue is some polls of up to a second each.
QUEUE_MS = 30_000


async def entered(open_tab: OpenTab, site: Site, **options: Any) -> Tab:
    """A tab of somebody who has typed the admin key."""
    tab = await open_tab(site.url + "/admin", base=site.url, expected=ANY, **options)
    await enter(tab, site)
    return tab


async def enter(tab: Tab, site: Site) -> None:
    await tab.page.get_by_label("Admin key", exact=True).fill(site.api.keys[Role.ADMIN])
    await tab.page.get_by_role("button", name="Use this key").click()
    await tab.is_("live")


def row(tab: Tab, *cells: str) -> Any:
    """A row of the table of counts that has these texts."""
    found = tab.page.locator("#counts tbody tr:visible")
    for cell in cells:
        found = found.filter(has_text=cell)
    return found


async def test_counts_of_all_projects_are_live(
    site_process: SiteProcess, open_tab: OpenTab
) -> None:
    """What is counted in any project is in the table, sorted and filtered, as text however hostile;
    a colour's name can be read on it; a restart of the server is survived."""
    other = await make_key(site_process.database_url, "other", Role.WRITE)
    await site_process.api.post([{"type": "click", "subject": "navy"}] * 3)
    await site_process.api.post([{"type": "click", "subject": subject} for subject in HOSTILE])
    tab = await entered(open_tab, site_process)
    second = await entered(open_tab, site_process)
    await site_process.api.post({"type": "käufe", "subject": "hut"}, key=other)
    for each in (tab, second):
        await expect(row(each, "other", "käufe", "hut")).to_have_count(1)
    assert await row(tab, "navy").locator("td").nth(2).text_content() == "3"
    await expect(tab.page.locator("#counts tbody tr")).to_have_count(len(HOSTILE) + 2)
    shown = await tab.page.locator("#counts tbody td:nth-child(3)").all_text_contents()
    assert set(HOSTILE) <= set(shown)
    ink = await row(tab, "navy").locator(".painted").evaluate("(n) => getComputedStyle(n).color")
    assert ink == "rgb(255, 255, 255)"

    await tab.page.get_by_role("button", name="Subject", exact=True).click()
    await tab.page.wait_for_function(
        """() => {
            const cells = document.querySelectorAll("#counts tbody td:nth-child(3)");
            const shown = Array.from(cells, (cell) => cell.textContent);
            return JSON.stringify(shown) === JSON.stringify([...shown].sort());
        }"""
    )
    await tab.page.get_by_label("Filter").fill("KÄUFE")
    await expect(tab.page.locator("#counts tbody tr:visible")).to_have_count(1)

    site_process.process.kill()
    await tab.is_("reconnecting")
    await asyncio.to_thread(site_process.process.restart().wait_ready)
    await site_process.api.post({"type": "käufe", "subject": "hut"}, key=other)
    await tab.is_("live")
    await expect(row(tab, "hut").locator("td").nth(2)).to_have_text("2")


async def test_the_key_stays_in_this_tab(site: Site, open_tab: OpenTab) -> None:
    """A key that is none, or that may not, is refused in words; a good one is in session storage
    only, lasts through a reload, and is forgotten when told to."""
    tab = await open_tab(site.url + "/admin", base=site.url, expected=ANY)
    for wrong in ("lt_none", site.api.keys[Role.READ]):
        await tab.page.get_by_label("Admin key", exact=True).fill(wrong)
        await tab.page.get_by_role("button", name="Use this key").click()
        await expect(tab.page.locator("#keys [data-message]")).not_to_be_empty()
        await expect(tab.page.locator("#rooms")).to_be_hidden()
    key = site.api.keys[Role.ADMIN]
    await tab.page.get_by_label("Admin key", exact=True).fill(key)
    await tab.page.get_by_role("button", name="Use this key").click()
    await tab.is_("live")
    kept = "(key) => [sessionStorage, localStorage].map((s) => JSON.stringify(s).includes(key))"
    assert await tab.page.evaluate(kept, key) == [True, False]
    assert key not in tab.page.url
    assert await tab.page.evaluate("document.cookie") == ""
    await tab.page.reload()
    await tab.is_("live")
    await tab.page.get_by_role("button", name="Forget the key").click()
    await expect(tab.page.get_by_label("Admin key", exact=True)).to_be_visible()
    assert await tab.page.evaluate(kept, key) == [False, False]


async def test_keys_are_made_and_revoked(site: Site, open_tab: OpenTab) -> None:
    """By keyboard: a key is shown until one is done with it, works, and ends after a question."""
    tab = await entered(open_tab, site)
    keys = tab.page.locator("#access")
    await keys.get_by_label("Project").fill("shop")
    await keys.get_by_label("Name").fill(HOSTILE[0])
    await keys.get_by_label("Events a second").fill("1000")
    await keys.get_by_label("Events a second").press("Enter")
    await expect(keys.locator("[data-secret]")).to_contain_text("lt_write_")
    key = await keys.locator("[data-secret]").text_content()
    assert (await site.api.post({"type": "click", "subject": "red"}, key=key))[0] == 200
    await keys.get_by_role("button", name="Done").click()
    assert key not in await tab.page.content()

    revoke = keys.get_by_role("button", name="of shop")
    await revoke.click()
    await tab.page.get_by_role("button", name="Cancel").press("Enter")
    await expect(revoke).to_have_count(1)
    await revoke.click()
    await tab.page.locator("#sure [data-yes]").press("Enter")
    await expect(revoke).to_have_count(0)
    await expect(keys.locator("tbody tr").filter(has_text="shop")).to_contain_text("revoked")


def pointer(session: str, x: float, y: float, seconds_ago: float = 0) -> dict[str, Any]:
    at = {"x": x, "y": y, "width": 1000, "height": 1500}
    when = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
    event = {"type": "pointer", "subject": "/", "session": session, "properties": at}
    return {**event, "occurred_at": when}


async def test_heat_ways_and_who_is_there(site: Site, open_tab: OpenTab) -> None:
    """The heatmap is painted where people pointed, a session's way is played, paused and sought,
    and a pointer that comes now is there without a reload; processes have their viewers."""
    way = [pointer("walker", 0.02 + n / 25, 0.51, seconds_ago=20 - n) for n in range(20)]
    await site.api.post(way)
    tab = await entered(open_tab, site)
    pointers = tab.page.locator("#pointers")
    await expect(pointers.locator("[data-said]")).to_contain_text("20 positions by 1 session")
    painted = """(canvas, [x, y]) => {
      const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      pixel.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
      return [...pixel.getImageData(0, 0, 1, 1).data];
    }"""
    canvas = pointers.locator("canvas")
    assert (await canvas.evaluate(painted, [0.1, 0.51]))[3] > 0
    assert (await canvas.evaluate(painted, [0.1, 0.9]))[3] == 0

    await pointers.get_by_role("button", name="walker").click()
    await pointers.locator("[data-speed]").select_option("0.5")
    await expect(pointers.get_by_role("button", name="Pause")).to_be_visible()
    await pointers.get_by_role("button", name="Pause").click()
    await expect(pointers.get_by_role("button", name="Play", exact=True)).to_be_visible()
    seek = pointers.get_by_label("Position")
    await seek.evaluate("(n) => { n.value = n.max; n.dispatchEvent(new Event('input')); }")
    await expect(pointers.locator("[data-at]")).to_have_text("0:19 of 0:19")
    await expect(seek).to_have_attribute("aria-valuetext", "0:19 of 0:19")
    at_its_end = await canvas.evaluate(painted, [0.78, 0.51])
    assert at_its_end == [0x24, 0x57, 0xD6, 255]  # the accent's: a pointer
    await site.api.post(pointer("now", 0.5, 0.9))
    await expect(pointers.locator("[data-now]")).not_to_have_text("0 pointers now")
    processes = tab.page.locator("#processes")
    mine = processes.locator("tbody tr").filter(has_text=f" {os.getpid()}")
    await expect(mine.locator("td").first).to_have_text("1")
    await expect(tab.page.locator("#dead [data-said]")).to_have_text("There is no queue here.")


async def test_pages_of_any_project(site: Site, open_tab: OpenTab) -> None:
    """The page that is pointed at most is shown first, whosever it is; another project's page has
    its own heat, its own sessions and its own live pointers. A name is text."""
    other = await make_key(site.database_url, "shop", Role.WRITE)
    theirs = [{**pointer(HOSTILE[0], 0.5, 0.5), "subject": "/cart"} for _ in range(3)]
    await site.api.post(theirs, key=other)
    await site.api.post(pointer("mine", 0.1, 0.1))
    tab = await entered(open_tab, site)
    pointers = tab.page.locator("#pointers")
    await expect(pointers.get_by_label("Project")).to_have_value("shop")
    await expect(pointers.get_by_label("Page", exact=True)).to_have_value("/cart")
    await expect(pointers.locator("[data-said]")).to_have_text("3 positions by 1 session.")
    await expect(pointers.locator("[data-sessions] bdi")).to_have_text(HOSTILE[0])
    await site.api.post({**pointer("now", 0.9, 0.9), "subject": "/cart"}, key=other)
    await expect(pointers.locator("[data-now]")).to_have_text("2 pointers now")
    offered = '[...document.querySelectorAll("#pages option")].map((option) => option.value)'
    assert await tab.page.evaluate(offered) == ["/cart"]

    await pointers.get_by_label("Project").select_option("demo")
    await pointers.get_by_label("Page", exact=True).fill("/")
    await pointers.get_by_label("Page", exact=True).press("Enter")
    await expect(pointers.locator("[data-said]")).to_have_text("1 position by 1 session.")
    await expect(pointers.locator("[data-sessions] bdi")).to_have_text("mine")
    await pointers.get_by_label("Page", exact=True).fill("/nowhere")
    await pointers.get_by_role("button", name="Show").click()
    await expect(pointers.locator("[data-said]")).to_contain_text("Nobody pointed at this page")
    await expect(pointers.locator("[data-now]")).to_have_text("0 pointers now")


async def test_dead_letters_are_read_and_sent_again(
    start_site: StartSite, open_tab: OpenTab, account: Account, redis_url: str
) -> None:
    """What the queue refused is listed with why, shown to the letter, and sent again: not in a dry
    run, not without a yes, one or all."""
    site = await start_site(
        queue_url=account.made.queue_url,
        dead_letter_queue_url=account.made.dead_letter_queue_url,
        queue_project="demo",
    )
    bad = account.send({"type": "click", "subject": HOSTILE[0], "id": ""})
    account.send(HOSTILE[1])
    async with working(account, site.database_url, redis_url):
        await account.until_empty()
    tab = await entered(open_tab, site, bypass_csp=True)
    dead = tab.page.locator("#dead")
    said = dead.locator("[data-said]")
    await expect(said).to_have_text("2 letters", timeout=QUEUE_MS)
    letter = dead.locator("li").filter(has=tab.page.get_by_label(f"Replay {bad}"))
    await letter.locator("summary").click()
    await expect(letter.locator("pre")).to_contain_text(HOSTILE[0], timeout=QUEUE_MS)
    await expect(letter.locator(".hint").first).to_contain_text("received 2 times")
    assert await tab.page.evaluate("globalThis.hacked") is None
    await axe_finds_nothing(tab)

    await dead.get_by_role("button", name="Replay all").click()
    await expect(said).to_have_text("2 letters would be sent again.", timeout=QUEUE_MS)
    assert account.counts() == (0, 0)
    await dead.get_by_label("Dry run").uncheck()
    await letter.get_by_role("button").click()
    await tab.page.get_by_role("button", name="Cancel").press("Enter")
    assert account.counts() == (0, 0)
    await letter.get_by_role("button").click()
    await tab.page.locator("#sure [data-yes]").press("Enter")
    await expect(said).to_have_text("1 letter sent again.", timeout=QUEUE_MS)
    await expect(letter).to_have_count(0)
    assert account.counts() == (1, 0)
    await dead.get_by_role("button", name="Replay all").click()
    await tab.page.locator("#sure [data-yes]").press("Enter")
    await expect(dead.locator("li")).to_have_count(0, timeout=QUEUE_MS)
    await expect(said).to_have_text("1 letter sent again.")
    assert account.counts() == (2, 0)
    assert account.counts(account.made.dead_letter_queue_url) == (0, 0)


async def test_offline_and_back(site: Site, open_tab: OpenTab) -> None:
    """Without a network the page says so and keeps what it knows; back, it has what it missed."""
    tab = await entered(open_tab, site)
    await site.api.post({"type": "click", "subject": "red"})
    await expect(row(tab, "click", "red").locator("td").nth(2)).to_have_text("1")
    await tab.page.context.set_offline(True)
    await tab.is_("offline")
    await expect(tab.page.locator("#connection")).to_contain_text("Offline, retry")
    await expect(tab.page.locator("#processes [data-said]")).to_contain_text("can't be reached")
    await site.api.post({"type": "click", "subject": "red"})
    await expect(row(tab, "click", "red").locator("td").nth(2)).to_have_text("1")
    await tab.page.context.set_offline(False)
    await tab.is_("live")
    await expect(row(tab, "click", "red").locator("td").nth(2)).to_have_text("2")
    await expect(tab.page.locator("#processes [data-said]")).to_contain_text("1 viewer in")


async def test_a_thousand_subjects(site: Site, open_tab: OpenTab) -> None:
    """The table takes as many rows as the topic has, and is right about each."""
    many = [{"type": "click", "subject": f"s{n}"} for n in range(1_000)]
    await site.api.post(many)
    tab = await entered(open_tab, site)
    await expect(tab.page.locator("#counts tbody tr")).to_have_count(1_000)
    await site.api.post(many[:500])
    two = 'document.querySelectorAll("#counts tbody td:nth-child(4)")'
    await tab.page.wait_for_function(
        f"() => [...{two}].filter((cell) => cell.textContent === '2').length === 500"
    )


async def test_axe_finds_nothing(site: Site, open_tab: OpenTab) -> None:
    """No violation that axe-core knows, in the form and with all filled; and the page fits."""
    tab = await open_tab(site.url + "/admin", base=site.url, expected=ANY, bypass_csp=True)
    await expect(tab.page.get_by_label("Admin key", exact=True)).to_be_visible()
    await axe_finds_nothing(tab)
    colours = ("red", "navy", "gold", "teal", "white", "black")
    await site.api.post([{"type": "click", "subject": name} for name in colours for _ in name])
    await site.api.post([pointer(f"s{n % 3}", n % 9 / 10, n % 7 / 8, n) for n in range(60)])
    await enter(tab, site)
    await expect(tab.page.locator("#pointers [data-said]")).to_contain_text("60 positions")
    await axe_finds_nothing(tab)
