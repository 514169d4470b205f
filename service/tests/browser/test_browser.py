"""The page, used by a real Chromium: what one person counts, another sees, and Postgres holds."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from livetally.db.database import migrate
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.browser.axe import PHONE, axe_finds_nothing
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.names import HOSTILE
from service.tests.support.browser.site import OpenTab, Site, SiteProcess, StartSite
from service.tests.support.browser.tab import AWAY, REFUSED, TYPES, UNAVAILABLE, Tab
from service.tests.support.postgres import query
from service.tests.support.waiting import until

pytestmark = needs_chromium


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[LocalPostgres]:
    """A Postgres that the test may stop."""
    with LocalPostgres(tmp_path / "postgres") as server:
        asyncio.run(migrate(server.dsn()))
        yield server


class Hand:
    """Points and clicks at random colours, and remembers what that should count."""

    def __init__(self, tab: Tab, colours: list[str]) -> None:
        self.made: Counter[tuple[str, str]] = Counter()
        self._tab = tab
        self._colours = colours
        self._at = ""
        self._random = random.Random(1)

    async def move(self, steps: int) -> None:
        for _ in range(steps):
            subject = self._random.choice(self._colours)
            if subject != self._at:
                await self._point_at(subject)
                self.made["hover", subject] += 1
                self._at = subject
            if self._random.random() < 0.6:
                await self._tab.page.mouse.down()
                await self._tab.page.mouse.up()
                self.made["click", subject] += 1

    # Not `hover()`: on a busy machine that scrolls, which moves other colours under the pointer.
    async def _point_at(self, subject: str) -> None:
        box = await self._tab.cell(subject).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await self._tab.page.mouse.move(x, y)


async def test_what_one_counts_another_sees_and_a_restart_keeps(
    site_process: SiteProcess, open_tab: OpenTab
) -> None:
    """The main job: clicks and hovers in one browser show in another, to the last one, and Postgres
    agrees; stopping the server and killing it lose nothing, nor what is clicked meanwhile."""
    one = await open_tab(site_process.url, expected=AWAY)
    other = await open_tab(site_process.url, expected=AWAY)
    hand = Hand(one, ["red", "gold", "teal", "navy", "white", "black"])
    for tab in (one, other):
        await tab.is_("live")

    await hand.move(40)
    for tab in (one, other):
        await until(
            lambda: site_process.stored().counts == hand.made, 10, lambda: site_process.stored()
        )
        await tab.shows(site_process.stored)
    site_process.agrees(hand.made)

    for end in (site_process.process.stop, site_process.process.kill):
        assert await asyncio.to_thread(end) in (0, None)
        for tab in (one, other):
            await tab.is_("reconnecting")
        said = re.compile(r"Reconnecting\s+in \d+ s|Restarting, retry\s+in \d+ s")
        await expect(other.page.locator("#connection")).to_have_text(said)
        await hand.move(8)
        await expect(one.page.locator("#notes")).to_contain_text("not confirmed yet")
        await asyncio.to_thread(site_process.process.restart().wait_ready)
        for tab in (one, other):
            await tab.is_("live")
        await hand.move(8)
        await until(
            lambda: site_process.stored().counts == hand.made, 20, lambda: site_process.stored()
        )
        for tab in (one, other):
            await tab.shows(site_process.stored)
        await expect(one.page.locator("#notes")).to_be_empty()
        site_process.agrees(hand.made)


async def test_postgres_stopped_while_the_page_is_open(
    own_postgres: LocalPostgres,
    start_site: StartSite,
    open_tab: OpenTab,
) -> None:
    """The page says that its counts are stale, keeps what is clicked, and is exact and live again
    when Postgres is back."""
    site = await start_site(own_postgres.dsn())
    one = await open_tab(site.url, expected=UNAVAILABLE)
    other = await open_tab(site.url, expected=UNAVAILABLE)
    hand = Hand(one, ["red", "blue"])
    for tab in (one, other):
        await tab.is_("live")
    await hand.move(6)
    await until(lambda: site.stored().counts == hand.made, 10)
    await asyncio.to_thread(own_postgres.stop)
    for tab in (one, other):
        await tab.is_("stale")
    await hand.move(6)
    await expect(one.page.locator("#notes")).to_contain_text("not confirmed yet")
    await expect(other.page.locator("#notes")).to_contain_text("can't reach its database")

    await asyncio.to_thread(own_postgres.start)

    for tab in (one, other):
        await tab.is_("live")
    await until(lambda: site.stored().counts == hand.made, 30, lambda: site.stored())
    for tab in (one, other):
        await tab.shows(site.stored)
    site.agrees(hand.made)


async def fills(tab: Tab, panel: str) -> dict[str, str]:
    """Each subject's paint in a donut."""
    arcs = await tab.page.evaluate(
        """(panel) => [...document.querySelectorAll(`#${panel} .arc`)].map(
          (arc) => [arc.textContent, arc.getAttribute("fill")])""",
        panel,
    )
    return {title.rsplit(": ", 1)[0]: fill for title, fill in arcs}


