"""What the browser SDK counts, and what it doesn't."""

from collections import Counter

import pytest

from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import Shop, World, track, views
from service.tests.support.paths import FRONTEND
from service.tests.support.postgres import query
from service.tests.support.waiting import until

pytestmark = needs_chromium


HOSTILE = [
    "<img src=x onerror=globalThis.hacked=1>",
    "'\"></button><script>globalThis.hacked=1</script>",
    "__proto__",
    "\u202e\U0001f469\u200d\U0001f467 a\u0301",
    "  spaces  ",
    "x" * 1_024,
]


async def test_what_happens_on_a_page_is_counted(world: World) -> None:
    """Views, clicks and hovers on marked elements whenever they came, also by keyboard, also where
    the page stops events; names to the letter; what can't be counted is told to `onerror`. A key
    that is bound to the shop's origin counts there, and nowhere else. No cookie is set."""
    world.shop.body = world.script() + (
        '<button data-livetally="buy" data-livetally-on="click hover"><b>Buy</b></button>'
        '<a href="#x" data-livetally="more">More</a><p id="plain">Nothing</p>'
        '<form data-livetally="form"><input name="getAttribute"><input name="dataset"></form>'
    )
    context = await world.visitor()
    page = await world.visit(context)
    await page.evaluate(
        """(hostile) => {
          document.querySelector("button").addEventListener("click", (e) => e.stopPropagation());
          const main = document.querySelector("main");
          const host = document.createElement("div").attachShadow({ mode: "open" });
          for (const subject of [...hostile, "", "y".repeat(1_025)]) {
            const late = document.createElement("button");
            late.type = "button";
            late.className = "late";
            late.dataset.livetally = subject;
            late.textContent = "late";
            host.append(late);
          }
          main.append(host.host);
        }""",
        HOSTILE,
    )
    await page.locator("#plain").hover()
    for _ in range(2):
        await page.locator("b").hover()
        await page.locator("button", has_text="Buy").hover(position={"x": 2, "y": 2})
        await page.locator("#plain").hover()
    await page.locator("b").click()
    await page.keyboard.press("Enter")
    await page.locator("a").click()
    await page.locator("#plain").click()
    await page.evaluate("document.querySelector('input').click()")  # Playwright falls for its name
    for late in await page.locator(".late").all():
        await late.dispatch_event("click", {"bubbles": True, "composed": True})
    await page.evaluate("livetally.track('sale', 'buy', { price: 9, note: '\\u2028' })")
    assert await page.evaluate("livetally.track('x'.repeat(65), 'buy')") is None
    wanted = views("/") + Counter({("click", subject): 1 for subject in HOSTILE})
    wanted += {("click", "buy"): 2, ("click", "more"): 1, ("hover", "buy"): 3}
    wanted += {("click", "form"): 1, ("sale", "buy"): 1}
    await world.counted(wanted)
    ((price, sessions),) = query(
        world.api.database_url,
        "SELECT max(properties ->> 'price'), count(DISTINCT session) FROM events",
    )
    assert (price, sessions) == ("9", 1)
    assert await context.cookies() == []
    assert await page.evaluate("globalThis.hacked") is None

    async with Shop.open(world.url) as elsewhere:
        elsewhere.body = world.script()
        other = await context.new_page()
        other.on("console", lambda message: world.warned.append(message.text))
        async with other.expect_response("**/v1/events*") as refusal:
            await other.goto(elsewhere.url)
        assert (await refusal.value).status == 403
        await until(lambda: "(foreign_origin)" in world.warned[-1], 10)
        await other.close()
    await world.counted(wanted)


async def test_as_a_module_with_errors_told(world: World) -> None:
    """`import { start }` works under the same policy, from either file; `onerror` hears of what
    will never count, and what is good beside it counts."""
    for name in ("livetally.mjs", "livetally-track.mjs"):
        world.shop.module = f"""
          import {{ start }} from "{world.url}/js/{name}";
          globalThis.errors = [];
          const onerror = ({{ code, events: [{{ subject }}] }}) =>
            errors.push([code, subject.toWellFormed()]);
          globalThis.counter = start({{ key: "{world.write_key}", pageViews: false, onerror }});
          const big = "x".repeat(17_000), cyclic = {{}};
          cyclic.cyclic = cyclic;
          counter.track("sale", "good {name}");
          counter.track("sale", "");
          counter.track("sale", "cyclic", cyclic);
          counter.track("sale", "big", {{ big }});
          counter.track("sale", "nul\\0");
          counter.track("sale", "lone \\ud800");
        """
        world.shop.body = '<script type="module" src="/shop.mjs"></script>'
        page = await world.visit(await world.visitor())
        await page.wait_for_function("() => globalThis.errors?.length === 4")
        told = {tuple(error) for error in await page.evaluate("errors")}
        assert told == {
            ("invalid_event", ""),
            ("invalid_event", "cyclic"),
            ("properties_too_large", "big"),
            ("nul_character", "nul\0"),
        }
    wanted = Counter({("sale", "lone \ufffd"): 2})
    for name in ("livetally.mjs", "livetally-track.mjs"):
        wanted["sale", f"good {name}"] = 1
    await world.counted(wanted)


