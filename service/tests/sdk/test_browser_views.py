"""What is a view of a page, and of which."""

from collections import Counter

from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import World, track, views
from service.tests.support.postgres import query

pytestmark = needs_chromium


async def test_views_of_a_single_page_app(world: World) -> None:
    """Each change of the path is a view, however it is made; a change of the rest is none. The
    first view of a path in a session is a unique one, and the site that led here is a referral."""
    world.shop.body = world.script()
    context = await world.visitor()
    page = await world.visit(context, "/a?x=1", referer="https://news.example/today")
    for step in (
        "history.pushState({}, '', '/b')",
        "history.replaceState({}, '', '/b?page=2#top')",
        "history.pushState({}, '', '/b#below')",
        "history.replaceState({}, '', '/c')",
        "history.pushState({}, '', '/a')",
    ):
        await page.evaluate(step)
    await page.go_back()
    await page.wait_for_url("**/c")
    await page.go_forward()
    await page.wait_for_url("**/a")
    await page.reload()
    wanted = views("/a", 4) + views("/b") + views("/c", 2)
    wanted["referral", "news.example /a"] = 1
    await world.counted(wanted)


async def test_every_way_to_another_path_is_a_view(world: World) -> None:
    """The Navigation API, a page that was prepared in advance when it is shown, and by option a
    route after the #."""
    world.shop.body = world.script("livetally-track.js")
    context = await world.visitor()
    page = await world.visit(context, "/one")
    await page.evaluate(
        """async () => {
          window.navigation.addEventListener("navigate", (event) => event.intercept());
          await navigation.navigate("/two").finished;
          await navigation.navigate("/two?tab=3#below").finished;
          await navigation.back().finished;
          await navigation.back().finished;
        }"""
    )
    await world.counted(views("/one", 2) + views("/two"))

    world.shop.body = world.script("livetally-track.js", hash_routes="")
    page = await world.visit(context, "/app")
    for route in ("#/a", "#/b?token=1", "#/b?token=2"):
        await page.evaluate("(route) => { location.hash = route; }", route)
    await page.go_back()
    await page.go_back()
    wanted = views("/one", 2) + views("/two") + views("/app") + views("/app#/a", 2)
    wanted += views("/app#/b")
    await world.counted(wanted)

    await context.add_init_script(
        "Object.defineProperty(document, 'prerendering', { get: () => !window.isShown });"
    )
    page = await world.visit(context, "/prepared")
    await track(page, "in advance")
    await world.visit(await world.visitor(), "/meanwhile")
    wanted += views("/meanwhile")
    await world.counted(wanted)
    await page.evaluate(
        "window.isShown = true; document.dispatchEvent(new Event('prerenderingchange'))"
    )
    await world.counted(wanted + views("/prepared") + Counter({("sale", "in advance"): 1}))


async def test_paths_are_readable_and_none_is_lost(world: World) -> None:
    """Also a path that is longer than a subject may be; by option /a/ and /a/index.html are /a."""
    world.shop.body = world.script("livetally-track.js", join_paths="")
    context = await world.visitor()
    chinese, long = "/" + "你" * 120, "/" + "x" * 1_100
    for path in ("/größe/index.html", "/gr%C3%B6%C3%9Fe/", "/a%2Fb", "/%E2%80%AEx", chinese, long):
        await world.visit(context, path)
    wanted = views("/größe", 2, 2) + views("/a%2Fb") + views("/%E2%80%AEx")
    wanted += views(chinese) + views("/" + "x" * 1_022 + "…")
    await world.counted(wanted)


async def test_where_a_visit_comes_from(world: World) -> None:
    """The campaign in the address and the referring site go along with the view, nothing else of
    the query does."""
    world.shop.body = world.script("livetally-track.js")
    page = await world.visit(
        await world.visitor(),
        "/offer?utm_source=news&utm_campaign=summer&ref=friend&token=secret",
        referer="https://news.example/today?private=1",
    )
    await page.evaluate("history.pushState({}, '', '/next')")
    wanted = views("/offer") + views("/next")
    wanted["referral", "news.example /offer"] = 1
    await world.counted(wanted)
    rows = query(world.api.database_url, "SELECT type, subject, properties FROM events")
    assert {(type_, subject): about for type_, subject, about in rows if about} == {
        ("page_view", "/offer"): {
            "utm_source": "news",
            "utm_campaign": "summer",
            "ref": "friend",
            "referrer": "news.example",
        }
    }


async def test_own_visits_and_programs_are_not_counted(world: World) -> None:
    """A browser is switched off, and on again, by an address; it stays so where there is storage.
    One that a program steers isn't counted, unless the page asks for it."""
    world.shop.body = world.script("livetally-track.js")
    context = await world.visitor()
    for path in ("/a?livetally=off", "/b", "/c?livetally=on", "/d"):
        await track(await world.visit(context, path), path)
    wanted = views("/c") + views("/d")
    wanted += Counter({("sale", "/c?livetally=on"): 1, ("sale", "/d"): 1})
    await world.counted(wanted)

    forgetful = await world.visitor()
    await forgetful.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
    )
    for path in ("/e?livetally=off", "/f"):
        await world.visit(forgetful, path)
    wanted += views("/f")

    steered = await world.visitor()
    await steered.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'webdriver', { get: () => true });"
    )
    await world.visit(steered, "/g")
    world.shop.body = world.script("livetally-track.js", automation="")
    await world.visit(steered, "/h")
    wanted += views("/h")
    await world.counted(wanted)


async def test_a_tab_that_was_opened_by_another_is_a_session_of_its_own(world: World) -> None:
    """It begins with a copy of what the other tab remembers. Pages of one tab share a session, also
    when they are loaded again, and so does a frame."""
    world.shop.body = world.script("livetally-track.js")
    context = await world.visitor()
    page = await world.visit(context, "/a")
    await world.counted(views("/a"))
    async with context.expect_page() as opening:
        await page.evaluate("void window.open('/a?copy')")
    copy = await opening.value
    await world.counted(views("/a", 2, 2))
    for path in ("/b", "/c"):
        await page.goto(world.shop.url + path)
        await page.reload()
        await copy.goto(world.shop.url + path)
    await world.counted(views("/a", 2, 2) + views("/b", 3, 2) + views("/c", 3, 2))
    rows = query(
        world.api.database_url,
        "SELECT count(*) FROM events WHERE type = 'page_view' GROUP BY session ORDER BY 1",
    )
    assert rows == [(3,), (5,)]
