"""Format 3, page views for a blog, line by line on real sockets: `PROTOCOLS.md`, section 3."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetally.compat.page_views.hosts import host_of, path_of
from livetally.compat.page_views.views import BlogView, events_of
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.browser.chromium import find_chromium, launched
from service.tests.support.clients.page_views import Model, Reader, reader
from service.tests.support.postgres import make_key, make_keys, query, totals_in, unreachable
from service.tests.support.server import Service, serving

BLOG = "https://blog.example"
ARTICLE = {
    "message": "views",
    "articleId": "a1",
    "articleTitle": "T",
    "previousPage": "/",
    "currentPage": "/posts/x",
    "refreshed": False,
    "referrer": "https://news.example/item?id=1",
}


def stored(database_url: str, project: int = 1) -> dict[tuple[str, str], int]:
    """Every count of a project, without the grand totals."""
    return {
        (type_, subject): n
        for type_, subject, n in query(
            database_url,
            "SELECT type, subject, sum(n)::bigint FROM totals"
            " WHERE project = %s AND subject <> '' GROUP BY 1, 2",
            project,
        )
    }


async def count_bound(service: Service, project: str, *origins: str) -> None:
    await make_key(service.database_url, project, Role.WRITE, f"web {origins}", origins)


async def test_the_message_of_the_old_pages_is_counted(service: Service) -> None:
    """The whole message as the blog sends it: the exact bytes that come back, and each count."""
    async with reader(service, origin=BLOG) as page:
        await page.socket.send_json(ARTICLE)
        assert await page.text() == '{"articleId":"a1","uniqueViews":1,"totalViews":1}'
    assert stored(service.database_url) == {
        ("page_view", "post"): 1,
        ("unique_page_view", "post"): 1,
        ("article_view", "a1"): 1,
        ("unique_article_view", "a1"): 1,
        ("referral", "news.example post:a1"): 1,
    }
    ((properties,),) = query(
        service.database_url, "SELECT properties FROM events WHERE type = 'page_view'"
    )
    assert properties == {name: each for name, each in ARTICLE.items() if name != "message"}


async def test_only_message_is_required(service: Service) -> None:
    """A view that says nothing else is a view all the same; so is one of an article without title
    or page. null and "" are nothing."""
    async with reader(service) as page:
        await page.view()
        await page.view(articleId=None, currentPage="", referrer=None, refreshed=None)
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)
    assert totals_in(service.database_url, "page_view") == {"": 3, "unknown": 3}


async def test_absent_refreshed_means_false_and_one_message_inherits_nothing(
    service: Service,
) -> None:
    """Of two views, the first refreshed and of an article, the second has nothing of that."""
    async with reader(service) as page:
        await page.view(
            articleId="a1", articleTitle="T", refreshed=True, referrer="https://x.example"
        )
        assert await page.counts() == (0, 1)
        await page.view(currentPage="/imprint")
        await page.view(articleId="a1")
        assert await page.counts() == (1, 2)
    assert stored(service.database_url) == {
        ("page_view", "post"): 1,
        ("page_view", "/imprint"): 1,
        ("page_view", "unknown"): 1,
        ("unique_page_view", "/imprint"): 1,
        ("unique_page_view", "unknown"): 1,
        ("article_view", "a1"): 2,
        ("unique_article_view", "a1"): 1,
        ("referral", "x.example post:a1"): 1,
    }


@pytest.mark.parametrize(
    ("current", "article", "page"),
    [
        ("/", False, "/"),
        ("/", True, "/"),
        ("/?utm=1#top", False, "/"),
        ("https://blog.example", False, "/"),
        ("https://blog.example/?a", False, "/"),
        ("/en/pages/about", False, "about"),
        ("/pages/about-us/team?x", True, "about"),
        ("/pages/contacts#form", False, "contact"),
        ("/posts/x", True, "post"),
        ("", True, "post"),
        ("/posts/x", False, "/posts/x"),
        ("/posts/x?page=2", False, "/posts/x"),
        ("https://blog.example/posts/x#c3", False, "/posts/x"),
        ("/search?from=/pages/about", False, "/search"),
        ("/<script>alert(1)</script>", False, "/<script>alert(1)</script>"),
        ("/'; DROP TABLE events; --", False, "/'; DROP TABLE events; --"),
    ],
)
async def test_page_kinds(service: Service, current: str, article: bool, page: str) -> None:
    """`/` home, /pages/about about, /pages/contacts contact, an article post, anything else its
    path: a query or a fragment doesn't make another page."""
    fields = {"articleId": "a", "articleTitle": "T"} if article else {}
    async with reader(service) as sender:
        await sender.view(currentPage=current, **fields)
        await sender.view(articleId="last")
        while json.loads(await sender.text())["articleId"] != "last":
            pass
    assert totals_in(service.database_url, "page_view") == {page: 1, "unknown": 1, "": 2}
    assert totals_in(service.database_url, "unique_page_view")[page] == 1


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://news.example/a", "news.example"),
        ("http://NEWS.example.:8080/a?b#c", "news.example"),
        ("https://blog.example.evil.test/", "blog.example.evil.test"),
        ("https://evil.test/blog.example", "evil.test"),
        ("https://notblog.example/", "notblog.example"),
        ("https://blog.example@evil.test/", "evil.test"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("android-app://com.reader/", "com.reader"),
        ("http://[::1]:80/x", "[::1]"),
        ("https://blog.example/other", None),
        ("https://BLOG.example:444/", None),
        ("", None),
        ("/posts/y", None),
        ("https://", None),
        ("https://a..b/", None),
        ("https://<b>/", None),
        ("http://[::zz]/", None),
        ("javascript:alert(1)", None),
    ],
)
async def test_an_external_referrer_is_counted_per_host_and_page(
    service: Service, referrer: str, host: str | None
) -> None:
    """Compared as a host name with the site's own; what is no host is no referrer."""
    async with reader(service, origin=BLOG) as page:
        await page.view(currentPage="/a?b", referrer=referrer)
        await page.view(articleId="a1")
        await page.counts()
    referrals = {f"{host} /a": 1, "": 1} if host else {}
    assert totals_in(service.database_url, "referral") == referrals


