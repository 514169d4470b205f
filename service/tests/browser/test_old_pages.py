"""The older systems' pages, in a real browser and with the real libraries, from another origin:
they work when their host and key are changed, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from livetally.schema.keys import Role
from service.tests.support.browser.chromium import find_chromium
from service.tests.support.clients.old_pages import BLOG, COLORS, LIBRARIES, RAILS, page_at
from service.tests.support.paths import MODULES
from service.tests.support.server import Service

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found"),
    pytest.mark.skipif(
        not all((MODULES / each).exists() for each in LIBRARIES.values()),
        reason="the pages' libraries are missing: npm ci in frontend/",
    ),
]


@asynccontextmanager
async def opened(chromium: Browser, service: Service, html: str) -> AsyncIterator[Page]:
    """The page, which must not throw."""
    thrown: list[str] = []
    host = urlsplit(service.url).netloc
    async with (
        page_at(html, host, service.keys[Role.READ_WRITE]) as url,
        await chromium.new_context() as context,
    ):
        page = await context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        await page.goto(url)
        yield page
        assert thrown == []


async def fifth_color(service: Service) -> None:
    """Another subject, which by its name alone would come before the four."""
    body = {"type": "click", "subject": "azure"}
    assert (await service.post([body] * 9, key=service.keys[Role.READ_WRITE]))[0] == 200


async def slices(page: Page, **wanted: int) -> None:
    """Wait until the donut shows these counts."""
    for color, count in wanted.items():
        shown = page.locator(f'path[data-color="{color}"]')
        await expect(shown).to_have_attribute("data-count", str(count), timeout=30_000)


async def test_color_tracking_with_jquery_and_d3(chromium: Browser, service: Service) -> None:
    """`$.ajax` without a content type counts, and the slices that are filled by place show what was
    sent, also beside a fifth color."""
    await fifth_color(service)
    async with opened(chromium, service, COLORS) as page:
        for n, color in enumerate(("green", "red", "blue", "yellow"), 1):
            for _ in range(n):
                await page.evaluate(f"send('click', '{color}')")
        await expect(page.locator("body")).to_have_attribute(
            "data-sent", "Event stored successfully."
        )
        await slices(page, green=1, red=2, blue=3, yellow=4)


@pytest.mark.parametrize("library", ["action_cable.js", "rails_action_cable.js"])
async def test_color_tracking_with_action_cable(
    chromium: Browser, service: Service, library: str
) -> None:
    """`createConsumer(URL)` of both packages: what the address asks for comes, filled by place."""
    await fifth_color(service)
    async with opened(chromium, service, RAILS.replace("LIBRARY", library)) as page:
        await expect(page.locator("body")).to_have_attribute("data-connected", "yes")
        for n, color in enumerate(("blue", "green", "red", "yellow"), 1):
            for _ in range(n):
                await page.evaluate(f"send('{color}').then(() => 0)")
        await slices(page, blue=1, green=2, red=3, yellow=4)


async def test_a_blogs_page_with_reconnecting_websocket(
    chromium: Browser, service: Service
) -> None:
    """A socket at the stage's own address counts a view, and tells it."""
    async with opened(chromium, service, BLOG) as page:
        await expect(page).to_have_title("1", timeout=30_000)
