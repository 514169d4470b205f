"""GET /v1/stats: totals and series. Every query is a look-up by an index's leading columns."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from .auth import Auth, key_of
from .config import MAX_SUBJECTS
from .database import Database
from .edge import json_response
from .errors import BadRequest, Unprocessable
from .events import Moment, Name, Subject, plainly
from .keys import Role

#: A series has this many buckets at most.
MAX_BUCKETS = 10_000

_BUCKETS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


class Query(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The parameters of a stats request."""

    type: Name
    subject: Subject | None = None
    top: Annotated[int, Meta(ge=1, le=MAX_SUBJECTS)] = 100
    bucket: Literal["minute", "hour", "day"] | None = None
    from_: Moment | None = None
    to: Moment | None = None
    api_key: str | None = None


class Stats:
    """What can be asked about counts."""

    def __init__(self, auth: Auth, database: Database) -> None:
        self._auth = auth
        self._database = database

    async def get_stats(self, request: web.Request) -> web.Response:
        """A type's totals (the `top` largest), one subject's total, or a series of either."""
        key = await self._auth.find(key_of(request))
        key.require(Role.READ, request.headers.get("Origin"))
        query = _parse(request)
        if query.bucket or query.from_ or query.to:
            return json_response(await self._series(key.project, query))
        if query.subject is not None:
            total = await self._database.value("total", key.project, query.type, query.subject)
            return json_response({"type": query.type, "subject": query.subject, "total": total})
        return json_response(
            {
                "type": query.type,
                "total": await self._database.value("total", key.project, query.type, ""),
                "subjects": await self._database.rows(
                    "top_subjects", key.project, query.type, query.top
                ),
            }
        )

    async def _series(self, project: int, query: Query) -> dict[str, Any]:
        """Whole buckets: `from` is rounded down and `to` up, so that no count is a part of one."""
        bucket = query.bucket or "minute"
        step = _BUCKETS[bucket]
        to = _round_up(query.to or datetime.now(UTC), step)
        start = _round_down(query.from_, step) if query.from_ else _before(to, 60 * step)
        if not start < to:
            raise Unprocessable("`from` must be before `to`.")
        if (to - start) / step > MAX_BUCKETS:
            raise Unprocessable(
                f"That is more than {MAX_BUCKETS:,} buckets: ask for less time or larger buckets."
            )
        series = await self._database.rows(
            "series", project, query.type, query.subject or "", start, to, bucket
        )
        answer: dict[str, Any] = {"type": query.type}
        if query.subject is not None:
            answer["subject"] = query.subject
        return answer | {"bucket": bucket, "from": start, "to": to, "series": series}


def _parse(request: web.Request) -> Query:
    given = dict(request.query)
    if len(given) < len(request.query):
        raise BadRequest("A parameter is given twice.")
    if any("\0" in value for value in given.values()):
        raise BadRequest("No event has the character U+0000: it can't be stored.")
    try:
        return msgspec.convert(given, Query, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(plainly(str(error)).replace("Object", "The query")) from None


def _before(moment: datetime, time: timedelta) -> datetime:
    try:
        return moment - time
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None


def _round_down(moment: datetime, step: timedelta) -> datetime:
    try:
        since = moment.astimezone(UTC) - datetime.min.replace(tzinfo=UTC)
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None
    return moment.astimezone(UTC) - since % step


def _round_up(moment: datetime, step: timedelta) -> datetime:
    down = _round_down(moment, step)
    try:
        return down if down == moment else down + step
    except OverflowError:
        raise Unprocessable("That time is too far away.") from None
