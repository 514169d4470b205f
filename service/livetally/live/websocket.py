"""The live protocol: GET /v1/live, a websocket of JSON text messages.

    > {"type":"auth","key":"…"}                  unless a key came with the request
    < {"type":"ready","project":"shop","role":"read"}
    > {"type":"subscribe","id":1,"topic":{"totals":"click"}}   also with "subjects":["red"]
    < {"type":"snapshot","id":1,"totals":{"red":5},"total":5}
    < {"type":"update","id":1,"totals":{"red":6},"total":6}
    > {"type":"subscribe","id":2,"topic":{"feed":"click"}}     also "subject", "since":{…}
    < {"type":"events","id":2,"events":[…],"position":{"0":812,"3":99}}   < {"type":"gap","id":2,…}
    > {"type":"subscribe","id":3,"topic":{"pointers":"/pricing"}}
    < {"type":"update","id":3,"pointers":[…],"gone":["…"]}    admin keys also name a "project"
    > {"type":"unsubscribe","id":1}              < {"type":"unsubscribed","id":1}
    > {"type":"track","ref":"a","events":[…]}    < {"type":"ack","ref":"a","accepted":1,…}
    > {"type":"ping"}                            < {"type":"pong"}
    < {"type":"error","code":"…","message":"…"}  < {"type":"stale"}   < {"type":"fresh"}

A second `auth` with another key of the same project adds its role: a page can read and track over
one socket.
"""

import asyncio
import logging
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import WSMessage, WSMsgType, web
from msgspec import Meta, Raw

from ..base.client_address import Peer, peer_of
from ..base.errors import (
    BadRequest,
    ConflictError,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MalformedJson,
    MissingKey,
    NotFoundError,
    RateLimited,
    ShuttingDown,
    TooManyConnections,
    TooManyEvents,
    TooManySubscriptions,
    UnknownKey,
    Unprocessable,
    WrongRole,
)
from ..base.validation import as_written, plainly, whole_characters
from ..ingest.batcher import Batcher
from ..ingest.events import Parsed, check
from ..schema.http import KeyQuery
from ..schema.keys import Role
from ..schema.live import Acknowledged, Pong, Ready, Stale, Unsubscribed
from ..web.auth import Auth, Key
from ..web.operation_docs import operation
from ..web.rate_limits import Payer
from .connections import Connection, Connections, error_message
from .frames import WEBSOCKET_PING
from .hub import Hub
from .subscriptions import parse
from .upgrade import Websocket, upgrade
from .viewer import Viewer

log = logging.getLogger(__name__)

#: Tracks of one connection that wait for their commit; then its further messages wait.
MAX_TRACKS = 64

_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)

SubscriptionId = int | Annotated[str, Meta(max_length=64)]
Ref = int | Annotated[str, Meta(max_length=64)]


class AuthMessage(msgspec.Struct, tag="auth", forbid_unknown_fields=True):
    key: Annotated[str, Meta(max_length=1024)]


class SubscribeMessage(msgspec.Struct, tag="subscribe", forbid_unknown_fields=True):
    id: SubscriptionId
    topic: Raw


class UnsubscribeMessage(msgspec.Struct, tag="unsubscribe", forbid_unknown_fields=True):
    id: SubscriptionId


class TrackMessage(msgspec.Struct, tag="track", forbid_unknown_fields=True):
    events: list[Raw]
    ref: Ref | None = None


