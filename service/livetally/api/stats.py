"""GET /v1/stats: totals, of ever or of a period, and series; GET /v1/types: what can be asked for.

Every query is a look-up by an index's leading columns.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from ..base.config import MAX_SUBJECTS
from ..base.errors import BadRequest, Unprocessable
from ..ingest.events import Moment, Name
from ..ingest.events import Subject as SubjectName
from ..schema.http import Bucket, Series, Subject, SubjectTotal, Totals, Type, Types
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.params import query_of
from ..web.read_budgets import Reader, Reads
from . import buckets

#: A series has this many buckets at most.
MAX_BUCKETS = 10_000

#: A page of types has this many at most.
MAX_TYPES = 1_000

_BUCKETS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_MINUTE = _BUCKETS["minute"]
_NEVER = datetime.max.replace(tzinfo=UTC)


class StatsQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The parameters of a stats request."""

    type: Name
    subject: SubjectName | None = None
    top: Annotated[int, Meta(ge=1, le=MAX_SUBJECTS)] | None = None
    #: Page by page: the `next` of the page before; empty: the first page.
    after: Annotated[str, Meta(max_length=1024)] | None = None
    bucket: Literal["minute", "hour", "day"] | None = None
    from_: Moment | None = None
    to: Moment | None = None
    compare: Literal["before"] | None = None
    api_key: str | None = None

    @property
    def largest(self) -> int:
        return self.top or 100

    @property
    def wants_period(self) -> bool:
        """The largest subjects of a time are asked for, and no series."""
        return self.bucket is None and (self.compare is not None or self._wants_top)

    @property
    def _wants_top(self) -> bool:
        return (self.top or self.after) is not None and (self.from_ or self.to) is not None


class TypesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of a request for types."""

    after: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_TYPES)] = MAX_TYPES
    api_key: str | None = None


class Stats:
    """What can be asked about counts."""

    def __init__(self, auth: Auth, reads: Reads) -> None:
        self._auth = auth
        self._reads = reads

    @operation(
        "A type's totals, a subject's, a period's, or counts over time",
        tag="Counts",
        key="read",
        query=StatsQuery,
        responses={200: (Totals, SubjectTotal, Series)},
        errors=(BadRequest, Unprocessable),
    )
    async def get_stats(self, request: web.Request) -> web.Response:
        """The `top` largest subjects of a type, one `subject`'s total, or with `bucket` a series.

        `from` and `to` bound the time, rounded out to whole minutes or buckets; `compare=before`
        adds what there was just before it, as long. Beside a period's counts stands what there was
        `ever` at that moment: what a live total has beyond it came later. `after` goes through all
        subjects, page by page.
        """
        key = await self._auth.admit(request, Role.READ)
        query = query_of(request, StatsQuery)
        reader = self._reads.by(key)
        if query.after is not None and (query.subject is not None or query.bucket is not None):
            raise Unprocessable("`after` goes through all subjects' totals, page by page.")
        if query.wants_period:
            return json_response(await self._period(reader, query))
        if query.bucket or query.from_ or query.to:
            return json_response(await self._series(reader, query))
        if query.subject is not None:
            total = await reader.value("total", key.project, query.type, query.subject)
            return json_response(SubjectTotal(query.type, query.subject, total))
        return json_response(await self._totals(reader, query))

    @operation(
        "A project's types",
        tag="Counts",
        key="read",
        query=TypesQuery,
        responses={200: Types},
        errors=(BadRequest,),
    )
    async def get_types(self, request: web.Request) -> web.Response:
        """The project's types by name, each with its grand total, page by page."""
        key = await self._auth.admit(request, Role.READ)
        query = query_of(request, TypesQuery)
        asked = (key.project, query.after or "", query.limit + 1)
        found = await self._reads.by(key).rows("types", *asked)
        types = msgspec.convert(found[: query.limit], list[Type])
        return json_response(Types(types, types[-1].type if len(found) > len(types) else None))

    async def _totals(self, reader: Reader, query: StatsQuery) -> Totals:
        total = await reader.value("total", reader.project, query.type, "")
        of = (reader.project, query.type)
        after: str | UnsetType | None = UNSET
        if query.after is None:
            rows = await reader.rows("top_subjects", *of, query.largest)
        else:
            found = await reader.rows("subjects_after", *of, query.after, query.largest + 1)
            rows, after = _page(found, query.largest)
        subjects = msgspec.convert(rows, list[Subject])
        return Totals(type=query.type, total=total, subjects=subjects, next=after)

    async def _period(self, reader: Reader, query: StatsQuery) -> Totals:
        """The largest subjects of whole minutes; to compare, also their counts just before."""
        if query.from_ is None or query.subject is not None:
            raise Unprocessable("A period has a `from`, and is of all subjects.")
        start = _round_down(query.from_, _MINUTE)
        to = _round_up(query.to or datetime.now(UTC), _MINUTE)
        if not start < to:
            raise Unprocessable("`from` must be before `to`.")
        since = _before(start, to - start) if query.compare else start
        # What comes in the very moment when the last minute ends is of this period, too.
        of = (reader.project, query.type, start, to if query.to else _NEVER, since)
        (sums,) = await reader.rows("sum_between", *of)
        after: str | UnsetType | None = UNSET
        if query.after is None:
            rows = await reader.rows("top_between", *of, query.largest)
        else:
            found = await reader.rows("between_after", *of, query.after, query.largest + 1)
            page, after = _page(found, query.largest)
            rows = [each for each in page if each["total"] > 0]
        await buckets.check_edges(reader, since, start, to)
        if not query.compare:
            for counts in (sums, *rows):
                del counts["before"]
        subjects = msgspec.convert(rows, list[Subject])
        return Totals(type=query.type, from_=start, to=to, **sums, subjects=subjects, next=after)

    async def _series(self, reader: Reader, query: StatsQuery) -> Series:
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
        series = await reader.rows(
            "series", reader.project, query.type, query.subject or "", start, to, bucket
        )
        await buckets.check_buckets(reader, bucket, start)
        return Series(
            type=query.type,
            subject=UNSET if query.subject is None else query.subject,
            bucket=bucket,
            from_=start,
            to=to,
            series=msgspec.convert(series, list[Bucket]),
        )


def _page(found: list[dict[str, Any]], size: int) -> tuple[list[dict[str, Any]], str | None]:
    """So many of them, and after which the next page begins, if there is more."""
    subjects = found[:size]
    return subjects, subjects[-1]["subject"] if len(found) > size else None


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
