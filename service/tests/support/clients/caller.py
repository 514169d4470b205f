"""Makes the requests of the documents' examples, and holds the answers to them."""

import json
import re
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from livetally.base.config import Config
from livetally.schema.keys import Role
from livetally.server.app import create_app
from livetally.site.reference import openapi
from livetally.site.reference.examples import Example
from livetally.site.reference.routes import Route, handlers_of, routes_of
from service.tests.support.server import Service

APP = create_app(Config(database_url="postgresql://127.0.0.1/x", redis_url="redis://127.0.0.1"))


HANDLERS = {f"{method} {path}": handler for method, path, handler in handlers_of(APP)}
ROUTES = {route.name: route for route in routes_of(APP)}


def checker(document: dict[str, Any], pointer: str, *, strict: bool) -> Draft202012Validator:
    """A validator of the schema at a place in a document; strict: no field that isn't in it."""
    whole = _closed(document) if strict else document
    resource = Resource.from_contents(whole, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)
    return Draft202012Validator({"$ref": f"urn:document#{pointer}"}, registry=registry)


def _closed(node: Any) -> Any:
    if isinstance(node, dict):
        closed = {name: _closed(value) for name, value in node.items()}
        if "properties" in closed and closed.get("type") == "object":
            closed.setdefault("additionalProperties", False)
        return closed
    return [_closed(each) for each in node] if isinstance(node, list) else node


def escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


class Caller:
    """Makes the requests of examples."""

    def __init__(self, service: Service, project: str = "demo") -> None:
        self.service = service
        self.project = project
        self.keys = dict(service.keys)
        self.document = openapi.document(APP)

    async def prepare(self, example: Example) -> None:
        headers = {"x-api-key": self.keys[Role.ADMIN]}
        for request, body in example.given.items():
            method, _, path = request.partition(" ")
            async with self.service.http.request(
                method, path, json=body, headers=headers
            ) as response:
                assert response.ok, await response.text()

    def headers(self, route: Route, key: str | None) -> dict[str, str]:
        if route.operation.key is None or key is None:
            return {}
        if route.operation.login:
            return {"Authorization": aiohttp.encode_basic_auth(self.project, key)}
        return {"x-api-key": key}

    async def call(
        self, route: Route, example: Example, key: str | None, **more: str
    ) -> tuple[int, str, Any]:
        """(status, media type, body) of an example's request."""
        path = route.path
        for name in re.findall(r"{(\w+)}", path):
            path = path.replace(f"{{{name}}}", quote(example.path.get(name, "x"), safe=""))
        url = f"{path}?{example.query}" if example.query else path
        headers = {**self.headers(route, key), **example.headers, **more}
        if 101 in route.operation.responses and example.status_of(route.operation) != 200:
            return await self._websocket(url, headers)
        data = None
        if example.body is not msgspec.UNSET:
            is_text = isinstance(example.body, str)
            data = example.body if is_text else json.dumps(example.body)
            headers["content-type"] = example.media_type
        async with self.service.http.request(
            route.method, url, data=data, headers=headers, skip_auto_headers=("Accept",)
        ) as response:
            if response.content_type == "text/event-stream":
                return (
                    200,
                    response.content_type,
                    (await response.content.readuntil(b"\n\n")).decode(),
                )
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, response.content_type, json.loads(text) if is_json else text

    async def _websocket(self, url: str, headers: dict[str, str]) -> tuple[int, str, Any]:
        try:
            async with self.service.http.ws_connect(url, headers=headers):
                return 101, "", ""
        except aiohttp.WSServerHandshakeError as error:
            return error.status, "", ""

    def check(self, route: Route, status: int, media_type: str, body: Any) -> None:
        """The response is one that the document has, and as it says."""
        path, method = route.path, route.method.lower()
        responses = self.document["paths"][path][method]["responses"]
        assert str(status) in responses, (route.name, status, body)
        content = responses[str(status)].get("content", {})
        if media_type != "application/json" or status == 101:
            return
        assert media_type in content, (route.name, status, body)
        place = f"/paths/{escaped(path)}/{method}/responses/{status}/content"
        pointer = f"{place}/{escaped(media_type)}/schema"
        checker(self.document, pointer, strict=status < 300).validate(body)
