"""The page /examples: each snippet on it is read off the page, and run as it stands there."""

import asyncio
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from livetally.schema.keys import Role
from livetally.site.examples import Login
from service.tests.support.browser.chromium import find_chromium, launched
from service.tests.support.browser.tab import Tab
from service.tests.support.paths import MODULES
from service.tests.support.postgres import make_keys
from service.tests.support.server import Service, serving

FORMATS = ("colours", "cable", "views", "items", "collector")
LANGUAGES = ("sh", "mjs", "py")
ITEM = '{"vehicle-id":{"S":"3"},"lat":{"N":"41.4"},"on":{"BOOL":true}}'
CLICK = '{"action":"click","color":"red","count":1}'
STORED = '{"message":"Event stored successfully.","accepted":1,"duplicates":0,"rejected":[]}'
BLUE = '[{"action":"click","color":"blue","amount":1}]'
#: What each of them prints in a new project. Websockets may say more than once how it stands.
PRINTS = {
    "colours.sh": {
        STORED,
        f'{{"stats":[{CLICK}]}}',
        '{"stats":[],"event_type":"hover"}',
        f'{{"stats":[{CLICK}],"event_type":"click"}}',
    },
    "colours.mjs": {STORED, f'{{"stats":[{CLICK}],"event_type":"click"}}'},
    "cable.sh": {"204", f'{{"results":{BLUE}}}'},
    "cable.mjs": {"204", BLUE},
    "views.sh": {'{"articleId":"a1","uniqueViews":1,"totalViews":1}'},
    "views.mjs": {'{"articleId":"a1","uniqueViews":1,"totalViews":1}'},
    "items.sh": {ITEM},
    "items.mjs": {ITEM},
    "collector.sh": {'{"message":"Received"}', '{"count":1}'},
}
PRINTS["colours.py"] = PRINTS["colours.sh"]
PRINTS["cable.py"] = PRINTS["cable.sh"]
PRINTS["views.py"] = PRINTS["views.sh"]
PRINTS["items.py"] = PRINTS["items.sh"]
PRINTS["collector.mjs"] = PRINTS["collector.py"] = PRINTS["collector.sh"]
#: In a project that the other formats' snippets have counted in too.
SEEN = {
    "colours": CLICK,
    "cable": '"color":"blue","amount":1',
    "views": '"totalViews":1',
    "items": ITEM,
    "collector": '{"count":1}',
}


@pytest.fixture
async def service(database_url: str, redis_url: str) -> AsyncIterator[Service]:
    """A server that shows its key, as the demo does."""
    keys = await make_keys(database_url)
    login = Login("demo", keys[Role.READ_WRITE])
    async with serving(database_url, redis_url, keys, login=login) as service:
        yield service


async def page_of(service: Service, **headers: str) -> tuple[str, Any]:
    async with service.http.get("/examples", headers=headers) as response:
        assert response.status == 200
        return await response.text(), response.headers


def shown(page: str, id: str) -> str:
    """The text of a snippet, as a browser has it."""
    found = re.search(f'<code id="{id}">(.*?)</code>', page, re.DOTALL)
    assert found, id
    return html.unescape(found[1])


def _node() -> list[str]:
    """Node with `WebSocket`, as it is from version 22 on; [] without any Node."""
    if not shutil.which("node"):
        return []
    about = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major = int(about.stdout.removeprefix("v").partition(".")[0])
    return ["node", *(["--experimental-websocket"] if major < 22 else []), "--no-warnings"]


def program(ending: str, text: str) -> list[str]:
    match ending:
        case "sh":
            if "wscat" in text and not (MODULES / ".bin" / "wscat").exists():
                pytest.skip("wscat is missing: npm ci in frontend/")
            return ["bash", "-euc", text]
        case "mjs":
            return [*(_node() or pytest.skip("needs Node")), "--input-type=module", "-e", text]
    return [sys.executable, "-c", text]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FORMATS)
