"""The viewers of the jitter test: light websockets that are cut, come back, and keep account.

A process of its own. It is told what to do by lines on standard input (`go`, `calm`, `stop`), and
says on standard output how it gets on; the account goes to a file, when all is over.
"""

import asyncio
import contextlib
import json
import random
import resource
import socket
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import uvloop

#: A connection that is not up by then is given up.
CONNECT_TIMEOUT_S = 10.0
#: Waits between attempts, as the browser's client makes them: full jitter, doubled up to the cap.
BACKOFF_MIN_S, BACKOFF_BASE_S, BACKOFF_CAP_S = 0.05, 0.5, 2.0
#: Closing a socket with this option set sends a reset instead of a FIN.
RESET = struct.pack("ii", 1, 0)


class Task(msgspec.Struct):
    """What this process is to do."""

    ports: list[int]
    read_key: str
    feed: str
    viewers: int
    messages: int
    cut_every_s: float
    offline_s: float
    ramp_s: float
    seed: int
    account: str


class Reconnect(msgspec.Struct):
    """One return of one viewer."""

    at: int  # ns: when it had its place in the feed again
    took: int  # ns, from the first attempt, waits between attempts included
    attempts: int
    cause: str  # "cut": by us; "server": the server closed it or died


class Account(msgspec.Struct):
    """What came of it. Times are nanoseconds of the one monotonic clock."""

    #: For each viewer the numbers of the messages, as they came.
    received: list[list[int]]
    #: For each delivery the time since the message was due, and without what the cut took of it.
    took: list[int]
    beyond: list[int]
    reconnects: list[Reconnect]
    errors: dict[str, int]


class _Properties(msgspec.Struct):
    n: int
    at: int


class _Event(msgspec.Struct):
    properties: _Properties


class _Message(msgspec.Struct):
    type: str
    code: str = ""
    events: list[_Event] = []
    position: msgspec.Raw = msgspec.Raw(b"")


class _Hint(msgspec.Struct):
    reconnect_after_ms: int = 0


_decoder = msgspec.json.Decoder(_Message)


def backoff(attempt: int) -> float:
    longest = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**attempt)
    return random.uniform(BACKOFF_MIN_S, longest)


