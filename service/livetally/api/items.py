"""Items: keyed values that change. Durable when acknowledged, versioned, and pushed to viewers.

PUT    /v1/items/{key}/{id}   the body is the value. `If-Match: 3` stores it only over version
                              3, `If-None-Match: *` only if there is no such item; else 409
GET    /v1/items/{key}/{id}   {"key","id","version","updated_at","value"}
DELETE /v1/items/{key}/{id}   takes `If-Match` too
PUT    /v1/items/{key}        [{"id","value","version"?}…]: all of them, or none (409)
GET    /v1/items/{key}        a page {"items":[…],"next":id|null}; ?after=id&limit=100
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta, Raw

from ..base.client_address import address_of
from ..base.config import MAX_EVENTS
from ..base.errors import (
    BadRequest,
    MalformedJson,
    NotFoundError,
    RequestTimeout,
    TooLarge,
    TooManyEvents,
    Unprocessable,
    UnsupportedMediaType,
    VersionConflict,
)
from ..base.validation import plainly
from ..ingest.events import check_value
from ..ingest.http import read_body
from ..live.announcer import Announcer
from ..schema.http import (
    Item,
    ItemPage,
    ItemVersion,
    KeyQuery,
    RemovedItem,
    StoredItem,
    StoredItems,
)
from ..schema.items import SCAN_ITEMS, ItemId, ItemKey, ItemRow, VersionNumber
from ..schema.keys import Role
from ..web.auth import Auth, Key
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.rate_limits import Limits, Payer
from ..web.read_budgets import Reads

MAX_VALUE_BYTES = 64 * 1024
#: A page of a list ends after about this many bytes of values.
PAGE_BYTES = 1024 * 1024

_encoder = msgspec.json.Encoder()
_ETAG = re.compile(r'(?:W/)?"?(\d{1,18})"?')


class _Place(msgspec.Struct):
    """Where an item is: the names in a path."""

    key: ItemKey
    id: ItemId | None = None


class PutItem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An item of a batch."""

    id: ItemId
    value: Raw
    version: VersionNumber | None = None


class _Answer(msgspec.Struct):
    """What `put_items` returns: one of them."""

    items: list[ItemVersion] = []
    stale: list[str] = []


_batch = msgspec.json.Decoder(list[PutItem])
_answer = msgspec.json.Decoder(_Answer)


