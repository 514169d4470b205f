"""/openapi.json: every route of the application, as OpenAPI 3.1, from the code's own types."""

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs, web

from .. import __version__
from ..base.errors import LivetallyError, NotFound
from ..schema.http import Failure
from ..web.operation_docs import Described, Example, Text, description_of

REF = "#/components/schemas/{name}"

_ABOUT = """Livetally counts what happens and shows the exact totals, live.

A 2xx answer means that it is on disk. An event that is sent again with the same `id` counts once.
Every refusal is `{"error":{"code","message"}}`; a 429 and a 503 have `Retry-After` in
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
    "Older": "Routes of older systems, for their clients.",
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


def routes_of(app: web.Application) -> Iterator[tuple[str, str, Any]]:
    """Every method, path and handler."""
    for route in app.router.routes():
        if route.method != hdrs.METH_HEAD and route.resource is not None:
            yield route.method, route.resource.canonical, route.handler


def document(app: web.Application) -> dict[str, Any]:
    """The whole document, but for routes without a description: a test finds those."""
    found: list[tuple[str, str, Any, Described]] = []
    for method, path, handler in routes_of(app):
        description = description_of(handler)
        if description is not None:
            found.append((method, path, handler, description))
    schemas = _Schemas(types for *_, description in found for types in _types(description))
    paths: dict[str, dict[str, Any]] = {}
    for method, path, handler, description in found:
        operation = _operation(method, path, handler, description, schemas)
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Livetally",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


def _types(description: Described) -> Iterator[Any]:
    yield Failure
    for each in (*description.answers.values(), *description.body.values()):
        if each is not None and not isinstance(each, Text):
            yield from each if isinstance(each, tuple) else (each,)
    yield from description.path.values()
    if description.query is not None:
        yield from (field.type for field in msgspec.structs.fields(description.query))


class _Schemas:
    """The schemas of all types at once, so that they share components."""

    def __init__(self, types: Iterable[Any]) -> None:
        self._types = list(dict.fromkeys(types))
        schemas, self.components = msgspec.json.schema_components(self._types, ref_template=REF)
        self._schemas = dict(zip(self._types, schemas, strict=True))

    def __getitem__(self, type: Any) -> Any:
        return self._schemas[type]


def _operation(
    method: str, path: str, handler: Any, about: Described, schemas: _Schemas
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(method, path),
        "tags": [about.tag],
        "summary": about.says,
        "description": inspect.getdoc(handler) or about.says,
        "parameters": list(_parameters(path, about, schemas)),
        "responses": _responses(about, _refusals(path, about, schemas), schemas),
    }
    if about.body:
        operation["requestBody"] = {
            "required": True,
            "content": {
                media_type: _content(type, schemas)
                | _examples(
                    {
                        each.says: each.body
                        for each in about.examples
                        if each.body is not msgspec.UNSET and each.media_type == media_type
                    }
                )
                for media_type, type in about.body.items()
            },
        }
    if about.login:
        operation["security"] = [{"login": []}]
    elif about.key is not None:
        operation["security"] = [{"key": []}, {"bearer": []}, {"query": []}]
        operation["description"] += f"\n\nNeeds a key that may {_MAY[about.key]}."
    return operation


_MAY = {"write": "write", "read": "read", "admin": "administer"}


def operation_id(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path)
    return "_".join([method.lower(), *words]) if words else f"{method.lower()}_root"


def _parameters(path: str, about: Described, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        schema = schemas[about.path[name]] if name in about.path else {"type": "string"}
        given = {each.says: each.path[name] for each in about.examples if name in each.path}
        yield {"name": name, "in": "path", "required": True, "schema": schema} | _examples(given)
    fields = msgspec.structs.fields(about.query) if about.query is not None else ()
    for field in fields:
        if field.encode_name == "api_key":
            continue  # a way to be let in
        name = field.encode_name
        given = {
            each.says: value
            for each in about.examples
            if (value := dict(parse_qsl(each.query)).get(name)) is not None
        }
        yield {
            "name": name,
            "in": "query",
            "required": field.required,
            "schema": _in_query(schemas[field.type]),
        } | _examples({says: _typed(value, schemas[field.type]) for says, value in given.items()})
    for name, says in about.headers.items():
        given = {each.says: each.headers[name] for each in about.examples if name in each.headers}
        yield {
            "name": name,
            "in": "header",
            "description": says,
            "schema": {"type": "string"},
        } | _examples(given)


def _in_query(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is said by `required`."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _typed(value: str, schema: dict[str, Any]) -> Any:
    return int(value) if _in_query(schema).get("type") == "integer" else value


def _refusals(path: str, about: Described, schemas: _Schemas) -> list[type[LivetallyError]]:
    """A path that takes only some values in its place is not there for others."""
    taken = [about.path[name] for name in re.findall(r"{(\w+)}", path) if name in about.path]
    missing = [NotFound] if any("enum" in schemas[each] for each in taken) else []
    return list(dict.fromkeys([*about.refusals, *missing]))


def _responses(
    about: Described, refusals: list[type[LivetallyError]], schemas: _Schemas
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in sorted({*about.answers, *(error.status for error in refusals)}):
        errors = [error for error in refusals if error.status == status]
        response: dict[str, Any] = {"description": _says(status, errors)}
        content: dict[str, Any] = {}
        answer = about.answers.get(status, Failure)
        if answer is not None:
            media_type = answer.media_type if isinstance(answer, Text) else "application/json"
            answers = {
                each.says: each.answer
                for each in about.examples
                if status_of(each, about) == status and each.answer is not msgspec.UNSET
            }
            content[media_type] = _content(answer, schemas) | _examples(answers)
            response["content"] = content
        if status in (429, 503) and errors:
            response["headers"] = {
                "Retry-After": {
                    "description": "Seconds to wait before the same is sent again.",
                    "schema": {"type": "integer"},
                }
            }
        responses[str(status)] = response
    return responses


def status_of(example: Example, about: Described) -> int:
    return example.status or next(iter(about.answers))


def _says(status: int, errors: list[type[LivetallyError]]) -> str:
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
            name_of(says): {"summary": says, "value": value} for says, value in given.items()
        }
    }


def name_of(says: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", says.lower()).strip("-")
