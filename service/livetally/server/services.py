"""The parts of a process, and what each is given. What serves and what works share them."""

import dataclasses
import secrets
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from ..base.config import Config
from ..db.database import VITAL_CONNECTIONS, Database
from ..ingest.batcher import Batcher
from ..ingest.store import Store
from ..live.announcer import Announcer
from ..live.connections import Connections
from ..live.hub import Hub
from ..live.publisher import Publisher, connect_redis
from ..ops.health import Health
from ..ops.metrics import Metrics
from ..web.auth import Auth
from ..web.rate_limits import Limits
from ..web.read_budgets import Budgets, Reads

if TYPE_CHECKING:  # at run time only where there are traces
    from ..ops.tracing import Tracing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """Made, not yet started: `loops` has what runs, `drain` how it ends."""

    config: Config
    metrics: Metrics
    health: Health
    tracing: "Tracing | None"
    #: for what clients ask, by `reads`, and what a worker does
    database: Database
    reads: Reads
    #: for what health depends on
    vitals: Database
    redis: Redis
    auth: Auth
    limits: Limits
    publisher: Publisher
    hub: Hub
    announcer: Announcer
    batcher: Batcher
    connections: Connections


def make_services(config: Config, store: Store | None = None) -> Services:
    """In the order of the journey. `store` replaces the one that writes to Postgres: the benchmark
    measures what storing costs."""
    metrics, health = Metrics(), Health()
    origin = secrets.token_hex(8)
    tracing = _tracing(config, origin)
    database = Database(config.database_url, config.pool_size)
    reads = Reads(database, metrics, _budgets(config))
    vitals = Database(config.database_url, VITAL_CONNECTIONS, "livetally vitals")
    redis = connect_redis(config.redis_url)
    auth = Auth(vitals)
    limits = Limits(
        redis,
        metrics,
        address_rate=config.address_rate,
        public_key_rate=config.public_key_rate,
        handshake_rate=config.handshake_rate,
    )
    publisher = Publisher(redis, metrics, health, tracing.published if tracing else None)
    hub = _hub(config, reads, vitals, metrics, health, tracing)
    announcer = Announcer(origin, hub, publisher, tracing)
    return Services(
        config=config,
        metrics=metrics,
        health=health,
        tracing=tracing,
        database=database,
        reads=reads,
        vitals=vitals,
        redis=redis,
        auth=auth,
        limits=limits,
        publisher=publisher,
        hub=hub,
        announcer=announcer,
        batcher=_batcher(config, store, announcer, metrics, limits, tracing),
        connections=_connections(config, auth, limits, hub, reads, metrics, health),
    )


def _tracing(config: Config, origin: str) -> "Tracing | None":
    if not config.otlp_endpoint:
        return None
    from ..ops.tracing import Tracing  # 60 modules that nobody else pays for

    return Tracing(config.otlp_endpoint, origin)


def _budgets(config: Config) -> Budgets:
    return Budgets(
        connections=config.pool_size,
        key_reads=config.key_reads,
        project_reads=config.project_reads,
        key_rate=config.key_read_rate,
        project_rate=config.project_read_rate,
    )


def _hub(
    config: Config,
    reads: Reads,
    vitals: Database,
    metrics: Metrics,
    health: Health,
    tracing: "Tracing | None",
) -> Hub:
    return Hub(
        reads,
        vitals,
        metrics,
        health,
        frame_interval_s=config.frame_interval_ms / 1000,
        resync_interval_s=config.resync_interval_ms / 1000,
        tracing=tracing,
    )


def _batcher(
    config: Config,
    store: Store | None,
    announcer: Announcer,
    metrics: Metrics,
    limits: Limits,
    tracing: "Tracing | None",
) -> Batcher:
    return Batcher(
        store or Store(config.database_url, config.commit_timeout_ms / 1000),
        announcer.committed,
        metrics,
        batch_max_events=config.batch_max_events,
        queue_max_events=config.queue_max_events,
        limits=limits,
        tracing=tracing,
    )


def _connections(
    config: Config,
    auth: Auth,
    limits: Limits,
    hub: Hub,
    reads: Reads,
    metrics: Metrics,
    health: Health,
) -> Connections:
    return Connections(
        auth,
        limits,
        hub,
        reads,
        metrics,
        health,
        ping_interval_s=config.ping_interval_s,
        max_connections=config.max_connections,
    )
