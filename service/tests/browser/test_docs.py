"""/docs in a browser: searched, copied from, tried, on a phone, in the dark, on paper."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from livetally.schema.keys import Role
from service.tests.support.browser.axe import DESKTOP, PHONE, SCHEMES, axe_finds_nothing
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.tab import Tab
from service.tests.support.server import Service

pytestmark = needs_chromium


@pytest_asyncio.fixture(loop_scope="session")
async def tab(service: Service, chromium: Browser) -> AsyncIterator[Tab]:
    """A tab with nothing open: in the end it has complained of nothing."""
    context = await chromium.new_context(viewport=DESKTOP)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    tab = Tab(await context.new_page(), service.url, "")
    yield tab
    assert tab.complaints() == []


async def search(page: Page, words: str) -> None:
    """Type into the search, by keyboard; its index is there then."""
    async with page.expect_response("**/docs/search.json"):
        await page.keyboard.press("/")
    await page.keyboard.type(words)


async def test_the_search_is_worked_by_keyboard(service: Service, tab: Tab) -> None:
    """A slash goes to the search, words narrow it, arrows choose, Enter goes there: to another
    page's heading. In a field a slash is a slash."""
    page = tab.page
    await page.goto(f"{service.url}/docs")
    await search(page, "g-counter slot")
    await expect(page.locator("#docs-results li").first).to_contain_text("Decisions")
    await expect(page.locator("#docs-results mark").first).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{service.url}/docs/contributing#*")
    await search(page, "/v1/st <b>")
    await expect(page.get_by_label("Search")).to_have_value("/v1/st <b>")
    await expect(page.locator("#docs-found")).to_have_text("0 places")
    await page.keyboard.press("Escape")
    await page.keyboard.type("/v1/stats")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{service.url}/docs/api#get_v1_stats")


async def test_an_example_is_copied(service: Service, tab: Tab) -> None:
    """What the button puts on the clipboard is what stands beside it."""
    page = tab.page
    await page.goto(f"{service.url}/docs")
    figure = page.locator("figure", has_text="curl")
    await figure.get_by_role("button", name="Copy example").click()
    await expect(page.locator("#said")).to_have_text("Copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await figure.locator("code").text_content()
    assert copied.startswith("curl ")


async def test_a_route_is_found_and_tried(service: Service, tab: Tab) -> None:
    """By keyboard: words narrow the list, and a request that is tried shows the real answer;
    nothing is asked elsewhere, nothing breaks the policy."""
    await service.post([{"type": "click", "subject": "<b>red</b>"}])
    page = tab.page
    await page.goto(f"{service.url}/docs/api")
    await page.get_by_label("Find a route").fill("sendbeacon")
    await expect(page.locator("#found")).to_have_text("1 route")
    await page.get_by_label("Find a route").fill("totals subject's period")
    await expect(page.locator("article[data-path]:visible")).to_have_count(1)
    await page.get_by_label("Key to try with").fill(service.keys[Role.READ])
    route = page.locator("#get_v1_stats")
    await route.get_by_text("Try it").focus()
    await page.keyboard.press("Enter")
    for name in ("subject", "bucket", "from", "to", "compare", "action"):
        await route.get_by_label(name, exact=True).fill("")
    await route.get_by_label("type", exact=True).fill("click")
    await page.keyboard.press("Enter")
    await expect(route.get_by_role("status")).to_contain_text('"subject": "<b>red</b>"')


@pytest.mark.parametrize("name", ["", "/service", "/glossary", "/loadtest", "/api"])
async def test_axe_finds_nothing(service: Service, tab: Tab, name: str) -> None:
    """No violation that axe-core knows, nor sideways scrolling, with everything unfolded and
    something found, on a phone and a desktop, light and dark."""
    page = tab.page
    tools = await page.context.new_cdp_session(page)
    await tools.send("Page.setBypassCSP", {"enabled": True})
    await page.goto(f"{service.url}/docs{name}")
    await search(page, "total")
    await expect(page.locator("#docs-results li").first).to_be_visible()
    await page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    if name == "/api":
        forms = await page.get_by_text("Try it").count()
        await expect(page.locator("article form")).to_have_count(forms)
    await axe_finds_nothing(tab)


@pytest.mark.parametrize("width", [390, 1280])
async def test_pages_fit(service: Service, tab: Tab, width: int) -> None:
    """On a phone the contents are folded, so that the page begins on the first screen; each page
    is as wide as the screen, light or dark."""
    page = tab.page
    await page.set_viewport_size({"width": width, "height": PHONE["height"]})
    for name, scheme in [(n, s) for n in ("", "/service", "/api", "/frontend") for s in SCHEMES]:
        await page.emulate_media(color_scheme=scheme)
        await page.goto(f"{service.url}/docs{name}")
        await expect(page.get_by_label("Search")).to_be_visible()
        box = await page.locator("h1").bounding_box()
        assert box is not None
        assert box["y"] < PHONE["height"] / 2, name
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        if folder := os.environ.get("SCREENSHOTS"):
            place = f"{folder}/docs{name.replace('/', '-')}-{scheme}-{width}.png"
            await page.screenshot(path=place)


async def test_paper_has_the_page_alone(service: Service, tab: Tab) -> None:
    """Printed, there is no header, contents, form or button; code isn't cut off."""
    page = tab.page
    await page.goto(f"{service.url}/docs/service")
    await page.emulate_media(media="print")
    for hidden in (".top", ".docs", "button", "form"):
        await expect(page.locator(hidden).first).to_be_hidden()
    await expect(page.locator("h1")).to_be_visible()
    assert not await page.evaluate(
        "[...document.querySelectorAll('pre')].some((pre) => pre.scrollWidth > pre.clientWidth)"
    )
