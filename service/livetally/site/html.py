"""The pages that the service writes itself: templates that escape by themselves.

Their header and colors are the built pages' too: both have them from the files in `shared/`.
"""

import base64
import json
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from ..base.errors import NotFoundError

if TYPE_CHECKING:
    from jinja2 import Environment

#: What each of these pages begins with; its own style follows.
_STYLES = ("tokens.css", "reset.css", "header.css", "written.css")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_TYPES = {"css": "text/css", "js": "text/javascript"}


@cache
def _templates() -> "Environment":
    # Imported by who asks for a page: most processes never do.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

    folders = ("templates", "shared", "examples/snippets")
    return Environment(
        loader=ChoiceLoader([PackageLoader("livetally.site", each) for each in folders]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fill(template: str, **values: Any) -> str:
    """A template with its values. Those whose names end in .html escape what is filled in."""
    return _templates().get_template(template).render(values)


def page(template: str, address: str, **values: Any) -> str:
    """A whole page, at this address."""
    pages = json.loads(_shared("pages.json"))
    return fill(template, address=address, pages=pages, icon=_icon(), **values)


def respond(request: web.Request, text: str, *, cache: str = "no-cache") -> web.Response:
    """A page that runs nothing but its own scripts, and asks nobody else."""
    headers = {**headers_of(request), hdrs.CACHE_CONTROL: cache}
    return web.Response(text=text, content_type="text/html", headers=headers)


def headers_of(request: web.Request) -> dict[str, str]:
    """What keeps a page to itself: nothing from elsewhere, nothing inline, no text made markup, and
    no other site reads it. connect-src names the websocket, which 'self' does not cover in every
    browser."""
    host = host_of(request)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        f" font-src 'self'; connect-src 'self' ws://{host} wss://{host}; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
    }


def host_of(request: web.Request) -> str:
    """This server's, as the browser sees it."""
    return request.host if _HOST.fullmatch(request.host) else "localhost"


def respond_file(package: str, name: str) -> web.Response:
    """A page's style or script; raises NotFoundError."""
    media_type = _TYPES.get(name.rpartition(".")[2])
    file = resources.files(package) / name
    if media_type is None or "/" in name or not file.is_file():
        raise NotFoundError
    text = file.read_text("utf-8")
    if media_type == "text/css":
        text = "".join(map(_shared, _STYLES)) + text
    headers = {hdrs.CACHE_CONTROL: "no-cache"}
    return web.Response(text=text, content_type=media_type, headers=headers)


def _icon() -> str:
    """The icon, as an address that needs no request."""
    return "data:image/svg+xml;base64," + base64.b64encode(_shared("icon.svg").encode()).decode()


def _shared(name: str) -> str:
    return (resources.files(__package__) / "shared" / name).read_text("utf-8")
