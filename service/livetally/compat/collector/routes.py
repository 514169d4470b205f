"""Format 5, an event collector: HTTP with Basic authentication, one login for everything.

    POST /button/click   {"session_id","button_id"}               {"message":"Received"}
    POST /web/page_view  {"url","session_id","referral_url"?,"ipaddress"?,"useragent"?}
    GET  /button/click/count?button_id=                           {"count":5}
    GET  /web/page_view/count?url=
    GET  /               {"message":"Hello World"}, unless HTML is asked for

They are native events of the types `button_click` and `page_view`; the subject is the button or the
address. The optional fields are kept as properties. `id` (ours, optional) makes a retry safe.

The user is the project's name, the password one of its keys: a read_write key does what the old
login did; one that may only write, or only read, gets 403 for the other half. Wrong ones get 403 as
well, missing or malformed ones 401. What is wrong with a body or a query is said as FastAPI did.
"""

import base64
import binascii
import functools
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import hdrs, web

from ...api.page_views import PAGE_VIEW
from ...base.client_address import address_of
from ...base.errors import (
    BadRequest,
    LivetallyError,
    MalformedJson,
    MissingKey,
    Overloaded,
    RequestTimeout,
    ShuttingDown,
    TooLarge,
    UnknownKey,
    UnstorableEvent,
    UnsupportedMediaType,
    WrongRole,
)
from ...ingest.batcher import Batcher
from ...ingest.events import check, new_id
from ...ingest.http import read_body
from ...schema.compat import Click, Counted, FailureDetail, Problems, Said, View
from ...schema.http import Reason
from ...schema.keys import Role
from ...web.auth import Auth, Key
from ...web.middleware import error_response, json_response
from ...web.operation_docs import operation
from ...web.read_budgets import Reads
from .detail import Field, Invalid, parse, problem

BUTTON_CLICK = "button_click"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SESSION = Field("session_id", 128)
_ID = Field("id", 128, required=False)
_CLICK = (_SESSION, Field("button_id", 1024, shortest=1), _ID)
_VIEW = (
    Field("url", 1024, shortest=1),
    _SESSION,
    Field("referral_url", 4096, required=False),
    Field("ipaddress", 256, required=False),
    Field("useragent", 4096, required=False),
    _ID,
)


class WrongLogin(LivetallyError):
    """The user must be a project, and the password one of its keys."""

    status = 403
    code = "wrong_login"


class ButtonQuery(msgspec.Struct):
    button_id: str


class AddressQuery(msgspec.Struct):
    url: str


_WRITES: dict[str, Any] = {"tag": "Compatibility", "key": "write", "login": True}
_READS: dict[str, Any] = {"tag": "Compatibility", "key": "read", "login": True}
_POST_ERRORS = (
    *(WrongLogin, BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType),
    *(UnstorableEvent, Overloaded, ShuttingDown),
)


