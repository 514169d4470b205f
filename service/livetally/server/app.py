"""The application that serves, put together: services, routes, loops, drain."""

from typing import Any

from aiohttp import web

from ..api.processes import Processes
from ..base.client_address import FIND, client_address, parse_networks
from ..base.config import Config
from ..compat.routes import CompatApis
from ..ingest.store import Store
from ..site.examples import Login
from ..web import middleware
from .drain import draining
from .loops import clients, loops, serving
from .routes import routes
from .services import Services, make_services


def create_app(
    config: Config, store: Store | None = None, login: Login | None = None
) -> web.Application:
    """Made, not yet started.

    `store` replaces the one that writes to Postgres: the benchmark measures what storing costs.
    `login` is what the page /examples gives to everybody: the demo's.
    """
    services = make_services(config, store)
    processes = Processes(services.auth, services.hub, services.announcer, services.redis)
    compat = CompatApis(
        services.auth,
        services.batcher,
        services.reads,
        services.hub,
        services.connections,
        config.viewer_buffer_bytes,
    )
    app = web.Application(middlewares=_around_requests(services))
    app[FIND] = client_address(parse_networks(config.trusted_proxies))
    app.add_routes(routes(services, processes, compat, login or Login()))
    app.cleanup_ctx.extend(
        [clients(services), loops(services, serving(services, processes, compat.cable))]
    )
    app.on_shutdown.append(draining(services))
    return app


def _around_requests(services: Services) -> list[Any]:
    async def admit(request: web.Request) -> None:
        if request.path not in middleware.UNLIMITED:
            await services.limits.ask(request.app[FIND](request))

    # Most installations limit no address: their requests don't even look whose they are.
    limited = [admit] if services.config.address_rate else []
    traced = [] if services.tracing is None else [services.tracing.middleware]
    return [middleware.middleware(services.metrics, *limited), *traced]
