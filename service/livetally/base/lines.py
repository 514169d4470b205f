"""Bytes to lines, packed or plain, of any size: memory stays bounded whatever comes."""

import zlib
from collections.abc import AsyncGenerator

from .config import MAX_BODY_BYTES
from .errors import MalformedObject

#: A longer line is skipped and refused. No event or item that is taken is near it.
MAX_LINE_BYTES = MAX_BODY_BYTES
#: What is unpacked at once: a gzip bomb is taken in such steps, like everything else.
STEP_BYTES = 256 * 1024
#: What is given to the unpacker at once: it copies what it doesn't take, after each of its steps
#: and of many small members.
_PACKED_BYTES = 16 * 1024

#: What some editors and exports put before UTF-8.
BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_AUTO_GZIP = 16 + zlib.MAX_WBITS


class Lines:
    """Cuts a stream into lines. What is kept between two chunks is at most one line."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._number = 0

    def feed(self, chunk: bytes) -> list[tuple[int, bytes | None]]:
        """The lines that end in this chunk, numbered from 1; None for one that is too long."""
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        if not rest:
            return []
        *whole, last = rest
        ended = [self._take(), *(line if len(line) <= MAX_LINE_BYTES else None for line in whole)]
        if self._number == 0 and ended[0]:
            ended[0] = ended[0].removeprefix(BOM)
        start = self._number + 1
        self._number += len(ended)
        self._keep(last)
        return [(n, line) for n, line in enumerate(ended, start) if line is None or line.strip()]

    def end(self) -> list[tuple[int, bytes | None]]:
        """The last line, if it lacks its newline."""
        return self.feed(b"\n") if self._size else []

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= MAX_LINE_BYTES:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _take(self) -> bytes | None:
        line = b"".join(self._parts) if self._size <= MAX_LINE_BYTES else None
        self._parts.clear()
        self._size = 0
        return line


async def unpacked(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same bytes, or what they unpack to if they begin like gzip (of any number of members).

    Raises MalformedObject if they then turn out not to be, or end too early.
    """
    start = b""
    async for chunk in chunks:
        start += chunk
        if len(start) >= len(_GZIP):
            break
    if not start.startswith(_GZIP):
        yield start
        async for chunk in chunks:
            yield chunk
        return
    unpack = zlib.decompressobj(_AUTO_GZIP)
    chunks = _cut(start, chunks)
    packed = await anext(chunks)
    while packed:
        if unpack.eof and not (packed := packed.lstrip(b"\0")):
            packed = await anext(chunks, b"")  # what followed was padding
            continue
        if unpack.eof:  # another member follows
            unpack = zlib.decompressobj(_AUTO_GZIP)
        step = _step(unpack, packed)
        yield step
        packed = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
        while not packed and len(step) == STEP_BYTES:  # it has more than fitted
            step = _step(unpack, b"")
            yield step
            packed = unpack.unused_data
        packed = packed or await anext(chunks, b"")
    if not unpack.eof:
        raise MalformedObject("The object ends in the middle of its gzip.")


async def _cut(start: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(start), _PACKED_BYTES):
        yield start[at : at + _PACKED_BYTES]
    async for chunk in chunks:
        for at in range(0, len(chunk), _PACKED_BYTES):
            yield chunk[at : at + _PACKED_BYTES]


def _step(unpack: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return unpack.decompress(packed, STEP_BYTES)
    except zlib.error as error:
        raise MalformedObject(f"The object can't be unpacked: {error}.") from None
