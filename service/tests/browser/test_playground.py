"""The page's ways of updating, its types, and its simulated users, in a real Chromium."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from livetally.schema.keys import Role
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.site import OpenTab, Site
from service.tests.support.browser.tab import AWAY
from service.tests.support.faults.books import check_counts
from service.tests.support.postgres import query
from service.tests.support.waiting import until

pytestmark = needs_chromium


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


GLIDES = """async () => {
  const arc = [...document.querySelectorAll("#clicks .arc")].find((each) =>
    each.textContent.startsWith("red:"));
  const ways = new Set();
  new MutationObserver(() => ways.add(arc.getAttribute("d"))).observe(arc, { attributes: true });
  return () => ways.size;
}"""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_nothing_moves_for_who_wants_no_motion(
    site: Site, open_tab: OpenTab, motion: str
) -> None:
    """An arc glides to its new size, and the sign of a lost connection breathes; for who asks for
    less motion the arc is there at once and the sign is still."""
    await site.api.post([{"type": "click", "subject": "red"}])
    tab = await open_tab(site.url, reduced_motion=motion)
    await tab.shows(site.stored)
    steps = await tab.page.evaluate_handle(GLIDES)
    await site.api.post([{"type": "click", "subject": "teal"}] * 3)
    await tab.shows(site.stored)
    breathing = """() => {
      document.documentElement.dataset.connection = "reconnecting";
      return getComputedStyle(document.querySelector("#connection"), "::before").animationName;
    }"""
    if motion == "reduce":
        assert await steps.evaluate("(steps) => steps()") == 1
        assert await tab.page.evaluate(breathing) == "none"
    else:
        await until(lambda: steps.evaluate("(steps) => steps() > 2"), 10)
        assert await tab.page.evaluate(breathing) == "breathe"


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


async def test_without_a_network_it_says_so_and_what_was_clicked_counts_once(
    site: Site, open_tab: OpenTab
) -> None:
    """The browser itself goes offline: the page says so and keeps what is clicked, and back online
    each click counts once and what others did meanwhile is there."""
    tab = await open_tab(site.url, expected="ERR_INTERNET_DISC")
    await tab.is_("live")
    await tab.page.context.set_offline(True)
    await tab.is_("offline")
    await expect(tab.page.locator("#connection")).to_contain_text("Offline, retry")
    for _ in range(3):
        await tab.cell("red").dispatch_event("click")
    await expect(tab.page.locator("#notes")).to_contain_text("3 events not confirmed yet")
    await site.api.post([{"type": "hover", "subject": "teal"}] * 2)
    assert site.stored().counts == {("hover", "teal"): 2}
    await tab.page.context.set_offline(False)
    await tab.is_("live")
    await tab.shows(site.stored)
    assert site.stored().counts == {("hover", "teal"): 2, ("click", "red"): 3}
    await expect(tab.page.locator("#notes")).to_be_empty()


async def test_a_thousand_simulated_users_share_what_a_browser_has(
    site: Site, open_tab: OpenTab
) -> None:
    """1,000 users on 200 websockets, opened a few at a time; the page stays live beside them; what
    they sent is in Postgres as theirs, and Stop closes every socket."""
    tab = await open_tab(site.url, expected=AWAY)
    await tab.is_("live")
    opened: list[str] = []
    closed: list[str] = []

    def follow(socket: Any) -> None:
        opened.append(socket.url)
        socket.on("close", lambda _: closed.append(socket.url))

    tab.page.on("websocket", follow)
    crowd = tab.page.locator("#crowd")
    said = crowd.locator("[data-said]")
    await crowd.locator("[name=users]").fill("1000")
    await crowd.locator("[name=rate]").fill("40")
    await crowd.locator("[name=seconds]").select_option("600")
    await crowd.locator("[data-start]").click()
    running = "200 websockets, shared by 1000 users, all open."
    await expect(said).to_have_text(running, timeout=60_000)
    assert len(opened) - len(closed) == 200
    await until(lambda: sum(site.stored().totals.values()) >= 40, 30)
    await tab.is_("live")
    await crowd.locator("[data-stop]").click()
    await expect(said).to_contain_text("Done", timeout=20_000)
    await until(lambda: len(closed) == len(opened), 20)
    sent, kept = re.findall(
        r"([\d,]+) (?:sent|counted)", str(await crowd.locator("[data-figures]").text_content())
    )
    assert sent == kept
    assert sum(site.stored().totals.values()) == int(kept.replace(",", ""))
    ((users,),) = query(
        site.database_url,
        "SELECT max(substr(session, 11)::integer) FROM events WHERE session LIKE 'simulated-%%'",
    )
    assert 200 < users <= 1_000  # users who have no websocket of their own count too
    await tab.shows(site.stored)
    check_counts(site.database_url)
