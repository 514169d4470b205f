"""/admin/v1/dead-letters: what the queue refused, for who runs the installation.

GET  /admin/v1/dead-letters            {"dead_letters":[…]}; ?limit=100
GET  /admin/v1/dead-letters/{id}       one of them, with its body and its bad lines
POST /admin/v1/dead-letters/replay     {"ids":[…]} or {"all":true}, and "dry_run"
GET  /admin/v1/refusals                the latest reasons, those of objects that were taken too
"""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from ..base.errors import (
    BadRequest,
    MalformedJson,
    NotFoundError,
    QueueUnavailable,
    RequestTimeout,
    TooLarge,
    Unprocessable,
    UnsupportedMediaType,
)
from ..ingest.http import read_body
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.params import body_as
from .dead_letters import MAX_LOOKED_AT, DeadLetter, DeadLetters, SentAgain, Whole
from .rejections import Refusal, Refusals


class LimitQuery(msgspec.Struct):
    """The parameters of a list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LOOKED_AT)] = 100


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    ids: list[str] | None = None
    all: bool = False
    dry_run: bool = False


class FoundDeadLetters(msgspec.Struct):
    """Some of them, in no order."""

    dead_letters: list[DeadLetter]


class FoundRefusals(msgspec.Struct):
    """The latest first."""

    refusals: list[Refusal]


class QueueAdmin:
    """For admin keys. Raises what Auth does, QueueUnavailable, or NotFoundError without a queue."""

    def __init__(self, auth: Auth, dead_letters: DeadLetters, refusals: Refusals) -> None:
        self._auth = auth
        self._dead_letters = dead_letters
        self._refusals = refusals

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin/v1/dead-letters", self.first),
            web.get("/admin/v1/dead-letters/{id}", self.show),
            web.post("/admin/v1/dead-letters/replay", self.replay),
            web.get("/admin/v1/refusals", self.refusals),
        ]

    @operation(
        "What the queue refused",
        tag="Administration",
        key="admin",
        responses={200: FoundDeadLetters},
        query=LimitQuery,
        errors=(BadRequest, NotFoundError, QueueUnavailable),
    )
    async def first(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response(FoundDeadLetters(await self._dead_letters.first(_limit(request))))

    @operation(
        "One dead letter, with its body",
        tag="Administration",
        key="admin",
        responses={200: Whole},
        errors=(NotFoundError, QueueUnavailable),
    )
    async def show(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response(await self._dead_letters.show(request.match_info["id"]))

    @operation(
        "Send dead letters to the queue again",
        tag="Administration",
        key="admin",
        responses={200: SentAgain},
        body={"application/json": Replay},
        errors=(
            *(MalformedJson, BadRequest, RequestTimeout, NotFoundError, TooLarge),
            *(UnsupportedMediaType, Unprocessable, QueueUnavailable),
        ),
    )
    async def replay(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        asked = _asked(await read_body(request))
        ids = None if asked.all else asked.ids
        return json_response(await self._dead_letters.replay(ids, dry_run=asked.dry_run))

    @operation(
        "The latest reasons of refusals",
        tag="Administration",
        key="admin",
        responses={200: FoundRefusals},
        query=LimitQuery,
        errors=(BadRequest,),
    )
    async def refusals(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response(FoundRefusals(await self._refusals.lately(_limit(request))))


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "100")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_LOOKED_AT):
        raise BadRequest(f"`limit` takes a number from 1 to {MAX_LOOKED_AT}.")
    return int(text)


def _asked(body: bytes) -> Replay:
    asked = body_as(body, Replay)
    if asked.all == (asked.ids is not None):
        raise Unprocessable('Send {"ids":[…]}, or {"all":true}.')
    return asked
