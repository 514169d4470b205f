"""A relay before Redis that drops, doubles and reorders messages when told to."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable


class Relay:
    """Stands before Redis. Drops, doubles and reorders published messages when told to."""

    def __init__(self, host: str, port: int, seed: int) -> None:
        self._upstream = host, port
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._late: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.faulty = False
        self.faults = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Relay"]:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            self.cut()

    def url(self, redis_url: str) -> str:
        """The address of Redis, by way of the relay."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return redis_url.replace(f":{self._upstream[1]}/", f":{port}/")

    def cut(self) -> None:
        """End every connection that goes through."""
        for writer in list(self._writers):
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Connections stay, and new ones come about, but nothing gets through any more."""
        self._flowing.clear()

    def heal(self) -> None:
        """No more faults; what was held back comes now, late."""
        self.faulty = False
        self._flowing.set()
        self._release()

    async def _connected(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            server, to_server = await asyncio.open_connection(*self._upstream)
        except OSError:
            to_client.transport.abort()
            return
        ends = {to_client, to_server}
        self._writers |= ends
        pumps = [
            asyncio.create_task(self._pump(client, to_server, self._bytes)),
            asyncio.create_task(self._pump(server, to_client, self._messages)),
        ]
        with contextlib.suppress(asyncio.CancelledError):  # the test has ended
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for writer in ends:
            writer.transport.abort()
        self._writers -= ends

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passing: Callable[[asyncio.StreamWriter, bytes], bytes],
    ) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                rest = passing(writer, rest + data)
                await writer.drain()

    def _bytes(self, writer: asyncio.StreamWriter, data: bytes) -> bytes:
        writer.write(data)
        return b""

    def _messages(self, writer: asyncio.StreamWriter, data: bytes) -> bytes:
        """Pass on whole replies, published messages at risk; returns what isn't whole yet."""
        at = 0
        while (end := _end_of_reply(data, at)) is not None:
            reply, at = data[at:end], end
            if self.faulty and reply[1:].startswith(b"3\r\n$7\r\nmessage\r\n"):
                self._endanger(writer, reply)
            else:
                writer.write(reply)
        return data[at:]

    def _endanger(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        self.faults += 1
        match self._random.choices(["drop", "double", "hold", "release"], [4, 2, 3, 1])[0]:
            case "drop":
                return
            case "double":
                writer.write(message + message)
            case "hold":
                self._late.append((writer, message))
            case "release":
                writer.write(message)
                self._release()

    def _release(self) -> None:
        self._random.shuffle(self._late)
        for writer, message in self._late:
            if not writer.is_closing():
                writer.write(message)
        self._late.clear()


def _end_of_reply(data: bytes, at: int) -> int | None:
    """Where the RESP value that starts at `at` ends, if it is all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, after = data[at : at + 1], line + 2
    if kind in (b"$", b"=", b"!"):
        size = int(data[at + 1 : line])
        end = after + size + 2 if size >= 0 else after
        return end if end <= len(data) else None
    if kind in (b"*", b">", b"~", b"%", b"|"):
        for _ in range(int(data[at + 1 : line]) * (2 if kind in (b"%", b"|") else 1)):
            part = _end_of_reply(data, after)
            if part is None:
                return None
            after = part
    return after
