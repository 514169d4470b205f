"""Every route and its handler."""

from collections.abc import Iterable

from aiohttp import web

from ..api.items import Items
from ..api.key_admin import KeyAdmin
from ..api.operations import Operations
from ..api.page_views import PageViews
from ..api.pointer_history import PointerHistory
from ..api.processes import Processes
from ..api.stats import Stats
from ..api.verify import Verify
from ..compat.routes import CompatApis
from ..ingest.http import Ingest
from ..live.sse import ServerSentEvents
from ..live.topics.admin import ALL
from ..live.websocket import LiveSocket
from ..queue.admin import QueueAdmin
from ..queue.dead_letters import DeadLetters
from ..queue.rejections import Refusals
from ..site.docs.http import Docs
from ..site.examples import Examples, Login
from ..site.pages import BuiltPages
from .services import Services

Routes = Iterable[web.RouteDef]


def routes(
    services: Services, processes: Processes, compat: CompatApis, login: Login
) -> list[web.RouteDef]:
    """`login` is what the page /examples gives to everybody."""
    return [
        *compat.in_front_of([*_native(services), *_site(services, login)]),
        *_admin(services),
        *processes.routes(),
        *Operations(services.health, services.metrics, services.vitals).routes(),
    ]


def _native(services: Services) -> Routes:
    auth, reads = services.auth, services.reads
    buffer_bytes = services.config.viewer_buffer_bytes
    live = LiveSocket(auth, services.batcher, services.hub, services.connections, buffer_bytes)
    sse = ServerSentEvents(auth, services.connections, buffer_bytes)
    items = Items(auth, reads, services.limits, services.announcer)
    stats = Stats(auth, reads)
    return [
        web.post("/v1/events", Ingest(auth, services.batcher).post_events),
        web.get("/v1/stats", stats.get_stats),
        web.get("/v1/types", stats.get_types),
        web.get("/v1/pages", PageViews(auth, reads).get_pages),
        web.get("/v1/verify", Verify(auth, reads, services.hub).get_verify),
        web.get("/v1/live", live.handle),
        web.get("/v1/live/sse", sse.handle),
        web.put("/v1/items/{key}/{id}", items.put_item),
        web.get("/v1/items/{key}/{id}", items.get_item),
        web.delete("/v1/items/{key}/{id}", items.delete_item),
        web.put("/v1/items/{key}", items.put_items),
        web.get("/v1/items/{key}", items.list_items),
    ]


def _admin(services: Services) -> Routes:
    auth, reads, config = services.auth, services.reads, services.config
    refusals = Refusals(reads.of(ALL))
    dead_letters = DeadLetters(config.queue_url, config.dead_letter_queue_url, refusals)
    return [
        *QueueAdmin(auth, dead_letters, refusals).routes(),
        # An operator can revoke the key of whoever keeps the others waiting.
        *KeyAdmin(auth, services.vitals).routes(),
        *PointerHistory(auth, reads).routes(),
    ]


def _site(services: Services, login: Login) -> Routes:
    config = services.config
    pages = BuiltPages(config.pages_dir, services.auth, config.page_write_key, config.page_read_key)
    examples = Examples(login)
    return [
        *Docs().routes(),
        web.get("/", pages.page("index")),
        web.get("/overview", pages.page("overview")),
        web.get("/admin", pages.page("admin")),
        web.get("/page.json", pages.page_json),
        web.get("/examples", examples.page),
        web.get("/examples/{name}", examples.file),
        web.get("/assets/{name}", pages.asset),
        web.get("/js/{name}", pages.script),
    ]
