"""How a websocket ends: as a wrong answer in seconds, never as a loop that nothing ends.

A closed socket of aiohttp's is ready at once, again and again: who loops until the right message
comes never waits, and no timeout can end what never waits.
"""

import asyncio
from typing import NamedTuple

import aiohttp
from aiohttp import WSMsgType

#: Longer than a server takes to notice anything, drain times of the tests included.
WITHIN_S = 20


class End(NamedTuple):
    code: int
    reason: str
    #: The texts that came before.
    texts: list[str]


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> End:
    """Read on until the server closes. Fails if the connection just breaks, or stays."""
    texts = []
    async with asyncio.timeout(WITHIN_S):
        while (message := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            texts.append(message.data)
    assert message.type is WSMsgType.CLOSE, message
    return End(message.data, message.extra or "", texts)
