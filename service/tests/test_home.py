"""The page's ways of updating, its types, and its simulated users, in a real Chromium."""

# ruff: noqa: F401, F811 - fixtures are imported by name, and arguments are called like them
import re
from typing import Any

from conftest import query
from faults import check_counts, until
from playwright.async_api import expect
from test_browser import (
    AWAY,
    OpenTab,
    Site,
    chromium,
    open_tab,
    pytestmark,
    site,
    start_site,
)

from livetally.keys import Role

HELD = """() => {
  const send = window.fetch;
  window.fetch = (...request) =>
    String(request[0]).startsWith("/v1/events") ? new Promise(() => {}) : send(...request);
}"""


async def test_each_way_shows_the_count_and_how_long_it_took(site: Site, open_tab: OpenTab) -> None:
    """However the page is kept up to date, it ends equal to Postgres, with a time measured; the
    choice survives a reload."""
    tab = await open_tab(site.url)
    for n, way in enumerate(("optimistic", "websocket", "polling"), start=1):
        await tab.page.locator(f"[name=way][value={way}]").check(force=True)
        if way == "polling":
            await tab.page.locator("[name=every]").select_option("1")
        await tab.is_("polling" if way == "polling" else "live")
        await expect(tab.page.locator("#clicks [data-total]")).to_have_text(str(n - 1))
        await tab.cell("red").dispatch_event("click")
        time = tab.page.locator(f"label:has([value={way}]) [data-time]")
        await expect(time).to_have_text(re.compile(r"^\d+(\.\d)? m?s$"), timeout=15_000)
        await tab.shows(site.stored)
        assert site.stored().counts == {("click", "red"): n}
    await tab.page.reload()
    await tab.is_("polling")
    await site.api.post({"type": "hover", "subject": "teal"})
    await tab.shows(site.stored)


async def test_an_optimistic_count_is_there_before_anything_was_sent(
    site: Site, open_tab: OpenTab
) -> None:
    """With no answer from the server, the optimistic count goes up and the websocket's doesn't."""
    tab = await open_tab(site.url)
    await tab.is_("live")
    await expect(tab.page.locator("#clicks [data-total]")).to_have_text("0")
    await tab.page.evaluate(HELD)
    await tab.cell("red").dispatch_event("click")
    await expect(tab.page.locator("#clicks [data-total]")).to_have_text("1")
    await expect(tab.page.locator('[data-count="click:red"]')).to_have_text("1")
    assert site.stored().counts == {}
    await tab.page.locator("[name=way][value=websocket]").check(force=True)
    await expect(tab.page.locator("#clicks [data-total]")).to_have_text("0")


async def test_any_type_can_be_looked_at_and_counted(site: Site, open_tab: OpenTab) -> None:
    """A panel shows whichever type is picked, live, also one with 1,000 subjects; what isn't a
    colour is counted by its name."""
    subjects = [{"type": "signup", "subject": f"s{n:04}"} for n in range(999)]
    await site.api.post(subjects)
    await site.api.post([{"type": "signup", "subject": "s0007"}] * 4)
    tab = await open_tab(site.url)
    await tab.is_("live")
    await tab.page.locator("#clicks [data-type]").select_option("signup")
    panel = tab.page.locator("#clicks")
    await expect(panel.locator("[data-total]")).to_have_text("1003")
    await expect(panel.locator(".ranking li").first).to_have_text("s00075")
    await expect(tab.page.locator('[data-count="signup:s0998"]')).to_have_text("1")
    await tab.page.locator("#custom summary").click()
    await tab.page.locator("#custom [name=type]").fill("signup")
    await tab.page.locator("#custom [name=subject]").fill("<b>new</b>")
    await tab.page.keyboard.press("Enter")
    await expect(panel.locator("[data-total]")).to_have_text("1004")
    await until(lambda: _total(site, "signup") == 1_004, 10)
    await expect(tab.page.locator("#hovers [data-total]")).to_have_text("0")


def _total(site: Site, type_: str) -> int:
    ((total,),) = query(
        site.database_url,
        "SELECT coalesce(sum(n), 0)::bigint FROM totals WHERE type = %s AND subject = ''",
        type_,
    )
    return int(total)


async def test_simulated_users_are_real_and_can_be_stopped(site: Site, open_tab: OpenTab) -> None:
    """They open sockets of their own and what the page says was counted is what Postgres holds; a
    click on Stop ends them, and closes what they opened."""
    tab = await open_tab(site.url, expected=AWAY)
    await tab.is_("live")
    opened: list[str] = []
    closed: list[str] = []

    def follow(socket: Any) -> None:
        opened.append(socket.url)
        socket.on("close", lambda _: closed.append(socket.url))

    tab.page.on("websocket", follow)
    crowd = tab.page.locator("#crowd")
    await crowd.locator("[name=users]").fill("12")
    await crowd.locator("[name=rate]").fill("100")
    await crowd.locator("[data-start]").click()
    await expect(crowd.locator("[data-said]")).to_have_text("12 websockets, all open.")
    await until(lambda: site.stored().counts, 10)
    await crowd.locator("[data-stop]").click()
    await expect(crowd.locator("[data-said]")).to_contain_text("Done", timeout=20_000)
    assert len(opened) == 12
    await until(lambda: len(closed) == 12, 10)
    said = await crowd.locator("[data-figures]").text_content()
    sent, counted = re.findall(r"(\d+) (?:sent|counted)", str(said))
    assert sent == counted
    assert sum(site.stored().totals.values()) == int(counted)
    assert query(site.database_url, "SELECT count(DISTINCT session) <= 12 FROM events")[0][0]
    await tab.shows(site.stored)
    check_counts(site.database_url)
    assert site.api.keys[Role.WRITE] not in (await tab.page.content())
