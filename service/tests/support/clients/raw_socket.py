"""A websocket without a library, for the tests that break its rules."""

import asyncio
import json
import os
import struct
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawSocket:
    """A websocket without a library: it can be wrong, and it can be slow."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> None:
        self.writer.write(self.frame(opcode, payload, fin=fin, masked=masked))

    @staticmethod
    def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
        size = len(payload)
        length = (
            bytes([size | masked << 7])
            if size < 126
            else struct.pack("!BH", 126 | masked << 7, size)
            if size < 65_536
            else struct.pack("!BQ", 127 | masked << 7, size)
        )
        mask = os.urandom(4) if masked else b""
        if masked:
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        return bytes([opcode | fin << 7]) + length + mask + payload

    async def frame_from(self) -> tuple[int, bytes]:
        """The next frame that the server sends: (opcode, payload)."""
        async with asyncio.timeout(20):
            first, second = await self.reader.readexactly(2)
            size = second
            if second == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif second == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)

    async def message(self) -> dict[str, Any]:
        while True:
            opcode, payload = await self.frame_from()
            if opcode == TEXT:
                return json.loads(payload)
            assert opcode in (PING, PONG), (opcode, payload)

    async def close_code(self) -> int | None:
        """Read on until the server closes; its code, or None if it just hung up."""
        try:
            while True:
                opcode, payload = await self.frame_from()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
