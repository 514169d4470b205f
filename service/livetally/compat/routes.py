"""All compatibility APIs: their routes, and what they put in front of the native ones."""

from collections.abc import Iterable

from aiohttp import web

from ..ingest.batcher import Batcher
from ..live.connections import Connections
from ..live.hub import Hub
from ..web.auth import Auth
from ..web.read_budgets import Reads
from .actions import Shape
from .claims import Claims
from .collector.routes import Collector
from .colors.http import Colors
from .colors.websocket import ColorSocket
from .dispatch import Dispatcher
from .items import ItemSocket
from .page_views.views import Views
from .rails.cable import Cable
from .rails.events import RailsEvents
from .rails.results import RailsResults
from .rejections import legible

#: The older systems stood behind gateways, whose addresses begin so. Who changes the host alone is
#: to succeed: they are taken before every route of theirs, and for a websocket alone.
STAGES = ("dev", "develop", "stage", "staging", "prod", "production", "local")


class CompatApis:
    """What a process has of them."""

    def __init__(
        self,
        auth: Auth,
        batcher: Batcher,
        reads: Reads,
        hub: Hub,
        connections: Connections,
        viewer_buffer_bytes: int,
    ) -> None:
        colors = Colors(auth, batcher, reads)
        rails = RailsEvents(auth, batcher)
        self.cable = Cable(auth, connections, viewer_buffer_bytes)
        socket = Dispatcher(
            auth,
            connections,
            ItemSocket(auth, reads, connections),
            Views(auth, batcher, connections),
            ColorSocket(auth, hub, connections, colors),
            viewer_buffer_bytes,
        )
        self._claims = Claims(auth, batcher, colors, rails, socket.handle)
        results = legible(RailsResults(auth, reads).get_events, Shape.RAILS)
        self._routes = [
            web.get("/admin/v1/stats", legible(colors.get_admin_stats)),
            web.get("/v1/events", results),
            web.get("/v1/events/cable", self.cable.handle),
            web.post("/{version:v[23]}/events", legible(rails.post_events, Shape.RAILS)),
            web.get("/{version:v[23]}/events", results),
            web.get("/{version:v[23]}/events/cable", self.cable.handle),
            web.get("/ws", socket.handle),
            *Collector(auth, batcher, reads).routes(),
        ]

    def in_front_of(self, native: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """These routes, claimed from where a request is another system's, and the others' own, also
        behind a stage, and with a slash at the end."""
        routes = [*self._claims.in_front_of(native), *self._routes]
        paths = {route.path for route in self._routes} | Claims.PATHS - {"/"}
        routes += [
            web.route(route.method, f"{route.path}/", route.handler)
            for route in routes
            if route.path in paths
        ]
        ours = {*paths, *(f"{path}/" for path in paths), "/", "/docs", "/openapi.json"}
        staged = [_staged(route, route.path) for route in routes if route.path in ours]
        bare = [_staged(route, "") for route in routes if route.path == "/"]
        return [*routes, *staged, *bare]


def _staged(route: web.RouteDef, path: str) -> web.RouteDef:
    """The same behind a stage. The document doesn't list it: see `reference.routes`."""
    return web.route(route.method, f"/{{stage:{'|'.join(STAGES)}}}{path}", route.handler)
