"""Format 1's websocket, at /ws.

    > {"action":"add_api_key","api_key":K}
    < {"stats":[{"action":"hover","color":"red","count":5},…],"event_type":"hover"}
    < {"api_key":"shop","action":"hover","color":"red","count":"15"}     if K is an admin key
    > {"action":"live","api_key":K,"event_type":"click"}
    < [{"action":"click","color":"red","count":3},…]
    < {"message":"…","error":{…}}                         ours: the old one answered no mistake

What is pushed is what the hub tells any viewer, after the commit: both lists at once on binding,
then the one that changed. Connections bound to an admin key get cells, of every project.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated
from weakref import WeakValueDictionary

import msgspec
from msgspec import Meta

from ...base.errors import (
    BadRequest,
    DatabaseUnavailable,
    ForeignOrigin,
    LivetallyError,
    MissingKey,
    UnknownKey,
)
from ...base.validation import plainly
from ...live.connections import Connection, Connections, error_message
from ...live.frames import websocket_json
from ...live.hub import Hub
from ...live.topics.totals import TotalsTopicId
from ...schema.keys import Role
from ...web.auth import Auth, Key
from .encoders import Cells, Lists, rejection
from .http import ACTIONS, PROJECTS_S, Colors

log = logging.getLogger(__name__)

_ApiKey = Annotated[str, Meta(max_length=1024)]


class _AddApiKey(msgspec.Struct, tag="add_api_key", tag_field="action"):
    api_key: _ApiKey


class _Live(msgspec.Struct, tag="live", tag_field="action"):
    api_key: _ApiKey
    event_type: Annotated[str, Meta(max_length=64)]


_Message = _AddApiKey | _Live


class _Bound:
    """A connection, and what it was bound to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.key: Key | None = None
        self.following: asyncio.Task[None] | None = None


class ColorSocket:
    """Takes a websocket over when its first message has shown that it speaks this format."""

    def __init__(self, auth: Auth, hub: Hub, connections: Connections, colors: Colors) -> None:
        self._auth = auth
        self._hub = hub
        self._connections = connections
        self._colors = colors
        #: By project, as long as somebody is bound to it: a list is encoded once for all of them.
        self._lists: WeakValueDictionary[int, Lists] = WeakValueDictionary()

    async def serve(
        self, connection: Connection, first: object, messages: AsyncIterator[str]
    ) -> None:
        """Serve a connection (that has joined) until `messages` end.

        `first` is its first message, decoded; `messages` are the texts of those that follow.
        """
        connection.viewer.encode = rejection
        bound = _Bound(connection)
        try:
            await self._receive(bound, first)
            async for text in messages:
                await self._receive(bound, text)
        finally:
            if bound.following:
                bound.following.cancel()

    async def _receive(self, bound: _Bound, value: object) -> None:
        connection = bound.connection
        try:
            match _decode(value):
                case _AddApiKey(api_key=text):
                    await self._bind(bound, await self._find(connection, text))
                case _Live() if connection.viewer.closing:
                    return  # nothing is read for who has gone
                case _Live(api_key=text, event_type=action):
                    key = await self._find(connection, text)
                    if not connection.keys:
                        connection.grant(key)
                    cells = await self._colors.list_of(key, action)
                    connection.viewer.send_frame(websocket_json(cells))
        except (MissingKey, UnknownKey, ForeignOrigin) as error:
            await self._connections.refuse(connection, error)
        except DatabaseUnavailable as error:
            # Its client waits for pushes, and asks once only: when it comes back.
            connection.viewer.send(error_message(error))
            await self._connections.close(connection, 1013, error.message, error.code)
        except LivetallyError as error:
            connection.viewer.send(error_message(error))
        except Exception:  # aiohttp would write a 500 into the open websocket
            log.exception("a message of format 1 failed")
            connection.viewer.send(error_message(LivetallyError()))

    async def _find(self, connection: Connection, text: str) -> Key:
        key = await self._auth.find(text, connection.peer.address)
        key.require(Role.READ, connection.peer.origin)
        return key

    async def _bind(self, bound: _Bound, key: Key) -> None:
        connection = bound.connection
        connection.grant(key)
        if bound.key is not None:
            return
        bound.key = key
        if key.role is Role.ADMIN:
            connection.viewer.encode = Cells()
            bound.following = asyncio.create_task(self._follow_projects(connection))
            return
        lists = self._lists.setdefault(key.project, Lists())
        connection.viewer.encode = lists
        for action in ACTIONS:
            topic = TotalsTopicId(key.project, action, None)
            await self._connections.subscribe(connection, action, topic, None)

    async def _follow_projects(self, connection: Connection) -> None:
        """Subscribe an admin's connection to every project, also to those made later."""
        while True:
            try:
                for number, name in (await self._colors.projects()).items():
                    await self._follow(connection, number, name)
            except DatabaseUnavailable:
                pass  # the next look finds what is missing
            except Exception:
                log.exception("following projects failed")
            await asyncio.sleep(PROJECTS_S)

    async def _follow(self, connection: Connection, project: int, name: str) -> None:
        for action in ACTIONS:
            id = f"{name} {action}"
            if id not in connection.subscriptions:
                # Not by `connections`: its limit is for what clients ask for.
                connection.subscriptions[id] = await self._hub.subscribe(
                    connection.viewer, id, TotalsTopicId(project, action, None)
                )


def _decode(value: object) -> _Message:
    """A message from its text, or from what was decoded already. Raises BadRequest."""
    try:
        if isinstance(value, str):
            value = msgspec.json.decode(value)
        decoded: _Message = msgspec.convert(value, _Message)
        return decoded
    except msgspec.ValidationError as error:
        raise BadRequest(plainly(str(error))) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadRequest(f"The message is not JSON: {error}") from None
