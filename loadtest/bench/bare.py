"""The least aiohttp can do: accept websockets, and say nothing. The rest is our own cost."""

import asyncio
import os
import socket

import uvloop
from aiohttp import web


async def silence(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(autoping=False, compress=False)
    await websocket.prepare(request)
    await websocket.receive()
    return websocket


async def ready(request: web.Request) -> web.Response:
    return web.Response()


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/v1/live", silence), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", int(os.environ["LIVETALLY_PORT"])), backlog=4096)
    await web.SockSite(runner, sock).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
