"""A box between visitors and Livetally that answers in its stead: a captive portal, a login page,
a firewall, a router whose backends are being replaced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from livetally.server.process import listen

#: What the box says to a request and its body instead of passing it on; None passes it on.
Answer = Callable[[web.Request, bytes], web.StreamResponse | None]

_HOP_BY_HOP = {"transfer-encoding", "content-encoding", "content-length", "connection"}
_CORS = {"Access-Control-Allow-Origin": "*"}


def page(text: str, status: int = 200, **headers: str) -> web.Response:
    """An answer that any page may read, as those of a box on the visitors' own origin."""
    return web.Response(text=text, status=status, content_type="text/html", headers=_CORS | headers)


def passes_all(request: web.Request, body: bytes) -> None:
    """No box at all."""


class Box:
    """Passes everything on, but what `answer` answers."""

    def __init__(self, behind: str, http: aiohttp.ClientSession) -> None:
        self._behind = behind
        self._http = http
        self.url = ""
        self.answer: Answer = passes_all
        #: Takes requests and says nothing until this is set.
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self.thawed.wait()
        own = self.answer(request, body)
        if own is not None:
            return own
        async with self._http.request(
            request.method,
            self._behind + request.path_qs,
            data=body,
            headers={k: v for k, v in request.headers.items() if k.lower() != "host"},
            allow_redirects=False,
        ) as answer:
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)

    @classmethod
    @asynccontextmanager
    async def before(cls, behind: str) -> AsyncIterator["Box"]:
        async with aiohttp.ClientSession() as http:
            box = cls(behind, http)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", box._handle)
            runner = web.AppRunner(app)
            await runner.setup()
            sock = listen("127.0.0.1", 0)
            await web.SockSite(runner, sock).start()
            box.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            try:
                yield box
            finally:
                await runner.cleanup()
