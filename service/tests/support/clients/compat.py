"""What the tests of the older systems' formats share: their sockets, and a commit that waits."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psycopg

from livetally.schema import compat
from livetally.schema.keys import Role
from livetally.schema.live import Message
from service.tests.support.declared import is_declared
from service.tests.support.postgres import make_key, query
from service.tests.support.server import Service

ORIGIN = "https://colours.example"
#: What is no action, no colour, and no command.
NO_NAMES: list[Any] = [None, 1, -1.5, True, [], {}, [["a"]], {"a": 1}, "", "x" * 2000, "a\0b"]


#: All that is pushed on their websockets, and on the native one, as JSON.
PUSHED = (
    *(compat.ColorPush, compat.ColorCell, compat.ColorRejection, list[compat.ColorCount]),
    *(compat.CableWelcome, compat.CablePing, compat.CableAnswer, compat.CableMessage),
    *(compat.CableReadyMessage, Message),
    *(compat.CableDisconnect, compat.ArticleViews, dict[str, compat.Attribute]),
)


class Socket:
    """A client's end of one of their websockets."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, message: object) -> None:
        await self.socket.send_json(message)

    async def text(self) -> str:
        """The next message as it came; fails the test if the connection ends instead."""
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return message.data

    async def receive(self) -> Any:
        text = await self.text()
        assert is_declared(text.encode(), PUSHED), text
        return json.loads(text)

    async def until(self, expected: Any) -> None:
        """Read on until this comes."""
        async with asyncio.timeout(20):
            while await self.receive() != expected:
                pass

    async def close_code(self) -> int | None:
        """Read on until the server closes; its code."""
        async with asyncio.timeout(20):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@contextlib.asynccontextmanager
async def opened(service: Service, path: str, **options: Any) -> AsyncIterator[Socket]:
    async with service.http.ws_connect(path, **options) as socket:
        yield Socket(socket)


async def other_project(service: Service, name: str) -> dict[Role, str]:
    return {
        role: await make_key(service.database_url, name, role) for role in (Role.WRITE, Role.READ)
    }


@contextlib.asynccontextmanager
async def commits_held(service: Service) -> AsyncIterator[None]:
    """Nobody can commit a count meanwhile; everything can be read."""
    async with await psycopg.AsyncConnection.connect(service.database_url) as connection:
        await connection.execute("LOCK TABLE totals IN EXCLUSIVE MODE")
        yield
        await connection.rollback()


async def until_a_commit_waits(service: Service) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'totals'::regclass"
    async with asyncio.timeout(20):
        while query(service.database_url, waiting) == [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0)  # Postgres has no event for that
