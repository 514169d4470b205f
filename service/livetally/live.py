"""The live protocol: GET /v1/live, a websocket of JSON text messages.

    > {"type":"auth","key":"…"}                  unless a key came with the request
    < {"type":"ready","project":"shop","role":"read"}
    > {"type":"subscribe","id":1,"topic":{"totals":"click"}}   also with "subjects":["red"]
    < {"type":"snapshot","id":1,"totals":{"red":5},"total":5}
    < {"type":"update","id":1,"totals":{"red":6},"total":6}
    > {"type":"subscribe","id":2,"topic":{"feed":"click"}}     also "subject", "since":{…}
    < {"type":"events","id":2,"events":[…],"position":{"0":812,"3":99}}   < {"type":"gap","id":2,…}
    > {"type":"unsubscribe","id":1}              < {"type":"unsubscribed","id":1}
    > {"type":"track","ref":"a","events":[…]}    < {"type":"ack","ref":"a","accepted":1,…}
    > {"type":"ping"}                            < {"type":"pong"}
    < {"type":"error","code":"…","message":"…"}  < {"type":"stale"}   < {"type":"fresh"}

A second `auth` with another key of the same project adds its role: a page can read and track over
one socket.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Annotated, Any

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from msgspec import Meta, Raw

from .auth import Auth, Key, key_in
from .batcher import Batcher
from .config import MAX_BODY_BYTES, MAX_SUBSCRIPTIONS
from .errors import (
    BadRequest,
    Conflict,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MalformedJson,
    MissingKey,
    NotFound,
    ShuttingDown,
    TooManyEvents,
    TooManySubscriptions,
    UnknownKey,
    Unprocessable,
    WrongRole,
)
from .events import Parsed, check, plainly
from .frames import WEBSOCKET_PING, websocket_text
from .health import Health
from .hub import Hub
from .keys import Role
from .metrics import Metrics
from .topic import Subscription
from .topics import parse
from .viewer import Viewer

log = logging.getLogger(__name__)

#: A connection that hasn't said who it is by then is closed.
AUTH_TIMEOUT_S = 10
#: Tracks of one connection that wait for their commit; then its further messages wait.
MAX_TRACKS = 64
#: How often keys of open connections are looked up again; with the key cache, within 5 s.
RECHECK_S = 1.0
#: How long a peer may take to answer a close.
CLOSE_TIMEOUT_S = 2.0

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


class _Connection:
    """One websocket: what it may do, what it watches, what it is waiting for."""

    def __init__(self, socket: web.WebSocketResponse, viewer: Viewer, origin: str | None) -> None:
        self.socket = socket
        self.viewer = viewer
        self.origin = origin
        self.opened_at = self.pinged_at = viewer.heard_at
        self.keys: dict[Role, Key] = {}
        self.subscriptions: dict[int | str, Subscription] = {}
        self.tracks: set[asyncio.Task[None]] = set()

    def grant(self, key: Key) -> None:
        """Raises ForeignOrigin, or BadRequest if the key is of another project than the first."""
        key.require(key.role, self.origin)
        if any(known.project != key.project for known in self.keys.values()):
            raise BadRequest("A connection serves one project: open another for this key.")
        self.keys[key.role] = key

    def key_for(self, role: Role) -> Key:
        """The key that allows this. Raises MissingKey or WrongRole."""
        if not self.keys:
            raise MissingKey('Send {"type":"auth","key":"…"} first.')
        key = self.keys.get(role) or self.keys.get(Role.ADMIN)
        if key is None:
            raise WrongRole(f"This needs a {role} key.")
        return key


class Live:
    """All websockets of this process."""

    def __init__(
        self,
        auth: Auth,
        batcher: Batcher,
        hub: Hub,
        metrics: Metrics,
        health: Health,
        *,
        viewer_buffer_bytes: int,
        ping_interval_s: float,
    ) -> None:
        self._auth = auth
        self._batcher = batcher
        self._hub = hub
        self._metrics = metrics
        self._health = health
        self._viewer_buffer_bytes = viewer_buffer_bytes
        self._ping_interval_s = ping_interval_s
        self._connections: set[_Connection] = set()
        self._closings: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/live. A key in the request that is no good is refused before the handshake."""
        if self._health.draining:
            raise ShuttingDown
        origin = request.headers.get("Origin")
        text = key_in(request.headers) or request.query.get("api_key")
        key = await self._auth.find(text) if text else None
        if key is not None:
            key.require(key.role, origin)
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=MAX_BODY_BYTES, timeout=CLOSE_TIMEOUT_S
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket  # its client went during the handshake
        viewer = Viewer(transport, websocket_text, self._viewer_buffer_bytes, _now())
        connection = _Connection(socket, viewer, origin)
        self._connections.add(connection)
        self._hub.join(viewer)
        try:
            if key is not None:
                self._grant(connection, key)
            async for message in socket:
                viewer.heard_at = _now()
                await self._receive(connection, message)
        finally:
            self._connections.discard(connection)
            self._hub.part(viewer)
            for subscription in connection.subscriptions.values():
                self._hub.unsubscribe(subscription)
        return socket

    # Messages

    async def _receive(self, connection: _Connection, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.PING:
                await connection.socket.pong(message.data)
            case WSMsgType.TEXT:
                try:
                    await self._obey(connection, _decode(message.data))
                except (MissingKey, UnknownKey, ForeignOrigin) as error:
                    await self._refuse(connection, error)
                except LivetallyError as error:
                    connection.viewer.send(error_message(error))
                except Exception:  # aiohttp would write a 500 into the open websocket
                    log.exception("a message on /v1/live failed")
                    connection.viewer.send(error_message(LivetallyError()))
            case WSMsgType.BINARY:
                await self._close(
                    connection, WSCloseCode.UNSUPPORTED_DATA, "Send JSON as text.", "binary"
                )

    async def _obey(self, connection: _Connection, message: Message) -> None:
        match message:
            case AuthMessage():
                self._grant(connection, await self._auth.find(message.key))
            case SubscribeMessage():
                await self._subscribe(connection, message)
            case UnsubscribeMessage():
                subscription = connection.subscriptions.pop(message.id, None)
                if subscription is None:
                    raise NotFound(f"There is no subscription with the id {message.id!r}.")
                self._hub.unsubscribe(subscription)
                connection.viewer.send({"type": "unsubscribed", "id": message.id})
            case TrackMessage():
                await self._track(connection, message)
            case PingMessage():
                connection.viewer.send({"type": "pong"})

    def _grant(self, connection: _Connection, key: Key) -> None:
        connection.grant(key)
        connection.viewer.send(
            {"type": "ready", "project": key.project_name, "role": key.role.value}
        )
        if self._hub.stale:
            connection.viewer.send({"type": "stale"})

    async def _subscribe(self, connection: _Connection, message: SubscribeMessage) -> None:
        try:
            key = connection.key_for(Role.READ)
            if message.id in connection.subscriptions:
                raise Conflict(f"There is a subscription with the id {message.id!r} already.")
            if len(connection.subscriptions) >= MAX_SUBSCRIPTIONS:
                raise TooManySubscriptions
            topic, since = parse(message.topic, key.project)
            connection.subscriptions[message.id] = await self._hub.subscribe(
                connection.viewer, message.id, topic, since
            )
        except (
            BadRequest,
            WrongRole,
            Conflict,
            TooManySubscriptions,
            DatabaseUnavailable,
        ) as error:
            connection.viewer.send(error_message(error, id=message.id))

    async def _track(self, connection: _Connection, message: TrackMessage) -> None:
        """Store events and acknowledge them, while further messages are read."""
        try:
            key = connection.key_for(Role.WRITE)
            parsed = check(message.events, key.project)
        except (WrongRole, Unprocessable, TooManyEvents) as error:
            connection.viewer.send(error_message(error, ref=message.ref))
            return
        if len(connection.tracks) >= MAX_TRACKS:
            await asyncio.wait(connection.tracks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._commit(connection, parsed, message.ref))
        connection.tracks.add(task)
        task.add_done_callback(connection.tracks.discard)

    async def _commit(self, connection: _Connection, parsed: Parsed, ref: int | str | None) -> None:
        try:
            result = await self._batcher.take(parsed)
        except LivetallyError as error:
            connection.viewer.send(error_message(error, ref=ref))
        else:
            connection.viewer.send({"type": "ack", "ref": ref, **result.as_json()})

    # Closing

    async def _refuse(self, connection: _Connection, error: LivetallyError) -> None:
        connection.viewer.send(error_message(error))
        await self._close(connection, WSCloseCode.POLICY_VIOLATION, error.message, error.code)

    async def _close(
        self, connection: _Connection, code: WSCloseCode, reason: str, cause: str
    ) -> None:
        self._metrics.viewers_closed.labels(cause).inc()
        await connection.socket.close(code=code, message=reason.encode()[:123])

    def _close_soon(self, connection: _Connection, closing: Coroutine[Any, Any, None]) -> None:
        """Close without waiting for the peer, who may be gone."""
        self._connections.discard(connection)
        task = asyncio.create_task(closing)
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    async def drain(self, spread_s: float) -> None:
        """Close everybody with 1012 (restarting), spread so that they don't all return at once."""
        connections = list(self._connections)
        for connection in connections:
            self._close_soon(
                connection,
                self._close(
                    connection, WSCloseCode.SERVICE_RESTART, "The server restarts.", "restart"
                ),
            )
            await asyncio.sleep(spread_s / len(connections))
        if self._closings:
            await asyncio.wait(self._closings, timeout=CLOSE_TIMEOUT_S)

    # Time

    async def run_clock(self) -> None:
        """Pings, silence, forgotten authentication, revoked keys: one loop for all connections."""
        while True:
            self._health.beat("live")
            await asyncio.sleep(RECHECK_S)
            now = _now()
            for connection in list(self._connections):
                self._check_silence(connection, now)
            with contextlib.suppress(DatabaseUnavailable):
                await self._check_keys()

    def _check_silence(self, connection: _Connection, now: float) -> None:
        if now - connection.viewer.heard_at > 3 * self._ping_interval_s:
            self._metrics.viewers_closed.labels("silent").inc()
            connection.viewer.abort()
        elif not connection.keys and now - connection.opened_at > AUTH_TIMEOUT_S:
            self._close_soon(
                connection,
                self._refuse(connection, MissingKey("No key came within 10 s.")),
            )
        elif now - connection.pinged_at > self._ping_interval_s:
            connection.pinged_at = now
            connection.viewer.put(WEBSOCKET_PING)
            connection.viewer.flush()

    async def _check_keys(self) -> None:
        for connection in list(self._connections):
            for key in connection.keys.values():
                if not await self._auth.still_valid(key):
                    self._close_soon(connection, self._refuse(connection, UnknownKey()))
                    break


def _now() -> float:
    return asyncio.get_running_loop().time()


def _decode(text: str) -> Message:
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise BadRequest(plainly(str(error))) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise MalformedJson(f"The message is not JSON: {error}") from None


def error_message(error: LivetallyError, **about: int | str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message}
    if error.retry_after_s is not None:
        message["retry_after_s"] = error.retry_after_s
    return message | {name: value for name, value in about.items() if value is not None}
