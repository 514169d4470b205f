"""Accessibility as axe-core knows it, on a phone and a desktop, light and dark."""

import itertools
from typing import Literal

from playwright.async_api import ViewportSize

from service.tests.support.browser.tab import Tab
from service.tests.support.paths import FRONTEND

AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def axe_finds_nothing(tab: Tab) -> None:
    """No violation that axe-core knows, on a phone and a desktop, light and dark; and it fits."""
    await tab.page.evaluate(AXE.read_text())
    for size, scheme in itertools.product([PHONE, DESKTOP], SCHEMES):
        await tab.page.set_viewport_size(size)
        await tab.page.emulate_media(color_scheme=scheme)
        found = await tab.page.evaluate("axe.run({resultTypes: ['violations']})")
        violations = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
        assert violations == [], (size, scheme, violations)
        width = await tab.page.evaluate("document.documentElement.scrollWidth")
        assert width == size["width"], (size, scheme)
