"""/openapi.json: every route of the application, as OpenAPI 3.1, from the code's own types."""

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from ... import __version__
from ...base.errors import LivetallyError, NotFoundError
from ...schema.http import Failure
from ...web.operation_docs import Operation, Text
from .routes import Route, routes_of

REF = "#/components/schemas/{name}"

_ABOUT = """Livetally counts what happens and shows the exact totals, live.

A 2xx answer means that it is on disk. An event that is sent again with the same `id` counts once.
Every error is `{"error":{"code","message"}}`; a 429 and a 503 have `Retry-After` in
seconds. Beside what is listed, any route may answer 400 or 408 (no valid HTTP, or too slow), 405,
429 and 500. Keys are taken
from `x-api-key`, from `Authorization` (`Bearer`, `Token`, Basic with the key as the password, or
raw), and from the query's `api_key` where a browser can't set headers."""

_TAGS = {
    "Events": "Send what happens.",
    "Counts": "Ask how often it did.",
    "Items": "Keyed values that change.",
    "Live": "Watch; the messages are in /asyncapi.json.",
    "Administration": "For admin keys.",
    "Operations": "How a process is.",
    "Pages": "What browsers load.",
    "Compatibility": "Routes of other systems, for their clients.",
}

_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "login": {
        "type": "http",
        "scheme": "basic",
        "description": "The user is the project, the password one of its keys.",
    },
}


def document(app: web.Application) -> dict[str, Any]:
    """The whole document."""
    routes = list(routes_of(app))
    schemas = _Schemas(types for route in routes for types in _types(route.operation))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Livetally",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


def _types(operation: Operation) -> Iterator[Any]:
    yield Failure
    for each in (*operation.responses.values(), *operation.body.values()):
        if each is not None and not isinstance(each, Text):
            yield from each if isinstance(each, tuple) else (each,)
    yield from operation.path.values()
    if operation.query is not None:
        yield from (field.type for field in msgspec.structs.fields(operation.query))


class _Schemas:
    """The schemas of all types at once, so that they share components."""

    def __init__(self, types: Iterable[Any]) -> None:
        self._types = list(dict.fromkeys(types))
        schemas, self.components = msgspec.json.schema_components(self._types, ref_template=REF)
        self._schemas = dict(zip(self._types, schemas, strict=True))

    def __getitem__(self, type: Any) -> Any:
        return self._schemas[type]


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    about = route.operation
    described: dict[str, Any] = {
        "operationId": operation_id(route.method, route.path),
        "tags": [about.tag],
        "summary": about.summary,
        "description": inspect.getdoc(route.handler) or about.summary,
        "parameters": list(_parameters(route, schemas)),
        "responses": _responses(route, schemas),
    }
    if about.body:
        described["requestBody"] = {"required": True, "content": _body(route, schemas)}
    if about.login:
        described["security"] = [{"login": []}]
    elif about.key is not None:
        described["security"] = [{"key": []}, {"bearer": []}, {"query": []}]
        described["description"] += f"\n\nNeeds a key that may {_MAY[about.key]}."
    return described


_MAY = {"write": "write", "read": "read", "admin": "administer"}


def operation_id(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path)
    return "_".join([method.lower(), *words]) if words else f"{method.lower()}_root"


def _body(route: Route, schemas: _Schemas) -> dict[str, Any]:
    """Each media type, with the examples that are of it."""
    return {
        media_type: _content(type, schemas)
        | _examples(
            {
                each.summary: each.body
                for each in route.examples
                if each.body is not msgspec.UNSET and each.media_type == media_type
            }
        )
        for media_type, type in route.operation.body.items()
    }


def _parameters(route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    yield from _path_parameters(route, schemas)
    yield from _query_parameters(route, schemas)
    for name, about in route.operation.headers.items():
        given = {
            each.summary: each.headers[name] for each in route.examples if name in each.headers
        }
        yield {
            "name": name,
            "in": "header",
            "description": about,
            "schema": {"type": "string"},
        } | _examples(given)


def _path_parameters(route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    types = route.operation.path
    for name in re.findall(r"{(\w+)}", route.path):
        schema = schemas[types[name]] if name in types else {"type": "string"}
        given = {each.summary: each.path[name] for each in route.examples if name in each.path}
        yield {"name": name, "in": "path", "required": True, "schema": schema} | _examples(given)


def _query_parameters(route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    query = route.operation.query
    for field in msgspec.structs.fields(query) if query is not None else ():
        name, schema = field.encode_name, schemas[field.type]
        if name == "api_key":
            continue  # a way to be let in
        given = {
            each.summary: _typed(value, schema)
            for each in route.examples
            if (value := dict(parse_qsl(each.query)).get(name)) is not None
        }
        yield {
            "name": name,
            "in": "query",
            "required": field.required,
            "schema": _in_query(schema),
        } | _examples(given)


def _in_query(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is said by `required`."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _typed(value: str, schema: dict[str, Any]) -> Any:
    return int(value) if _in_query(schema).get("type") == "integer" else value


def _errors(route: Route, schemas: _Schemas) -> list[type[LivetallyError]]:
    """A path that takes only some values in its place is not there for others."""
    types = route.operation.path
    taken = [types[name] for name in re.findall(r"{(\w+)}", route.path) if name in types]
    missing = [NotFoundError] if any("enum" in schemas[each] for each in taken) else []
    return list(dict.fromkeys([*route.operation.every_error, *missing]))


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    errors = _errors(route, schemas)
    statuses = sorted({*route.operation.responses, *(error.status for error in errors)})
    return {
        str(status): _response(
            route, status, [error for error in errors if error.status == status], schemas
        )
        for status in statuses
    }


def _response(
    route: Route, status: int, errors: list[type[LivetallyError]], schemas: _Schemas
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _description(status, errors)}
    type = route.operation.responses.get(status, Failure)
    if type is not None:
        media_type = type.media_type if isinstance(type, Text) else "application/json"
        shown = {
            each.summary: each.response
            for each in route.with_status(status)
            if each.response is not msgspec.UNSET
        }
        response["content"] = {media_type: _content(type, schemas) | _examples(shown)}
    if status in (429, 503) and errors:
        response["headers"] = _RETRY_AFTER
    return response


_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before the same is sent again.",
        "schema": {"type": "integer"},
    }
}


def _description(status: int, errors: list[type[LivetallyError]]) -> str:
    if not errors:
        return {101: "A websocket.", 204: "Done."}.get(status, "The answer.")
    return "\n".join(f"- `{error.code}`: {error().message}" for error in errors)


def _content(type: Any, schemas: _Schemas) -> dict[str, Any]:
    if isinstance(type, tuple):
        return {"schema": {"anyOf": [schemas[each] for each in type]}}
    return {"schema": {"type": "string"} if isinstance(type, Text) else schemas[type]}


def _examples(given: dict[str, Any]) -> dict[str, Any]:
    if not given:
        return {}
    return {
        "examples": {
            name_of(summary): {"summary": summary, "value": value}
            for summary, value in given.items()
        }
    }


def name_of(summary: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", summary.lower()).strip("-")
