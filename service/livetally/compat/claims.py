"""Where one path means two things: the compatibility APIs look at a request first.

`POST /v1/events` takes native events and those of color tracking, with Rails and without: what a
body holds decides, and an array or NDJSON may mix them. `GET /v1/stats?action=` is color
tracking's, `?type=` native. `GET /` is the page for browsers, a websocket for those that ask for
one, and for the rest the collector's hello.

What isn't claimed is answered by the native handler as if nobody had looked. Only an error, which
clients of any system may have caused, is put into the shape of the scheme that brought the key.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import hdrs, web

from ..api.stats import StatsQuery
from ..base.client_address import address_of
from ..base.config import MAX_EVENTS
from ..base.errors import BadRequest, LivetallyError
from ..ingest.batcher import Batcher
from ..ingest.events import Name, check, split
from ..ingest.http import answer, is_ndjson, read_body
from ..schema.compat import ColorAction, ColorStats, ColorStored, CompatFailure, RailsAction
from ..schema.keys import Role
from ..web.auth import Auth, Key
from ..web.middleware import Handler, error_response, reason
from ..web.operation_docs import Operation, Text, operation_of
from .actions import (
    FORM,
    MULTIPART,
    Shape,
    as_native,
    is_form,
    may_be_older,
    params,
    shape_of,
)
from .collector.routes import hello_or
from .colors.http import Colors
from .rails.events import RailsEvents
from .rejections import legible


class EitherStatsQuery(StatsQuery):
    """The parameters of both systems; one of `type` and `action` must be there."""

    type: Name | None = None  # type: ignore[assignment]
    action: Name | None = None


class Claims:
    """Stands in front of the native routes."""

    #: those that mean two things
    PATHS = frozenset({"/", "/v1/events", "/v1/stats"})

    def __init__(
        self, auth: Auth, batcher: Batcher, colors: Colors, rails: RailsEvents, socket: Handler
    ) -> None:
        self._auth = auth
        self._batcher = batcher
        self._colors = colors
        self._rails = rails
        self._socket = socket

    def in_front_of(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes; the paths that mean two things are looked at here first."""
        looks: dict[tuple[str, str], Callable[[Handler], Handler]] = {
            ("POST", "/v1/events"): self._events,
            ("GET", "/v1/stats"): self._stats,
            ("GET", "/"): self._home,
        }
        return [
            web.route(each.method, each.path, look(each.handler), **each.kwargs)
            if (look := looks.get((each.method, each.path)))
            else each
            for each in routes
        ]

    def _events(self, native: Handler) -> Handler:
        @functools.wraps(native)
        async def post_events(request: web.Request) -> web.StreamResponse:
            body = await self._body(request)
            if not _is_ours(request, body):
                return await native(request)
            return await self._take(request, await self._auth.admit(request, Role.WRITE), body)

        about = _also(
            native,
            body={
                "application/json": (ColorAction, RailsAction),
                FORM: Text(FORM),
                MULTIPART: Text(MULTIPART),
            },
            responses={200: (ColorStored,), 204: None},
        )
        return about.describe(legible(post_events))

    async def _body(self, request: web.Request) -> bytes:
        """The body, which the native handler can read again. What is wrong with a key comes before
        what is wrong with a body, and nobody unknown makes us wait for one."""
        if not request.content.is_eof():
            await self._auth.admit(request, Role.WRITE)
        try:
            return await read_body(request, types=None)
        except LivetallyError:
            await self._auth.admit(request, Role.WRITE)
            raise

    async def _take(self, request: web.Request, key: Key, body: bytes) -> web.Response:
        payer = await self._batcher.admit(key, address_of(request), len(body))
        fields = {} if is_ndjson(request) else params(request, body)
        if is_form(request, body):
            return await self._rails.take(payer, fields)
        match shape_of(fields):
            case Shape.RAILS:
                return await self._rails.take(payer, fields)
            case Shape.COLOR:
                return await self._colors.take(payer, as_native(body))
        texts = split(body, is_ndjson(request))
        if len(texts) <= MAX_EVENTS:
            texts = [as_native(bytes(text)) for text in texts]
        return answer(await self._batcher.take(check(texts, key.project), payer), request)

    def _home(self, native: Handler) -> Handler:
        hello = hello_or(native)

        @functools.wraps(native)
        async def home(request: web.Request) -> web.StreamResponse:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await self._socket(request)
            return await hello(request)

        errors = (*_operation(native).errors, *_operation(self._socket).errors)
        return _also(native, responses={101: None}, errors=errors).describe(home)

    def _stats(self, native: Handler) -> Handler:
        @functools.wraps(native)
        async def get_stats(request: web.Request) -> web.StreamResponse:
            if "action" in request.query:
                return await self._colors.get_stats(request)
            try:
                return await native(request)
            except BadRequest as error:
                if "type" in request.query:
                    raise
                missing = "Bad Request: Missing `action` query parameter"
                return error_response(error, CompatFailure(error=reason(error), message=missing))

        get_stats.__doc__ = f"{native.__doc__}\n\nWith `action` the answer is color tracking's."
        about = _also(native, responses={200: (ColorStats,)}, query=EitherStatsQuery)
        return about.describe(legible(get_stats))


def _is_ours(request: web.Request, body: bytes) -> bool:
    return is_form(request, body) or may_be_older(body)


def _also(native: Handler, **more: Any) -> Operation:
    """A native operation with what the claimed requests add to it."""
    about = _operation(native)
    for name in ("body", "responses"):
        known: dict[Any, Any] = getattr(about, name)
        added: dict[Any, Any] = more.get(name, {})
        both = {key: _joined(known[key], added[key]) for key in known.keys() & added.keys()}
        more[name] = known | added | both
    return msgspec.structs.replace(about, **more)


def _operation(handler: Handler) -> Operation:
    about = operation_of(handler)
    if about is None:
        raise TypeError(f"{handler} has no @operation(…)")
    return about


def _joined(known: Any, added: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*(known if isinstance(known, tuple) else (known,)), *added)