class PingMessage(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    pass


Message = AuthMessage | SubscribeMessage | UnsubscribeMessage | TrackMessage | PingMessage

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class _Connection(Connection):
    """A connection that can also ask and track."""

    __slots__ = ("socket", "tracks")

    ping = WEBSOCKET_PING

    def __init__(self, socket: Websocket, viewer: Viewer, peer: Peer) -> None:
        super().__init__(viewer, peer)
        self.socket = socket
        #: What waits for its commit; None until it tracks at all, most never do.
        self.tracks: set[asyncio.Task[None]] | None = None

    async def close(self, code: int, reason: str) -> None:
        await self.socket.close(code=code, message=reason.encode()[:123])


class LiveSocket:
    """The live protocol."""

    def __init__(
        self,
        auth: Auth,
        batcher: Batcher,
        hub: Hub,
        connections: Connections,
        viewer_buffer_bytes: int,
    ) -> None:
        self._auth = auth
        self._batcher = batcher
        self._hub = hub
        self._connections = connections
        self._viewer_buffer_bytes = viewer_buffer_bytes

    @operation(
        "The live protocol, a websocket",
        tag="Live",
        query=KeyQuery,
        responses={101: None},
        errors=(
            UnknownKey,
            ForeignOrigin,
            DatabaseUnavailable,
            ShuttingDown,
            TooManyConnections,
            RateLimited,
            BadRequest,
        ),
    )
    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/live. A key in the request that is no good is refused before the handshake."""
        self._connections.admit(request)
        key = await self._auth.find_given(request)
        socket, viewer = await upgrade(request, self._viewer_buffer_bytes)
        connection = _Connection(socket, viewer, peer_of(request))
        socket.run(self._read_loop(connection, key))
        return socket

    async def _read_loop(self, connection: _Connection, key: Key | None) -> None:
        clock = asyncio.get_running_loop().time
        self._connections.join(connection)
        try:
            if key is not None:
                self._grant(connection, key)
            while (message := await connection.socket.receive()).type not in _ENDS:
                connection.viewer.heard_at = clock()
                await self._receive(connection, message)
                del message  # thousands of these loops wait, and would keep it meanwhile
        finally:
            self._connections.leave(connection)

    # Messages

    async def _receive(self, connection: _Connection, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.PING:
                await connection.socket.pong(message.data)
            case WSMsgType.TEXT:
                try:
                    await self._dispatch(connection, _decode(message.data))
                except (MissingKey, UnknownKey, ForeignOrigin) as error:
                    await self._connections.refuse(connection, error)
                except LivetallyError as error:
                    connection.viewer.send(error_message(error))
                except Exception:  # aiohttp would cut the connection without a word
                    log.exception("a message on /v1/live failed")
                    connection.viewer.send(error_message(LivetallyError()))
            case WSMsgType.BINARY:
                await self._connections.close(connection, 1003, "Send JSON as text.", "binary")

    async def _dispatch(self, connection: _Connection, message: Message) -> None:
        match message:
            case AuthMessage():
                self._grant(connection, await self._auth.find(message.key, connection.peer.address))
            case SubscribeMessage():
                await self._subscribe(connection, message)
            case UnsubscribeMessage():
                if not self._connections.unsubscribe(connection, message.id):
                    raise NotFoundError(f"There is no subscription with the id {message.id!r}.")
                connection.viewer.send(Unsubscribed(message.id))
            case TrackMessage():
                await self._track(connection, message)
            case PingMessage():
                connection.viewer.send(Pong())

    def _grant(self, connection: _Connection, key: Key) -> None:
        connection.grant(key)
        connection.viewer.send(Ready(key.project_name, key.role.value))
        if self._hub.stale:
            connection.viewer.send(Stale())

    async def _subscribe(self, connection: _Connection, message: SubscribeMessage) -> None:
        try:
            key = connection.key_for(Role.READ)
            wanted = parse(message.topic)
            project = key.project
            if wanted.project is not None:
                connection.key_for(Role.ADMIN)
                project = await self._auth.project_named(wanted.project)
            topic = wanted.topic(project)
            opening = self._connections.open(connection, message.id, topic, wanted.since)
            # Further messages are read meanwhile: one of them may be that it is unsubscribed.
            opening.add_done_callback(partial(_tell_refused, connection, message.id))
        except (
            BadRequest,
            NotFoundError,
            WrongRole,
            ConflictError,
            TooManySubscriptions,
            DatabaseUnavailable,
        ) as error:
            connection.viewer.send(error_message(error, id=message.id))

    async def _track(self, connection: _Connection, message: TrackMessage) -> None:
        """Store events and acknowledge them, while further messages are read."""
        try:
            key = connection.key_for(Role.WRITE)
            size = sum(memoryview(event).nbytes for event in message.events)
            payer = await self._batcher.admit(key, connection.peer.address, size)
            parsed = check(message.events, key.project)
        except (WrongRole, RateLimited, Unprocessable, TooManyEvents) as error:
            connection.viewer.send(error_message(error, ref=message.ref))
            return
        tracks = connection.tracks = connection.tracks or set()
        if len(tracks) >= MAX_TRACKS:
            await asyncio.wait(tracks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._commit(connection, parsed, payer, message.ref))
        tracks.add(task)
        task.add_done_callback(tracks.discard)

    async def _commit(
        self, connection: _Connection, parsed: Parsed, payer: Payer, ref: Ref | None
    ) -> None:
        try:
            result = await self._batcher.take(parsed, payer)
        except LivetallyError as error:
            connection.viewer.send(error_message(error, ref=ref))
        else:
            connection.viewer.send(
                Acknowledged(ref, result.accepted, len(result.duplicates), result.rejections())
            )


def _tell_refused(connection: _Connection, id: SubscriptionId, opening: asyncio.Task[None]) -> None:
    """Say why there will be no subscription, if so."""
    error = None if opening.cancelled() else opening.exception()
    if error is None:
        return
    if not isinstance(error, LivetallyError):
        log.error("a subscription on /v1/live failed", exc_info=error)
        error = LivetallyError()
    connection.viewer.send(error_message(error, id=id))


def _decode(text: str) -> Message:
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise BadRequest(plainly(str(error))) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        if (track := _track_with_half_a_character(text)) is not None:
            return track
        raise MalformedJson(f"The message is not JSON: {error}") from None


def _track_with_half_a_character(text: str) -> TrackMessage | None:
    """A `track` of which an event is to be rejected, and not all of them; None if it isn't one."""
    body = text.encode(errors="replace")
    whole = whole_characters(body)
    try:
        message = _decoder.decode(whole)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(message, TrackMessage) or whole == body:
        return None
    events = as_written(message.events, whole, body)
    return TrackMessage(list(map(Raw, events)), message.ref)
