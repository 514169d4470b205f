"""All wiring: what each part is given, what starts first and what stops last."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from ..api.items import Items
from ..api.key_admin import KeyAdmin
from ..api.operations import Operations
from ..api.page_views import PageViews
from ..api.pointer_history import PointerHistory
from ..api.processes import Processes
from ..api.stats import Stats
from ..api.verify import Verify
from ..base.client_address import client_address, parse_networks
from ..base.config import Config
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
from ..db.database import Database
from ..db.partitions import run_partitions
from ..ingest.batcher import Batcher
from ..ingest.http import Ingest
from ..ingest.store import Committed, Store
from ..live.connections import Connections
from ..live.hub import Hub
from ..live.listener import Listener
from ..live.publisher import Publisher, changes, connect_redis
from ..live.sse import ServerSentEvents
from ..live.websocket import Live
from ..ops.emf import Emf
from ..ops.health import Health
from ..ops.metrics import Metrics
from ..ops.tasks import FAILED, end, start
from ..queue.admin import QueueAdmin
from ..queue.dead_letters import DeadLetters
from ..queue.rejections import Refusals
from ..schema.changes import Change, ItemsChanged
from ..site.docs import Docs
from ..site.examples import Examples, Login
from ..site.pages import Pages
from ..web import middleware
from ..web.auth import Auth
from ..web.rate_limits import Limits

log = logging.getLogger(__name__)

#: What is queued is committed within this time after the signal to stop.
FLUSH_TIMEOUT_S = 12


def create_app(
    config: Config, store: Store | None = None, login: Login | None = None
) -> web.Application:
    """The application; with its own parts made, not yet started.

    `store` replaces the one that writes to Postgres: the benchmark measures what storing costs.
    `login` is what the page /examples gives to everybody: the demo's.
    """
    # The parts, in the order of the journey.
    metrics = Metrics()
    health = Health()
    database = Database(config.database_url, config.pool_size)
    redis = connect_redis(config.redis_url)
    listening_redis = connect_redis(config.redis_url)
    auth = Auth(database)
    origin = secrets.token_hex(8)
    tracing = None
    if config.otlp_endpoint:
        from ..ops.tracing import Tracing  # 60 modules that nobody else pays for

        tracing = Tracing(config.otlp_endpoint, origin)
    publisher = Publisher(redis, metrics, health, tracing.published if tracing else None)
    hub = Hub(
        database,
        metrics,
        health,
        frame_interval_s=config.frame_interval_ms / 1000,
        resync_interval_s=config.resync_interval_ms / 1000,
        tracing=tracing,
    )
    listener = Listener(listening_redis, origin, hub, health)

    def announce(change: Change | ItemsChanged) -> None:
        """After a commit, and only then: show it here at once, and tell the others."""
        hub.apply(change)
        publisher.publish(change)

    processes = Processes(auth, hub, redis, health, origin)

    def on_commit(committed: Committed) -> None:
        processes.count(len(committed.accepted))
        trace = None if tracing is None else tracing.here()
        for change in changes(committed, origin, trace):
            announce(change)

    limits = Limits(redis, metrics, address_rate=config.address_rate)
    batcher = Batcher(
        store or Store(config.database_url, config.commit_timeout_ms / 1000),
        on_commit,
        metrics,
        health,
        batch_max_events=config.batch_max_events,
        queue_max_events=config.queue_max_events,
        limits=limits,
        tracing=tracing,
    )
    connections = Connections(
        auth,
        hub,
        metrics,
        health,
        ping_interval_s=config.ping_interval_s,
        max_connections=config.max_connections,
    )
    live = Live(auth, batcher, hub, connections, config.viewer_buffer_bytes)
    sse = ServerSentEvents(auth, connections, config.viewer_buffer_bytes)
    stats = Stats(auth, database)
    colour = Colour(auth, database)
    results = Results(auth, database)
    cable = Cable(auth, connections, health, config.viewer_buffer_bytes)
    colour_socket = ColourSocket(auth, hub, connections, colour)
    paths = OlderPaths(batcher, colour, stats)
    ingest = Ingest(auth, batcher, paths.take)
    rails_ingest = Ingest(auth, batcher, paths.take_rails)
    items = Items(auth, database, limits, announce, origin)
    page_views = PageViews(auth, database)
    collector = Collector(auth, batcher, database)
    older = Dispatcher(
        auth,
        connections,
        ItemSocket(auth, database, connections),
        Views(auth, batcher, connections),
        colour_socket,
        config.viewer_buffer_bytes,
    )
    refusals = Refusals(database)
    dead_letters = DeadLetters(config.queue_url, config.dead_letter_queue_url, refusals)
    queue_admin = QueueAdmin(auth, dead_letters, refusals)
    key_admin = KeyAdmin(auth, database)
    pointer_history = PointerHistory(auth, database)
    verify = Verify(auth, database, hub)
    pages = Pages(config.pages_dir, auth, config.page_write_key, config.page_read_key)
    examples = Examples(login or Login())

    address_of = client_address(parse_networks(config.trusted_proxies))

    async def admit(request: web.Request) -> None:
        if request.path not in middleware.UNLIMITED:
            await limits.ask(address_of(request))

    # Most installations limit no address: their requests don't even look whose they are.
    limited = [admit] if config.address_rate else []
    docs = Docs()
    traced = [] if tracing is None else [tracing.middleware]
    app = web.Application(middlewares=[middleware.middleware(metrics, *limited), *traced])
    app.add_routes(
        [
            web.post("/v1/events", legible(ingest.post_events)),
            web.get("/v1/stats", legible(paths.get_stats)),
            web.get("/v1/types", stats.get_types),
            web.get("/v1/pages", page_views.get_pages),
            web.get("/v1/verify", verify.get_verify),
            web.get("/v1/live", live.handle),
            web.get("/v1/live/sse", sse.handle),
            web.put("/v1/items/{key}/{id}", items.put_item),
            web.get("/v1/items/{key}/{id}", items.get_item),
            web.delete("/v1/items/{key}/{id}", items.delete_item),
            web.put("/v1/items/{key}", items.put_items),
            web.get("/v1/items/{key}", items.list_items),
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
            *collector.routes(),
            *queue_admin.routes(),
            *key_admin.routes(),
            *pointer_history.routes(),
            *processes.routes(),
            *Operations(health, metrics, database).routes(),
            *docs.routes(),
            web.get("/", hello_or(pages.page("index"))),
            web.get("/overview", pages.page("overview")),
            web.get("/admin", pages.page("admin")),
            web.get("/page.json", pages.page_json),
            web.get("/examples", examples.page),
            web.get("/examples/{name}", examples.file),
            web.get("/assets/{name}", pages.asset),
            web.get("/js/{name}", pages.script),
        ]
    )
    app[FAILED] = asyncio.Event()

    async def drain(app: web.Application) -> None:
        """The listening sockets are closed. Refuse, flush, answer, then let the viewers go."""
        health.draining = True
        batcher.close()
        _, unfinished = await asyncio.wait([batching], timeout=FLUSH_TIMEOUT_S)
        if unfinished:
            log.error("some events were not stored in time; their senders were not told they were")
        await connections.drain(config.drain_s)

    async def clients(app: web.Application) -> AsyncIterator[None]:
        await database.open()
        yield
        await database.close()
        await redis.aclose()
        await listening_redis.aclose()
        if tracing is not None:
            await tracing.close()

    batching: asyncio.Task[None]

    async def loops(app: web.Application) -> AsyncIterator[None]:
        nonlocal batching
        batching = start(app, "batcher", batcher.run())
        tasks = [
            batching,
            start(app, "publisher", publisher.run()),
            start(app, "listener", listener.run()),
            start(app, "processes", processes.run()),
            start(app, "resync", hub.run_resync()),
            start(app, "flush", hub.run_flush()),
            start(app, "connections", connections.run_clock()),
            start(app, "cable", cable.run_pings()),
            start(app, "partitions", run_partitions(database, health)),
        ]
        if config.emf_namespace:
            tasks.append(start(app, "emf", Emf(metrics, health, config.emf_namespace).run()))
        yield
        await end(tasks)
        await batcher.disconnect()

    app.cleanup_ctx.extend([clients, loops])
    app.on_shutdown.append(drain)
    return app
