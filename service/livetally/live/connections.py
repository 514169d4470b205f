"""All live connections of this process, whatever they speak: pings, silence, keys, the end.

One loop watches over all of them; a timer or a task each would cost more than the connections.
"""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any, ClassVar

import msgspec
from aiohttp import web
from msgspec import UNSET

from ..base.client_address import Peer, address_of
from ..base.config import MAX_SUBSCRIPTIONS
from ..base.errors import (
    BadRequest,
    ConflictError,
    DatabaseUnavailable,
    LivetallyError,
    MissingKey,
    ShuttingDown,
    TooManyConnections,
    TooManySubscriptions,
    UnknownKey,
    WrongRole,
)
from ..ops.health import Health, Heartbeat
from ..ops.metrics import Metrics
from ..schema.http import Position
from ..schema.keys import Role
from ..schema.live import Error, RestartHint, SubscriptionId
from ..web.auth import Auth, Key
from ..web.rate_limits import Limits
from ..web.read_budgets import Reads
from .hub import Hub
from .topics.admin import AdminTopicId
from .topics.base import Subscription, TopicId
from .upgrade import CLOSE_TIMEOUT_S
from .viewer import Viewer

#: A connection that hasn't said who it is by then is closed.
AUTH_TIMEOUT_S = 10
#: One of each role, and some to spare.
MAX_KEYS = 8
#: How often keys of open connections are looked up again; with the key cache, within 5 s.
RECHECK_S = 1.0
#: On shutdown a client is asked to come back after some time up to this.
MAX_RECONNECT_MS = 1_000


class Connection:
    """A viewer with its keys and subscriptions. There are thousands: it is kept small."""

    __slots__ = ("keys", "opened_at", "peer", "pinged_at", "subscriptions", "viewer")

    #: What a ping looks like on this kind of connection.
    ping: ClassVar[bytes]

    def __init__(self, viewer: Viewer, peer: Peer) -> None:
        self.viewer = viewer
        self.peer = peer
        self.opened_at = self.pinged_at = viewer.heard_at
        self.keys: tuple[Key, ...] = ()
        self.subscriptions: dict[SubscriptionId, Subscription] = {}

    async def close(self, code: int, reason: str) -> None:
        """End it in good order; `code` is a websocket's close code."""
        raise NotImplementedError

    def watch(self, now: float) -> None:
        """Once a second: for kinds whose peers are not heard by themselves."""

    def grant(self, key: Key) -> None:
        """Raises ForeignOrigin, or BadRequest if the key is of another project than the first."""
        key.require(key.role, self.peer.origin)
        if key in self.keys:
            return
        if len(self.keys) >= MAX_KEYS:
            raise BadRequest(f"A connection takes {MAX_KEYS} keys at most.")
        if any(known.project != key.project for known in self.keys):
            raise BadRequest("A connection serves one project: open another for this key.")
        self.keys += (key,)

    @property
    def reading_key(self) -> Key | None:
        """The key at whose cost it watches."""
        return next((key for key in self.keys if key.role.allows(Role.READ)), None)

    def key_for(self, role: Role) -> Key:
        """The key that allows this. Raises MissingKey or WrongRole."""
        if not self.keys:
            raise MissingKey('Send {"type":"auth","key":"…"} first.')
        for key in self.keys:
            if key.role.allows(role):
                return key
        raise WrongRole(f"This needs a {role} key.")


