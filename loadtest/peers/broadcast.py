"""PyPI's `websockets` with its own `broadcast`, on uvloop, without compression."""

import asyncio

import uvloop
from counts import INTERVAL_S, PORT, Counts
from websockets.asyncio.server import ServerConnection, broadcast, serve

counts = Counts()
viewers: set[ServerConnection] = set()


async def converse(connection: ServerConnection) -> None:
    try:
        async for text in connection:
            kind, answer = counts.answer(text)
            if answer is not None:
                await connection.send(answer)
            if kind == "subscribe":
                viewers.add(connection)
    finally:
        viewers.discard(connection)


async def main() -> None:
    async with serve(converse, "127.0.0.1", PORT, compression=None, backlog=4096):
        while True:
            await asyncio.sleep(INTERVAL_S)
            if (news := counts.news()) is not None:
                broadcast(viewers, news)


uvloop.run(main())