@pytest.mark.parametrize("signal", ["globalPrivacyControl: true", "doNotTrack: '1'"])
async def test_who_does_not_want_to_be_counted_is_not(world: World, signal: str) -> None:
    """Nothing is sent and nothing stored for a browser that asks for it; watching works. A page may
    decide otherwise, and must say so."""
    world.shop.body = world.script() + '<button data-livetally="buy">Buy</button>'
    context = await world.visitor()
    await context.add_init_script(
        f"for (const [name, value] of Object.entries({{ {signal} }}))"
        " Object.defineProperty(Navigator.prototype, name, { get: () => value });"
    )
    page = await world.visit(context)
    await page.evaluate(
        "void livetally.live({ totals: 'sale' }, ({ total }) => (window.total = total))"
    )
    await page.locator("button").click()
    await track(page, "red")
    await page.wait_for_function("() => window.total === 0")
    stored = "indexedDB.databases().then((all) => [all.length, sessionStorage.length])"
    assert await page.evaluate(stored) == [0, 0]
    await page.close()

    world.shop.body = world.script(ignore_do_not_track="")
    await track(await world.visit(context, "/told"), "blue")
    await world.counted(views("/told") + Counter({("sale", "blue"): 1}))


async def test_pointers_only_where_asked_for_and_nothing_typed(world: World) -> None:
    """Where the pointer is, as fractions of the document, live for who watches the page; without
    `data-pointer` nothing of it; what is typed or pointed at is in no event."""
    form = '<input name="secret" type="password"><pre>' + "\n" * 200 + "</pre>"
    world.shop.body = world.script() + form
    context = await world.visitor(viewport={"width": 1_000, "height": 500})
    page = await world.visit(context, "/quiet")
    await page.mouse.move(10, 10)
    await page.mouse.move(500, 250)
    world.shop.body = world.script(page_views="off")
    watcher = await world.visit(context, "/watcher")
    world.shop.body = world.script(pointer="", page_views="off") + form
    page = await world.visit(context, "/pointed")
    await watcher.evaluate(
        """() => {
          window.shown = new Map();
          livetally.live({ pointers: "/pointed" }, ({ pointers }) => {
            for (const { session, x, y } of pointers) shown.set(session, [x, y]);
          });
        }"""
    )
    height = await page.evaluate("document.documentElement.scrollHeight")
    width = await page.evaluate("document.documentElement.scrollWidth")
    await page.locator("input").click()
    await page.keyboard.type("correct horse")
    await page.mouse.move(width / 2, 250, steps=20)
    await page.wait_for_timeout(150)
    await page.mouse.wheel(0, 1_000)
    await page.wait_for_function("() => scrollY === 1_000")
    await page.mouse.move(width / 4, 100)
    await page.mouse.down()
    at = [0.25, round(1_100 / height, 4)]
    await watcher.wait_for_function(
        "(at) => [...shown.values()].some(([x, y]) => x === at[0] && y === at[1])", arg=at
    )
    rows = query(
        world.api.database_url,
        "SELECT subject, properties::text FROM events WHERE type = 'pointer' ORDER BY seq",
    )
    assert {subject for subject, _ in rows} == {"/pointed"}
    assert '"down":true' in rows[-1][1]
    assert f'"width":{width},"height":{height}' in rows[-1][1]
    everything = query(world.api.database_url, "SELECT row_to_json(e)::text FROM events AS e")
    assert not any("horse" in text or "secret" in text for (text,) in everything)


async def test_how_the_scripts_are_served(world: World) -> None:
    """At addresses that stay, gzipped for who takes that, to any origin; nothing else is there."""
    for name in ("livetally.js", "livetally.mjs", "livetally-track.js", "livetally-count.js"):
        async with world.api.http.get(f"/js/{name}") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert response.headers["Cache-Control"] == "public, max-age=3600"
            assert await response.text() == (FRONTEND / "dist" / "js" / name).read_text()
            etag = response.headers["ETag"]
        async with world.api.http.get(f"/js/{name}", headers={"If-None-Match": etag}) as again:
            assert again.status == 304
        plain = {"Accept-Encoding": "identity"}
        async with world.api.http.get(f"/js/{name}", headers=plain) as response:
            assert "Content-Encoding" not in response.headers
    for name in ("nothing.js", "livetally.js.gz", "..%2findex.html", "%2e%2e/index.html", ".js"):
        async with world.api.http.get(f"/js/{name}") as response:
            assert response.status == 404
