"""Format 4, real-time items: connect to `/ws?vehicle-id=3`, and be sent the item as it changes.

    < {"vehicle-id":{"S":"3"},"lat":{"N":"41.4"},"tags":{"L":[…]},"on":{"BOOL":true}}

What comes first is the current value. Attributes are typed as in DynamoDB; numbers are the text
that was stored. A value that is no object is the attribute `value`. Nothing is sent of an item
that is removed, and what clients send is ignored.

A name in the query is an item's key if it looks like one; where some of several are keys of the
project's items, those are. Without any the headers are looked at: there, only what is a key of the
project's items counts, and never a header that every request may have (an item key called `host`
has to be given in the query).
"""

import json
import logging
import re
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw

from ..base.client_address import peer_of
from ..base.config import MAX_SUBSCRIPTIONS
from ..base.errors import BadRequest, MissingKey
from ..live.connections import Connections
from ..live.frames import websocket_text
from ..live.topics.items import ItemsTopicId
from ..schema.compat import Attribute
from ..schema.items import ItemId
from ..schema.keys import Role
from ..schema.live import LiveItem, Message, Snapshot, Update
from ..web.auth import Auth, Key
from ..web.read_budgets import Reads
from .websocket import Socket

log = logging.getLogger(__name__)

_ITEM_KEY = re.compile(r"[A-Za-z][A-Za-z-]{2,49}")
#: What browsers, libraries and proxies send with any request, and our own.
_ORDINARY = re.compile(
    "(accept|sec|x|cf|access|if|proxy|content|upgrade|cloudfront)-.*"
    "|accept|authorization|cache-control|connection|cookie|date|dnt|expect|forwarded|from|host"
    "|origin|keep-alive|pragma|priority|range|referer|te|trailer|transfer-encoding|true-client-ip"
    "|upgrade|user-agent|via|traceparent|tracestate|baggage|warning|purpose",
    re.IGNORECASE,
)

_Named = list[tuple[str, str]]


class ItemSocket:
    """Finds out which items are asked for, and watches them."""

    def __init__(self, auth: Auth, reads: Reads, connections: Connections) -> None:
        self._auth = auth
        self._reads = reads
        self._connections = connections

    async def wanted(self, request: web.Request, key: Key | None) -> list[ItemsTopicId]:
        """The items that the request names; none if it speaks another format.

        Raises BadRequest with what is missing, MissingKey, WrongRole, or DatabaseUnavailable.
        """
        named = [pair for pair in request.query.items() if _ITEM_KEY.fullmatch(pair[0])]
        if named:
            named = await self._named_in_query(request, key, named)
        elif key is not None:
            named = await self._named_in_headers(request, key)
            if not named and key.role is Role.READ:  # no other format has a use for it here
                raise BadRequest(
                    "No item is named: connect to /ws?KEY=ID, like /ws?vehicle-id=3; a key is"
                    " 3-50 letters and hyphens."
                )
        if not named:
            return []
        if key is None:
            raise MissingKey
        key.require(Role.READ, request.headers.get("Origin"))
        if len(named) > MAX_SUBSCRIPTIONS:
            raise BadRequest(f"A connection watches {MAX_SUBSCRIPTIONS} items at most.")
        return [ItemsTopicId(key.project, name, _checked(name, id)) for name, id in named]

    async def serve(self, socket: Socket, items: list[ItemsTopicId]) -> None:
        """Send them and what changes. Raises DatabaseUnavailable."""
        socket.viewer.encode = encode
        for number, item in enumerate(dict.fromkeys(items)):
            await self._connections.subscribe(socket, number, item, None)

    async def _named_in_query(self, request: web.Request, key: Key | None, named: _Named) -> _Named:
        if key is None:
            # A page that may send page views by its origin has a query of its own, perhaps.
            try:
                project = (await self._auth.find_by_origin(peer_of(request))).project
            except MissingKey:
                for name, id in named:
                    _checked(name, id)
                raise MissingKey from None
        else:
            project = key.project
        known = await self._known(project, named)
        reads = key is not None and key.role.allows(Role.READ)
        return known or (named if reads else [])

    async def _named_in_headers(self, request: web.Request, key: Key) -> _Named:
        named = [
            (str(name), value)  # aiohttp has a kind of string of its own there
            for name, value in request.headers.items()
            if _ITEM_KEY.fullmatch(name) and not _ORDINARY.fullmatch(name)
        ]
        if not named:
            return []
        # Proxies may write a header's name in small letters.
        return await self._known(key.project, named + [(name.lower(), id) for name, id in named])

    async def _known(self, project: int, named: _Named) -> _Named:
        rows = await self._reads.of(project).rows(
            "known_item_keys", project, [name for name, _ in named]
        )
        names = {row["name"] for row in rows}
        return [pair for pair in named if pair[0] in names]


def _checked(name: str, id: str) -> str:
    if not id:
        raise BadRequest(f"`{name}` has no value: give it the id of an item, like {name}=3.")
    try:
        id.encode()
        return msgspec.convert(id, ItemId)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise BadRequest(f"`{name}`: an item's id is 1-128 characters.") from None


class _Number(str):
    """A number as it was written."""


def encode(message: Message) -> bytes:
    """A message of the hub as frames of this format, one an item; nothing for anything else."""
    if not isinstance(message, Snapshot | Update) or not isinstance(message.items, list):
        return b""
    return b"".join(_frame(item) for item in message.items if item.removed is UNSET)


def _frame(item: LiveItem) -> bytes:
    try:
        return websocket_text(_json(attributes(item.key, item.id, item.value)))
    except (ValueError, RecursionError) as error:  # plain SQL can write what the API refuses
        log.warning("an item can't be shown as DynamoDB writes it: %s", error)
        return b""


def attributes(key: str, id: str, stored: Raw) -> dict[str, Attribute]:
    """An item's attributes, its key first; `stored` is its value."""
    value = json.loads(bytes(stored), parse_int=_Number, parse_float=_Number)
    fields = value if isinstance(value, dict) else {"value": value}
    first = {key: Attribute(S=id)}
    return first | {name: typed(each) for name, each in fields.items() if name not in first}


def typed(value: Any) -> Attribute:
    """A value with its DynamoDB type; its numbers were read as `_Number`."""
    match value:
        case _Number():
            return Attribute(N=str(value))
        case str():
            return Attribute(S=value)
        case bool():
            return Attribute(BOOL=value)
        case None:
            return Attribute(NULL=True)
        case list():
            return Attribute(L=[typed(each) for each in value])
    return Attribute(M={name: typed(each) for name, each in value.items()})


def _json(item: dict[str, Attribute]) -> bytes:
    try:
        return msgspec.json.encode(item)
    except UnicodeEncodeError:  # half of a surrogate pair stays the escape that it was
        return json.dumps(msgspec.to_builtins(item), separators=(",", ":")).encode()
