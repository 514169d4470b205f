"""Chromium without a window: where it is, and what needs it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from service.tests.support.paths import FRONTEND

PAGE = FRONTEND / "dist"

#: First the same engine without what draws windows and tabs: a page costs it a quarter.
_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
_MAC_APPS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
#: As long as for anything else in a page. 5 s, its own, pass on a machine with more to do.
EXPECTED_WITHIN_MS = 30_000
# A browser that asks nobody but our server.
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)


def find_chromium() -> str | None:
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    return next((str(app) for app in _MAC_APPS if app.exists()), None)


#: The marks of a module whose tests open our pages.
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found"),
    pytest.mark.skipif(
        not PAGE.exists() and shutil.which("npm") is None, reason="no page: Node is missing"
    ),
]


#: A browser that doesn't say that a program steers it: that one isn't counted.
LIKE_A_PERSON = "--disable-blink-features=AutomationControlled"


@asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium without a window, in its sandbox unless we are root, for whom it has none."""
    expect.set_options(timeout=EXPECTED_WITHIN_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(),
            args=(*_FLAGS, *flags),
            chromium_sandbox=os.geteuid() != 0,
        )
        yield browser
        await browser.close()
