"""Where people pointed on a page: as a heatmap, by session, and one session's way.

GET /admin/v1/heatmap    ?page=/&from=&to=&columns=40&rows=60
GET /admin/v1/sessions   ?page=/&from=&to=&limit=100
GET /admin/v1/replay     ?page=/&session=…&from=&to=

The project is the key's own, or `project`. A page's latest events of the time are read from an
index of pointers, `MAX_EVENTS` of them, so that each answer has a bounded cost; where there are
more, `since` says from when on.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from ..base.errors import BadRequest, NotFoundError, Unprocessable
from ..ingest.events import Moment, Subject
from ..schema.http import Count
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.params import query_of
from ..web.read_budgets import Reader, Reads

#: Events that an answer is made of: about a second of one core.
MAX_EVENTS = 200_000
#: The longest time that can be asked for: what it touches is a day's partition each.
MAX_DAYS = 31
MAX_COLUMNS = 200
MAX_ROWS = 400
MAX_SESSIONS = 1_000
#: Half an hour at the SDK's ten samples a second.
MAX_MOVES = 18_000

_Session = Annotated[str, Meta(min_length=1, max_length=128)]


class Time(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """The parameters of every request: a page, and a time (the last hour)."""

    page: Subject
    project: str | None = None
    from_: Moment | None = None
    to: Moment | None = None
    api_key: str | None = None


class HeatmapQuery(Time):
    """The parameters of a request for a heatmap."""

    columns: Annotated[int, Meta(ge=1, le=MAX_COLUMNS)] = 40
    rows: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = 60


class SessionsQuery(Time):
    """The parameters of a request for sessions."""

    limit: Annotated[int, Meta(ge=1, le=MAX_SESSIONS)] = 100


class ReplayQuery(Time):
    """The parameters of a request for a session's way."""

    session: _Session


class _Page(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    page: str
    from_: datetime
    to: datetime


class Heatmap(_Page, frozen=True, kw_only=True, rename={"from_": "from"}):
    """How often each cell was pointed at: [cell, n], cells counted row by row from the top left.

    `width` and `height` are the page's usual size in CSS pixels, where it is known.
    """

    columns: int
    rows: int
    cells: list[tuple[Count, Count]]
    total: Count
    since: datetime | None
    width: int | None
    height: int | None


class PointerSession(msgspec.Struct, frozen=True):
    """Somebody who pointed at the page."""

    session: str
    first: datetime
    last: datetime
    moves: Count


class PointerSessions(_Page, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Sessions on a page, the latest first."""

    sessions: list[PointerSession]
    since: datetime | None


class Replayed(_Page, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A session's way over a page: [at, x, y, whether the pointer went down]."""

    session: str
    moves: list[tuple[datetime, float, float, bool]]
    more: bool
    width: int | None
    height: int | None


_Query = TypeVar("_Query", bound=Time)


class PointerHistory:
    """For admin keys. Raises what Auth does, BadRequest, Unprocessable, or NotFoundError."""

    def __init__(self, auth: Auth, reads: Reads) -> None:
        self._auth = auth
        self._reads = reads

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin/v1/heatmap", self.get_heatmap),
            web.get("/admin/v1/sessions", self.get_sessions),
            web.get("/admin/v1/replay", self.get_replay),
        ]

    @operation(
        "Where a page was pointed at",
        tag="Administration",
        key="admin",
        query=HeatmapQuery,
        responses={200: Heatmap},
        errors=(BadRequest, NotFoundError, Unprocessable),
    )
    async def get_heatmap(self, request: web.Request) -> web.Response:
        """Counted by the server, in a grid of the size that is asked for."""
        reader, project, query, start, to = await self._asked(request, HeatmapQuery)
        found: bytes = await reader.value(
            "heatmap", project, query.page, start, to, query.columns, query.rows, MAX_EVENTS
        )
        grid = {"columns": query.columns, "rows": query.rows}
        return _answer(Heatmap, query, start, to, found, **grid)

    @operation(
        "Who pointed at a page",
        tag="Administration",
        key="admin",
        query=SessionsQuery,
        responses={200: PointerSessions},
        errors=(BadRequest, NotFoundError, Unprocessable),
    )
    async def get_sessions(self, request: web.Request) -> web.Response:
        reader, project, query, start, to = await self._asked(request, SessionsQuery)
        found: bytes = await reader.value(
            "pointer_sessions", project, query.page, start, to, query.limit, MAX_EVENTS
        )
        return _answer(PointerSessions, query, start, to, found)

    @operation(
        "One session's way over a page",
        tag="Administration",
        key="admin",
        query=ReplayQuery,
        responses={200: Replayed},
        errors=(BadRequest, NotFoundError, Unprocessable),
    )
    async def get_replay(self, request: web.Request) -> web.Response:
        reader, project, query, start, to = await self._asked(request, ReplayQuery)
        found: bytes = await reader.value(
            "pointer_replay",
            *(project, query.page, start, to, query.session, MAX_MOVES, MAX_EVENTS),
        )
        return _answer(Replayed, query, start, to, found, session=query.session)

    async def _asked(
        self, request: web.Request, shape: type[_Query]
    ) -> tuple[Reader, int, _Query, datetime, datetime]:
        key = await self._auth.admit(request, Role.ADMIN)
        query = query_of(request, shape)
        start, to = _time(query)
        project = key.project
        if query.project is not None:
            project = await self._auth.project_named(query.project)
        return self._reads.by(key), project, query, start, to


def _time(query: Time) -> tuple[datetime, datetime]:
    try:
        to = (query.to or datetime.now(UTC)).astimezone(UTC)
        start = (query.from_ or to - timedelta(hours=1)).astimezone(UTC)
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None
    if not start < to:
        raise Unprocessable("`from` must be before `to`.")
    if to - start > timedelta(days=MAX_DAYS):
        raise Unprocessable(f"That is more than {MAX_DAYS} days: ask for less time.")
    return start, to


def _answer(
    shape: type[Heatmap | PointerSessions | Replayed],
    query: Time,
    start: datetime,
    to: datetime,
    found: bytes,
    **more: object,
) -> web.Response:
    """The document that a query returned, and what was asked for beside it."""
    given = {"page": query.page, "from": start, "to": to, **more}
    return json_response(msgspec.convert(given | msgspec.json.decode(found), shape))
