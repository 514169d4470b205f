"""Watching with the Python SDK: silence, and what else than Livetally may speak on a websocket."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from livetally.client import (
    AsyncClient,
    AsyncLive,
    Reconnecting,
    Snapshot,
    Unauthorized,
    Update,
    live,
    totals,
)
from livetally.client.wire import FIRST_PAUSE_S
from livetally.schema.keys import Role
from service.tests.support.faults.box import Box
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Service, serving

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]
READY = {"type": "ready", "project": "demo", "role": "read"}


def stranger(talk: Talk) -> TestServer:
    """A server that speaks on every websocket as it is told to."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/v1/live", handle)
    return TestServer(app)


async def test_a_quiet_topic_is_asked_and_not_cut(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server pings only every 300 s a silent connection is asked, again and again, and
    stays the one it was."""
    monkeypatch.setattr(live, "SILENCE_S", 0.1)
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys, ping_interval_s=300) as service,
        Box(service.url) as box,
        AsyncClient(box.url, keys[Role.ADMIN]) as client,
        client.live(totals("click")) as viewing,
    ):
        assert isinstance(await anext(viewing), Snapshot)
        update = asyncio.ensure_future(anext(viewing))
        await asyncio.wait([update], timeout=0.7)  # many times the silence
        assert not update.done()
        await client.send([{"type": "click", "subject": "red"}])
        assert isinstance(await update, Update)
        assert sum(b"/v1/live" in seen.head for seen in box.seen) == 1


async def test_who_does_not_answer_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is open and dead is asked once, and then given up."""
    monkeypatch.setattr(live, "SILENCE_S", 0.1)
    monkeypatch.setattr(live, "ANSWER_S", 0.5)
    heard: list[str] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_json(READY)
        while (frame := await socket.receive()).type is WSMsgType.TEXT:
            heard.append(json.loads(frame.data)["type"])

    async with stranger(talk) as server:
        url = str(server.make_url("/"))
        async with AsyncClient(url, "key") as client, client.live(totals("click")) as viewing:
            cut = await anext(viewing)
            assert isinstance(cut, Reconnecting)
            assert "doesn't answer" in cut.reason
    assert heard == ["auth", "subscribe", "ping"]


@pytest.mark.parametrize(
    "said",
    ["hello", "{}", '{"type":"welcome"}', '{"error":"login"}', '"\\ud83d"', "[" * 10_000],
)
async def test_what_others_say_is_waited_out(said: str) -> None:
    """Text, other JSON, a policy's close: none of it is an answer or ends the watching."""
    times = 0

    async def talk(socket: web.WebSocketResponse) -> None:
        nonlocal times
        times += 1
        await socket.send_str(said)
        await socket.close(code=1008, message=b"policy")

    async with stranger(talk) as server:
        url = str(server.make_url("/"))
        async with AsyncClient(url, "key") as client, client.live(totals("click")) as viewing:
            cuts = [await anext(viewing) for _ in range(3)]
    assert times == 3
    waits = [cut.in_s for cut in cuts if isinstance(cut, Reconnecting)]
    assert all(wait >= FIRST_PAUSE_S * 2**n / 4 for n, wait in enumerate(waits))
    assert len(waits) == 3


async def test_a_key_that_is_revoked_ends_the_watching(service: Service) -> None:
    """Only the server's own word does: the key is not known any more."""
    async with AsyncClient(service.url, service.keys[Role.READ]) as client:
        viewing = client.live(totals("click"))
        assert isinstance(await anext(viewing), Snapshot)
        query(service.database_url, "UPDATE keys SET revoked_at = now() WHERE role = 'read'")
        with pytest.raises(Unauthorized, match="revoked"):
            await _end(viewing)


async def _end(viewing: AsyncLive) -> None:
    async for _ in viewing:
        pass
