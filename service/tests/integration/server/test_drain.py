"""Leaving in good order: viewers are closed a few at a time, each with a hint when to return."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web

from livetally.schema.keys import Role
from service.tests.support.clients.websocket import end_of
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process, free_port

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


async def test_viewers_are_closed_spread_over_the_drain_time(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """Thirty viewers are closed with 1012 over 3 s, with differing hints; the process exits 0."""
    keys = await make_keys(database_url)
    process = spawn(LIVETALLY_DRAIN_S="3").wait_ready()
    async with aiohttp.ClientSession() as http:
        url = f"{process.url}/v1/live?api_key={keys[Role.READ]}"
        sockets = [await http.ws_connect(url) for _ in range(30)]

        async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[float, dict[str, Any]]:
            end = await end_of(socket)
            assert end.code == 1012
            return time.monotonic(), json.loads(end.reason)

        watching = asyncio.gather(*map(closed, sockets))
        process.process.terminate()
        ends, hints = zip(*await watching, strict=True)
        assert await asyncio.to_thread(process.process.wait, 20) == 0
    assert max(ends) - min(ends) > 2
    longest_pause = max(b - a for a, b in zip(sorted(ends), sorted(ends)[1:], strict=False))
    assert longest_pause < 1.5, "they were closed in bunches"
    assert len({hint["reconnect_after_ms"] for hint in hints}) > 10


async def test_connections_are_heard_until_they_are_closed(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """A request on a kept connection is refused at once, and who answers a close is let go."""
    keys = await make_keys(database_url)
    process = spawn(LIVETALLY_DRAIN_S="4").wait_ready()
    streams = [await asyncio.open_connection("127.0.0.1", process.port) for _ in range(4)]
    head = f" HTTP/1.1\r\nHost: a\r\nX-Api-Key: {keys[Role.ADMIN]}\r\n"
    event = '{"type":"click","subject":"red"}'
    post = f"POST /v1/events{head}Content-Length: {len(event)}\r\n\r\n{event}"
    upgrade = f"GET /v1/live{head}{UPGRADE}\r\n"
    (reader, writer), *viewers = streams
    for _, viewer in viewers:
        viewer.write(upgrade.encode())
    for viewer, _ in viewers:
        await viewer.readuntil(b"}")  # ready
    writer.write(post.encode())
    assert b" 200 " in await reader.readuntil(b"}")

    process.process.terminate()
    closing = asyncio.gather(*(viewer.readuntil(b'"reconnect') for viewer, _ in viewers[:1]))
    await asyncio.wait_for(closing, 10)
    writer.write(post.encode())
    answer = await asyncio.wait_for(reader.read(), 1)
    assert b" 503 " in answer
    assert b"shutting_down" in answer
    assert b"Connection: close" in answer
    assert process.process.poll() is None, "it has ended: this proves nothing"

    reader, writer = viewers[1]
    await reader.readuntil(b'"reconnect')
    writer.write(b"\x88\x82\0\0\0\0\x03\xf4")
    with contextlib.suppress(ConnectionResetError):  # the end of the drain can overtake the answer
        await asyncio.wait_for(reader.read(), 1)
    assert process.process.poll() is None, "it has ended: this proves nothing"
    for _, writer in streams:
        writer.close()
    assert await asyncio.to_thread(process.process.wait, 20) == 0


async def test_a_kept_connection_opens_nothing_on_a_process_that_goes(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """Who still has a connection is told by /readyz that the process goes, and gets no websocket
    and no stream of it: it would be cut at once."""
    read = (await make_keys(database_url))[Role.READ]
    process = spawn(LIVETALLY_DRAIN_S="4").wait_ready()
    asked = {
        "/readyz": "",
        "/v1/live": UPGRADE,
        "/ws?vehicle-id=3": UPGRADE,
        "/v1/events/cable": UPGRADE,
        "/v1/live/sse?feed=click": "",
    }
    head = f" HTTP/1.1\r\nHost: a\r\nX-Api-Key: {read}\r\n"
    kept = [await asyncio.open_connection("127.0.0.1", process.port) for _ in asked]
    for reader, writer in kept:
        writer.write(f"GET /healthz{head}\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"}")
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{process.url}/v1/live?api_key={read}") as first,
        http.ws_connect(f"{process.url}/v1/live?api_key={read}") as second,
    ):
        process.process.terminate()
        leaves = [asyncio.create_task(end_of(each)) for each in (first, second)]
        await asyncio.wait(leaves, return_when=asyncio.FIRST_COMPLETED)
        for (reader, writer), (path, more) in zip(kept, asked.items(), strict=True):
            writer.write(f"GET {path}{head}{more}\r\n".encode())
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
            assert b" 503 " in answer.splitlines()[0], (path, answer)
            assert b"shutting" in answer, (path, answer)
        await asyncio.wait(leaves)
    for _, writer in kept:
        writer.close()
    assert await asyncio.to_thread(process.process.wait, 20) == 0


async def test_ecs_says_early_that_a_task_is_to_stop(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """When the task's metadata turns to STOPPED, the process leaves as after SIGTERM."""
    status = "RUNNING"
    asked = asyncio.Event()

    async def task(request: web.Request) -> web.Response:
        asked.set()
        return web.json_response({"DesiredStatus": status, "KnownStatus": "RUNNING"})

    app = web.Application()
    app.add_routes([web.get("/v4/abc/task", task)])
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    keys = await make_keys(database_url)
    process = spawn(ECS_CONTAINER_METADATA_URI_V4=f"http://127.0.0.1:{port}/v4/abc")
    await asyncio.to_thread(process.wait_ready)
    async with aiohttp.ClientSession() as http:
        url = f"{process.url}/v1/live?api_key={keys[Role.READ]}"
        async with http.ws_connect(url) as socket:
            await asyncio.wait_for(asked.wait(), 10)
            status = "STOPPED"
            assert (await end_of(socket)).code == 1012
    assert await asyncio.to_thread(process.process.wait, 20) == 0
    await runner.cleanup()