async def test_the_pages_own_address_is_no_referrer(service: Service) -> None:
    """Without an Origin the site's own host is that of `currentPage`, where it says one."""
    async with reader(service) as page:
        for referrer in ("https://Blog.example/b", "https://news.example/"):
            await page.view(currentPage="https://blog.example:444/a", referrer=referrer)
        await page.view(articleId="a1")
        await page.counts()
    assert totals_in(service.database_url, "referral") == {"news.example /a": 1, "": 1}


async def test_every_viewer_of_the_article_is_told(service: Service) -> None:
    """Not only the sender; and nobody of another article's views."""
    async with reader(service) as one, reader(service) as two, reader(service) as other:
        await one.view(articleId="a1")
        assert await one.counts() == (1, 1)
        await two.view(articleId="a1", refreshed=True)
        assert await two.counts() == (1, 2)
        assert await one.counts() == (1, 2)
        await other.view(articleId="a2")
        assert await other.counts("a2") == (1, 1)
        await one.view(articleId="a1")
        assert await one.counts() == (2, 3)
        assert await two.counts() == (2, 3)
        await other.view(articleId="a2")
        assert await other.counts("a2") == (2, 2)


async def test_the_sender_is_always_told(service: Service) -> None:
    """A view sent again with its id (ours) counts once, and is answered each time."""
    async with reader(service) as page:
        for _ in range(5):
            await page.view(articleId="a1", id="v1", referrer="https://x.example")
        await page.socket.send_json({"message": "the end"})
        answers = []
        while "known" not in (text := await page.text()):
            answers.append(text)
    assert len(answers) == 5
    assert set(answers) == {'{"articleId":"a1","uniqueViews":1,"totalViews":1}'}
    assert set(stored(service.database_url).values()) == {1}


async def test_another_message_gets_a_short_text(service: Service) -> None:
    """No error, nothing counted, nothing echoed; the connection goes on."""
    async with reader(service) as page:
        for message in ("hello", "<script>", 5, None, {"a": []}, ["views"]):
            await page.socket.send_json({"message": message, "articleId": "a1"})
            text = await page.text()
            assert len(text) < 100
            assert "script" not in text
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)


# Who may.


