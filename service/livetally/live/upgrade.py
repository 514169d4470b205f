"""Opening a websocket: what all that speak over one have in common."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from ..base.config import MAX_BODY_BYTES
from ..base.errors import BadRequest
from .frames import websocket_json
from .viewer import Viewer

#: How long a peer may take to answer a close.
CLOSE_TIMEOUT_S = 2.0


class Websocket(web.WebSocketResponse):
    """A websocket whose messages are read once its request's handler has returned.

    aiohttp ends every response by `write_eof`: there its read loop runs. Inside the handler, the
    coroutines around that would wait for it, 0.5 KB more of each viewer.
    """

    def __init__(self, subprotocols: tuple[str, ...] = ()) -> None:
        super().__init__(
            protocols=subprotocols,
            autoping=False,
            compress=False,
            max_msg_size=MAX_BODY_BYTES,
            timeout=CLOSE_TIMEOUT_S,
        )
        self._read_loop: Coroutine[Any, Any, None] | None = None

    def run(self, read_loop: Coroutine[Any, Any, None]) -> None:
        """The last thing that a handler does. The loop lasts until the socket is closed."""
        self._read_loop = read_loop

    def write_eof(self) -> Coroutine[Any, Any, None]:  # type: ignore[override]
        read_loop, self._read_loop = self._read_loop, None
        return read_loop or super().write_eof()


async def upgrade(
    request: web.Request, buffer_bytes: int, subprotocols: tuple[str, ...] = ()
) -> tuple[Websocket, Viewer]:
    """Raises BadRequest for a request that is none, ConnectionResetError if the client has gone."""
    socket = Websocket(subprotocols)
    try:
        await socket.prepare(request)
    except web.HTTPBadRequest:
        raise BadRequest("A websocket is served here: connect with a client of one.") from None
    socket.headers.clear()  # they are sent, and would be kept as long as it is open
    if request.transport is None:
        raise ConnectionResetError
    now = asyncio.get_running_loop().time()
    return socket, Viewer(request.transport, websocket_json, buffer_bytes, now)
