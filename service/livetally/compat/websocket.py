"""What the compatibility APIs' websockets have in common: opening one, and reading its messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from aiohttp import WSMsgType, web

from ..live.connections import Connection, Connections
from ..live.frames import WEBSOCKET_PING
from ..live.upgrade import Websocket, upgrade
from ..live.viewer import Viewer
from ..schema.live import Message, Snapshot, Update


class Socket(Connection):
    """A websocket whose messages aren't the live protocol's."""

    ping = WEBSOCKET_PING

    def __init__(self, response: Websocket, viewer: Viewer, origin: str | None) -> None:
        super().__init__(viewer, origin)
        self.response = response

    async def close(self, code: int, reason: str) -> None:
        await self.response.close(code=code, message=reason.encode()[:123])


def totals_in(message: Message) -> dict[str, int]:
    """What a message of the hub says of totals; nothing if it speaks of something else."""
    if isinstance(message, Snapshot | Update) and isinstance(message.totals, dict):
        return message.totals
    return {}


S = TypeVar("S", bound=Socket)


async def accept(
    request: web.Request,
    make: Callable[[Websocket, Viewer, str | None], S],
    connections: Connections,
    buffer_bytes: int,
    subprotocols: tuple[str, ...] = (),
) -> S:
    """Open one. Raises ShuttingDown, TooManyConnections, BadRequest, or ConnectionResetError if
    the client has gone."""
    connections.admit()
    response, viewer = await upgrade(request, buffer_bytes, subprotocols)
    return make(response, viewer, request.headers.get("Origin"))


async def texts(socket: Socket, connections: Connections) -> AsyncIterator[str]:
    """The text messages of a websocket, until it ends."""
    now = asyncio.get_running_loop().time
    async for message in socket.response:
        socket.viewer.heard_at = now()
        match message.type:
            case WSMsgType.PING:
                await socket.response.pong(message.data)
            case WSMsgType.TEXT:
                yield message.data
            case WSMsgType.BINARY:
                await connections.close(socket, 1003, "Send JSON as text.", "binary")
