"""The websocket at `/ws`, where three older systems meet. Which one a client speaks is told by

- a name in its query or headers that is a key of the project's items: format 4, real-time items;
- else its first message that has one of these fields: "action", format 1, colours; "message",
  format 3, page views. From then on the connection speaks that format.

What is wrong with a message is said in a short text; a client without a key that is any good is
closed with 1008.
"""

import logging
from typing import Any, Protocol

import msgspec
from aiohttp import web

from ..auth import Auth, key_in
from ..connections import Connections, error_message
from ..errors import (
    BadRequest,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MissingKey,
    UnknownKey,
)
from ..frames import websocket_text
from ..health import Health
from .item_socket import ItemSocket
from .websocket import Socket, accept, native, texts

log = logging.getLogger(__name__)


class Format(Protocol):
    """A format that is told by its messages."""

    async def receive(self, socket: Socket, text: str) -> None:
        """A message. May set the viewer's wire. Raises LivetallyError: what is wrong with it."""


class _First(msgspec.Struct):
    action: Any = msgspec.UNSET
    message: Any = msgspec.UNSET


_first = msgspec.json.Decoder(_First)


class Dispatcher:
    """Opens the connection, and hands it to whoever understands it."""

    def __init__(
        self,
        auth: Auth,
        connections: Connections,
        health: Health,
        items: ItemSocket,
        views: Format,
        colour: Format | None,
        viewer_buffer_bytes: int,
    ) -> None:
        self._auth = auth
        self._connections = connections
        self._health = health
        self._items = items
        self._views = views
        self._colour = colour
        self._viewer_buffer_bytes = viewer_buffer_bytes

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /ws. What can be refused is refused before the handshake."""
        text = key_in(request.headers) or request.query.get("api_key")
        key = await self._auth.find(text) if text else None
        if key is not None:
            key.require(key.role, request.headers.get("Origin"))
        items = await self._items.asked(request, key)
        socket = await accept(request, Socket, self._health, self._viewer_buffer_bytes)
        socket.viewer.wire = wire
        with self._connections.joined(socket):
            if key is not None:
                socket.grant(key)
            if items:
                await self._watch(socket, items)
            else:
                await self._talk(socket)
        return socket.response

    async def _watch(self, socket: Socket, items: list[Any]) -> None:
        try:
            await self._items.serve(socket, items)
        except DatabaseUnavailable as error:
            await self._connections.close(socket, 1013, error.message, error.code)
        async for _ in texts(socket, self._connections):
            pass

    async def _talk(self, socket: Socket) -> None:
        format_: Format | None = None
        async for text in texts(socket, self._connections):
            try:
                if format_ is None:
                    format_ = self._told_by(text)
                await format_.receive(socket, text)
            except (MissingKey, UnknownKey, ForeignOrigin) as error:
                await self._connections.refuse(socket, error)
            except LivetallyError as error:
                socket.viewer.send(error_message(error))
            except Exception:  # aiohttp would write a 500 into the open websocket
                log.exception("a message on /ws failed")
                socket.viewer.send(error_message(LivetallyError()))

    def _told_by(self, text: str) -> Format:
        try:
            first = _first.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise BadRequest("The message is not a JSON object.") from None
        if first.action is not msgspec.UNSET and self._colour is not None:
            return self._colour
        if first.message is not msgspec.UNSET:
            return self._views
        raise BadRequest('This message is not known: it has no "action" and no "message".')


def wire(payload: bytes, position: bytes | None = None) -> bytes:
    """Until it is clear which format is spoken: the text of an error."""
    said = native.decode(payload).message
    return websocket_text(said.encode()) if said else b""
