"""GET /docs, and what belongs to it; /openapi.json and /asyncapi.json.

A page is whole without a script. Those add what needs one: searching, copying, trying a route.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from ...base.errors import NotFoundError
from ...web.operation_docs import Text, operation
from .. import html
from ..reference import asyncapi, openapi
from . import markdown, reference, search
from .documents import Document, Documents

T = TypeVar("T")


class Docs:
    """What is asked for is made once, beside the loop: most processes are never asked."""

    def __init__(self) -> None:
        self._documents = Documents()
        self._made: dict[str, Any] = {}

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/openapi.json", self.openapi),
            web.get("/asyncapi.json", self.asyncapi),
            web.get("/docs", self.start),
            web.get("/docs/{name}", self.page),
        )

    @operation("This API, as OpenAPI 3.1", tag="Pages", responses={200: dict[str, Any]})
    async def openapi(self, request: web.Request) -> web.Response:
        return _json(await self._openapi(request.app))

    @operation("The live protocol, as AsyncAPI 3.0", tag="Pages", responses={200: dict[str, Any]})
    async def asyncapi(self, request: web.Request) -> web.Response:
        return _json(await self._once("asyncapi", asyncapi.document))

    @operation("The docs", tag="Pages", responses={200: Text("text/html")})
    async def start(self, request: web.Request) -> web.Response:
        return await self._page(request, "")

    @operation(
        "A page of the docs, or a part of them",
        tag="Pages",
        responses={200: Text("text/html")},
        errors=(NotFoundError,),
    )
    async def page(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if image := self._documents.image(name):
            return web.FileResponse(image, headers={hdrs.CACHE_CONTROL: "max-age=3600"})
        if name == "search.json":
            return await self._search(request.app)
        if "." in name:
            return html.respond_file(__package__, name)
        return await self._page(request, name or "/")

    async def _page(self, request: web.Request, name: str) -> web.Response:
        document = self._documents.named(name)
        if document is None:
            raise NotFoundError
        made = await self._once(document.address, await self._maker(request.app, document))
        return html.respond(request, made)

    async def _maker(self, app: web.Application, document: Document) -> Callable[[], str]:
        if document.path is None:
            about = await self._openapi(app)
            return partial(reference.render, about, self._documents.all, document.address)
        return partial(self._render, document)

    def _render(self, document: Document) -> str:
        from markupsafe import Markup

        rendered = self._rendered(document)
        return html.page(
            "document.html",
            document.address,
            title=document.title,
            style="/docs/docs.css",
            scripts=["/docs/search.js", "/examples/copy.js"],
            documents=self._documents.all,
            headings=[each for each in rendered.sections if each.level == 2],
            text=Markup(rendered.html),  # noqa: S704 - its HTML is escaped
        )

    def _rendered(self, document: Document) -> markdown.Rendered:
        text = self._documents.text(document.path or "")
        return markdown.render(text, partial(self._documents.link, document))

    async def _search(self, app: web.Application) -> web.Response:
        about = await self._openapi(app)
        response = _json(await self._once("search", partial(self._entries, about)))
        response.enable_compression()
        return response

    def _entries(self, about: dict[str, Any]) -> list[dict[str, str]]:
        return list(
            chain.from_iterable(
                search.entries(each, self._rendered(each))
                if each.path
                else search.route_entries(each, about)
                for each in self._documents.all
            )
        )

    async def _openapi(self, app: web.Application) -> dict[str, Any]:
        return await self._once("openapi", partial(openapi.document, app))

    async def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = await asyncio.to_thread(make)
        made: T = self._made[name]
        return made


def _json(document: object) -> web.Response:
    """A document that is made of what others declare."""
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