class Collector:
    """The old collector's routes."""

    def __init__(self, auth: Auth, batcher: Batcher, reads: Reads) -> None:
        self._auth = auth
        self._batcher = batcher
        self._reads = reads

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/button/click", answering(self.click)),
            web.get("/button/click/count", answering(self.clicks)),
            web.post("/web/page_view", answering(self.view)),
            web.get("/web/page_view/count", answering(self.views)),
        ]

    @operation(
        "Send a button click, format 5",
        body={"application/json": Click},
        responses={200: Said, 422: Problems},
        errors=_POST_ERRORS,
        **_WRITES,
    )
    async def click(self, request: web.Request) -> web.Response:
        return await self._count(request, BUTTON_CLICK, "button_id", _CLICK)

    @operation(
        "Send a page view, format 5",
        body={"application/json": View},
        responses={200: Said, 422: Problems},
        errors=_POST_ERRORS,
        **_WRITES,
    )
    async def view(self, request: web.Request) -> web.Response:
        return await self._count(request, PAGE_VIEW, "url", _VIEW)

    @operation(
        "A button's clicks, format 5",
        query=ButtonQuery,
        responses={200: Counted, 422: Problems},
        errors=(WrongLogin,),
        **_READS,
    )
    async def clicks(self, request: web.Request) -> web.Response:
        return await self._total(request, BUTTON_CLICK, "button_id")

    @operation(
        "An address's page views, format 5",
        query=AddressQuery,
        responses={200: Counted, 422: Problems},
        errors=(WrongLogin,),
        **_READS,
    )
    async def views(self, request: web.Request) -> web.Response:
        return await self._total(request, PAGE_VIEW, "url")

    async def _count(
        self, request: web.Request, type_: str, subject: str, fields: tuple[Field, ...]
    ) -> web.Response:
        key = await self._enter(request, Role.WRITE)
        body = await read_body(request, types=None)
        sender = await self._batcher.admit(key, address_of(request), len(body))
        sent = parse(body, fields)
        event = {
            "id": sent.pop("id", None) or new_id(),
            "type": type_,
            "subject": sent.pop(subject),
            "session": sent.pop("session_id") or None,
            "properties": sent,
        }
        parsed = check([msgspec.json.encode(event)], key.project)
        if parsed.rejected:
            raise Invalid(problem("body", (), parsed.rejected[0].message, "value_error"))
        await self._batcher.take(parsed, sender)
        return json_response(Said("Received"))

    async def _total(self, request: web.Request, type_: str, name: str) -> web.Response:
        key = await self._enter(request, Role.READ)
        if name not in request.query:
            raise Invalid(problem("query", (name,), "field required", "value_error.missing"))
        subject = request.query[name]
        if not subject or "\0" in subject:  # no event has it; '' would be the total of all
            return json_response(Counted(0))
        count = await self._reads.by(key).value("total", key.project, type_, subject)
        return json_response(Counted(count))

    async def _enter(self, request: web.Request, role: Role) -> Key:
        """Raises MissingKey, WrongLogin, WrongRole, ForeignOrigin, or DatabaseUnavailable."""
        user, password = _login(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            key = await self._auth.find(password, address_of(request))
        except (MissingKey, UnknownKey):
            raise WrongLogin from None
        if key.project_name != user:
            raise WrongLogin
        try:
            key.require(role, request.headers.get("Origin"))
        except WrongRole as error:
            raise WrongRole(f"{error.message} A read_write key does both.") from None
        return key


def hello_or(page: Handler) -> Handler:
    """`GET /`: the page for browsers, and for the rest what the old collector said."""

    @functools.wraps(page)
    async def home(request: web.Request) -> web.StreamResponse:
        accept = request.headers.get(hdrs.ACCEPT, "").lower()
        asks_for_html = "text/html" in accept or "text/*" in accept
        response = await page(request) if asks_for_html else json_response(Said("Hello World"))
        response.headers[hdrs.VARY] = hdrs.ACCEPT
        return response

    return home


def answering(handler: Handler) -> Handler:
    """Say what is wrong in the old system's form, `detail`."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Invalid as invalid:
            return json_response(Problems(list(invalid.problems)), 422)
        except MalformedJson as error:
            wrong = problem("body", (0,), error.message, "value_error.jsondecode")
            return json_response(Problems([wrong]), 422)
        except LivetallyError as error:
            response = error_response(error)
            detail = FailureDetail(error.message, Reason(error.code, error.message))
            response.body = msgspec.json.encode(detail)
            if error.status == 401:
                response.headers[hdrs.WWW_AUTHENTICATE] = "Basic"
            return response

    return answer


def _login(header: str) -> tuple[str, str]:
    """User and password. Raises MissingKey."""
    scheme, _, credentials = header.strip().partition(" ")
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    user, colon, password = text.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise MissingKey("Log in with HTTP Basic: the project's name and one of its keys.")
    return unquote(user), unquote(password)
