"""The browser SDK in a real Chromium, on the pages of a shop of another origin, under a strict
policy: what happened there is what `/v1/stats` says, whatever broke on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest_asyncio
from playwright.async_api import Browser

from livetally.schema.keys import Role
from service.tests.support.browser.shop import MortalWorld, Shop, World
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

_PAGES = str(FRONTEND / "dist")


@pytest_asyncio.fixture(loop_scope="session")
async def world(database_url: str, redis_url: str, chromium: Browser) -> AsyncIterator[World]:
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys, pages_dir=_PAGES) as api,
        Shop.open(api.url) as shop,
    ):
        world = World(api, shop, chromium)
        async with _opened(world):
            yield world


@pytest_asyncio.fixture(loop_scope="session")
async def mortal_world(
    spawn: Callable[..., Process], database_url: str, chromium: Browser
) -> AsyncIterator[MortalWorld]:
    keys = await make_keys(database_url)
    process = spawn(LIVETALLY_PAGES_DIR=_PAGES)
    await asyncio.to_thread(process.wait_ready)
    api = Service(process.url, database_url, keys)
    async with Shop.open(api.url) as shop:
        world = MortalWorld(api, shop, chromium)
        world.process = process
        async with _opened(world):
            yield world
    await api.close()


@asynccontextmanager
async def _opened(world: World) -> AsyncIterator[None]:
    """At the end, no console may have said what wasn't expected."""
    world.write_key = await make_key(
        world.api.database_url, "demo", Role.WRITE, "shop", origins=(world.shop.url,)
    )
    yield
    for context in world.contexts:
        await context.close()
    assert world.said == []
