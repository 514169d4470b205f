"""One path, several systems: whose request it is, and in which shape it is refused.

`POST /v1/events` takes native events and those of formats 1 and 2; what a body holds decides, and
an array or NDJSON may mix them. `GET /v1/stats?action=` is format 1, `?type=` native. A refusal has
our `error` object and, beside it, the fields that clients of the older system look for.
"""

import functools
from typing import Any

from aiohttp import hdrs, web

from ..api.stats import Query, Stats
from ..base.errors import (
    BadRequest,
    LivetallyError,
    MissingKey,
    Overloaded,
    RequestTimeout,
    ShuttingDown,
    TooLarge,
    Unprocessable,
    UnstorableEvent,
    UnsupportedMediaType,
)
from ..ingest.batcher import Batcher, Result
from ..ingest.events import Name, parse
from ..ingest.http import FORM, answer, is_ndjson
from ..schema.compat import ColourStats, RailsAction, RailsVersion
from ..schema.http import Series, SubjectTotal, Totals
from ..web.auth import Key
from ..web.middleware import Handler, error_response, json_response
from ..web.operation_docs import Operation, Text, operation
from .actions import (
    Shape,
    as_native,
    fields_of,
    form_fields,
    from_rails,
    in_their_words,
    may_be_older,
    shape_of,
)
from .colors.http import Colour

_CHALLENGE = 'Token realm="Application"'


def legible(handler: Handler, shape: Shape | None = None) -> Handler:
    """Refusals in the shape of `shape`, or of the scheme in which the request brings its key."""

    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LivetallyError as error:
            return _refusal(error, shape or _shape_of_scheme(request))

    return handle


def _shape_of_scheme(request: web.Request) -> Shape:
    scheme, space, _ = request.headers.get("Authorization", "").strip().partition(" ")
    if not space:
        return Shape.COLOUR  # raw, in x-api-key, or none
    return Shape.RAILS if scheme.lower() == "token" else Shape.NATIVE


def _refusal(error: LivetallyError, shape: Shape) -> web.Response:
    match shape:
        case Shape.NATIVE:
            return error_response(error)
        case Shape.COLOUR:
            message = error.message
            if error.status == 401:
                missing = isinstance(error, MissingKey)
                message = "Missing `Authorization` header" if missing else message
                message = f"Unauthorized: {message}"
            return error_response(error, message=message)
        case Shape.RAILS:
            message = "Bad credentials" if error.status == 401 else error.message
            response = error_response(error, status="error", message=message)
            if error.status == 401:
                response.headers[hdrs.WWW_AUTHENTICATE] = _CHALLENGE
            return response


class StatsQuery(Query):
    """The parameters of both formats; one of `type` and `action` must be there."""

    type: Name | None = None  # type: ignore[assignment]
    action: Name | None = None


#: POST /v2/events and /v3/events.
RAILS_POST = Operation(
    summary="Send a colour's action, format 2",
    tag="Older",
    key="write",
    path={"version": RailsVersion},
    body={"application/json": RailsAction, FORM: Text(FORM)},
    responses={204: None},
    errors=(
        *(BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType, Unprocessable),
        *(UnstorableEvent, Overloaded, ShuttingDown),
    ),
)


class OlderPaths:
    """The paths that several systems have."""

    def __init__(self, batcher: Batcher, colour: Colour, stats: Stats) -> None:
        self._batcher = batcher
        self._colour = colour
        self._stats = stats

    @operation(
        "A type's totals, a subject's, a period's, or counts over time",
        tag="Counts",
        key="read",
        query=StatsQuery,
        responses={200: (Totals, SubjectTotal, Series, ColourStats)},
        errors=(BadRequest, Unprocessable),
    )
    async def get_stats(self, request: web.Request) -> web.Response:
        """The `top` largest subjects of a type, one `subject`'s total, or with `bucket` a series.

        `from` and `to` bound the time, rounded out to whole minutes or buckets; `compare=before`
        adds what there was just before it, as long. Beside a period's counts stands what there was
        `ever` at that moment: what a live total has beyond it came later. With `action` the answer
        is format 1's.
        """
        if "action" in request.query:
            return await self._colour.get_stats(request)
        try:
            return await self._stats.get_stats(request)
        except BadRequest as error:
            if "type" in request.query:
                raise
            return error_response(error, message="Bad Request: Missing `action` query parameter")

    async def take(self, request: web.Request, key: Key, body: bytes) -> web.Response | None:
        """POST /v1/events, if there may be something of the older systems in it; else None."""
        if request.content_type == FORM:
            if body.lstrip()[:1] in (b"{", b"["):
                raise UnsupportedMediaType  # `curl -d` says so when it is told nothing else
            return await self._take_rails(key, form_fields(body))
        if not may_be_older(body):
            return None
        fields = {} if is_ndjson(request) else fields_of(body)
        match shape_of(fields):
            case Shape.RAILS:
                return await self._take_rails(key, fields)
            case Shape.COLOUR:
                return _answer_colour(await self._store(key, as_native(body)))
        parsed = parse(body, key.project, ndjson=is_ndjson(request), translate=as_native)
        return answer(await self._batcher.take(parsed, key), request)

    async def take_rails(self, request: web.Request, key: Key, body: bytes) -> web.Response:
        """POST /v2/events and /v3/events: format 2 only."""
        form = request.content_type == FORM
        return await self._take_rails(key, form_fields(body) if form else fields_of(body))

    async def _take_rails(self, key: Key, fields: dict[str, Any]) -> web.Response:
        if "action_color" not in fields:
            error = BadRequest("param is missing or the value is empty: action_color")
            return _refusal(error, Shape.RAILS)
        result = await self._store(key, from_rails(fields))
        if result.rejected:
            return _rejected(result, Shape.RAILS, status="error")
        return web.Response(status=204)

    async def _store(self, key: Key, event: bytes) -> Result:
        return await self._batcher.take(parse(event, key.project), key)


def _answer_colour(result: Result) -> web.Response:
    if result.rejected:
        return _rejected(result, Shape.COLOUR)
    return json_response({"message": "Event stored successfully.", **result.as_json()})


def _rejected(result: Result, shape: Shape, **more: str) -> web.Response:
    """The one event of a request is no good."""
    (rejection,) = result.rejected
    rejection.message = in_their_words(rejection.message, shape)
    error = {"code": rejection.code, "message": rejection.message}
    answer = {"error": error, "message": rejection.message, **more, **result.as_json()}
    return json_response(answer, 422)
