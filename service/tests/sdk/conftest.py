"""The browser SDK in a real Chromium, on the pages of a shop of another origin, under a strict
policy: what happened there is what `/v1/stats` says, whatever broke on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from playwright.async_api import Browser

from livetally.web.keys import Role
from service.tests.support.browser.shop import Shop, World
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    spawn: Callable[..., Process], database_url: str, chromium: Browser
) -> AsyncIterator[World]:
    keys = await make_keys(database_url)
    process = spawn(LIVETALLY_DATABASE_URL=database_url, LIVETALLY_PAGES_DIR=str(FRONTEND / "dist"))
    await asyncio.to_thread(process.wait_ready)
    api = Service(process.url, database_url, keys)
    async with Shop.open(process.url) as shop:
        world = World(process, api, shop, chromium)
        world.write_key = await make_key(
            database_url, "demo", Role.WRITE, "shop", origins=(shop.url,)
        )
        yield world
        for context in world.contexts:
            await context.close()
        assert world.said == []
    await api.close()
