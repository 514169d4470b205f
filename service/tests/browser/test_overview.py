"""The overview, used by a real Chromium: what was counted most in a time, and before it."""

import asyncio
import csv
import io
import re
from collections import Counter
from typing import Any

import pytest
from playwright.async_api import Route, expect

from livetally.schema.keys import Role
from service.tests.support.browser.axe import axe_finds_nothing
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.names import HOSTILE
from service.tests.support.browser.site import OpenTab, Site, SiteProcess, StartSite
from service.tests.support.browser.tab import AWAY, Tab
from service.tests.support.postgres import query, totals_in
from service.tests.support.waiting import until

pytestmark = needs_chromium


ROWS = """(id) => [...document.querySelectorAll(`#${id} tbody tr`)].map(
  (row) => [...row.cells].map((cell) => cell.textContent))"""


async def rows(tab: Tab, card: str) -> list[list[str]]:
    return await tab.page.evaluate(ROWS, card)


async def has(tab: Tab, card: str, wanted: list[list[str]], within_s: float = 20) -> None:
    """Wait until a card has these rows."""
    last: list[Any] = []

    async def same() -> bool:
        last[:] = await rows(tab, card)
        return last == wanted

    await until(same, within_s, lambda: last)


def counted(database_url: str, type_: str, subject: str, minutes_ago: int, n: int) -> None:
    """Count something in the past, as if it had been sent then."""
    for name in (subject, ""):
        query(
            database_url,
            "INSERT INTO minutes SELECT 1, %s, md5(%s)::uuid,"
            " date_trunc('minute', now()) - make_interval(mins => %s), 5, %s"
            " ON CONFLICT (project, type, subject_key, minute, slot)"
            " DO UPDATE SET n = minutes.n + excluded.n",
            *(type_, name, minutes_ago, n),
        )
        query(
            database_url,
            "INSERT INTO totals (project, type, subject, slot, n) VALUES (1, %s, %s, 5, %s)"
            " ON CONFLICT (project, type, subject_key, slot)"
            " DO UPDATE SET n = totals.n + excluded.n",
            *(type_, name, n),
        )


async def test_a_period_beside_the_one_before_and_what_comes_now(
    site_process: SiteProcess,
    open_tab: OpenTab,
) -> None:
    """Pages, articles, referrers, buttons and any type have the counts of the time that is picked
    and their change since the time before; what is counted now is added without a reload, through a
    restart of the server too."""
    for type_, subject in (
        ("page_view", "/"),
        ("article_view", "a1"),
        ("referral", "news.example post:a1"),
        ("button_click", "buy"),
        ("signup", "free"),
    ):
        counted(site_process.database_url, type_, subject, 5, 6)
        counted(site_process.database_url, type_, subject, 70, 4)
    counted(site_process.database_url, "unique_page_view", "/", 5, 2)
    counted(site_process.database_url, "page_view", "/new", 5, 1)
    counted(site_process.database_url, "page_view", "/old", 70, 9)
    tab = await open_tab(f"{site_process.url}/overview", base=site_process.url, expected=AWAY)
    await tab.is_("live")
    await tab.page.get_by_label("1 hour").check(force=True)
    await has(tab, "pages", [["/", "6", "2", "+50 %"], ["/new", "1", "0", "new"]])
    await has(tab, "articles", [["a1", "6", "0", "+50 %"]])
    await has(tab, "referrers", [["news.example post:a1", "6", "+50 %"]])
    await has(tab, "buttons", [["buy", "6", "+50 %"]])
    await tab.page.locator("#trend [data-type]").select_option("signup")
    await has(tab, "subjects", [["free", "6", "+50 %"]])
    await expect(tab.page.locator("#pages [data-total]")).to_have_text("7")

    await site_process.api.post([{"type": "page_view", "subject": "/new"}] * 7)
    await site_process.api.post([{"type": "unique_page_view", "subject": "/new"}] * 3)
    await has(tab, "pages", [["/new", "8", "3", "new"], ["/", "6", "2", "+50 %"]], within_s=5)

    site_process.process.kill()
    await tab.is_("reconnecting")
    site_process.process.restart()
    await tab.is_("live")
    await site_process.api.post([{"type": "button_click", "subject": "sign-up"}])
    await has(tab, "buttons", [["buy", "6", "+50 %"], ["sign-up", "1", "new"]])

    await tab.page.get_by_label("Compare with").uncheck()
    await has(tab, "buttons", [["buy", "6"], ["sign-up", "1"]])
    await tab.page.get_by_label("Ever").check(force=True)
    await has(tab, "buttons", [["buy", "10"], ["sign-up", "1"]])
    await tab.page.get_by_label("Custom").check(force=True)
    await expect(tab.page.locator("#buttons [data-state]")).to_contain_text("Choose a time")
    await tab.page.get_by_label("From").fill("2020-01-01T00:00")
    await tab.page.get_by_label("To", exact=True).fill("2020-01-02T00:00")
    await expect(tab.page.locator("#buttons [data-state]")).to_contain_text("Nothing was counted")