async def test_an_origin_of_one_project_needs_no_key(service: Service) -> None:
    """The views are that project's, and the same project's sockets with a key see them."""
    await count_bound(service, "blog", BLOG, "https://www.blog.example")
    keys = await make_keys(service.database_url, "other")
    async with reader(service, None, BLOG) as page, reader(service, keys[Role.WRITE]) as other:
        await other.view(articleId="a1")
        assert await other.counts() == (1, 1)
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)
        await page.view(articleId="a1")
        assert await page.counts() == (2, 2)
        await other.view(articleId="a1")  # of what the blog's readers did it was told nothing
        assert await other.counts() == (2, 2)
    ((project,),) = query(service.database_url, "SELECT id FROM projects WHERE name = 'blog'")
    assert totals_in(service.database_url, "article_view", project)["a1"] == 2


async def test_an_origin_of_none_or_of_two_projects_is_refused(service: Service) -> None:
    """Told in words and closed with 1008: it isn't clear whose views they are."""
    await count_bound(service, "one", BLOG)
    await count_bound(service, "two", BLOG)
    for origin in (BLOG, "https://nobody.example", "null", "https://" + "x" * 9_000, "h\tx", ""):
        headers = {"Origin": origin} if origin else {}
        if origin == "https://" + "x" * 9_000 or "\t" in origin:
            headers = {"Origin": origin[:7000].replace("\t", " ")}
        async with service.http.ws_connect("/ws", headers=headers) as socket:
            page = Reader(socket)
            await page.view(articleId="a1")
            assert "ey" in await page.text()
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008
    assert stored(service.database_url) == {}


async def test_two_keys_of_one_project_may_share_an_origin(service: Service) -> None:
    """It is still one project's; and a revoked key's origin is nobody's."""
    await count_bound(service, "one", BLOG)
    await count_bound(service, "one", BLOG, "http://localhost:5173")
    await make_key(service.database_url, "two", Role.WRITE, "gone", (BLOG,))
    query(service.database_url, "UPDATE keys SET revoked_at = now() WHERE name = 'gone'")
    async with reader(service, None, BLOG) as page:
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)


async def test_nothing_else_can_be_read(service: Service) -> None:
    """Neither with an origin nor with a write key: no stats, no items, no other message."""
    await count_bound(service, "blog", BLOG)
    async with service.http.get("/v1/pages", headers={"Origin": BLOG}) as response:
        assert response.status == 401
    async with reader(service, None, BLOG) as page:
        await page.view(currentPage="/")
        await page.socket.send_json({"type": "subscribe", "id": 1, "topic": {"totals": "click"}})
        assert "message" in await page.text()


async def test_a_key_that_is_no_good_is_refused(service: Service) -> None:
    """Unknown: before the handshake. A read key may not write: in words."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.http.ws_connect("/ws?api_key=nonsense")
    assert refused.value.status == 401
    bound = await make_key(service.database_url, "demo", Role.WRITE, "bound", (BLOG,))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.http.ws_connect(f"/ws?api_key={bound}", headers={"Origin": "https://x.test"})
    assert refused.value.status == 403
    async with reader(service, service.keys[Role.ADMIN]) as page:
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)


# The promises.


async def test_twenty_at_once_are_exact_and_every_answer_holds_its_own_view(
    service: Service,
) -> None:
    """Each of twenty readers sends views while all watch: nobody is told less than it sent, no
    count goes back, and all end with the exact counts, which stats and the live protocol show."""
    views = 10

    async def read(number: int) -> None:
        async with reader(service) as page:
            for n in range(1, views + 1):
                await page.view(articleId="a1", articleTitle="T", refreshed=bool((number + n) % 2))
                counts = await page.counts()
                assert counts[1] >= n
            while counts != (10 * views, 20 * views):
                counts = await page.counts()

    async with service.live() as live:
        await live.subscribe(1, {"totals": "article_view", "subjects": ["a1"]})
        await asyncio.gather(*(read(number) for number in range(20)))
        assert await live.until_total(20 * views) == {"a1": 20 * views}
    assert (await service.stats(type="article_view", subject="a1"))["total"] == 20 * views
    assert (await service.stats(type="unique_article_view"))["total"] == 10 * views
    assert totals_in(service.database_url, "page_view") == {"post": 200, "": 200}


async def test_events_in_native_form_are_pushed_too(service: Service) -> None:
    """Whoever counts an article view natively is seen by the blog's readers."""
    async with reader(service) as page:
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)
        await service.post({"type": "article_view", "subject": "a1"})
        assert await page.counts() == (1, 2)