class PageQuery(msgspec.Struct):
    """The parameters of a list."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    api_key: str | None = None


_CONDITIONS = {
    "If-Match": "Only over this version.",
    "If-None-Match": "`*`: only if there is no such item.",
}
_BODY_ERRORS = (
    *(BadRequest, MalformedJson, RequestTimeout, TooLarge, UnsupportedMediaType),
    *(TooManyEvents, Unprocessable),
)


class Items:
    """The HTTP side of items; `items_topic` is the live one."""

    def __init__(
        self,
        auth: Auth,
        reads: Reads,
        limits: Limits,
        announcer: Announcer,
    ) -> None:
        self._auth = auth
        self._limits = limits
        self._reads = reads
        self._announcer = announcer

    @operation(
        "Store an item",
        tag="Items",
        key="write",
        path={"key": ItemKey, "id": ItemId},
        query=KeyQuery,
        headers=_CONDITIONS,
        body={"application/json": Any},
        responses={200: StoredItem},
        errors=(*_BODY_ERRORS, VersionConflict),
    )
    async def put_item(self, request: web.Request) -> web.Response:
        key, place = await self._enter(request, Role.WRITE)
        body = await read_body(request)
        payer = await self._limits.admit(key, address_of(request), len(body))
        check_item(body)
        put = PutItem(place.id or "", Raw(body), _expected(request))
        (stored,) = await self._put(payer, place.key, [put])
        return _with_etag(StoredItem(place.key, stored.id, stored.version, stored.updated_at))

    @operation(
        "Store items, all or none",
        tag="Items",
        key="write",
        path={"key": ItemKey},
        query=KeyQuery,
        body={"application/json": list[PutItem]},
        responses={200: StoredItems},
        errors=(*_BODY_ERRORS, VersionConflict),
    )
    async def put_items(self, request: web.Request) -> web.Response:
        key, place = await self._enter(request, Role.WRITE)
        body = await read_body(request)
        payer = await self._limits.admit(key, address_of(request), len(body))
        stored = await self._put(payer, place.key, _parse_batch(body))
        return json_response(StoredItems(stored))

    @operation(
        "An item as it is now",
        tag="Items",
        key="read",
        path={"key": ItemKey, "id": ItemId},
        query=KeyQuery,
        responses={200: Item},
        errors=(BadRequest, NotFoundError),
    )
    async def get_item(self, request: web.Request) -> web.Response:
        key, place = await self._enter(request, Role.READ)
        rows = await self._reads.by(key).rows("get_item", key.project, place.key, place.id)
        if not rows:
            raise NotFoundError(f"There is no item {place.id!r} of {place.key!r}.")
        return _with_etag(ItemRow(**rows[0]).as_item(place.key))

    @operation(
        "Remove an item",
        tag="Items",
        key="write",
        path={"key": ItemKey, "id": ItemId},
        query=KeyQuery,
        headers={"If-Match": _CONDITIONS["If-Match"]},
        responses={200: RemovedItem},
        errors=(BadRequest, NotFoundError, VersionConflict),
    )
    async def delete_item(self, request: web.Request) -> web.Response:
        key, place = await self._enter(request, Role.WRITE)
        await self._limits.admit(key, address_of(request), 0)
        expected = _expected(request)
        at = (key.project, place.key, place.id)
        database = self._reads.of(key.project)
        rows = await database.rows("remove_item", *at, expected)
        if not rows and expected is not None and await database.rows("get_item", *at):
            raise VersionConflict
        if not rows:
            raise NotFoundError(f"There is no item {place.id!r} of {place.key!r}.")
        version = rows[0]["version"]
        self._announcer.items_changed(key.project, place.key, [(place.id or "", version)])
        return json_response(RemovedItem(place.key, place.id or "", version))

    @operation(
        "Items of a key, page by page",
        tag="Items",
        key="read",
        path={"key": ItemKey},
        query=PageQuery,
        responses={200: ItemPage},
        errors=(BadRequest,),
    )
    async def list_items(self, request: web.Request) -> web.Response:
        key, place = await self._enter(request, Role.READ)
        after, limit = _page(request)
        rows = await self._reads.by(key).rows(
            "item_page", key.project, place.key, after, limit, PAGE_BYTES, SCAN_ITEMS
        )
        items, upto = ItemRow.page(rows)
        return json_response(ItemPage([item.as_item(place.key) for item in items], upto))

    async def _enter(self, request: web.Request, role: Role) -> tuple[Key, _Place]:
        """Who asks, and for what. Raises what `Auth.find` and `Key.require` do, or BadRequest."""
        key = await self._auth.admit(request, role)
        try:
            return key, msgspec.convert(dict(request.match_info), _Place)
        except msgspec.ValidationError:
            raise BadRequest(
                "An item's key is 3-50 letters and hyphens, beginning with a letter;"
                " its id is 1-128 characters."
            ) from None

    async def _put(self, payer: Payer, item_key: str, puts: Sequence[PutItem]) -> list[ItemVersion]:
        await self._limits.settle(payer, len(puts))
        key = payer.key
        document = await self._reads.of(key.project).value(
            "put_items", key.project, item_key, _encoder.encode(puts).decode()
        )
        answer = _answer.decode(document)
        if answer.stale:
            raise VersionConflict(
                f"Nothing was stored: {', '.join(map(repr, answer.stale[:10]))}"
                " changed meanwhile. Read again, and decide again."
            )
        self._announcer.items_changed(
            key.project, item_key, [(item.id, item.version) for item in answer.items]
        )
        return answer.items


def check_item(value: bytes) -> None:
    """Refuse what is no item's value. Raises MalformedJson or Unprocessable."""
    check_value(value, MAX_VALUE_BYTES)
    if value.strip() == b"null":
        raise Unprocessable("null is no value: DELETE removes an item.")


def _parse_batch(body: bytes) -> list[PutItem]:
    try:
        puts = _batch.decode(body)
    except msgspec.ValidationError as error:
        raise Unprocessable(plainly(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedJson(str(error)) from None
    if not 1 <= len(puts) <= MAX_EVENTS:
        raise Unprocessable(f"A batch holds 1 to {MAX_EVENTS:,} items.")
    if len({put.id for put in puts}) < len(puts):
        raise Unprocessable("An id is given twice.")
    for put in puts:
        try:
            check_item(bytes(put.value))
        except Unprocessable as error:
            raise Unprocessable(f"Item {put.id!r}: {error.message}") from None
    return puts


def _expected(request: web.Request) -> int | None:
    """The version that a write depends on; 0: there must be none."""
    if request.headers.get(hdrs.IF_NONE_MATCH) == "*":
        return 0
    given = request.headers.get(hdrs.IF_MATCH)
    if given is None or given == "*":
        return None
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise BadRequest("If-Match takes the version of the item, as it was read.")
    return int(match[1])


def _page(request: web.Request) -> tuple[str, int]:
    limit = request.query.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1_000):
        raise BadRequest("`limit` takes a number from 1 to 1000.")
    after = request.query.get("after", "")
    if "\0" in after:
        raise BadRequest("`after` takes the id of an item.")
    return after, int(limit)


def _with_etag(item: Item | StoredItem) -> web.Response:
    response = json_response(item)
    response.headers[hdrs.ETAG] = f'"{item.version}"'
    return response