async def saved(tab: Tab, card: str) -> tuple[str, list[list[str]]]:
    async with tab.page.expect_download() as downloading:
        await tab.page.locator(f"#{card} [data-csv]").click()
    download = await downloading.value
    text = (await download.path()).read_bytes().decode("utf-8-sig")
    return download.suggested_filename, list(csv.reader(io.StringIO(text, newline="")))


async def test_hostile_names_are_text_on_the_page_and_in_the_file(
    site: Site,
    open_tab: OpenTab,
) -> None:
    """Whatever a subject is called, it is shown to the letter; the downloaded file has every
    subject, quoted, and none that a spreadsheet takes for a formula."""
    formulas = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1"]
    names = HOSTILE + formulas
    await site.api.post([{"type": "click", "subject": subject} for subject in names])
    await site.api.post([{"type": "click", "subject": f"s{n:03}"} for n in range(979)])
    tab = await open_tab(f"{site.url}/overview", base=site.url)
    await tab.is_("live")
    await expect(tab.page.locator("#subjects [data-total]")).to_have_text("1,000")
    first = [name for name, *_ in await rows(tab, "subjects")]
    assert len(first) == 12
    assert set(first) <= set(names)
    assert await tab.page.evaluate("globalThis.hacked") is None
    assert await tab.page.locator("img, main script, main style").count() == 0

    name, table = await saved(tab, "subjects")

    assert name.startswith("click-")
    assert name.endswith(".csv")
    head, *lines = table
    assert head == ["subject", "total", "before"]
    assert len(lines) == 1_000
    written = {line[0] for line in lines}
    assert set(HOSTILE) <= written
    assert {f"'{formula}" for formula in formulas} <= written
    assert not {line[0] for line in lines if line[0][:1] in "=+-@\t"}


async def test_axe_finds_nothing_on_the_overview(
    start_site: StartSite,
    open_tab: OpenTab,
) -> None:
    """No accessibility violation, on a phone and a desktop, light and dark: where it asks for a
    key, where nothing was counted, and with counts. A key that is refused is asked for again."""
    site = await start_site(page_write_key="", page_read_key="")
    tab = await open_tab(f"{site.url}/overview", base=site.url, expected="status of (401|403)")
    key = tab.page.locator("[name=read_key]")
    await expect(key).to_be_visible()
    await axe_finds_nothing(tab)
    await key.fill(site.api.keys[Role.WRITE])
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.locator("#keys [data-message]")).not_to_be_empty()
    await key.fill(site.api.keys[Role.READ])
    await tab.page.keyboard.press("Enter")
    await tab.is_("live")
    await expect(tab.page.locator("#pages [data-state]")).to_contain_text("Nothing was counted")
    await axe_finds_nothing(tab)
    for type_ in ("page_view", "article_view", "referral", "button_click", "click"):
        await site.api.post([{"type": type_, "subject": f"{'long ' * 40}{n}"} for n in range(9)])
    await expect(tab.page.locator("#subjects tbody tr")).to_have_count(9)
    await axe_finds_nothing(tab)

    await tab.page.locator("[data-forget-keys]").click()
    await expect(key).to_be_visible()


async def test_the_line_moves_and_says_when_it_cannot_be_read(
    site: Site, open_tab: OpenTab
) -> None:
    """The line grows with the counts, with no reading of its own; a reading that fails is said;
    what was read before stays, and another type's line is not left under a type's name."""
    counted(site.database_url, "click", "red", 5, 6)
    tab = await open_tab(f"{site.url}/overview", base=site.url, expected="net::ERR_FAILED")
    line = tab.page.locator("#trend svg")
    said = tab.page.locator("#trend [data-state]")
    await tab.is_("live")
    await expect(line).to_have_attribute("aria-label", re.compile(r"^6 clicks;"))
    await expect(said).to_be_hidden()

    series = re.compile(r"/v1/stats\?.*bucket=")
    await tab.page.route(series, lambda route: route.abort())
    for n in range(7, 10):
        await site.api.post([{"type": "click", "subject": "red"}])
        await expect(line).to_have_attribute("aria-label", re.compile(rf"^{n} clicks;"))
    await tab.page.get_by_label("7 days").check(force=True)
    await expect(said).to_have_text("The server can't be reached. Trying again.")
    await tab.page.locator("#trend [data-type]").select_option("hover")
    await expect(line).to_have_attribute("aria-label", "Counts over time: not known yet")
    await tab.page.unroute(series)
    await expect(line).to_have_attribute("aria-label", re.compile("^0 hovers;"), timeout=30_000)
    await expect(said).to_be_hidden()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_a_number_lights_up_as_it_changes(site: Site, open_tab: OpenTab, motion: str) -> None:
    """It does, but not for who wants no motion."""
    await site.api.post([{"type": "button_click", "subject": "buy"}])
    tab = await open_tab(f"{site.url}/overview", base=site.url, reduced_motion=motion)
    await has(tab, "buttons", [["buy", "1", "new"]])
    await tab.page.evaluate(
        """() => {
          window.lit = 0;
          Element.prototype.animate = () => void (window.lit += 1);
        }"""
    )
    await site.api.post([{"type": "button_click", "subject": "buy"}])
    await has(tab, "buttons", [["buy", "2", "new"]])
    assert await tab.page.evaluate("window.lit") == (0 if motion == "reduce" else 1)


