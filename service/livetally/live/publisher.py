"""After a commit: tell every process what changed, one small Redis message a project and batch.

Nothing depends on a message arriving. It carries absolute counts, so one lost, doubled or late does
no harm, and the hub finds what it missed by comparing positions. So when Redis is away, or slower
than commits come, messages are dropped and counted, and nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ..ops.health import Health, Heartbeat, wait
from ..ops.metrics import Metrics
from ..schema.changes import Change, ItemsChanged

#: Changes waiting for Redis. More are dropped: by then the hubs' re-read is quicker.
QUEUE_SIZE = 1_000
#: A round trip costs the CPU of three requests: under load commits share it.
GATHER_S = 0.01
#: Changes sent in one round trip.
PIPELINE_SIZE = 100


def connect_redis(url: str) -> Redis:
    """A client that never tries again by itself: that would hold everything up for seconds when
    Redis is away, and nothing needs it."""
    client: Redis = Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)
    )
    return client


_encoder = msgspec.json.Encoder()


def channel(project: int) -> str:
    return f"livetally:{project}"


class Publisher:
    """Sends changes to Redis, in order, from a loop of its own."""

    def __init__(
        self,
        redis: Redis,
        metrics: Metrics,
        health: Health,
        tried: Callable[[list[Change | ItemsChanged], bool], None] | None = None,
    ) -> None:
        """`tried` is told what was sent, and whether Redis has taken it."""
        self._redis = redis
        self._metrics = metrics
        self._health = health
        self._tried = tried
        self._queue: deque[Change | ItemsChanged] = deque()
        self._wake = asyncio.Event()
        self._failing = False

    def publish(self, change: Change | ItemsChanged) -> None:
        """Send it soon. Never waits, never raises."""
        if len(self._queue) >= QUEUE_SIZE:
            self._metrics.publish_failures.inc()
            return
        self._queue.append(change)
        self._wake.set()

    async def run(self, heart: Heartbeat) -> None:
        """The loop; ends when cancelled."""
        while True:
            heart.beat()
            if not self._queue:
                await wait(self._wake, 1)
                self._wake.clear()
            size = min(len(self._queue), PIPELINE_SIZE)
            if size or self._failing:
                await self._send([self._queue.popleft() for _ in range(size)])
                await asyncio.sleep(GATHER_S)

    async def _send(self, batch: list[Change | ItemsChanged]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for change in batch:
            pipeline.publish(channel(change.project), _encoder.encode(change))
        if not batch:
            pipeline.ping()  # nothing to say, but is it back?
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._metrics.publish_failures.inc(len(batch))
            self._failing = True
            self._health.trouble("publisher", f"Redis does not take messages: {error}")
        else:
            self._failing = False
            self._health.trouble("publisher", None)
        if self._tried is not None:
            self._tried(batch, not self._failing)
