"""What a server, or what pretends to be one, can cost a program that has the Python SDK: little."""

import asyncio
import base64
import contextlib
import hashlib
import re
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livetally.client import AsyncClient, Unavailable, wire
from livetally.client.answers import ANSWER_BYTES
from livetally.client.live import MAX_MESSAGE_BYTES

PROGRAM = Path(__file__).with_name("programs") / "ask.py"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
TEXT, CONTINUATION, FINAL = b"\x01", b"\x00", b"\x81"
FRAGMENT = b"\x7f" + (65536).to_bytes(8, "big") + b"x" * 65536
#: What the SDK may hold of an answer: what it may be, and once more while it is put together.
MOST_MIB = (2 * ANSWER_BYTES + 2 * MAX_MESSAGE_BYTES) / 2**20


def bomb() -> bytes:
    """A gigabyte, packed to a megabyte."""
    pack = zlib.compressobj(1, wbits=31)
    packed = [pack.compress(bytes(2**24)) for _ in range(64)]
    return b"".join((*packed, pack.flush()))


class Hostile:
    """Answers every request with a beginning, and then with more and more of the same."""

    def __init__(self, head: bytes, again: bytes = b"") -> None:
        self.head, self.again = head, again

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
            if key:
                writer.write(_upgrade(key[1]))
            writer.write(self.head)
            while self.again:
                writer.write(self.again)
                await writer.drain()
        writer.close()


def _upgrade(key: bytes) -> bytes:
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324
    accept = base64.b64encode(digest)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


@contextlib.asynccontextmanager
async def listening(*hostile: Hostile) -> AsyncIterator[list[str]]:
    """Their addresses."""
    servers = [await asyncio.start_server(each.serve, "127.0.0.1", 0) for each in hostile]
    try:
        yield [f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in servers]
    finally:
        for server in servers:
            server.close()


async def test_no_answer_takes_more_memory_than_answers_have() -> None:
    """A gigabyte in a gzip, bodies, headers and messages without an end: each is given up."""
    packed = bomb()
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    hostile = (
        Hostile(OK + b"Content-Length: 2\r\n\r\n{}"),  # the first warms up
        Hostile(head + packed),
        Hostile(CHUNKED + b"\r\n", CHUNK),
        Hostile(OK + b"Content-Length: 1099511627776\r\n\r\n", b"x" * 65536),
        Hostile(OK, b"X-More: and more\r\n" * 1_000),
        Hostile(OK + b"X-Endless: ", b"x" * 65536),
        Hostile(OK + b"Content-Length: 4000000\r\n\r\n" + b"[" * 4_000_000),
        Hostile(FINAL + b"\x7f" + (2**40).to_bytes(8, "big"), b"x" * 65536),
        Hostile(TEXT + FRAGMENT, CONTINUATION + FRAGMENT),
    )
    async with listening(*hostile) as urls:
        asking = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            *urls,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        grown_mib, complained = await asking.communicate()
    assert asking.returncode == 0, complained.decode()
    assert float(grown_mib) < MOST_MIB, complained.decode()


async def test_an_answer_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes byte by byte is given up in the end, however steadily it comes."""
    monkeypatch.setattr(wire, "ATTEMPT_TIMEOUT_S", 0.3)
    drip = Hostile(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    async with listening(drip) as (url,), AsyncClient(url, "a key", timeout_s=0.1) as client:
        with pytest.raises(Unavailable, match="TimeoutError"):
            await client.total("click", "red")
