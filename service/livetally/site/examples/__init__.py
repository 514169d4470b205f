"""The page /examples: how the clients of each older system talk to this server.

The snippets are files, `snippets/FORMAT.{sh,mjs,py}`, with {{url}}, {{ws}}, {{project}} and {{key}}
in them. `livetally demo` fills in its own project and a key that works; any other server shows
placeholders. Tests read the page, and run what stands there.
"""

import re
from functools import cache
from html import escape
from importlib import resources
from typing import NamedTuple

from aiohttp import hdrs, web

from ...base.errors import NotFoundError
from ...web.operation_docs import Text, operation
from .. import page_header

_FOLDER = resources.files(__package__)

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    # What is pasted into the console of this very page works.
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: The address is put into commands that people paste into a shell.
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_FILES = {"page.css": "text/css", "copy.js": "text/javascript"}
#: A file's ending, the language's name, where to run it.
_LANGUAGES = (
    ("sh", "Shell", "curl, and wscat for websockets"),
    ("mjs", "JavaScript", "Node 22, or the console of this page"),
    ("py", "Python", "requests and websocket-client"),
)


class Login(NamedTuple):
    """What the snippets log in with."""

    project: str = "YOUR_PROJECT"
    key: str = "YOUR_KEY"

    @property
    def works(self) -> bool:
        return self != Login()


class _Format(NamedTuple):
    slug: str
    title: str
    says: str


_FORMATS = (
    _Format(
        "colours",
        "Colour tracking, serverless",
        "An action on a colour goes in over HTTP; whole lists come back over a websocket.",
    ),
    _Format(
        "cable",
        "Colour tracking, Rails",
        "The same as a form or JSON, with a token; results come over ActionCable.",
    ),
    _Format(
        "views",
        "Page views for a blog",
        "One websocket: a view goes in, and every reader of the article is told its counts.",
    ),
    _Format(
        "items",
        "Real-time items",
        "Values that change: stored over HTTP, pushed as DynamoDB types them.",
    ),
    _Format(
        "collector",
        "Event collector",
        "Clicks and page views over HTTP, with a user (the project) and a password (the key).",
    ),
)


class Examples:
    """Serves the page, its style and its one script."""

    def __init__(self, login: Login) -> None:
        self._login = login

    @operation(
        "How older systems' clients talk to this server",
        tag="Pages",
        responses={200: Text("text/html")},
    )
    async def page(self, request: web.Request) -> web.Response:
        response = web.Response(text=render(_address(request), self._login))
        response.content_type = "text/html"
        response.headers.update(
            {
                "Content-Security-Policy": _CSP,
                "Referrer-Policy": "same-origin",
                "Cache-Control": "no-store",  # it has a key in it, and the address that was asked
            }
        )
        return response

    @operation(
        "A part of that page",
        tag="Pages",
        responses={200: Text("text/css")},
        errors=(NotFoundError,),
    )
    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise NotFoundError
        headers = {hdrs.CACHE_CONTROL: "no-cache"}
        text = page_header.style() + _read(name) if name == "page.css" else _read(name)
        return web.Response(text=text, content_type=_FILES[name], headers=headers)


def _address(request: web.Request) -> str:
    """This server's, as the browser sees it (a proxy in front speaks TLS for us)."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    host = request.host if _HOST.fullmatch(request.host) else "localhost"
    return f"{'https' if scheme == 'https' else 'http'}://{host}"


def render(url: str, login: Login) -> str:
    """The whole page; whatever is filled in is escaped."""
    sections = "\n".join(_section(each, url, login) for each in _FORMATS)
    note = _read("works.html" if login.works else "placeholders.html")
    top, icon = page_header.head("/examples"), page_header.icon()
    return _filled(_read("page.html"), top=top, icon=icon, note=note, sections=sections)


def _section(about: _Format, url: str, login: Login) -> str:
    snippets = "".join(
        _filled(
            _read("snippet.html"),
            id=f"{about.slug}-{ending}",
            language=ending,
            name=name,
            title=escape(about.title),
            where=where,
            code=escape(snippet(about.slug, ending, url, login)),
        )
        for ending, name, where in _LANGUAGES
    )
    return (
        f'<section aria-labelledby="{about.slug}">\n'
        f'<h2 id="{about.slug}">{escape(about.title)}</h2>\n'
        f"<p>{escape(about.says)}</p>\n{snippets}</section>"
    )


def snippet(slug: str, ending: str, url: str, login: Login) -> str:
    """One snippet, ready to run."""
    ws = url.replace("http", "ws", 1)
    text = _read(f"snippets/{slug}.{ending}")
    return _filled(text, url=url, ws=ws, project=login.project, key=login.key)


def _filled(text: str, **values: str) -> str:
    """In one pass: what a value holds is never taken for a place to fill."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: values[place[1]], text)


@cache
def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text("utf-8")
