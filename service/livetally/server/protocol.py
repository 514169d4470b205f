"""What the HTTP layer rejects by itself, in our words; and clients that go away."""

import logging
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from ..base.errors import BadRequest, LivetallyError
from ..web.middleware import HEADERS, error_response
from .masking import MaskedOnly

log = logging.getLogger(__name__)


class Server(web.Server):
    """Makes a protocol for each connection."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """aiohttp answers a broken request in plain text, and logs a traceback for each; and it goes on
    reading for a client that has gone."""

    __slots__ = ()

    def set_parser(self, parser: Any, data_received_cb: Any = None) -> None:
        super().set_parser(MaskedOnly(parser), data_received_cb)  # type: ignore[arg-type]

    def connection_lost(self, exc: BaseException | None) -> None:
        """What only reads ends with its client. (What a client has sent is stored all the same.)"""
        request, handler = self._current_request, self._task_handler
        super().connection_lost(exc)
        if request is None or handler is None:
            return
        if request.method in ("GET", "HEAD") and hdrs.UPGRADE not in request.headers:
            handler.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        error = _error(status, exc, message)
        if error.status >= 500:
            log.error("a request failed", exc_info=exc)
        else:
            log.info("no valid HTTP -> %d: %s", error.status, error.message)
        response = error_response(error)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What is expected of us is answered before there is a handler, or a middleware."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = self.handle_error(request, resp.status, message=resp.text)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """What a client has sent, after its answer, that can't be read is no error of ours."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*arguments, **options)


def _error(status: int, error: BaseException | None, message: str | None) -> LivetallyError:
    if isinstance(error, LineTooLong):
        return BadRequest("The request line or a header is too long.")
    if status >= 500:
        return LivetallyError()
    # What follows the first line quotes the request.
    first = (message or "").strip().partition("\n")[0].rstrip(":.")
    return BadRequest(f"That is no valid HTTP: {first}." if first else None)
