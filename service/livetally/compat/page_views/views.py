"""Format 3, page views for a blog: messages on the websocket at `/ws`.

    > {"message":"views","articleId":"a1","articleTitle":"T","currentPage":"/posts/x",
       "previousPage":"/","refreshed":false,"referrer":"https://…"}      all but `message` optional
    < {"articleId":"a1","uniqueViews":12,"totalViews":15}     to everybody who views that article

One view is several native events, in one batch and so in one commit; `page_views` says which. The
first one carries the message's other fields as properties. Their ids begin with the message's `id`
(ours; the old format had none), so that a view which is sent again with it counts once.

- The page is `/` (home), `about` (the path contains /pages/about), `contact` (/pages/contacts),
  `post` (articleId and articleTitle are given), or else its path, without query and fragment;
  `unknown` if it isn't said.
- Whatever its page is, a view that has an articleId is one of that article.
- A referrer counts if its host is another one than the page's own: that of the socket's Origin, or
  of `currentPage` where that is a whole address.

A key for writing comes with the request; without one, the socket's Origin must be bound to a key of
just one project. What the articles that a socket views are at is all that can be read with either.
"""

from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from ...api.page_views import (
    ARTICLE_VIEW,
    PAGE_VIEW,
    REFERRAL,
    UNIQUE_ARTICLE_VIEW,
    UNIQUE_PAGE_VIEW,
)
from ...base.config import MAX_SUBSCRIPTIONS
from ...base.errors import BadRequest, Unprocessable
from ...base.validation import plainly
from ...ingest.batcher import Batcher
from ...ingest.events import Parsed, check, new_id
from ...live.connections import Connections
from ...live.frames import websocket_json, websocket_text
from ...live.topics.base import Subscription
from ...live.topics.counts import CountsTopic, CountsTopicId
from ...schema.compat import ArticleViews
from ...schema.keys import Role
from ...schema.live import Error, Message, Snapshot
from ...web.auth import Auth
from ...web.rate_limits import Payer
from ..websocket import Socket
from .hosts import host_of, path_of

#: With a host of 253 characters it still makes a subject.
MAX_ARTICLE = 512
MAX_PATH = 750

_Text = Annotated[str, Meta(max_length=2048)] | None


class BlogView(msgspec.Struct, rename="camel"):
    """A view as it is sent; null and "" mean the same as nothing."""

    id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    article_id: Annotated[str, Meta(max_length=MAX_ARTICLE)] | None = None
    article_title: _Text = None
    previous_page: _Text = None
    current_page: _Text = None
    refreshed: bool | None = None
    referrer: _Text = None

    def page(self) -> str:
        """The page's name in the counts. Raises Unprocessable if its path is too long."""
        path = path_of(self.current_page or "")
        if path == "/":
            return path
        if "/pages/about" in path:
            return "about"
        if "/pages/contacts" in path:
            return "contact"
        if self.article_id and self.article_title:
            return "post"
        if len(path) > MAX_PATH:
            raise Unprocessable(f"A path has {MAX_PATH} characters at most.")
        return path or "unknown"

    def properties(self) -> dict[str, Any]:
        """What is kept of it besides the counts."""
        fields = msgspec.to_builtins(self)
        return {name: fields[name] for name in fields if name != "id" and fields[name] is not None}


class _Said(msgspec.Struct):
    message: Any = None


_said = msgspec.json.Decoder(_Said)
_view = msgspec.json.Decoder(BlogView)


def events_of(view: BlogView, own_host: str | None) -> list[dict[str, Any]]:
    """The native events of a view. Raises Unprocessable."""
    id = view.id or new_id()
    page = view.page()
    subjects = [(PAGE_VIEW, page)]
    if view.article_id:
        subjects.append((ARTICLE_VIEW, view.article_id))
    if not view.refreshed:
        subjects.append((UNIQUE_PAGE_VIEW, page))
        if view.article_id:
            subjects.append((UNIQUE_ARTICLE_VIEW, view.article_id))
    host = host_of(view.referrer or "")
    if host is not None and host not in (own_host, host_of(view.current_page or "")):
        subjects.append(
            (REFERRAL, f"{host} {f'post:{view.article_id}' if page == 'post' else page}")
        )
    events = [
        {"id": f"{id}:{type_}", "type": type_, "subject": subject} for type_, subject in subjects
    ]
    return [events[0] | {"properties": view.properties()}, *events[1:]]


def encode(message: Message) -> bytes:
    """A message of the hub as a frame of this format: an article's counts, or an error's text."""
    match message:
        case Error(message=text):
            return websocket_text(text.encode())
        case Snapshot(id=article, totals=dict() as totals):
            views = ArticleViews(str(article), totals[UNIQUE_ARTICLE_VIEW], totals[ARTICLE_VIEW])
            return websocket_json(views)
    return b""


class Views:
    """Counts views, and tells their viewers."""

    def __init__(self, auth: Auth, batcher: Batcher, connections: Connections) -> None:
        self._auth = auth
        self._batcher = batcher
        self._connections = connections

    async def receive(self, socket: Socket, text: str) -> None:
        """A message, the first or a later one. Raises LivetallyError: what is to be said of it."""
        socket.viewer.encode = encode
        if not socket.keys:
            socket.grant(await self._auth.find_by_origin(socket.peer))
        key = socket.key_for(Role.WRITE)
        payer = await self._batcher.admit(key, socket.peer.address, len(text))
        payer.indivisible = True
        view = _decode(text)
        parsed = check(
            [
                msgspec.json.encode(event)
                for event in events_of(view, host_of(socket.peer.origin or ""))
            ],
            key.project,
        )
        if parsed.rejected:  # one is as bad as all: a view is counted whole or not at all
            raise Unprocessable(parsed.rejected[0].message)
        if view.article_id:
            await self._take_and_show(socket, payer, view.article_id, parsed)
        else:
            await self._batcher.take(parsed, payer)

    async def _take_and_show(
        self, socket: Socket, payer: Payer, article: str, parsed: Parsed
    ) -> None:
        """Its sender hears nothing of the article until its own view is counted, and then once."""
        is_new = article not in socket.subscriptions
        subscription = await self._subscription(socket, payer.key.project, article)
        topic = cast(CountsTopic, subscription.topic)
        topic.hold(subscription)
        try:
            await self._batcher.take(parsed, payer)
        except BaseException:
            if is_new:
                self._connections.unsubscribe(socket, article)
            else:
                topic.release(subscription)
            raise
        topic.show(subscription)

    async def _subscription(self, socket: Socket, project: int, article: str) -> Subscription:
        if article not in socket.subscriptions:
            if len(socket.subscriptions) >= MAX_SUBSCRIPTIONS:
                self._connections.unsubscribe(socket, next(iter(socket.subscriptions)))
            types = frozenset((ARTICLE_VIEW, UNIQUE_ARTICLE_VIEW))
            topic = CountsTopicId(project, article, types)
            await self._connections.subscribe(socket, article, topic, None)
        return socket.subscriptions[article]


def _decode(text: str) -> BlogView:
    try:
        if _said.decode(text).message != "views":
            raise BadRequest('The messages known here are {"message":"views",…}.')
        return _view.decode(text)
    except msgspec.ValidationError as error:
        raise BadRequest(plainly(str(error))) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise BadRequest("The message is not JSON.") from None