async def test_a_snippet_works_as_it_stands_there(
    service: Service, name: str, language: str
) -> None:
    """Pasted and run, with nothing changed, it does and prints what it is there for."""
    page, _ = await page_of(service)
    process = await asyncio.create_subprocess_exec(
        *program(language, shown(page, f"{name}-{language}")),
        env={**os.environ, "PATH": f"{MODULES / '.bin'}:{os.environ['PATH']}"},
        stdin=asyncio.subprocess.PIPE,  # where it ends, wscat ends
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(60):
        printed = (await process.stdout.read()).decode()
        failed = (await process.stderr.read()).decode()
        assert await process.wait() == 0, failed
    for line in PRINTS[f"{name}.{language}"]:
        assert line in printed, (line, printed, failed)


async def test_only_the_demo_shows_a_key(database_url: str, redis_url: str) -> None:
    """`serve` shows placeholders, also where the page at / gives keys to everybody."""
    keys = await make_keys(database_url)
    public = {"page_write_key": keys[Role.WRITE], "page_read_key": keys[Role.READ]}
    async with serving(database_url, redis_url, keys, **public) as service:
        page, _ = await page_of(service)
    assert not any(key in page for key in keys.values())
    assert 'api_key":"YOUR_KEY"' in shown(page, "colours-sh")
    assert "YOUR_PROJECT:YOUR_KEY" in shown(page, "collector-sh")
    assert "--role read_write" in page


async def test_the_demos_key_is_its_projects_own(service: Service) -> None:
    """What the demo shows to everybody is the read_write key, and no other."""
    page, headers = await page_of(service)
    assert service.keys[Role.READ_WRITE] in page
    assert not any(service.keys[role] in page for role in set(Role) - {Role.READ_WRITE})
    assert headers["Cache-Control"] == "no-store"
    assert "YOUR_" not in page


HOSTILE = "\"$(reboot)'</code><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("host", "proto", "url"),
    [
        ("shop.example", "", "http://shop.example"),
        ("shop.example:8443", "https", "https://shop.example:8443"),
        ("[::1]:8080", "http", "http://[::1]:8080"),
        ("$(reboot)", "", "http://localhost"),
        ("a;b", "", "http://localhost"),
        ("<script>", "", "http://localhost"),
        ("shop.example", '"><script>', "http://shop.example"),
    ],
)
async def test_snippets_have_the_address_that_was_asked(
    service: Service, host: str, proto: str, url: str
) -> None:
    """With a proxy's scheme; what no address can have never gets into a command or the page."""
    port = int(service.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    forwarded = f"X-Forwarded-Proto: {proto}\r\n" if proto else ""
    request = f"GET /examples HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{forwarded}\r\n"
    writer.write(request.encode())
    page = (await reader.read()).decode()
    writer.close()
    assert f"'{url}/v1/stats?action=click'" in shown(page, "colours-sh")
    assert f'"{url.replace("http", "ws")}/ws"' in shown(page, "colours-mjs")
    assert page.count("<script") == 1
    assert "reboot" not in page


async def test_whatever_is_filled_in_is_escaped(database_url: str, redis_url: str) -> None:
    """Even if a project or a key could be HTML it would be text; nothing inline is allowed."""
    login = Login(HOSTILE, "{{url}}")
    async with serving(database_url, redis_url, {}, login=login) as service:
        page, headers = await page_of(service)
    assert HOSTILE in shown(page, "collector-sh")
    assert "{{url}}" in shown(page, "collector-sh")
    assert page.count("<script") == 1
    assert "<script>" not in page
    assert not re.search(r"<[^>]+ (style|on\w+)=", page)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy


async def test_no_other_file_is_served(service: Service) -> None:
    """The style and the script, and nothing else of the package."""
    for name, status in (
        ("page.css", 200),
        ("copy.js", 200),
        ("page.html", 404),
        ("__init__.py", 404),
        ("..%2fkeys.py", 404),
        ("snippets%2fcolours.sh", 404),
    ):
        async with service.http.get(f"/examples/{name}") as response:
            assert response.status == status, name


# In a browser.

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found")
AXE = MODULES / "axe-core" / "axe.min.js"


async def opened(browser: Browser, service: Service, **options: Any) -> Tab:
    context = await browser.new_context(**options)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    tab = Tab(await context.new_page(), service.url, "")
    await tab.page.goto(service.url + "/examples")
    return tab


@pytest.mark.browser
@needs_chromium
async def test_by_keyboard_a_language_is_chosen_and_a_snippet_copied(service: Service) -> None:
    """Tab, arrow keys, Enter: what is in the clipboard is the snippet, and it is said."""
    async with launched() as browser:
        tab = await opened(browser, service)
        page = tab.page
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("radio", name="Python")).to_be_checked()
        await expect(page.locator(".snippet:visible")).to_have_count(len(FORMATS))
        await page.keyboard.press("Tab")
        copy = page.get_by_role("button", name="Copy Python of Colour tracking, serverless")
        await expect(copy).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_have_text("Copied.")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == shown((await page_of(service))[0], "colours-py")
        assert tab.complaints() == []


@pytest.mark.browser
@needs_chromium
async def test_the_javascript_works_in_this_pages_console(service: Service) -> None:
    """What is pasted into the console of the page passes its policy."""
    async with launched() as browser:
        tab = await opened(browser, service)
        lines: list[str] = []
        tab.page.on("console", lambda message: lines.append(message.text))
        tools = await tab.page.context.new_cdp_session(tab.page)
        for name, seen in SEEN.items():
            code = shown((await page_of(service))[0], f"{name}-mjs")
            pasted = {"expression": code, "replMode": True, "awaitPromise": True}
            ended = await tools.send("Runtime.evaluate", pasted)
            assert "exceptionDetails" not in ended, ended
            async with asyncio.timeout(30):
                while not any(seen in line for line in lines):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        assert tab.complaints() == []


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
async def test_axe_finds_nothing_and_nothing_sticks_out(
    service: Service, scheme: Any, width: int
) -> None:
    """No violation that axe-core knows; no sideways scrolling, whatever is shown."""
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in frontend/")
    async with launched() as browser:
        viewport: Any = {"width": width, "height": 844}
        tab = await opened(browser, service, viewport=viewport, color_scheme=scheme)
        page = tab.page
        tools = await page.context.new_cdp_session(page)
        await tools.send("Page.setBypassCSP", {"enabled": True})
        await page.reload()
        await page.add_script_tag(path=AXE)
        for language in LANGUAGES:
            await page.locator(f'input[value="{language}"]').check(force=True)
            found = await page.evaluate("axe.run({resultTypes: ['violations']})")
            assert found["violations"] == [], json.dumps(found["violations"], indent=1)[:3_000]
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("SCREENSHOTS"):
                await page.screenshot(path=f"{folder}/{scheme}-{width}-{language}.png")


async def test_the_page_at_the_root_leads_here(service: Service) -> None:
    """The page at / has a link, built or not."""
    async with service.http.get("/", headers={"Accept": "text/html"}) as response:
        assert 'href="/examples"' in await response.text()
