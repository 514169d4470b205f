"""One product: whichever page one is on, the others are one step away, and it looks the same."""

import pytest
from playwright.async_api import expect

from livetally.site import page_header
from service.tests.support.browser.axe import PHONE
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.site import OpenTab, Site
from service.tests.support.paths import FRONTEND

pytestmark = needs_chromium


@pytest.mark.parametrize("name", page_header.SHARED)
def test_the_servers_pages_have_the_style_of_the_built_ones(name: str) -> None:
    """Palette, type and header have one source, the front end's; the server has it to the letter,
    and all the built pages have it too."""
    source = (FRONTEND / "src" / "styles" / f"{name}.css").read_text("utf-8")
    assert source in page_header.style()
    built = (FRONTEND / "src" / "styles" / "base.css").read_text("utf-8")
    assert f'@import "./{name}.css";' in built


@pytest.mark.parametrize("width", [320, 390, 1440])
async def test_every_page_leads_to_every_other_by_keyboard(
    site: Site, open_tab: OpenTab, width: int
) -> None:
    """The same links in the same order on each page, its own marked; Enter on one leads there; on a
    phone too nothing sticks out; and the name leads home."""
    viewport = {"width": width, "height": PHONE["height"]}
    tab = await open_tab(site.url, viewport=viewport)
    page, links = tab.page, tab.page.locator("nav[aria-label=Pages] a")
    names = await links.all_inner_texts()
    assert names[0] == "Home"
    assert len(names) >= 4
    for n, name in enumerate(names):
        address = str(await links.nth(n).get_attribute("href"))
        await links.nth(n).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(site.url + address)
        await expect(links).to_have_text(names)
        await expect(page.locator("nav [aria-current=page]")).to_have_text([name])
        await expect(page.locator("h1")).to_have_count(1)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        for box in [await link.bounding_box() for link in await links.all()]:
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    await page.get_by_role("link", name="Livetally", exact=True).click()
    await page.wait_for_url(f"{site.url}/")
