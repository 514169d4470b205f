"""A box in front of the service, as a login page, a router or a firewall is: it answers in the
service's stead as often as it is told to, and otherwise lets everything through."""

import asyncio
import contextlib
import json
import math
import re
import time
from collections.abc import Callable
from typing import NamedTuple, Self
from urllib.parse import urlsplit


class Seen(NamedTuple):
    """A request that came."""

    at: float
    head: bytes
    body: bytes


class Box:
    """Let it be entered: `async with Box(service.url) as box`."""

    def __init__(self, url: str = "") -> None:
        self._place = urlsplit(url)
        self._answer = b""
        self._times: float = 0
        self._to: Callable[[Seen], bool] = lambda seen: True
        self._swallow: float = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pump in list(self._pumps):
            pump.cancel()

    def say(
        self,
        answer: bytes,
        times: float = math.inf,
        to: Callable[[Seen], bool] = lambda seen: True,
    ) -> None:
        """Answer so many requests like this, instead of the service; those that `to` picks."""
        self._answer, self._times, self._to = answer, times, to

    def swallow(self, times: float) -> None:
        """Let so many requests through, and lose their answers."""
        self._swallow = times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        try:
            ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
            with contextlib.suppress(*ends):
                await self._take(reader, writer)
        finally:
            self._pumps.discard(task)
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        seen = Seen(time.monotonic(), head, body)
        self.seen.append(seen)
        if self._times > 0 and self._to(seen):
            self._times -= 1
            writer.write(self._answer)
            await writer.drain()
            return
        theirs, ours = await asyncio.open_connection(self._place.hostname, self._place.port)
        if b"\r\nUpgrade:" not in head:  # or the next request would pass without being seen
            head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        ours.write(head + body)
        if self._swallow > 0:
            self._swallow -= 1
            await theirs.readuntil(b"\r\n\r\n")
            ours.close()
            return
        await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def said(status: str, body: bytes | object = b"", **headers: str) -> bytes:
    """An answer of HTTP: what isn't bytes is sent as JSON."""
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": kind, "Content-Length": str(len(text)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + text