async def test_no_push_before_the_commit(database_url: str, redis_url: str) -> None:
    """While nothing can be committed nobody is told of a view, its sender neither; then everybody
    is, once it is."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys) as service,
        reader(service) as one,
        reader(service) as two,
    ):
        for n, page in enumerate((one, two), 1):
            await page.view(articleId="a1")
            assert await page.counts() == (n, n)
        assert await one.counts() == (2, 2)
        with contextlib.closing(_lock(database_url)) as lock:
            await one.view(articleId="a1")
            # A ping is answered after what was put before it: nothing was.
            await two.socket.send_json({"message": "what?"})
            assert "known" in await two.text()
            assert totals_in(database_url, "article_view")["a1"] == 2
            lock.rollback()
        assert await one.counts() == (3, 3)
        assert await two.counts() == (3, 3)


def _lock(database_url: str) -> Any:
    import psycopg

    connection = psycopg.connect(database_url)
    connection.execute("LOCK TABLE slots IN EXCLUSIVE MODE")
    return connection


async def test_a_failure_is_never_swallowed(service: Service, postgres: LocalPostgres) -> None:
    """A view that can't be stored is answered in words, and not counted, nor does its sender follow
    the article; sent again it is."""
    async with reader(service) as page, reader(service) as other:
        await page.view(articleId="a1")
        assert await page.counts() == (1, 1)
        await other.view(articleId="a2")
        assert await other.counts("a2") == (1, 1)
        with unreachable(postgres, service.database_url):
            for article in ("a1", "a2"):
                await page.view(articleId=article, id="v2")
                assert "Postgres can't be reached" in await page.text()
        async with asyncio.timeout(30):
            await page.view(articleId="a1", id="v2")
            while "articleId" not in (text := await page.text()):
                await page.view(articleId="a1", id="v2")
        assert json.loads(text) == {"articleId": "a1", "uniqueViews": 2, "totalViews": 2}
        await other.view(articleId="a2")
        assert await other.counts("a2") == (2, 2)
        await page.view(articleId="a1")
        assert await page.counts() == (3, 3)


async def test_two_processes_tell_each_others_readers(database_url: str, redis_url: str) -> None:
    """A view in one process reaches the article's viewers in another."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys) as one,
        serving(database_url, redis_url, keys) as two,
        reader(one) as here,
        reader(two) as there,
    ):
        await here.view(articleId="a1")
        await here.until(1, 1)
        await there.view(articleId="a1", refreshed=True)
        await there.until(1, 2)
        await here.until(1, 2)


async def test_a_socket_may_view_any_number_of_articles(service: Service) -> None:
    """It goes on hearing of the last hundred."""
    async with reader(service) as page:
        for n in range(130):
            await page.view(articleId=f"a{n}")
            assert await page.counts(f"a{n}") == (1, 1)
        await service.post(
            [{"type": "article_view", "subject": "a5"}, {"type": "article_view", "subject": "a50"}]
        )
        assert await page.counts("a50") == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        '"views"',
        "[" * 100_000,
        '{"message":"views","articleId":5}',
        '{"message":"views","articleId":["a"]}',
        '{"message":"views","articleTitle":{}}',
        '{"message":"views","refreshed":"no"}',
        '{"message":"views","currentPage":1}',
        '{"message":"views","referrer":true}',
        '{"message":"views","id":""}',
        '{"message":"views","articleId":"' + "x" * 513 + '"}',
        '{"message":"views","currentPage":"/' + "x" * 1000 + '"}',
        '{"message":"views","articleId":"a\\u0000b"}',
        '{"message":"views","articleId":"\\ud800"}',
        '{"message":"views","currentPage":"'
        + "🚐" * 1500
        + '","articleTitle":"'
        + "🚐" * 2048
        + '",'
        '"articleId":"a","previousPage":"' + "🚐" * 2048 + '"}',
        '{"command":"views"}',
    ],
)
async def test_hostile_messages_are_answered_and_count_nothing(service: Service, text: str) -> None:
    """A short text; and the next view on the same socket is counted."""
    async with reader(service) as page:
        await page.socket.send_str(text)
        assert len(await page.text()) < 200
        assert stored(service.database_url) == {}
        await page.view(articleId="<b>'\"; DROP TABLE totals")
        assert await page.counts("<b>'\"; DROP TABLE totals") == (1, 1)


