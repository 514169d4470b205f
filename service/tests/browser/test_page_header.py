"""One product: whichever page one is on, the others are one step away, and it looks the same."""

import json
import re

import pytest
from playwright.async_api import expect

from service.tests.support.browser.axe import PHONE, SCHEMES
from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.site import OpenTab, Site
from service.tests.support.paths import FRONTEND, ROOT

pytestmark = needs_chromium


SHARED = ROOT / "service" / "livetally" / "site" / "shared"


async def test_all_pages_have_one_palette(site: Site, open_tab: OpenTab) -> None:
    """Each has the very colors of tokens.css, and its typeface, in light and in dark."""
    tab = await open_tab(site.url)
    css = (SHARED / "tokens.css").read_text("utf-8")
    names = sorted(set(re.findall(r"^ +(--[a-z-]+): #", css, re.MULTILINE)))
    assert len(names) > 12
    for scheme in SCHEMES:
        await tab.page.emulate_media(color_scheme=scheme)
        palettes = []
        for each in json.loads((SHARED / "pages.json").read_text("utf-8")):
            await tab.page.goto(site.url + each["address"])
            palettes.append(await tab.page.evaluate(_PALETTE, names))
        assert len(set(palettes[0].values())) > 12
        for palette in palettes:
            assert palette == palettes[0]


#: What a color comes to: each page's build writes it as it likes.
_PALETTE = """(names) => {
  const probe = document.body.appendChild(document.createElement("i"));
  const color = (name) => {
    probe.style.color = `var(${name})`;
    return [name, getComputedStyle(probe).color];
  };
  const { font, backgroundColor } = getComputedStyle(document.documentElement);
  return { ...Object.fromEntries(names.map(color)), font, backgroundColor };
}"""


def test_all_pages_have_one_icon() -> None:
    """A browser's tabs look alike, too."""
    built = FRONTEND / "src" / "pages" / "shared" / "favicon.svg"
    assert (SHARED / "icon.svg").read_text("utf-8") == built.read_text("utf-8")


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
        await expect(page.locator("nav[aria-label=Pages] [aria-current=page]")).to_have_text([name])
        await expect(page.locator("h1")).to_have_count(1)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        for box in [await link.bounding_box() for link in await links.all()]:
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    await page.get_by_role("banner").get_by_role("link", name="Livetally").click()
    await page.wait_for_url(f"{site.url}/")
