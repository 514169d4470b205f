"""Around every request: its id, CORS, errors as JSON, metrics, and the log line of a bad one."""

import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from ..base.errors import (
    BadRequest,
    LivetallyError,
    MethodNotAllowed,
    NotFoundError,
    ShuttingDown,
    TooLarge,
)
from ..ops.logs import request_id
from ..ops.metrics import Metrics
from ..schema.http import Failure, Reason

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encoder = msgspec.json.Encoder()

# Keys travel in headers, never in cookies, so any page may ask: its key decides what it gets.
# Shown as a page by a browser that was led here, an answer may run and load nothing; pages say
# themselves what they need.
HEADERS = CIMultiDict(
    {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Livetally-Project, Retry-After, X-Request-Id",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Server": "livetally",
    }
)
#: What load balancers and monitoring ask, from one address.
UNLIMITED = {"/healthz", "/readyz", "/metrics"}
_ALLOWED_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, If-Match, If-None-Match, Last-Event-ID, "
    "Traceparent, Tracestate, X-Api-Key, X-Request-Id, X-Requested-With"
)
#: Tracing tools add headers of their own to every request of a page; no page has more than this.
_MAX_ASKED_HEADERS = 4096
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]+")


def json_response(value: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=_encoder.encode(value), status=status, content_type="application/json")


def reason(error: LivetallyError) -> Reason:
    return Reason(error.code, error.message)


def error_response(error: LivetallyError, told: msgspec.Struct | None = None) -> web.Response:
    """An error as an answer; `told` is how clients of a compatibility API are told."""
    response = json_response(told or Failure(reason(error)), error.status)
    if error.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    if error.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="livetally"'
    if isinstance(error, ShuttingDown):
        response.force_close()  # the next attempt is to reach another process
    return response


async def _everybody(request: web.Request) -> None:
    """Nobody is refused."""


def middleware(
    metrics: Metrics, admit: Callable[[web.Request], Awaitable[None]] = _everybody
) -> Any:
    """The application's one middleware; `admit` raises LivetallyError to refuse a request."""

    @lru_cache(maxsize=1_000)
    def count(method: str, route: str, status: int) -> Any:
        return metrics.requests.labels(method, route, str(status))

    @lru_cache(maxsize=100)
    def seconds(route: str) -> Any:
        return metrics.request_seconds.labels(route)

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        # A connection's requests come one after another in one task: the last one set is right.
        request_id.set(_given_id(request) or f"{random.getrandbits(64):016x}")
        if request.method == hdrs.METH_OPTIONS:
            response: web.StreamResponse = web.Response(status=204, headers=_preflight(request))
        else:
            try:
                await admit(request)
                response = await handler(request)
            except Exception as error:
                response = _refusal(request, error)
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            if response.headers.get("Cross-Origin-Resource-Policy") == "same-origin":
                del response.headers["Access-Control-Allow-Origin"]  # a page, not the API
            response.headers["X-Request-Id"] = request_id.get()
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unmatched"
        count(request.method, route, response.status).inc()
        if isinstance(response, web.Response):  # not what stays open
            seconds(route).observe(time.perf_counter() - started)
        if response.status >= 400:
            # The path only: a query can hold a key.
            log.info("%s %s -> %d", request.method, request.path, response.status)
        return response

    return edge


def _preflight(request: web.Request) -> dict[str, str]:
    """Any page may send any header: no cookies are looked at, so none can do harm."""
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    fine = len(asked) <= _MAX_ASKED_HEADERS and _HEADER_NAMES.fullmatch(asked)
    return {
        "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": f"{_ALLOWED_HEADERS}, {asked}"
        if fine
        else _ALLOWED_HEADERS,
        "Access-Control-Max-Age": "600",
        "Vary": hdrs.ACCESS_CONTROL_REQUEST_HEADERS,
    }


def _given_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if len(given) <= 64 and given.isascii() and given.isprintable() else ""


def _refusal(request: web.Request, error: Exception) -> web.StreamResponse:
    match error:
        case LivetallyError():
            return error_response(error)
        case web.HTTPException():
            return _translated(error)
        case ConnectionError() if request.transport is None or request.transport.is_closing():
            return web.Response(status=499)  # the client has gone: for the metrics only
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return error_response(LivetallyError())


def _translated(error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own refusals in our form."""
    if error.status < 400:
        return error
    ours: LivetallyError
    match error:
        case web.HTTPNotFound():
            ours = NotFoundError()
        case web.HTTPMethodNotAllowed():
            ours = MethodNotAllowed(f"Use one of: {', '.join(sorted(error.allowed_methods))}.")
        case web.HTTPRequestEntityTooLarge():
            ours = TooLarge()
        case _:
            ours = BadRequest(error.reason)
    response = error_response(ours)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
    return response
