"""The page /examples: how the clients of each older system talk to this server.

The snippets are files, `snippets/SYSTEM.{sh,mjs,py}`, with {{url}}, {{ws}}, {{project}} and {{key}}
in them. `livetally demo` fills in its own project and a key that works; any other server shows
placeholders. Tests read the page, and run what stands there.
"""

from functools import partial
from typing import NamedTuple

from aiohttp import web

from ...base.errors import NotFoundError
from ...web.operation_docs import Text, operation
from .. import html

#: The address is put into commands that people paste into a shell.


class Login(NamedTuple):
    """What the snippets log in with."""

    project: str = "YOUR_PROJECT"
    key: str = "YOUR_KEY"

    @property
    def works(self) -> bool:
        return self != Login()


class _Language(NamedTuple):
    ending: str
    name: str
    where: str


class _System(NamedTuple):
    slug: str
    title: str
    summary: str


_LANGUAGES = (
    _Language("sh", "Shell", "curl, and wscat for websockets"),
    _Language("mjs", "JavaScript", "Node 22, or the console of this page"),
    _Language("py", "Python", "requests and websocket-client"),
)

_SYSTEMS = (
    _System(
        "colours",
        "Colour tracking, serverless",
        "An action on a colour goes in over HTTP; whole lists come back over a websocket.",
    ),
    _System(
        "cable",
        "Colour tracking, Rails",
        "The same as a form or JSON, with a token; results come over ActionCable.",
    ),
    _System(
        "views",
        "Page views for a blog",
        "One websocket: a view goes in, and every reader of the article is told its counts.",
    ),
    _System(
        "items",
        "Real-time items",
        "Values that change: stored over HTTP, pushed as DynamoDB types them.",
    ),
    _System(
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
        # What is pasted into the console of this very page works. It has a key in it, and the
        # address that was asked: nobody keeps it.
        text = render(_address(request), self._login)
        return html.respond(request, text, cache="no-store")

    @operation(
        "A part of that page",
        tag="Pages",
        responses={200: Text("text/css")},
        errors=(NotFoundError,),
    )
    async def file(self, request: web.Request) -> web.Response:
        return html.respond_file(__package__, request.match_info["name"])


def _address(request: web.Request) -> str:
    """This server's, as the browser sees it (a proxy in front speaks TLS for us)."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{'https' if scheme == 'https' else 'http'}://{html.host_of(request)}"


def render(url: str, login: Login) -> str:
    """The whole page."""
    return html.page(
        "examples.html",
        "/examples",
        title="Examples for clients of five older systems",
        style="/examples/page.css",
        scripts=["/examples/copy.js"],
        works=login.works,
        languages=_LANGUAGES,
        systems=_SYSTEMS,
        snippet=partial(_snippet, url, login),
    )


def _snippet(url: str, login: Login, system: _System, language: _Language) -> str:
    """One of them, ready to run."""
    name = f"{system.slug}.{language.ending}"
    ws = url.replace("http", "ws", 1)
    return html.fill(name, url=url, ws=ws, project=login.project, key=login.key)
