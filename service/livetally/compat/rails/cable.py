r"""Format 2's websocket, /v1/events/cable: ActionCable.

As Rails' guide "Action Cable Overview" and the npm package @rails/actioncable (src/connection.js)
have it, subprotocol actioncable-v1-json:

    < {"type":"welcome"}                        and every 3 s {"type":"ping","message":1763712000}
    > {"command":"subscribe","identifier":"{\"channel\":\"ClicksChannel\"}"}
    < {"identifier":"…","type":"confirm_subscription"}       or "reject_subscription"
    < {"identifier":"…","message":{"results":[…]}}
    > {"command":"unsubscribe","identifier":"…"}
    < {"type":"disconnect","reason":"unauthorized","reconnect":false}

The key comes in `?api_key=`, a header, or the identifier. A second `subscribe` to
the same is confirmed again; like Rails, it answers neither `unsubscribe` nor what it doesn't know.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import Raw

from ...base.errors import (
    BadRequest,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MissingKey,
    ShuttingDown,
    TooManyConnections,
    UnknownKey,
)
from ...live.connections import Connections
from ...live.frames import websocket_json
from ...live.topics.totals import TotalsTopicId
from ...ops.health import Heartbeat
from ...schema.compat import (
    CableAnswer,
    CableDisconnect,
    CablePing,
    CableQuery,
    CableWelcome,
    RailsVersion,
)
from ...schema.keys import Role
from ...web.auth import Auth, key_of
from ...web.operation_docs import operation
from ..websocket import accept, texts
from .channels import CableSocket, Channel, Identifier, parse, text_of

log = logging.getLogger(__name__)

SUBPROTOCOL = "actioncable-v1-json"
#: Clients give up a connection that has said nothing for 6 s.
PING_S = 3.0
#: Pings written before other work gets its turn.
_PING_CHUNK = 250


class _Command(msgspec.Struct):
    command: Any = None
    identifier: Raw = Raw(b"null")


_command = msgspec.json.Decoder(_Command)


class Cable:
    """Serves ActionCable's clients."""

    def __init__(self, auth: Auth, connections: Connections, viewer_buffer_bytes: int) -> None:
        self._auth = auth
        self._connections = connections
        self._viewer_buffer_bytes = viewer_buffer_bytes
        self._sockets: set[CableSocket] = set()

    @operation(
        "ActionCable, format 2's websocket",
        tag="Compatibility",
        path={"version": RailsVersion},
        query=CableQuery,
        responses={101: None},
        errors=(ShuttingDown, TooManyConnections, BadRequest),
    )
    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/events/cable. A bad key is told after the handshake: pages can't see a status."""
        self._connections.admit(request)
        socket = await accept(request, CableSocket, self._viewer_buffer_bytes, (SUBPROTOCOL,))
        socket.cable_ready = request.query.get("cable_ready") in ("true", "1")
        socket.response.run(self._read_loop(socket, key_of(request)))
        return socket.response

    async def _read_loop(self, socket: CableSocket, key: str | None) -> None:
        self._connections.join(socket)
        try:
            await self._guarded(socket, self._welcome(socket, key))
            async for text in texts(socket, self._connections):
                await self._guarded(socket, self._dispatch(socket, text))
        finally:
            self._sockets.discard(socket)
            self._connections.leave(socket)

    async def run_pings(self, heart: Heartbeat) -> None:
        """The loop that pings: one timer and one frame for all."""
        while True:
            await heart.rest(PING_S)
            ping = websocket_json(CablePing(int(time.time())))
            for count, socket in enumerate(list(self._sockets), 1):
                if not socket.viewer.backpressured:
                    socket.viewer.send_frame(ping)
                if count % _PING_CHUNK == 0:
                    await asyncio.sleep(0)

    async def _guarded(self, socket: CableSocket, step: Coroutine[Any, Any, None]) -> None:
        """What fails ends in good order; the client is told whether to come back."""
        try:
            await step
        except (MissingKey, UnknownKey, ForeignOrigin) as error:
            await self._connections.refuse(socket, error)
        except DatabaseUnavailable as error:
            socket.say(CableDisconnect(error.code, reconnect=True))
            await self._connections.close(socket, 1013, error.message, error.code)
        except Exception:  # aiohttp would cut the connection without a word
            log.exception("a message on the cable failed")
            ours = LivetallyError()
            socket.say(CableDisconnect(ours.code, reconnect=True))
            await self._connections.close(socket, 1011, ours.message, ours.code)

    async def _welcome(self, socket: CableSocket, text: str | None) -> None:
        if text:
            socket.grant(await self._auth.find(text, socket.peer.address))
        socket.say(CableWelcome())
        self._sockets.add(socket)

    async def _dispatch(self, socket: CableSocket, text: str) -> None:
        try:
            command = _command.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        identifier = text_of(command.identifier)
        match command.command:
            case "subscribe":
                await self._subscribe(socket, Raw(bytes(command.identifier)), identifier)
            case "unsubscribe" if identifier in socket.numbers:
                number = socket.numbers.pop(identifier)
                del socket.channels[number]
                self._connections.unsubscribe(socket, number)

    async def _subscribe(self, socket: CableSocket, raw: Raw, identifier: str | None) -> None:
        if identifier in socket.numbers:
            socket.say(CableAnswer(raw, "confirm_subscription"))
            return
        wanted = parse(identifier) if identifier else None
        confirmed = wanted is not None and await self._admit(socket, raw, wanted)
        if confirmed and identifier:
            socket.numbers[identifier] = socket.last_number
        kind: Literal["confirm_subscription", "reject_subscription"] = (
            "confirm_subscription" if confirmed else "reject_subscription"
        )
        # Nothing was awaited since the hub took the subscription: this goes before its snapshot.
        socket.say(CableAnswer(raw, kind))

    async def _admit(self, socket: CableSocket, raw: Raw, wanted: Identifier) -> bool:
        """Subscribe at the hub, if that is allowed."""
        number = socket.last_number = socket.last_number + 1
        try:
            if wanted.api_key:
                socket.grant(await self._auth.find(wanted.api_key, socket.peer.address))
            topic = TotalsTopicId(socket.key_for(Role.READ).project, wanted.action or "", None)
            socket.channels[number] = Channel(raw, wanted, socket.cable_ready)
            await self._connections.subscribe(socket, number, topic, None)
        except (MissingKey, UnknownKey, ForeignOrigin, DatabaseUnavailable):
            raise
        except LivetallyError:  # another project's key, one that may not read, one too many
            socket.channels.pop(number, None)
            return False
        return True
