"""One person's tab after the other, on a server of the test's own.

All of it is in the event loop of `chromium`: a fixture that awaits is of `loop_scope="session"`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser

from livetally.schema.keys import Role
from service.tests.support.browser.axe import DESKTOP
from service.tests.support.browser.chromium import PAGE
from service.tests.support.browser.site import OpenTab, Site, SiteProcess, StartSite
from service.tests.support.browser.tab import Tab
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

#: Without a graphics card what moves costs half of a test's CPU: tests of motion ask for it.
_PERSON = {
    "viewport": DESKTOP,
    "locale": "en-GB",
    "timezone_id": "UTC",
    "reduced_motion": "reduce",
}


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(chromium: Browser) -> AsyncIterator[OpenTab]:
    """open_tab(url) opens the page for one more person. At the end, no tab may have complained."""
    async with contextlib.AsyncExitStack() as contexts:
        tabs: list[Tab] = []

        async def open_tab(url: str, *, expected: str = "", base: str = "", **options: Any) -> Tab:
            options = {**_PERSON, **options}
            context = await contexts.enter_async_context(await chromium.new_context(**options))
            tabs.append(Tab(await context.new_page(), base or url, expected))
            await tabs[-1].page.goto(url)
            return tabs[-1]

        yield open_tab
        assert [complaint for tab in tabs for complaint in tab.complaints()] == []


@pytest_asyncio.fixture(loop_scope="session")
async def start_site(database_url: str, redis_url: str) -> AsyncIterator[StartSite]:
    """start_site(queue_url=…) serves pages that have their keys, with these settings."""
    async with contextlib.AsyncExitStack() as servers:

        async def start(database_url: str = database_url, **settings: Any) -> Site:
            keys = await make_keys(database_url)
            settings = {
                "pages_dir": str(PAGE),
                "page_write_key": keys[Role.WRITE],
                "page_read_key": keys[Role.READ],
                **settings,
            }
            server = serving(database_url, redis_url, keys, **settings)
            return Site(await servers.enter_async_context(server))

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def site(start_site: StartSite) -> Site:
    return await start_site()


@pytest_asyncio.fixture(loop_scope="session")
async def service(site: Site) -> Service:
    """The same, for who wants no more than the API of it."""
    return site.api


@pytest_asyncio.fixture(loop_scope="session")
async def site_process(
    spawn: Callable[..., Process], database_url: str
) -> AsyncIterator[SiteProcess]:
    """The same as a process, which a test may kill and start again."""
    keys = await make_keys(database_url)
    process = spawn(
        LIVETALLY_PAGES_DIR=str(PAGE),
        LIVETALLY_PAGE_WRITE_KEY=keys[Role.WRITE],
        LIVETALLY_PAGE_READ_KEY=keys[Role.READ],
    )
    await asyncio.to_thread(process.wait_ready)
    api = Service(process.url, database_url, keys)
    yield SiteProcess(api, process)
    await api.close()