class Connections:
    """Where the kinds of connections meet the hub."""

    def __init__(
        self,
        auth: Auth,
        limits: Limits,
        hub: Hub,
        reads: Reads,
        metrics: Metrics,
        health: Health,
        *,
        ping_interval_s: float,
        max_connections: int,
    ) -> None:
        self._auth = auth
        self._limits = limits
        self._hub = hub
        self._reads = reads
        self._metrics = metrics
        self._health = health
        self._max_connections = max_connections
        self._ping_interval_s = ping_interval_s
        self._open: set[Connection] = set()
        #: Subscriptions that wait for their topic's first read, of the few that have any.
        self._opening: dict[Connection, dict[SubscriptionId, asyncio.Task[None]]] = {}
        self._closings: set[asyncio.Task[None]] = set()

    def admit(self, request: web.Request) -> None:
        """Before a handshake. Raises RateLimited, ShuttingDown or TooManyConnections."""
        self._limits.open(address_of(request))
        if self._health.draining:
            raise ShuttingDown
        if len(self._open) >= self._max_connections:
            raise TooManyConnections

    def join(self, connection: Connection) -> None:
        """It is open. Whoever calls this calls `leave` in the end."""
        self._open.add(connection)
        self._hub.join(connection.viewer)

    def leave(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._hub.leave(connection.viewer)
        self._stop_opening(connection)
        for subscription in connection.subscriptions.values():
            self._hub.unsubscribe(subscription)

    async def subscribe(
        self, connection: Connection, id: SubscriptionId, topic: TopicId, since: Position | None
    ) -> None:
        """Raises WrongRole, ConflictError, TooManySubscriptions, BadPosition, DatabaseUnavailable;
        CancelledError if the connection ends meanwhile."""
        self._check(connection, id, topic)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # it runs in one
        self._opening.setdefault(connection, {})[id] = task
        await self._subscribe(connection, id, topic, since)

    def open(
        self, connection: Connection, id: SubscriptionId, topic: TopicId, since: Position | None
    ) -> asyncio.Task[None]:
        """The same, meanwhile: raises the first three, the task the others. `unsubscribe` and the
        connection's end cancel it."""
        self._check(connection, id, topic)
        task = asyncio.create_task(self._subscribe(connection, id, topic, since))
        self._opening.setdefault(connection, {})[id] = task
        return task

    def _check(self, connection: Connection, id: SubscriptionId, topic: TopicId) -> None:
        opening = self._opening.get(connection, {})
        if isinstance(topic, AdminTopicId):
            connection.key_for(Role.ADMIN)
        if id in connection.subscriptions or id in opening:
            raise ConflictError(f"There is a subscription with the id {id!r} already.")
        if len(connection.subscriptions) + len(opening) >= MAX_SUBSCRIPTIONS:
            raise TooManySubscriptions

    async def _subscribe(
        self, connection: Connection, id: SubscriptionId, topic: TopicId, since: Position | None
    ) -> None:
        key = connection.reading_key
        reader = None if key is None else self._reads.by(key)
        viewer = connection.viewer
        try:
            subscription = await self._hub.subscribe(viewer, id, topic, since, reader=reader)
            connection.subscriptions[id] = subscription
        finally:
            # Unsubscribed meanwhile, the id may be another one's already.
            if self._opening.get(connection, {}).get(id) is asyncio.current_task():
                self._forget_opening(connection, id)

    def _forget_opening(
        self, connection: Connection, id: SubscriptionId
    ) -> asyncio.Task[None] | None:
        opening = self._opening.get(connection, {})
        task = opening.pop(id, None)
        if not opening:
            self._opening.pop(connection, None)
        return task

    def _stop_opening(self, connection: Connection) -> None:
        """Nobody waits for these any more."""
        for task in self._opening.pop(connection, {}).values():
            task.cancel()

    def unsubscribe(self, connection: Connection, id: SubscriptionId) -> bool:
        """False if there is no such subscription."""
        opening = self._forget_opening(connection, id)
        if opening is not None:
            opening.cancel()
            return True
        subscription = connection.subscriptions.pop(id, None)
        if subscription is not None:
            self._hub.unsubscribe(subscription)
        return subscription is not None

    # The end

    async def refuse(self, connection: Connection, error: LivetallyError) -> None:
        """Say what is wrong, and close: this client is not to come back as it is."""
        connection.viewer.send(error_message(error))
        await self.close(connection, 1008, error.message, error.code)

    async def close(self, connection: Connection, code: int, reason: str, cause: str) -> None:
        self._metrics.viewers_closed.labels(cause).inc()
        await connection.close(code, reason)

    def _close_soon(self, connection: Connection, closing: Coroutine[Any, Any, None]) -> None:
        """Close without waiting for the peer, who may be gone."""
        self._open.discard(connection)
        task = asyncio.create_task(closing)
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    async def drain(self, spread_s: float) -> None:
        """Close everybody with 1012, spread over this time, and each with a hint when to return.

        The hint spreads them further: they come back to the other processes a few at a time.
        """
        connections = list(self._open)
        for connection in connections:
            hint = msgspec.json.encode(RestartHint(random.randrange(MAX_RECONNECT_MS))).decode()
            self._close_soon(connection, self.close(connection, 1012, hint, "restart"))
            await asyncio.sleep(spread_s / len(connections))
        if self._closings:
            await asyncio.wait(self._closings, timeout=CLOSE_TIMEOUT_S)

    # Time

    async def run_clock(self, heart: Heartbeat) -> None:
        """The loop for pings, silence, forgotten authentication and revoked keys."""
        while True:
            heart.beat()
            await asyncio.sleep(RECHECK_S)
            now = asyncio.get_running_loop().time()
            for connection in list(self._open):
                self._check_time(connection, now)
            with contextlib.suppress(DatabaseUnavailable):
                await self._check_keys()

    def _check_time(self, connection: Connection, now: float) -> None:
        connection.watch(now)
        if connection.viewer.closing:  # its messages may be read no further than to what it opens
            self._stop_opening(connection)
        if now - connection.viewer.heard_at > 3 * self._ping_interval_s:
            self._metrics.viewers_closed.labels("silent").inc()
            connection.viewer.abort()
        elif not connection.keys and now - connection.opened_at > AUTH_TIMEOUT_S:
            error = MissingKey(f"No key came within {AUTH_TIMEOUT_S} s.")
            self._close_soon(connection, self.refuse(connection, error))
        elif now - connection.pinged_at > self._ping_interval_s:
            connection.pinged_at = now
            connection.viewer.put(connection.ping)
            connection.viewer.flush()

    async def _check_keys(self) -> None:
        for connection in list(self._open):
            for key in connection.keys:
                if not await self._auth.still_valid(key):
                    self._close_soon(connection, self.refuse(connection, UnknownKey()))
                    break


def error_message(
    error: LivetallyError,
    *,
    id: SubscriptionId | None = None,
    ref: int | str | None = None,
) -> Error:
    """An error as a message; `id` or `ref` say of what."""
    return Error(
        code=error.code,
        message=error.message,
        retry_after_s=UNSET if error.retry_after_s is None else error.retry_after_s,
        id=UNSET if id is None else id,
        ref=UNSET if ref is None else ref,
    )
