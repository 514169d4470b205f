"""What is wrong, in the shape that clients of one compatibility API look for: our `error` object
and, beside it, the fields of the older system."""

import functools

from aiohttp import hdrs, web
from msgspec import UNSET

from ..base.errors import LivetallyError, MissingKey
from ..ingest.batcher import Result
from ..schema.compat import ActionRejected, CompatFailure
from ..schema.http import Reason
from ..web.middleware import Handler, error_response, json_response, reason
from .actions import Shape, in_their_words

_CHALLENGE = 'Token realm="Application"'


def legible(handler: Handler, shape: Shape | None = None) -> Handler:
    """Errors in the shape of `shape`, or of the scheme in which the request brings its key."""

    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LivetallyError as error:
            return error_in(shape or _shape_of_scheme(request), error)

    return handle


def _shape_of_scheme(request: web.Request) -> Shape:
    scheme, space, _ = request.headers.get("Authorization", "").strip().partition(" ")
    if not space:
        return Shape.COLOR  # raw, in x-api-key, or none
    return Shape.RAILS if scheme.lower() == "token" else Shape.NATIVE


def error_in(shape: Shape, error: LivetallyError) -> web.Response:
    """An error as an answer."""
    match shape:
        case Shape.NATIVE:
            return error_response(error)
        case Shape.COLOR:
            message = error.message
            if error.status == 401:
                missing = isinstance(error, MissingKey)
                message = "Missing `Authorization` header" if missing else message
                message = f"Unauthorized: {message}"
            return error_response(error, CompatFailure(error=reason(error), message=message))
        case Shape.RAILS:
            message = "Bad credentials" if error.status == 401 else error.message
            told = CompatFailure(error=reason(error), status="error", message=message)
            response = error_response(error, told)
            if error.status == 401:
                response.headers[hdrs.WWW_AUTHENTICATE] = _CHALLENGE
            return response


def rejected(result: Result, shape: Shape) -> web.Response:
    """The one event of a request is no good."""
    (rejection,) = result.rejected
    rejection.message = in_their_words(rejection.message, shape)
    answer = ActionRejected(
        error=Reason(rejection.code, rejection.message),
        message=rejection.message,
        status="error" if shape is Shape.RAILS else UNSET,
        accepted=0,
        duplicates=0,
        rejected=result.rejections(),
    )
    return json_response(answer, 422)
