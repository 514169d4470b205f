"""POST /v1/events: from an HTTP request to events on disk, and the answer."""

import asyncio
import re
from collections.abc import Set
from typing import Literal

import msgspec
from aiohttp import web
from msgspec import UNSET

from ..base.client_address import address_of
from ..base.config import MAX_BODY_BYTES
from ..base.errors import (
    BadRequest,
    MalformedJson,
    Overloaded,
    RequestTimeout,
    ShuttingDown,
    TooLarge,
    TooManyEvents,
    Unprocessable,
    UnstorableEvent,
    UnsupportedMediaType,
)
from ..base.lines import BOM
from ..schema.http import Ack, Failure, Fate, NoneValid, Reason
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import Text, operation
from .batcher import Batcher, Result
from .events import Rejection, Sent, parse
from .packing import unpacked

#: A megabyte takes this long at 100 kB/s; who sends slower holds a connection for nothing.
BODY_TIMEOUT_S = 10

_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
# text/plain is what navigator.sendBeacon sends; aiohttp says octet-stream when there is no header.
TYPES = {"application/json", "text/plain", "application/octet-stream"} | _NDJSON

#: Where a request keeps what was read of it.
_BODY = web.RequestKey("body", bytes)

_UTF_8 = re.compile(
    r"(?:(?:x-)?unicode-\d-\d-)?utf[-_ ]?8(?:[-_]?(?:mb[34]|sig|bom))?|(?:us[-_]?)?ascii|",
    re.IGNORECASE,
)


class EventsQuery(msgspec.Struct):
    """The parameters of a request."""

    results: Literal["each"] | None = None
    api_key: str | None = None


class Ingest:
    """The HTTP way in. The websocket's is `track`, in `live`."""

    def __init__(self, auth: Auth, batcher: Batcher) -> None:
        self._auth = auth
        self._batcher = batcher

    @operation(
        "Send events",
        tag="Events",
        key="write",
        query=EventsQuery,
        body={
            "application/json": (Sent, list[Sent]),
            "application/x-ndjson": Text("application/x-ndjson"),
            "text/plain": Text("text/plain"),
        },
        responses={200: Ack, 422: (NoneValid, Failure)},
        errors=(
            *(MalformedJson, BadRequest, RequestTimeout, TooLarge, TooManyEvents),
            *(UnsupportedMediaType, Unprocessable, UnstorableEvent, Overloaded, ShuttingDown),
        ),
    )
    async def post_events(self, request: web.Request) -> web.Response:
        """200 with what became of each event; 422 if none of them is valid."""
        # sendBeacon can't set a header, so a write key may also stand in the query.
        key = await self._auth.admit(request, Role.WRITE)
        body = await read_body(request)
        sender = await self._batcher.admit(key, address_of(request), len(body))
        parsed = parse(body, key.project, ndjson=is_ndjson(request))
        result = await self._batcher.take(parsed, sender)
        response = answer(result, request)
        # A browser hands what waits for a revoked key on to the next one of the same project.
        response.headers["Livetally-Project"] = str(key.project)
        return response


def is_ndjson(request: web.Request) -> bool:
    return request.content_type in _NDJSON


async def read_body(request: web.Request, types: Set[str] | None = TYPES) -> bytes:
    """The whole body, checked for type (None: it may be any) and size.

    Raises UnsupportedMediaType, TooLarge, BadRequest, or RequestTimeout if it doesn't arrive.
    """
    if types is not None and not _is_one_of(request, types):
        raise UnsupportedMediaType
    body: bytes | None = request.get(_BODY)
    if body is None:  # else whoever looked at the request first has read it
        body = request[_BODY] = await _whole(request)
    return body


async def _whole(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge
    body = await _read(request)
    return unpacked(body, request.headers.get("Content-Encoding", "")).removeprefix(BOM)


async def _read(request: web.Request) -> bytes:
    try:
        if request.content.is_eof():  # it is here already, as small ones are
            return await request.read()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    except web.RequestPayloadError:
        raise BadRequest("The body breaks off.") from None
    except TimeoutError:
        raise RequestTimeout from None


def _is_one_of(request: web.Request, types: Set[str]) -> bool:
    charset = (request.charset or "").strip("'\" ")
    utf_8 = _UTF_8.fullmatch(charset) is not None
    return utf_8 and request.content_type in types


def answer(result: Result, request: web.Request) -> web.Response:
    """What became of the events; `?results=each` asks for every one's fate."""
    # The query is parsed only where it is asked for: most requests have none.
    each = "results" in request.query_string and request.query.get("results") == "each"
    fates = _fates(result) if each else UNSET
    if result.accepted or result.duplicates:
        return json_response(result.as_ack(fates))
    nothing = NoneValid(
        accepted=0,
        duplicates=0,
        rejected=result.rejections(),
        results=fates,
        error=_why_none(result.rejected),
    )
    return json_response(nothing, 422)


def _why_none(rejected: list[Rejection]) -> Reason:
    first = rejected[0]
    if len(rejected) == 1:
        return Reason(first.code, first.message)
    message = f"None of the {len(rejected)} events is valid; the first: {first.message}"
    return Reason("no_valid_event", message)


def _fates(result: Result) -> list[Fate]:
    """The fate of every event, in the order of the request."""
    size = result.accepted + len(result.duplicates) + len(result.rejected)
    fates: list[Fate] = ["accepted"] * size
    for index in result.duplicates:
        fates[index] = "duplicate"
    for rejection in result.rejected:
        fates[rejection.index] = "rejected"
    return fates