async def test_a_stream_that_never_rests_is_counted_exactly(site: Site, open_tab: OpenTab) -> None:
    """What is counted before, while and after a list is read is in its numbers once, without a
    second reading: of a known subject, of a new one, in the sum, and of the unique views."""
    counted(site.database_url, "page_view", "/", 5, 6)
    counted(site.database_url, "page_view", "/", 200, 4)
    tab = await open_tab(f"{site.url}/overview", base=site.url)
    await tab.is_("live")
    await has(tab, "pages", [["/", "10", "0", "new"]])
    sent = Counter[str]()
    answered = over = False

    async def send(name: str) -> None:
        events = [{"type": f"{kind}page_view", "subject": name} for kind in ("", "unique_")]
        while not over:
            await site.api.post(events)
            sent[name] += 1
            await asyncio.sleep(0.05)

    async def more() -> None:
        already = sent.total()
        await until(lambda: sent.total() >= already + 20, 30)

    async def answer_late(route: Route) -> None:
        nonlocal answered
        if answered:
            return  # a second reading is never answered
        answered = True
        answer = await route.fetch()
        streams.append(asyncio.create_task(send("/late")))
        await more()
        await route.fulfill(response=answer)

    streams = [asyncio.create_task(send("/"))]
    await more()
    await tab.page.route(re.compile(r"/v1/stats\?type=page_view"), answer_late)
    await tab.page.get_by_label("1 hour").check(force=True)
    await until(lambda: "/late" in sent, 30)
    await more()
    await more()
    over = True
    await asyncio.gather(*streams)
    total = totals_in(site.database_url, "page_view")
    unique = totals_in(site.database_url, "unique_page_view")
    wanted = [
        ["/", f"{total['/'] - 4}", f"{unique['/']}", "new"],
        ["/late", f"{total['/late']}", f"{unique['/late']}", ""],
    ]
    await has(tab, "pages", wanted)
    await expect(tab.page.locator("#pages [data-total]")).to_have_text(f"{total[''] - 4}")


async def test_what_comes_while_a_list_is_read_is_shown_soon(site: Site, open_tab: OpenTab) -> None:
    """An answer that is older than an event, and arrives after it, doesn't hide it for a minute."""
    tab = await open_tab(f"{site.url}/overview", base=site.url)
    heard: list[str] = []
    tab.page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))),
    )
    await tab.page.reload()
    await tab.is_("live")
    await expect(tab.page.locator("#buttons [data-state]")).to_contain_text("Nothing was counted")

    async def overtake(route: Route) -> None:
        answer = await route.fetch()
        await site.api.post({"type": "button_click", "subject": "buy"})
        await until(lambda: any("buy" in frame for frame in heard), 10)
        await route.fulfill(response=answer)

    await tab.page.route(re.compile(r"/v1/stats\?type=button_click"), overtake, times=1)
    await tab.page.get_by_label("1 hour").check(force=True)
    await has(tab, "buttons", [["buy", "1", "new"]], 30)


async def test_two_overviews_agree_and_one_of_them_goes_offline(
    site: Site, open_tab: OpenTab
) -> None:
    """Each has its own time and type, and both the same numbers; one without a network says so,
    and has what it missed when it is back."""
    one = await open_tab(f"{site.url}/overview", base=site.url)
    two = await open_tab(f"{site.url}/overview", base=site.url, expected="ERR_INTERNET_DISC")
    for tab in (one, two):
        await tab.is_("live")
    await one.page.get_by_label("1 hour").check(force=True)
    await one.page.locator("#trend [data-type]").select_option("hover")
    await site.api.post([{"type": "button_click", "subject": "buy"}] * 3)
    for tab in (one, two):
        await has(tab, "buttons", [["buy", "3", "new"]])
    assert await two.page.get_by_label("24 hours").is_checked()

    await two.page.context.set_offline(True)
    await two.is_("offline")
    await expect(two.page.locator("#connection")).to_contain_text("Offline, retry")
    await site.api.post([{"type": "button_click", "subject": "sell"}] * 2)
    await has(one, "buttons", [["buy", "3", "new"], ["sell", "2", "new"]])
    assert await rows(two, "buttons") == [["buy", "3", "new"]]
    await two.page.context.set_offline(False)
    await two.is_("live")
    await has(two, "buttons", [["buy", "3", "new"], ["sell", "2", "new"]])
