"""The built front end: its pages, their assets, what they need to know, and the SDK."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from ..base.errors import LivetallyError, NotFoundError
from ..schema.compat import Said
from ..schema.http import PageKeys
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import Text, operation
from .html import headers_of
from .shipped import pages_folder

_HINT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Livetally</title>
<h1>The API is running; the page is not built</h1>
<p>Install Node 20 or newer with npm and start again: <code>make run</code> builds the page.</p>
<p><a href="/examples">Examples for clients of older systems</a> are here already.</p>
"""

_SCRIPT = re.compile(r"[a-z-]{1,50}\.m?js")


class BuiltPages:
    """Serves the folder that Vite built; an empty name means the one that came along."""

    def __init__(self, folder: str, auth: Auth, write_key: str, read_key: str) -> None:
        self._folder = pages_folder(folder)
        self._auth = auth
        self._write_key = write_key
        self._read_key = read_key

    def page(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """What serves the page of this name: `index` is the one at `/`."""
        page = self._folder / f"{name}.html"

        @operation(
            "The page; for programs, format 5's greeting"
            if name == "index"
            else f"The page {name}",
            tag="Pages",
            responses={200: Said if name == "index" else Text("text/html"), 503: Text("text/html")},
        )
        async def serve(request: web.Request) -> web.StreamResponse:
            response: web.StreamResponse
            if page.is_file():
                response = web.FileResponse(page)
            else:
                response = web.Response(text=_HINT, content_type="text/html", status=503)
            response.headers.update(headers_of(request))
            response.headers["Cache-Control"] = "no-cache"
            return response

        return serve

    @operation(
        "The browser SDK",
        tag="Pages",
        responses={200: Text("text/javascript")},
        errors=(NotFoundError,),
    )
    async def script(self, request: web.Request) -> web.StreamResponse:
        """What other sites' pages load, at addresses that stay; gzipped where Vite left it so."""
        name = request.match_info["name"]
        file = self._folder / "js" / name
        if not _SCRIPT.fullmatch(name) or not file.is_file():
            raise NotFoundError
        response = web.FileResponse(
            file,
            headers={
                "Cache-Control": "public, max-age=3600",
                "Cross-Origin-Resource-Policy": "cross-origin",
            },
        )
        # What the system's table says of .mjs differs, and a module of another type doesn't load.
        response.content_type = "text/javascript"
        response.charset = "utf-8"
        return response

    @operation(
        "A part of the page",
        tag="Pages",
        responses={200: Text("text/javascript")},
        errors=(NotFoundError,),
    )
    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Assets have their content's hash in their names, so they never change."""
        name = request.match_info["name"]
        file = self._folder / "assets" / name
        if "/" in name or name.startswith(".") or len(name) > 255 or not file.is_file():
            raise NotFoundError
        headers = {
            "Cache-Control": "max-age=31536000, immutable",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return web.FileResponse(file, headers=headers)

    @operation(
        "What the page needs to know",
        tag="Pages",
        responses={200: PageKeys},
    )
    async def page_json(self, request: web.Request) -> web.Response:
        """The keys that this installation gives to everybody who opens the page, if any."""
        project = None
        for text in (self._read_key, self._write_key):
            if text:
                try:
                    project = (await self._auth.find(text, None)).project_name
                except LivetallyError:
                    continue
        response = json_response(PageKeys(project, self._write_key or None, self._read_key or None))
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response