class Link(asyncio.Protocol):
    """One connection: a websocket client with what this needs and no more."""

    def __init__(self, viewer: "Viewer") -> None:
        loop = asyncio.get_running_loop()
        self._viewer = viewer
        self._held = b""
        self._upgraded = False
        self._transport: Any = None
        #: How long the server asks to stay away, in its closing frame.
        self.stay_away_s = 0.0
        self._closing = False
        #: It has its place in the feed; False: it was lost before.
        self.placed: asyncio.Future[bool] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            b"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Api-Key: %b\r\n\r\n"
            % self._viewer.crowd.task.read_key.encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.placed.done():
            self.placed.set_result(False)
        if not self.lost.done():
            self.lost.set_result(None)

    def cut(self, *, reset: bool) -> None:
        """End it without a closing handshake; what was under way to us is gone."""
        if reset and not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET
            )
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        held = self._held + data if self._held else data
        used = 0
        if not self._upgraded:
            used = held.find(b"\r\n\r\n") + 4
            if used < 4:
                self._held = held
                return
            if not held.startswith(b"HTTP/1.1 101"):
                self._fail(f"HTTP {held[9:12].decode()}")
                return
            self._upgraded = True
            self._transport.write(client_frame(0x81, self._viewer.subscribe()))
        while size := self._take_frame(held, used, now):
            used += size
        self._held = held[used:]

    def _take_frame(self, held: bytes, at: int, now: int) -> int:
        """The size of the frame that begins there; 0 if it isn't whole yet, or the link is over."""
        if len(held) < at + 2 or self._closing or self._transport.is_closing():
            return 0
        size, head = held[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(held[at + 2 : at + head], "big")
        end = at + head + size
        if len(held) < at + head or len(held) < end:
            return 0
        match held[at]:
            case 0x81:
                self._receive(held[at + head : end], now)
            case 0x89:
                self._transport.write(client_frame(0x8A, held[at + head : end]))
            case 0x88:  # as browsers do: nothing that comes later counts
                self._closing = True
                self._transport.write(client_frame(0x88, held[at + head : at + head + 2]))
                with contextlib.suppress(msgspec.DecodeError):
                    hint = msgspec.json.decode(held[at + head + 2 : end], type=_Hint)
                    self.stay_away_s = hint.reconnect_after_ms / 1e3
        return head + size

    def _receive(self, payload: bytes, now: int) -> None:
        message = _decoder.decode(payload)
        if message.type in ("error", "gap"):
            self._fail(message.code or message.type)
        elif message.type == "events":
            self._viewer.take(message.events, bytes(message.position), now)
            if not self.placed.done():
                self.placed.set_result(True)

    def _fail(self, what: str) -> None:
        self._viewer.crowd.errors[what] += 1
        self._transport.abort()


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Under a mask of zeros, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, 0x80 | size)) + bytes(4) + payload
    return bytes((opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


class Viewer:
    """Follows the feed through cuts, by its last position, as an application does."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.received: list[int] = []
        self._position = b""
        #: When it was without a network by our doing: (from, to).
        self._offline: list[tuple[int, int]] = []
        self._link: Link | None = None

    def subscribe(self) -> bytes:
        since = b',"since":' + self._position if self._position else b""
        feed = json.dumps(self.crowd.task.feed).encode()
        return b'{"type":"subscribe","id":1,"topic":{"feed":%b%b}}' % (feed, since)

    def take(self, events: list[_Event], position: bytes, now: int) -> None:
        for event in events:
            sent = event.properties.at
            self.received.append(event.properties.n)
            self.crowd.took.append(now - sent)
            self.crowd.beyond.append(now - sent - self._offline_between(sent, now))
        self.crowd.delivered += len(events)
        self._position = position

    def _offline_between(self, start: int, end: int) -> int:
        return sum(max(0, min(to, end) - max(at, start)) for at, to in self._offline)

    async def run(self) -> None:
        """Until cancelled."""
        task = self.crowd.task
        try:
            await asyncio.sleep(random.uniform(0, task.ramp_s))
            await self._connect()
            self.crowd.ready += 1
            await self.crowd.go.wait()
            # A clock of its own: cuts stay spread, whatever brings viewers back at once.
            cut_at = time.monotonic() + random.uniform(0, task.cut_every_s)
            while True:
                cause = await self._until_lost(cut_at)
                began = time.monotonic_ns()
                attempts = await self._connect()
                now = time.monotonic_ns()
                self.crowd.reconnects.append(Reconnect(now, now - began, attempts, cause))
                while cut_at < time.monotonic():
                    cut_at += task.cut_every_s * random.uniform(0.8, 1.2)
        finally:
            if self._link:
                self._link.cut(reset=True)

    async def _connect(self) -> int:
        """Get a place in the feed again, however often it takes; the number of attempts."""
        loop = asyncio.get_running_loop()
        attempt = 0
        ports = random.sample(self.crowd.task.ports, len(self.crowd.task.ports))
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    port = ports[attempt % len(ports)]
                    _, link = await loop.create_connection(lambda: Link(self), "127.0.0.1", port)
                    self._link = link
                    if await link.placed:
                        return attempt + 1
            if self._link:
                self._link.cut(reset=True)
            await asyncio.sleep(backoff(attempt))
            attempt += 1

    async def _until_lost(self, cut_at: float) -> str:
        """Follow until it is time to be cut, or the server is gone; then wait and say which."""
        assert self._link
        await asyncio.wait([self._link.lost], timeout=cut_at - time.monotonic())
        if self.crowd.calm:
            await asyncio.wait([self._link.lost])
        if self._link.lost.done():
            await asyncio.sleep(self._link.stay_away_s + backoff(0))
            return "server"
        offline_at = time.monotonic_ns()
        self._link.cut(reset=random.random() < 0.5)
        await asyncio.sleep(self.crowd.task.offline_s * random.uniform(0.8, 1.2))
        self._offline.append((offline_at, time.monotonic_ns()))
        return "cut"


class Crowd:
    """All viewers of this process."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.go = asyncio.Event()
        self.calm = False
        self.ready = self.delivered = 0
        self.took: list[int] = []
        self.beyond: list[int] = []
        self.reconnects: list[Reconnect] = []
        self.errors: Counter[str] = Counter()
        self.viewers = [Viewer(self) for _ in range(task.viewers)]

    async def run(self) -> None:
        running = [asyncio.create_task(viewer.run()) for viewer in self.viewers]
        speaking = asyncio.create_task(self._speak())
        await self._listen()
        for task in (*running, speaking):
            task.cancel()
        await asyncio.wait([*running, speaking])
        for task in running:
            if not task.cancelled():
                task.result()  # only an error ends it sooner
        received = [viewer.received for viewer in self.viewers]
        account = Account(received, self.took, self.beyond, self.reconnects, dict(self.errors))
        Path(self.task.account).write_bytes(msgspec.json.encode(account))  # noqa: ASYNC240

    async def _listen(self) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while (word := await reader.readline()) not in (b"stop\n", b""):
            if word == b"go\n":
                self.go.set()
            elif word == b"calm\n":
                self.calm = True

    async def _speak(self) -> None:
        while True:
            print(json.dumps([self.ready, self.delivered, len(self.reconnects)]), flush=True)
            await asyncio.sleep(0.2)


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    task = msgspec.json.decode(sys.argv[1], type=Task)
    random.seed(task.seed)
    uvloop.run(_run(task))


async def _run(task: Task) -> None:
    await Crowd(task).run()


if __name__ == "__main__":
    main()
