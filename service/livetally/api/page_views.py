"""GET /v1/pages: how often pages and articles were viewed, and where their readers came from.

A view is up to five events, counted by one commit. All of them are ordinary events, which anybody
may send, ask for and watch:

    page_view              the page: `/`, `about`, `contact`, `post`, or another page's path
    unique_page_view       the same, if the page was not just loaded again
    article_view           the article's id
    unique_article_view    the same, if the page was not just loaded again
    referral               "host page": the referring host, and the page (an article's is `post:ID`)
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta

from ..base.config import MAX_SUBJECTS
from ..base.errors import BadRequest, Unprocessable
from ..ingest.events import Moment, Subject
from ..schema.http import Article, Page, Pages, Referrer
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.params import query_of
from ..web.read_budgets import Reader, Reads
from . import buckets

PAGE_VIEW, UNIQUE_PAGE_VIEW = "page_view", "unique_page_view"
ARTICLE_VIEW, UNIQUE_ARTICLE_VIEW = "article_view", "unique_article_view"
REFERRAL = "referral"

_MINUTE = timedelta(minutes=1)


class PagesQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The parameters of a request."""

    page: Subject | None = None
    article: Subject | None = None
    top: Annotated[int, Meta(ge=1, le=MAX_SUBJECTS)] = 100
    from_: Moment | None = None
    to: Moment | None = None
    api_key: str | None = None


class _Viewed(msgspec.Struct):
    """A page or an article, and beside it the sums of all of them."""

    subject: str
    total: int
    unique: int
    all_total: int
    all_unique: int


class PageViews:
    """What can be asked about page views."""

    def __init__(self, auth: Auth, reads: Reads) -> None:
        self._auth = auth
        self._reads = reads

    @operation(
        "Views of pages and articles",
        tag="Counts",
        key="read",
        query=PagesQuery,
        responses={200: Pages},
        errors=(BadRequest, Unprocessable),
    )
    async def get_pages(self, request: web.Request) -> web.Response:
        """The most viewed pages and articles and their referrers; or one page's, or one's of both.

        `from` is rounded down and `to` up to whole minutes: no count is a part of one.
        """
        key = await self._auth.admit(request, Role.READ)
        query = query_of(request, PagesQuery)
        if query.page is not None and query.article is not None:
            raise BadRequest("Ask for a `page` or for an `article`.")
        period = _period(query)
        reader = self._reads.by(key)
        pages = articles = None
        if query.article is None:
            pages = await self._views(
                reader, (PAGE_VIEW, UNIQUE_PAGE_VIEW), query.page, query.top, period
            )
        if query.page is None:
            articles = await self._views(
                reader, (ARTICLE_VIEW, UNIQUE_ARTICLE_VIEW), query.article, query.top, period
            )
        of = query.page if query.article is None else f"post:{query.article}"
        referrers = await self._referrers(reader, of, query.top, period)
        if period is not None:
            await buckets.check_edges(reader, *period)
        return json_response(_answer(period, pages, articles, referrers))

    async def _views(
        self,
        reader: Reader,
        types: tuple[str, str],
        one: str | None,
        top: int,
        period: "_Period | None",
    ) -> list[_Viewed]:
        return msgspec.convert(
            await self._rows(reader, types, one, None, top, period), list[_Viewed]
        )

    async def _referrers(
        self, reader: Reader, page: str | None, top: int, period: "_Period | None"
    ) -> list[Referrer]:
        rows = await self._rows(reader, (REFERRAL, ""), None, page, top, period)
        named = [(row["subject"].partition(" "), row["total"]) for row in rows]
        return [Referrer(host, of, total) for (host, _, of), total in named]

    async def _rows(
        self,
        reader: Reader,
        types: tuple[str, str],
        subject: str | None,
        page: str | None,
        top: int,
        period: "_Period | None",
    ) -> list[dict[str, Any]]:
        wanted = (reader.project, *types, top, subject, page)
        if period is None:
            return await reader.rows("page_views", *wanted)
        return await reader.rows("page_views_between", *wanted, *period)


_Period = tuple[datetime | None, datetime]


def _answer(
    period: _Period | None,
    pages: list[_Viewed] | None,
    articles: list[_Viewed] | None,
    referrers: list[Referrer],
) -> Pages:
    """The sums are of the pages, or of the one article that was asked for."""
    summed = (articles or []) if pages is None else pages
    start, end = period or (UNSET, UNSET)
    return Pages(
        from_=start,
        to=end,
        total=summed[0].all_total if summed else 0,
        unique=summed[0].all_unique if summed else 0,
        pages=UNSET
        if pages is None
        else [Page(each.subject, each.total, each.unique) for each in pages],
        articles=UNSET
        if articles is None
        else [Article(each.subject, each.total, each.unique) for each in articles],
        referrers=referrers,
    )


def _period(query: PagesQuery) -> _Period | None:
    """From when until when, in whole minutes; None: ever."""
    if query.from_ is None and query.to is None:
        return None
    start = _round_down(query.from_) if query.from_ is not None else None
    to = query.to or datetime.now(UTC)
    end = _round_down(to)
    try:
        end = end if end == to else end + _MINUTE
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None
    if start is not None and not start < end:
        raise Unprocessable("`from` must be before `to`.")
    return start, end


def _round_down(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(second=0, microsecond=0)
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None
