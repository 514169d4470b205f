"""GET /v1/live/sse: one topic as server-sent events, for a plain `EventSource`.

    ?totals=click[&subject=red&subject=blue]   ?feed=click[&subject=red]   ?item=van/3   ?items=van
    ?pointers=/pricing

Each event's data is a message of the live protocol. An `EventSource` can't set headers, so the read
key may stand in the query (`api_key`). A feed's position is the event's id: the browser sends it
back as `Last-Event-ID` when it reconnects, and gets exactly what it missed.
"""

import asyncio
import socket

import msgspec
from aiohttp import web
from msgspec import Raw

from ..base.client_address import Peer, peer_of
from ..base.errors import BadRequest, ShuttingDown, TooManyConnections
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import HEADERS
from ..web.operation_docs import Text, operation
from .connections import Connection, Connections
from .frames import SSE_PING, sse_json
from .subscriptions import parse
from .viewer import Viewer

#: How long a browser waits before it reconnects.
_RETRY = b"retry: 1000\n\n"
#: A peer that acknowledges nothing for this long is gone.
UNHEARD_MS = 60_000

_KINDS = ("totals", "feed", "item", "items", "pointers")


class _EventStream(Connection):
    """A connection that only listens. Its peer shows that it lives by taking what we write."""

    __slots__ = ("ended",)

    ping = SSE_PING

    def __init__(self, viewer: Viewer, peer: Peer) -> None:
        super().__init__(viewer, peer)
        self.ended = asyncio.Event()

    async def close(self, code: int, reason: str) -> None:
        self.ended.set()

    def watch(self, now: float) -> None:
        if self.viewer.closing:
            self.ended.set()
        elif self.viewer.written:
            self.viewer.heard_at = now


class TopicQuery(msgspec.Struct):
    """The parameters of a request: one topic. `subject` may be given several times."""

    totals: str | None = None
    feed: str | None = None
    item: str | None = None
    items: str | None = None
    pointers: str | None = None
    subject: str | None = None
    since: str | None = None
    api_key: str | None = None


class ServerSentEvents:
    """The same hub and the same limits, over plain HTTP."""

    def __init__(
        self,
        auth: Auth,
        connections: Connections,
        viewer_buffer_bytes: int,
    ) -> None:
        self._auth = auth
        self._connections = connections
        self._viewer_buffer_bytes = viewer_buffer_bytes

    @operation(
        "One topic, as server-sent events",
        tag="Live",
        key="read",
        query=TopicQuery,
        headers={"Last-Event-ID": "A feed's position, as a browser sends it when it reconnects."},
        responses={200: Text("text/event-stream")},
        errors=(BadRequest, ShuttingDown, TooManyConnections),
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/live/sse. What can be refused is refused before the stream begins."""
        self._connections.admit(request)
        peer = peer_of(request)
        key = await self._auth.admit(request, Role.READ)
        wanted = parse(_topic(request))
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        _end_when_unheard(transport)
        now = asyncio.get_running_loop().time()
        viewer = Viewer(transport, sse_json, self._viewer_buffer_bytes, now, corked=True)
        connection = _EventStream(viewer, peer)
        connection.grant(key)
        response = web.StreamResponse(
            headers={
                **HEADERS,
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would hold events back
            }
        )
        self._connections.join(connection)
        try:
            topic = wanted.topic(key.project)
            await self._connections.subscribe(connection, 1, topic, wanted.since)
            await response.prepare(request)
            await response.write(_RETRY)
            viewer.uncork()
            await connection.ended.wait()
        finally:
            self._connections.leave(connection)
        return response


def _topic(request: web.Request) -> Raw:
    """The topic in the query, as the live protocol writes it. Raises BadRequest."""
    query = request.query
    unknown = query.keys() - {*_KINDS, "subject", "since", "api_key"}
    kinds = [kind for kind in _KINDS if kind in query]
    if unknown or len(kinds) != 1:
        raise BadRequest(f"Name one of {', '.join(_KINDS)}, and besides only subject and since.")
    (kind,) = kinds
    topic: dict[str, object] = {kind: query[kind]}
    subjects = query.getall("subject", [])
    since = request.headers.get("Last-Event-ID") or query.get("since")
    if kind == "item":
        topic["item"] = query["item"].partition("/")[::2]
    if subjects:
        topic |= {"subject": subjects[0]} if kind == "feed" else {"subjects": subjects}
    if since and kind == "feed":
        try:
            topic["since"] = msgspec.json.decode(since)
        except (msgspec.DecodeError, RecursionError):
            raise BadRequest("since (Last-Event-ID) must be a position, as JSON.") from None
    return Raw(msgspec.json.encode(topic))


def _end_when_unheard(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection whose peer acknowledges nothing, not even pings."""
    sock = transport.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)
