"""What the compatibility APIs' websockets have in common: opening one, and reading its messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from aiohttp import WSMsgType, web

from ..base.client_address import Peer, peer_of
from ..live.connections import Connection, Connections
from ..live.frames import WEBSOCKET_PING
from ..live.upgrade import Websocket, upgrade
from ..live.viewer import Viewer
from ..schema.live import Message, Snapshot, Update


class Socket(Connection):
    """A websocket whose messages aren't the live protocol's."""

    ping = WEBSOCKET_PING

    def __init__(self, response: Websocket, viewer: Viewer, peer: Peer) -> None:
        super().__init__(viewer, peer)
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
    make: Callable[[Websocket, Viewer, Peer], S],
    buffer_bytes: int,
    subprotocols: tuple[str, ...] = (),
) -> S:
    """Open one. Raises BadRequest, or ConnectionResetError if the client has gone."""
    response, viewer = await upgrade(request, buffer_bytes, subprotocols)
    return make(response, viewer, peer_of(request))


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
