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
from ..compat.actions import Shape
from ..compat.collector.routes import Collector, hello_or
from ..compat.colors.http import Colour
from ..compat.colors.websocket import ColourSocket
from ..compat.dispatch import Dispatcher
from ..compat.items import ItemSocket
from ..compat.page_views.views import Views
from ..compat.paths import RAILS_POST, OlderPaths, legible
from ..compat.rails.cable import Cable
from ..compat.rails.results import Results
from ..ingest.http import Ingest
from ..live.sse import ServerSentEvents
from ..live.websocket import Live
from ..queue.admin import QueueAdmin
from ..queue.dead_letters import DeadLetters
from ..queue.rejections import Refusals
from ..site.docs import Docs
from ..site.examples import Examples, Login
from ..site.pages import Pages
from .services import Services

Routes = Iterable[web.RouteDef]


def routes(
    services: Services, processes: Processes, cable: Cable, login: Login
) -> list[web.RouteDef]:
    """`login` is what the page /examples gives to everybody."""
    return [
        *_native(services),
        *_compat(services, cable),
        *_admin(services),
        *processes.routes(),
        *Operations(services.health, services.metrics, services.database).routes(),
        *_site(services, login),
    ]


def _native(services: Services) -> Routes:
    auth, database = services.auth, services.database
    buffer_bytes = services.config.viewer_buffer_bytes
    live = Live(auth, services.batcher, services.hub, services.connections, buffer_bytes)
    sse = ServerSentEvents(auth, services.connections, buffer_bytes)
    items = Items(auth, database, services.limits, services.announcer)
    return [
        web.get("/v1/types", Stats(auth, database).get_types),
        web.get("/v1/pages", PageViews(auth, database).get_pages),
        web.get("/v1/verify", Verify(auth, database, services.hub).get_verify),
        web.get("/v1/live", live.handle),
        web.get("/v1/live/sse", sse.handle),
        web.put("/v1/items/{key}/{id}", items.put_item),
        web.get("/v1/items/{key}/{id}", items.get_item),
        web.delete("/v1/items/{key}/{id}", items.delete_item),
        web.put("/v1/items/{key}", items.put_items),
        web.get("/v1/items/{key}", items.list_items),
    ]


def _compat(services: Services, cable: Cable) -> Routes:
    auth, batcher, database = services.auth, services.batcher, services.database
    connections = services.connections
    colour = Colour(auth, database)
    paths = OlderPaths(batcher, colour, Stats(auth, database))
    ingest = Ingest(auth, batcher, paths.take)
    rails_ingest = Ingest(auth, batcher, paths.take_rails)
    results = Results(auth, database)
    older = Dispatcher(
        auth,
        connections,
        ItemSocket(auth, database, connections),
        Views(auth, batcher, connections),
        ColourSocket(auth, services.hub, connections, colour),
        services.config.viewer_buffer_bytes,
    )
    return [
        web.post("/v1/events", legible(ingest.post_events)),
        web.get("/v1/stats", legible(paths.get_stats)),
        web.get("/admin/v1/stats", legible(colour.get_admin_stats)),
        web.get("/v1/events", legible(results.get_events, Shape.RAILS)),
        web.get("/v1/events/cable", cable.handle),
        web.post(
            "/{version:v[23]}/events",
            RAILS_POST.describe(legible(rails_ingest.post_events, Shape.RAILS)),
        ),
        web.get("/{version:v[23]}/events", legible(results.get_events, Shape.RAILS)),
        web.get("/{version:v[23]}/events/cable", cable.handle),
        web.get("/ws", older.handle),
        *Collector(auth, batcher, database).routes(),
    ]


def _admin(services: Services) -> Routes:
    auth, database, config = services.auth, services.database, services.config
    refusals = Refusals(database)
    dead_letters = DeadLetters(config.queue_url, config.dead_letter_queue_url, refusals)
    return [
        *QueueAdmin(auth, dead_letters, refusals).routes(),
        *KeyAdmin(auth, database).routes(),
        *PointerHistory(auth, database).routes(),
    ]


def _site(services: Services, login: Login) -> Routes:
    config = services.config
    pages = Pages(config.pages_dir, services.auth, config.page_write_key, config.page_read_key)
    examples = Examples(login)
    return [
        *Docs().routes(),
        web.get("/", hello_or(pages.page("index"))),
        web.get("/overview", pages.page("overview")),
        web.get("/admin", pages.page("admin")),
        web.get("/page.json", pages.page_json),
        web.get("/examples", examples.page),
        web.get("/examples/{name}", examples.file),
        web.get("/assets/{name}", pages.asset),
        web.get("/js/{name}", pages.script),
    ]
