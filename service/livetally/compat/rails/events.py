"""Events of color tracking with Rails: JSON or a form, answered with 204."""

from typing import Any

from aiohttp import web

from ...base.client_address import address_of
from ...base.errors import (
    BadRequest,
    Overloaded,
    RequestTimeout,
    ShuttingDown,
    TooLarge,
    Unprocessable,
    UnstorableEvent,
    UnsupportedMediaType,
)
from ...ingest.batcher import Batcher
from ...ingest.events import parse
from ...ingest.http import read_body
from ...schema.compat import RailsAction, RailsVersion
from ...schema.keys import Role
from ...web.auth import Auth
from ...web.operation_docs import Text, operation
from ...web.rate_limits import Payer
from ..actions import FORM, MULTIPART, Shape, from_rails, params
from ..rejections import error_in, rejected


class RailsEvents:
    """Takes an action on a color, one a request."""

    def __init__(self, auth: Auth, batcher: Batcher) -> None:
        self._auth = auth
        self._batcher = batcher

    @operation(
        "Send a colour's action, format 2",
        tag="Compatibility",
        key="write",
        path={"version": RailsVersion},
        body={"application/json": RailsAction, FORM: Text(FORM), MULTIPART: Text(MULTIPART)},
        responses={204: None},
        errors=(
            *(BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType, Unprocessable),
            *(UnstorableEvent, Overloaded, ShuttingDown),
        ),
    )
    async def post_events(self, request: web.Request) -> web.Response:
        """POST /v2/events and /v3/events."""
        key = await self._auth.admit(request, Role.WRITE)
        body = await read_body(request, types=None)
        payer = await self._batcher.admit(key, address_of(request), len(body))
        return await self.take(payer, params(request, body))

    async def take(self, payer: Payer, fields: dict[str, Any]) -> web.Response:
        """204, or what is wrong with it. Raises what `Batcher.take` does."""
        if "action_color" not in fields:
            error = BadRequest("param is missing or the value is empty: action_color")
            return error_in(Shape.RAILS, error)
        parsed = parse(from_rails(fields), payer.key.project)
        result = await self._batcher.take(parsed, payer)
        if result.rejected:
            return rejected(result, Shape.RAILS)
        return web.Response(status=204)