async def test_a_binary_frame_is_refused(service: Service) -> None:
    """Closed with 1003; nobody else is disturbed."""
    async with reader(service) as page, reader(service) as other:
        await page.socket.send_bytes(b"\x00")
        await page.socket.receive(timeout=10)
        assert page.socket.close_code == 1003
        await other.view(articleId="a1")
        assert await other.counts() == (1, 1)


# Against a plain model.

_article = st.sampled_from([None, "", "a1", "a2"])
_paths = st.sampled_from(["/", "/x", "/pages/about", "/a/pages/contacts/b", "/posts/x", "", "/x/"])
_ends = st.sampled_from(["", "?a=/pages/about", "#b", "?a#b"])
_referrers = st.sampled_from(
    [None, "", "https://blog.example/x", "https://n.example/", "https://N.example:1/y", "nothing"]
)
_views = st.builds(
    BlogView,
    article_id=_article,
    article_title=st.sampled_from([None, "", "T"]),
    current_page=st.builds(str.__add__, _paths, _ends),
    refreshed=st.sampled_from([None, False, True]),
    referrer=_referrers,
)


@given(st.lists(_views, max_size=30))
def test_counts_agree_with_a_plain_model(views: list[BlogView]) -> None:
    """Unique and total views, kinds of pages and referrers, of any views in any order."""
    model, counts = Model(), Counter[tuple[str, str]]()
    for view in views:
        model.view(view)
        events = events_of(view, "blog.example")
        counts.update((event["type"], event["subject"]) for event in events)
        assert len({event["id"] for event in events}) == len(events)
    assert counts == model.counts


async def test_counts_agree_with_the_model_over_a_socket(service: Service) -> None:
    """All combinations of a few fields, through the socket into Postgres."""
    model = Model()
    fields = {
        "currentPage": ["/", "/x?y", "/pages/about", ""],
        "articleId": ["", "a1"],
        "articleTitle": ["", "T"],
        "refreshed": [False, True],
        "referrer": ["", "https://n.example/", "https://blog.example/"],
    }
    async with reader(service, origin=BLOG) as page:
        for values in itertools.product(*fields.values()):
            sent = dict(zip(fields, values, strict=True))
            await page.view(**sent)
            view = BlogView(
                article_id=sent["articleId"],
                article_title=sent["articleTitle"],
                current_page=sent["currentPage"],
                refreshed=sent["refreshed"],
                referrer=sent["referrer"],
            )
            model.view(view)
        await page.view(articleId="end")
        model.view(BlogView(article_id="end"))
        while json.loads(await page.text())["articleId"] != "end":
            pass
    assert stored(service.database_url) == model.counts


@given(st.text(max_size=60))
def test_addresses_never_raise(text: str) -> None:
    """Whatever is sent as an address has a host, or none, and a path without query or fragment."""
    for address in (text, "https://" + text, "https://x/" + text, "https://[" + text):
        host = host_of(address)
        assert host is None or host_of(f"https://{host}/") == host
        assert not set("?#") & set(path_of(address))


# In a browser.


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome found")
async def test_a_plain_browser_websocket(service: Service) -> None:
    """A page opens a `WebSocket` to /ws with nothing but its Origin, which the browser sends."""
    await count_bound(service, "blog", service.url)
    async with launched() as browser:
        # What is tested is the server, not what a page of its own may do.
        page = await browser.new_page(bypass_csp=True)
        await page.goto(f"{service.url}/healthz")
        got = await page.evaluate(
            """(message) => new Promise((resolve, reject) => {
              const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
              socket.onopen = () => socket.send(JSON.stringify(message));
              socket.onmessage = (event) => resolve(event.data);
              socket.onclose = (event) => reject(new Error("closed: " + event.code));
            })""",
            ARTICLE,
        )
    assert got == '{"articleId":"a1","uniqueViews":1,"totalViews":1}'
