"""/docs: the API's reference, as a page that asks nobody else; and the documents it is made of.

The page is whole without a script. One adds what needs one: finding a route, trying it out.
"""

import json
import re
from collections.abc import Iterator
from html import escape
from importlib import resources
from typing import Any

from aiohttp import hdrs, web

from ...base.errors import NotFoundError
from ...web.middleware import json_response
from ...web.operation_docs import Text, operation
from .. import page_header
from ..reference import asyncapi, openapi

_FILES = {"docs.css": "text/css", "docs.js": "text/javascript"}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs:
    """The documents are made once, when one is first asked for: most processes never are."""

    def __init__(self) -> None:
        self._openapi: dict[str, Any] = {}
        self._asyncapi: dict[str, Any] = {}
        self._page = ""

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/openapi.json", self.openapi),
            web.get("/asyncapi.json", self.asyncapi),
            web.get("/docs", self.page),
            web.get("/docs/{name}", self.file),
        )

    def _document(self, app: web.Application) -> dict[str, Any]:
        self._openapi = self._openapi or openapi.document(app)
        return self._openapi

    @operation("This API, as OpenAPI 3.1", tag="Pages", responses={200: dict[str, Any]})
    async def openapi(self, request: web.Request) -> web.Response:
        return json_response(self._document(request.app))

    @operation("The live protocol, as AsyncAPI 3.0", tag="Pages", responses={200: dict[str, Any]})
    async def asyncapi(self, request: web.Request) -> web.Response:
        self._asyncapi = self._asyncapi or asyncapi.document()
        return json_response(self._asyncapi)

    @operation("This API's reference", tag="Pages", responses={200: Text("text/html")})
    async def page(self, request: web.Request) -> web.Response:
        self._page = self._page or render(self._document(request.app))
        headers = {
            "Content-Security-Policy": _CSP,
            "Referrer-Policy": "same-origin",
            hdrs.CACHE_CONTROL: "no-cache",
        }
        return web.Response(text=self._page, content_type="text/html", headers=headers)

    @operation(
        "A part of the reference",
        tag="Pages",
        responses={200: Text("text/css")},
        errors=(NotFoundError,),
    )
    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise NotFoundError
        headers = {hdrs.CACHE_CONTROL: "no-cache"}
        text = page_header.style() + _read(name) if name == "docs.css" else _read(name)
        return web.Response(text=text, content_type=_FILES[name], headers=headers)


