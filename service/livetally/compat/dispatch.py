"""The websocket at `/ws`, where three older systems meet. Which one a client speaks is told by

- a name in its query or headers that is a key of the project's items: format 4, real-time items;
- else its first message that has one of these fields: "action", format 1, colours; "message",
  format 3, page views. From then on the connection speaks that format.

What is wrong with a message is said in a short text; a client without a key that is any good is
closed with 1008.
"""

import logging
from typing import Any

import msgspec
from aiohttp import web

from ..base.errors import (
    BadRequest,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MissingKey,
    ShuttingDown,
    TooManyConnections,
    UnknownKey,
    WrongRole,
)
from ..live.connections import Connections, error_message
from ..live.frames import websocket_text
from ..live.topics.items import ItemsTopicId
from ..schema.http import KeyQuery
from ..schema.live import Error, Message
from ..web.auth import Auth, Key
from ..web.operation_docs import operation
from .colors.websocket import ColorSocket
from .items import ItemSocket
from .page_views.views import Views
from .websocket import Socket, accept, texts

log = logging.getLogger(__name__)


class Dispatcher:
    """Opens the connection, and hands it to whoever understands it."""

    def __init__(
        self,
        auth: Auth,
        connections: Connections,
        items: ItemSocket,
        views: Views,
        colors: ColorSocket,
        viewer_buffer_bytes: int,
    ) -> None:
        self._auth = auth
        self._connections = connections
        self._items = items
        self._views = views
        self._colors = colors
        self._viewer_buffer_bytes = viewer_buffer_bytes

    @operation(
        "The websocket of formats 1, 3 and 4",
        tag="Compatibility",
        query=KeyQuery,
        responses={101: None},
        errors=(
            *(BadRequest, MissingKey, UnknownKey, WrongRole, ForeignOrigin),
            *(DatabaseUnavailable, ShuttingDown, TooManyConnections),
        ),
    )
    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /ws. What can be refused is refused before the handshake."""
        self._connections.admit(request)
        key = await self._auth.find_given(request)
        items = await self._items.wanted(request, key)
        socket = await accept(request, Socket, self._viewer_buffer_bytes)
        socket.viewer.encode = encode
        socket.response.run(self._read_loop(socket, key, items))
        return socket.response

    async def _read_loop(self, socket: Socket, key: Key | None, items: list[ItemsTopicId]) -> None:
        self._connections.join(socket)
        try:
            if key is not None:
                socket.grant(key)
            if items:
                await self._watch(socket, items)
            else:
                await self._talk(socket)
        finally:
            self._connections.leave(socket)

    async def _watch(self, socket: Socket, items: list[ItemsTopicId]) -> None:
        try:
            await self._items.serve(socket, items)
        except DatabaseUnavailable as error:
            await self._connections.close(socket, 1013, error.message, error.code)
        async for _ in texts(socket, self._connections):
            pass

    async def _talk(self, socket: Socket) -> None:
        messages = texts(socket, self._connections)
        is_blog = False
        async for text in messages:
            first = {} if is_blog else _object(text)
            if "action" in first:
                await self._colors.serve(socket, first, messages)
                return
            is_blog = is_blog or "message" in first
            try:
                if not is_blog:
                    raise BadRequest('A JSON object with "message" or "action" is expected.')
                await self._views.receive(socket, text)
            except (MissingKey, UnknownKey, ForeignOrigin) as error:
                await self._connections.refuse(socket, error)
            except LivetallyError as error:
                socket.viewer.send(error_message(error))
            except Exception:  # aiohttp would cut the connection without a word
                log.exception("a message on /ws failed")
                socket.viewer.send(error_message(LivetallyError()))


def _object(text: str) -> dict[str, Any]:
    """A message's fields; none if it is no JSON object."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    return value if isinstance(value, dict) else {}


def encode(message: Message) -> bytes:
    """Until it is clear which format is spoken: the text of an error."""
    return websocket_text(message.message.encode()) if isinstance(message, Error) else b""
