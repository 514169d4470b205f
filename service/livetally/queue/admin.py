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
    NotFound,
    QueueUnavailable,
    RequestTimeout,
    TooLarge,
    Unprocessable,
    UnsupportedMediaType,
)
from ..ingest.http import read_body
from ..web.auth import Auth
from ..web.keys import Role
from ..web.middleware import json_response
from ..web.operation_docs import Example, described
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


_ID = "b9f62b0a-d514-4df5-a8f7-a60bd9bddb14"
_LETTER = {
    "id": _ID,
    "sent_at": "2026-11-21T10:00:00Z",
    "receives": 5,
    "bytes": 16,
    "head": '{"type":"click"}',
    "cause": "refused_in_part",
    "reason": "1 of 1 records were refused. The first is number 1: Object missing `subject`.",
}
_LINE = {
    "line": 1,
    "cause": "invalid_event",
    "reason": "Object missing `subject`.",
    "head": '{"type":"click"}',
}


class QueueAdmin:
    """For admin keys. Raises what Auth does, QueueUnavailable, or NotFound without a queue."""

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

    @described(
        "What the queue refused",
        tag="Administration",
        key="admin",
        answers={200: FoundDeadLetters},
        query=LimitQuery,
        refuses=(BadRequest, NotFound, QueueUnavailable),
        examples=(
            Example(says="One", elsewhere=True, answer={"dead_letters": [_LETTER]}),
            Example(says="No queue", status=404),
            Example(says="No such limit", query="limit=0", status=400),
        ),
    )
    async def first(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response({"dead_letters": await self._dead_letters.first(_limit(request))})

    @described(
        "One dead letter, with its body",
        tag="Administration",
        key="admin",
        answers={200: Whole},
        refuses=(NotFound, QueueUnavailable),
        examples=(
            Example(
                says="With a bad record",
                path={"id": _ID},
                elsewhere=True,
                answer={
                    **_LETTER,
                    "body": _LETTER["head"],
                    "attributes": {"api_key": "(not shown)"},
                    "lines": [_LINE],
                },
            ),
            Example(says="No queue", path={"id": "4f1c"}, status=404),
        ),
    )
    async def show(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response(await self._dead_letters.show(request.match_info["id"]))

    @described(
        "Send dead letters to the queue again",
        tag="Administration",
        key="admin",
        answers={200: SentAgain},
        body={"application/json": Replay},
        refuses=(
            *(MalformedJson, BadRequest, RequestTimeout, NotFound, TooLarge),
            *(UnsupportedMediaType, Unprocessable, QueueUnavailable),
        ),
        examples=(
            Example(
                says="Of two, one",
                body={"ids": [_ID, "4f1c"]},
                elsewhere=True,
                answer={
                    "ids": [_ID],
                    "missing": ["4f1c"],
                    "failed": [],
                    "dry_run": False,
                },
            ),
            Example(says="No queue", body={"all": True, "dry_run": True}, status=404),
            Example(says="Neither some nor all", body={}, status=422),
            Example(says="No JSON", body="{", media_type="text/plain", status=400),
            Example(says="Too large", body="x" * 1_048_577, media_type="text/plain", status=413),
            Example(says="Another type", body="<a/>", media_type="application/xml", status=415),
        ),
    )
    async def replay(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        asked = _asked(await read_body(request))
        ids = None if asked.all else asked.ids
        return json_response(await self._dead_letters.replay(ids, dry_run=asked.dry_run))

    @described(
        "The latest reasons of refusals",
        tag="Administration",
        key="admin",
        answers={200: FoundRefusals},
        query=LimitQuery,
        refuses=(BadRequest,),
        examples=(
            Example(
                says="A record",
                elsewhere=True,
                answer={
                    "refusals": [
                        {
                            "message": _ID,
                            **_LINE,
                            "object": "",
                            "receives": 5,
                            "refused_at": "2026-11-21T10:00:05Z",
                        }
                    ]
                },
            ),
            Example(says="None", answer={"refusals": []}),
            Example(says="No such limit", query="limit=0", status=400),
        ),
    )
    async def refusals(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        return json_response({"refusals": await self._refusals.lately(_limit(request))})


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
