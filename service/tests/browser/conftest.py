"""One person's tab after the other, on a server of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser

from livetally.web.keys import Role
from service.tests.support.browser.axe import DESKTOP
from service.tests.support.browser.chromium import PAGE, launched
from service.tests.support.browser.site import OpenTab, Site
from service.tests.support.browser.tab import Tab
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def open_tab(chromium: Browser) -> AsyncIterator[OpenTab]:
    """open_tab(url) opens the page for one more person. At the end, no tab may have complained."""
    tabs: list[Tab] = []

    async def open_tab(url: str, *, expected: str = "", base: str = "", **options: Any) -> Tab:
        options = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **options}
        context = await chromium.new_context(**options)
        tabs.append(Tab(await context.new_page(), base or url, expected))
        await tabs[-1].page.goto(url)
        return tabs[-1]

    yield open_tab
    assert [complaint for tab in tabs for complaint in tab.complaints()] == []


@pytest.fixture
async def start_site(
    spawn: Callable[..., Process], database_url: str
) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    sites: list[Site] = []

    async def start(database_url: str = database_url, **settings: str) -> Site:
        keys = await make_keys(database_url)
        settings = {
            "LIVETALLY_DATABASE_URL": database_url,
            "LIVETALLY_PAGES_DIR": str(PAGE),
            "LIVETALLY_PAGE_WRITE_KEY": keys[Role.WRITE],
            "LIVETALLY_PAGE_READ_KEY": keys[Role.READ],
            **settings,
        }
        process = spawn(**settings)
        await asyncio.to_thread(process.wait_ready)
        sites.append(Site(process, Service(process.url, database_url, keys)))
        return sites[-1]

    yield start
    for site in sites:
        await site.api.close()


@pytest.fixture
async def site(start_site: Callable[..., Awaitable[Site]]) -> Site:
    return await start_site()