async def test_a_colour_belongs_to_a_name(site: Site, open_tab: OpenTab) -> None:
    """The same subject has the same paint in both donuts and for everybody, in whatever order the
    subjects came and however large they are; a colour's own name is painted in that colour."""
    subjects = ["red", "checkout", "teal", "Anmeldung", "signup", "navy"]
    early = await open_tab(site.url)
    await early.is_("live")
    for n, subject in enumerate(subjects):
        await site.api.post([{"type": "click", "subject": subject}] * (n + 1))
        await expect(early.page.locator(f'[data-count="click:{subject}"]')).to_have_text(str(n + 1))
    for n, subject in enumerate(reversed(subjects)):
        await site.api.post([{"type": "hover", "subject": subject}] * (n + 1))
    late = await open_tab(site.url)
    for tab in (early, late):
        await tab.shows(site.stored)

    paints = [await fills(tab, panel) for tab in (early, late) for panel in ("clicks", "hovers")]

    assert all(paint == paints[0] for paint in paints)
    assert paints[0].keys() == set(subjects)
    assert len(set(paints[0].values())) == len(subjects)
    assert (paints[0]["red"], paints[0]["teal"]) == ("#ff0000", "#008080")
    for subject in ("red", "teal", "navy"):
        style = await late.cell(subject).get_attribute("style")
        assert f"--color: {paints[0][subject]}" in str(style)


async def test_names_are_text_and_nothing_else(site: Site, open_tab: OpenTab) -> None:
    """Whatever a subject is called, its name is shown to the letter and counted; no script of it
    runs, no element comes of it, and it doesn't widen the page."""
    early = await open_tab(site.url, viewport=PHONE)
    await early.is_("live")
    for type_ in TYPES:
        events = [{"type": type_, "subject": subject} for subject in HOSTILE]
        status, answer = await site.api.post(events)
        assert (status, answer["accepted"]) == (200, len(HOSTILE))
    late = await open_tab(site.url)
    for tab in (early, late):
        await tab.shows(site.stored)
        assert (await tab.read()).counts.keys() == {
            (type_, subject) for type_ in TYPES for subject in HOSTILE
        }
        names = await tab.page.locator("#counts th[scope=row]").all_text_contents()
        assert set(HOSTILE) <= set(names)
        ranked = await tab.page.locator("#clicks .ranking .name").all_text_contents()
        assert set(ranked) <= set(HOSTILE)
        assert len(ranked) == 10
        assert await fills(tab, "clicks") == await fills(tab, "hovers")
        for summary in await tab.page.locator("summary").all():
            await summary.click()
        assert await tab.page.evaluate("globalThis.hacked") is None
        assert await tab.page.locator("img, main script, main style").count() == 0
        assert await tab.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )


async def test_closing_the_page_after_a_click_still_counts_it(
    site: Site, open_tab: OpenTab
) -> None:
    """Events that wait to be sent when a page is closed or left go out with it, once, also when
    its reader comes back."""
    for _ in range(3):
        tab = await open_tab(site.url)
        await tab.is_("live")
        await tab.cell("red").dispatch_event("click")
        await tab.page.close(run_before_unload=True)
    tab = await open_tab(site.url, expected="favicon.ico")  # which /healthz has none of
    for _ in range(3):
        await tab.is_("live")
        # In one go: no request can have been made before the page is left.
        await tab.page.evaluate(
            """() => {
              document.querySelector('[data-subject="blue"]').click();
              location.assign("/healthz");
            }"""
        )
        await tab.page.wait_for_url("**/healthz")
        await tab.page.go_back()
    await tab.is_("live")
    await tab.cell("teal").dispatch_event("click")
    made = Counter({("click", "red"): 3, ("click", "blue"): 3, ("click", "teal"): 1})
    await until(lambda: site.stored().counts.keys() == made.keys(), 10, lambda: site.stored())
    await tab.shows(site.stored)
    site.agrees(made)


async def test_without_public_keys_the_page_asks(start_site: StartSite, open_tab: OpenTab) -> None:
    """A form asks for keys, says what is wrong with a bad one, and is gone when both work; what was
    clicked before is counted then."""
    site = await start_site(page_write_key="", page_read_key="")
    tab = await open_tab(site.url, expected=REFUSED)
    form, problem = tab.page.locator("#keys"), tab.page.locator("#keys [data-message]")
    write, read = tab.page.locator("[name=write_key]"), tab.page.locator("[name=read_key]")
    submit = form.get_by_role("button")
    await tab.is_("offline")
    await expect(form).to_be_visible()
    await expect(problem).to_be_empty()
    await tab.cell("red").dispatch_event("click")

    await write.fill("lt_write_wrong")
    await read.fill(site.api.keys[Role.WRITE])
    await submit.click()
    await expect(problem).not_to_be_empty()
    await expect(write).to_be_visible()
    await expect(read).to_be_visible()
    assert query(site.database_url, "SELECT count(*) FROM events") == [(0,)]

    await write.fill(site.api.keys[Role.WRITE])
    await read.fill(f"  {site.api.keys[Role.READ]} ")
    await submit.click()
    await tab.is_("live")
    await expect(form).to_be_hidden()
    await expect(tab.page.locator("#clicks [data-total]")).to_have_text("1")
    assert site.stored().counts == {("click", "red"): 1}

    await tab.page.reload()
    await tab.is_("live")
    await expect(form).to_be_hidden()


