"""What operators ask of every process: /healthz, /readyz and /metrics."""

from collections.abc import Iterable

from aiohttp import web

from ..base.errors import DatabaseUnavailable
from ..db.database import Database
from ..ops.health import Health
from ..ops.metrics import CONTENT_TYPE, Metrics
from ..schema.http import State
from ..web.middleware import json_response
from ..web.operation_docs import Text, operation


class Operations:
    """The three routes, the same for what serves and for what works."""

    def __init__(self, health: Health, metrics: Metrics, database: Database) -> None:
        self._health = health
        self._metrics = metrics
        self._database = database

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        )

    @operation(
        "Does the process work?",
        tag="Operations",
        responses={200: State, 503: State},
    )
    async def healthz(self, request: web.Request) -> web.Response:
        stuck = self._health.alive()
        return json_response(State("stuck" if stuck else "alive", stuck), 503 if stuck else 200)

    @operation(
        "May traffic be sent here?",
        tag="Operations",
        responses={200: State, 503: State},
    )
    async def readyz(self, request: web.Request) -> web.Response:
        try:
            await self._database.value("schema_version")
            reason = None
        except DatabaseUnavailable as error:
            reason = error.message
        report = self._health.report(reason)
        return json_response(report, 503 if report.status == "unavailable" else 200)

    @operation("Numbers for Prometheus", tag="Operations", responses={200: Text("text/plain")})
    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
