"""GET /v1/pages: what was viewed, how often, and where from."""

import random
from collections import Counter
from typing import Any

import pytest

from livetally.compat.page_views.views import BlogView, events_of
from livetally.schema.keys import Role
from service.tests.support.clients.page_views import Model, reader
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Service


async def pages(service: Service, key: str = "", **parameters: object) -> dict[str, Any]:
    headers = {"x-api-key": key or service.keys[Role.READ]}
    async with service.http.get("/v1/pages", params=parameters, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def some_views(service: Service) -> None:
    """Two articles, the home page and another, with referrers."""
    a1 = {"articleId": "a1", "articleTitle": "T", "currentPage": "/posts/1"}
    async with reader(service) as page:
        await page.view(**a1, referrer="https://n.example/x")
        await page.view(**a1, refreshed=True, referrer="https://n.example/y")
        await page.view(**a1, referrer="https://m.example/")
        await page.view(articleId="a2", articleTitle="T", refreshed=True)
        await page.view(currentPage="/", referrer="https://n.example/x")
        await page.view(currentPage="/x", refreshed=True)
        while (await page.counts_of("a2")) != (0, 1):
            pass
        await page.view(articleId="a2", articleTitle="T")
        while (await page.counts_of("a2")) != (1, 2):
            pass


EVERYTHING = {
    "total": 7,
    "unique": 4,
    "pages": [
        {"page": "post", "total": 5, "unique": 3},
        {"page": "/", "total": 1, "unique": 1},
        {"page": "/x", "total": 1, "unique": 0},
    ],
    "articles": [
        {"article": "a1", "total": 3, "unique": 2},
        {"article": "a2", "total": 2, "unique": 1},
    ],
    "referrers": [
        {"host": "n.example", "page": "post:a1", "total": 2},
        {"host": "m.example", "page": "post:a1", "total": 1},
        {"host": "n.example", "page": "/", "total": 1},
    ],
}


async def test_pages_articles_and_referrers(service: Service) -> None:
    """All of them, the most viewed first, or one page's, or one article's."""
    await some_views(service)
    assert await pages(service) == EVERYTHING
    assert await pages(service, page="/") == {
        "total": 1,
        "unique": 1,
        "pages": [{"page": "/", "total": 1, "unique": 1}],
        "referrers": [{"host": "n.example", "page": "/", "total": 1}],
    }
    assert await pages(service, article="a1") == {
        "total": 3,
        "unique": 2,
        "articles": [{"article": "a1", "total": 3, "unique": 2}],
        "referrers": EVERYTHING["referrers"][:2],
    }
    assert await pages(service, page="/never") == {
        "total": 0,
        "unique": 0,
        "pages": [],
        "referrers": [],
    }
    largest = await pages(service, top=1)
    assert (largest["total"], largest["unique"]) == (7, 4)
    assert [len(largest[name]) for name in ("pages", "articles", "referrers")] == [1, 1, 1]


async def test_a_range_of_time_is_of_whole_minutes(service: Service) -> None:
    """What lies in it, and nothing else; without `from` from the beginning, without `to` till
    now."""
    await some_views(service)
    query(service.database_url, "UPDATE minutes SET minute = '2026-03-01T10:01:00Z'")
    async with reader(service) as page:
        await page.view(articleId="a9", currentPage="/new")
        assert await page.counts_of("a9") == (1, 1)

    period = {"from": "2026-03-01T10:01:30Z", "to": "2026-03-01T11:01:01+01:00"}
    whole = {"from": "2026-03-01T10:01:00Z", "to": "2026-03-01T10:02:00Z"}
    assert await pages(service, **period) == {**whole, **EVERYTHING}
    assert (await pages(service, **period, article="a2"))["total"] == 2
    assert (await pages(service, **period, page="/"))["referrers"] == EVERYTHING["referrers"][2:]
    assert await pages(service, to=period["to"]) == {**EVERYTHING, "from": None, "to": whole["to"]}
    late = await pages(service, **{"from": "2026-03-01T10:02:00Z"})
    assert late["pages"] == [{"page": "/new", "total": 1, "unique": 1}]
    assert late["referrers"] == []
    early = await pages(service, **{"from": "2026-03-01T09:00:00Z", "to": "2026-03-01T10:01:00Z"})
    assert (early["total"], early["pages"], early["articles"]) == (0, [], [])


def some_view(chance: random.Random) -> BlogView:
    article, title = chance.choice([("", ""), ("a1", "T"), ("a2", "T"), ("a2", "")])
    return BlogView(
        article_id=article,
        article_title=title,
        current_page=chance.choice(["/", "/x", "/x?a", "/a b", "/pages/about", "/posts/y", ""]),
        refreshed=chance.random() < 0.4,
        referrer=chance.choice(["", "https://n.example/", "https://N.example:1/y"]),
    )


def expected(
    counts: Counter[tuple[str, str]], top: int, page: str | None, article: str | None
) -> dict[str, Any]:
    """What /v1/pages is to answer, from plain counts."""

    def listed(kind: str, one: str | None) -> list[dict[str, Any]]:
        found = [
            {kind: subject, "total": n, "unique": counts[f"unique_{kind}_view", subject]}
            for (type_, subject), n in counts.items()
            if type_ == f"{kind}_view" and one in (None, subject)
        ]
        return sorted(found, key=lambda each: (-each["total"], each[kind]))

    def led_to(of: str) -> bool:
        if article is not None:
            return of == f"post:{article}"
        return page in (None, of) or (page == "post" and of.startswith("post:"))

    referrers = []
    for (type_, subject), n in counts.items():
        host, _, of = subject.partition(" ")
        if type_ == "referral" and led_to(of):
            referrers.append({"host": host, "page": of, "total": n})
    referrers.sort(key=lambda each: (-each["total"], f"{each['host']} {each['page']}"))
    answer: dict[str, Any] = {"referrers": referrers[:top]}
    for kind, one, other in (("article", article, page), ("page", page, article)):
        if other is None:
            all_of = listed(kind, one)
            answer[f"{kind}s"] = all_of[:top]
            if kind == "page" or article:
                answer["total"] = sum(each["total"] for each in all_of)
                answer["unique"] = sum(each["unique"] for each in all_of)
    return answer


async def test_whatever_is_asked_agrees_with_a_plain_model(service: Service) -> None:
    """Views of any kind over six minutes; then any time, page or article, and top N."""
    chance = random.Random(4)
    models = [Model() for _ in range(6)]
    for n, model in enumerate(models):
        events = []
        for view in (some_view(chance) for _ in range(40)):
            model.view(view)
            events += events_of(view, None)
        assert (await service.post(events))[0] == 200
        at = f"2026-03-01T10:0{n}:00Z"
        query(
            service.database_url, "UPDATE minutes SET minute = %s WHERE minute > '2026-06-01'", at
        )
    for _ in range(80):
        since, until = sorted(chance.sample(range(7), 2))
        asked: dict[str, Any] = {"top": chance.choice([1, 2, 3, 1000])}
        whole = chance.random() < 0.2
        if not whole:
            asked |= {"from": f"2026-03-01T10:0{since}:00Z", "to": f"2026-03-01T10:0{until}:00Z"}
        page, article = chance.choice(
            [(None, None), ("/", None), ("/a b", None), ("post", None), (None, "a2"), (None, "no")]
        )
        one = {"page": page} if page else {"article": article} if article else {}
        counts: Counter[tuple[str, str]] = Counter()
        for model in models if whole else models[since:until]:
            counts += model.counts
        answer = await pages(service, **asked, **one)
        times = {name: asked[name] for name in ("from", "to") if name in asked}
        assert answer == {**times, **expected(counts, asked["top"], page, article)}, asked | one


async def test_native_and_collected_views_are_there_too(service: Service) -> None:
    """However a `page_view` was sent, it is one."""
    await service.post([{"type": "page_view", "subject": "/"}] * 2)
    assert (await pages(service))["pages"] == [{"page": "/", "total": 2, "unique": 0}]
    assert (await service.stats(type="page_view", subject="/"))["total"] == 2


async def test_only_a_projects_own(service: Service) -> None:
    """Another project's key sees nothing; one that may not read gets 403, none 401."""
    await some_views(service)
    other = (await make_keys(service.database_url, "other"))[Role.READ]
    assert (await pages(service, other))["total"] == 0
    for headers, status in (({"x-api-key": service.keys[Role.WRITE]}, 403), ({}, 401)):
        async with service.http.get("/v1/pages", headers=headers) as response:
            assert response.status == status


@pytest.mark.parametrize(
    ("query_", "status"),
    [
        ("top=0", 400),
        ("top=1001", 400),
        ("top=x", 400),
        ("page=a&page=b", 400),
        ("page=", 400),
        ("page=a&article=b", 400),
        ("colour=red", 400),
        ("page=%00", 400),
        ("from=yesterday", 400),
        ("from=2026-03-01T10:00:00", 400),
        ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", 422),
        ("from=0001-01-01T00:00:00%2B23:59", 422),
        ("to=9999-12-31T23:59:59Z", 422),
    ],
)
async def test_what_makes_no_sense_is_refused(service: Service, query_: str, status: int) -> None:
    """With a message that says what."""
    headers = {"x-api-key": service.keys[Role.READ]}
    async with service.http.get(f"/v1/pages?{query_}", headers=headers) as response:
        assert response.status == status, await response.text()
        assert (await response.json())["error"]["message"]