async def test_the_grid_by_keyboard(site: Site, open_tab: OpenTab) -> None:
    """Arrow keys, Home and End move through the grid, Enter and Space click; moving counts
    nothing, and neither does a key that is held down."""
    tab = await open_tab(site.url)
    await tab.is_("live")

    async def press(keys: str, at: str) -> None:
        for key in keys.split():
            await tab.page.keyboard.press(key)
        await expect(tab.cell(at)).to_be_focused()

    await press("Tab Enter Tab Tab", "mistyrose")  # past the header, by its link, and the switch
    await press("ArrowLeft ArrowUp", "mistyrose")
    await press("ArrowRight ArrowDown Enter", "orange")
    await press("End Enter", "saddlebrown")
    await press("Home ArrowUp", "mistyrose")
    await press("Control+End Space", "black")
    await press("ArrowRight ArrowDown", "black")
    await tab.page.keyboard.down("Enter")
    await tab.page.keyboard.down("Enter")
    await tab.page.keyboard.up("Enter")
    await press("Tab Shift+Tab", "black")
    await press("Control+Home Enter", "mistyrose")

    made = Counter(["orange", "saddlebrown", "black", "black", "mistyrose"])
    counts = {("click", subject): n for subject, n in made.items()}
    await until(lambda: site.stored().counts == counts, 10, lambda: site.stored())
    await tab.shows(site.stored)


async def test_axe_finds_nothing(start_site: StartSite, open_tab: OpenTab) -> None:
    """No accessibility violation that axe-core knows, on a phone and a desktop, light and dark:
    neither in the form that asks for keys nor with counts and all tables open. And the page fits
    the screen."""
    site = await start_site(page_write_key="", page_read_key="")
    tab = await open_tab(site.url)

    await expect(tab.page.locator("#keys")).to_be_visible()
    await axe_finds_nothing(tab)
    await tab.page.locator("[name=write_key]").fill(site.api.keys[Role.WRITE])
    await tab.page.locator("[name=read_key]").fill(site.api.keys[Role.READ])
    await tab.page.keyboard.press("Enter")
    await tab.is_("live")
    subjects = ["red", "white", "black", "checkout", "navy"] * 3
    for type_ in TYPES:
        await site.api.post([{"type": type_, "subject": subject} for subject in subjects])
    await tab.shows(site.stored)
    for summary in await tab.page.locator("summary").all():
        await summary.click()
    await axe_finds_nothing(tab)


async def test_a_server_without_the_page_says_what_to_do(
    start_site: StartSite, open_tab: OpenTab, tmp_path: Path
) -> None:
    """Where Node was missing, the address says so, and the API works."""
    site = await start_site(pages_dir=str(tmp_path / "none"))
    tab = await open_tab(site.url, expected=rf"{UNAVAILABLE}|favicon")
    await expect(tab.page.locator("body")).to_contain_text("Install Node")
    assert (await site.api.post({"type": "click", "subject": "red"}))[0] == 200
    assert (await site.api.stats(type="click"))["total"] == 1


async def test_a_plain_event_source_follows_a_feed_through_a_kill(
    site_process: SiteProcess, open_tab: OpenTab
) -> None:
    """The browser's own EventSource reconnects with the last position: each event comes once."""
    tab = await open_tab(site_process.url, expected=AWAY)
    await tab.page.evaluate(
        """key => {
            window.ids = [];
            window.positions = 0;
            new EventSource(`/v1/live/sse?feed=click&api_key=${key}`).onmessage = (message) => {
                window.positions += 1;
                const { type, events } = JSON.parse(message.data);
                if (type !== "events") throw new Error(message.data);
                window.ids.push(...events.map((event) => event.id));
            };
        }""",
        site_process.api.keys[Role.READ],
    )
    await until(lambda: tab.page.evaluate("window.positions"), 10)

    async def come(*ids: str) -> None:
        """Count these events, and wait until all that were counted have come, in order, once."""
        sent.extend(ids)
        await until(lambda: posted([{"id": i, "type": "click", "subject": "red"} for i in ids]), 30)

        async def all_came() -> bool:
            return bool(await tab.page.evaluate("window.ids") == sent)

        await until(all_came, 30)

    async def posted(events: list[dict[str, str]]) -> bool:
        status, _ = await site_process.api.post(events)
        return status == 200

    sent: list[str] = []
    await come("a", "b")
    site_process.process.kill()
    site_process.process.restart()
    await asyncio.to_thread(site_process.process.wait_ready)
    await come("c", "d")