def _read(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


# The page


def render(document: dict[str, Any]) -> str:
    """The whole page; all text is escaped."""
    found = list(_operations(document))
    tags = [tag for tag in document["tags"] if any(tag["name"] in op["tags"] for *_, op in found)]
    index, sections = [], []
    for tag in tags:
        name = tag["name"]
        own = [each for each in found if name in each[2]["tags"]]
        links = "".join(_link(*each) for each in own)
        index.append(f"<h2>{escape(name)}</h2><ul>{links}</ul>")
        sections.append(
            f'<section aria-labelledby="tag-{name}"><h2 id="tag-{name}">{escape(name)}</h2>'
            f"<p>{escape(tag['description'])}</p>"
            + "".join(_operation(*each, document) for each in own)
            + "</section>"
        )
    schemas = document["components"]["schemas"]
    types = "".join(_type(name, schemas[name]) for name in sorted(schemas))
    return (
        _read("docs.html")
        .replace("{{top}}", page_header.head("/docs"))
        .replace("{{icon}}", page_header.icon())
        .replace("{{about}}", _prose(document["info"]["description"]))
        .replace("{{version}}", escape(document["info"]["version"]))
        .replace("{{index}}", "".join(index))
        .replace("{{types}}", types)
        .replace("{{sections}}", "".join(sections))
    )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, about in item.items():
            yield method.upper(), path, about


def _link(method: str, path: str, operation: dict[str, Any]) -> str:
    return (
        f'<li><a href="#{operation["operationId"]}"><span class="method" data-method="{method}">'
        f"{method}</span> {escape(path)}</a></li>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    id = operation["operationId"]
    says = operation["summary"] + " " + operation["description"]
    return (
        f'<article id="{id}" aria-labelledby="{id}-title" data-method="{method}"'
        f' data-path="{escape(path)}">'
        f'<h3 id="{id}-title"><span class="method" data-method="{method}">{method}</span> '
        f"<code>{escape(path)}</code></h3><p class='says'><strong>{escape(operation['summary'])}"
        f"</strong></p>{_prose(operation['description']) if says else ''}"
        + _parameters(operation["parameters"])
        + _body(operation.get("requestBody"))
        + _answers(operation["responses"])
        + "</article>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f'<tr data-name="{escape(each["name"])}" data-in="{each["in"]}"'
        f' data-example="{escape(_first(each))}"'
        f"{' data-required' if each.get('required') else ''}>"
        f'<th scope="row"><code>{escape(each["name"])}</code></th><td>{each["in"]}'
        f"{', required' if each.get('required') else ''}</td>"
        f"<td>{_kind(each['schema'])} {escape(each.get('description', ''))}</td></tr>"
        for each in parameters
    )
    return _table("Parameters", ("Name", "Where", "What"), rows)


def _table(caption: str, heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        f'<div class="scroller" tabindex="0" role="group" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _first(holder: dict[str, Any]) -> str:
    for example in holder.get("examples", {}).values():
        return str(example["value"])
    return ""


def _body(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    return "<h4>Body</h4>" + "".join(
        f"<p><code>{escape(media_type)}</code>: {_kind(content['schema'])}</p>"
        + _samples(content, "body", media_type)
        for media_type, content in body["content"].items()
    )


def _answers(responses: dict[str, Any]) -> str:
    parts = []
    for status, response in responses.items():
        content = "".join(
            f"<p><code>{escape(media_type)}</code>: {_kind(each['schema'])}</p>"
            + _samples(each, "answer", media_type)
            for media_type, each in response.get("content", {}).items()
        )
        codes = ", ".join(re.findall(r"`(\w+)`:", response["description"]))
        parts.append(
            f"<details{' open' if status.startswith('2') else ''}>"
            f'<summary><span class="status" data-class="{status[0]}">{status}</span> '
            f"{escape(codes or response['description'])}</summary>"
            f"{_prose(response['description']) if codes else ''}{content}</details>"
        )
    return "<h4>Answers</h4>" + "".join(parts)


def _samples(content: dict[str, Any], role: str, media_type: str) -> str:
    return "".join(
        f"<figure><figcaption>{escape(example['summary'])}</figcaption>"
        f'<pre tabindex="0" role="group" aria-label="{escape(example["summary"])}"><code'
        f' data-role="{role}" data-media-type="{escape(media_type)}">'
        f"{escape(_shown(example['value']))}</code></pre></figure>"
        for example in content.get("examples", {}).values()
    )


#: A longer example is one of a limit: its beginning says it.
_LONGEST = 2_000


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= _LONGEST else f"{text[:200]}… ({len(text):,} characters)"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words; types that have a name are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#type-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {_kind(schema.get('items') or {})}"
    bounds = ", ".join(
        f"{words} {schema[name]}" for name, words in _BOUNDS.items() if name in schema
    )
    return escape(f"{schema.get('format', kind)}{f' ({bounds})' if bounds else ''}")


_BOUNDS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "pattern": "like",
}


def _type(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(field)}</code></th>'
        f"<td>{'always' if field in required else 'sometimes'}</td><td>{_kind(about)}</td></tr>"
        for field, about in schema.get("properties", {}).items()
    )
    fields = _table(f"Fields of {escape(name)}", ("Field", "There", "What"), rows) if rows else ""
    says = _prose(schema.get("description", ""))
    return f'<article id="type-{escape(name)}"><h3>{escape(name)}</h3>{says}{fields}</article>'


def _prose(text: str) -> str:
    """Paragraphs, lists and code: the little Markdown that descriptions have."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        if all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line[2:])}</li>" for line in lines)
            parts.append(f"<ul>{items}</ul>")
        elif block:
            parts.append(f"<p>{_inline(block)}</p>")
    return "".join(parts)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
