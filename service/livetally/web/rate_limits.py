"""Limits on how much a key may send and an address may ask: token buckets shared by all processes.

A bucket stands in Redis. A process takes tokens out of it for a twentieth of a second at a time
and spends them here, so a limit costs a round trip now and then, not one a request; what processes
hold unspent is the error, 5 % each at most. Tokens are spent when something arrives, and the last
thing let in may cost more than is left: that debt stands in Redis, for all processes, and is paid
off before anything else, so over time the rate is exact, whatever the sizes.

Redis away: each process keeps the limit by itself, so that the sum may be higher; nothing waits.
"""

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from functools import lru_cache
from typing import NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..base.errors import RateLimited
from ..ops.metrics import Metrics
from .auth import Key

#: So much of a second's tokens is taken from Redis at a time, and one at least.
LEASE_S = 0.05
#: A limiter that answers later than this is no use: the process decides alone.
REDIS_TIMEOUT_S = 0.25
#: ... and doesn't ask again for this long.
REDIS_PAUSE_S = 1.0
#: Buckets in memory; one that falls out loses what it had taken.
MAX_BUCKETS = 10_000
#: Behind one IPv6 /64 is one customer, who could use each of its addresses once.
IPV6_PREFIX = 64

# KEYS: the bucket. ARGV: tokens a second (as many are saved up at most), tokens wanted.
# Returns {tokens given, milliseconds until there is one}. Redis's clock is the one all share.
_TAKE = """
local rate, want = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or rate
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
tokens = math.min(rate, tokens + passed * rate / 1000)
local given, wait = 0, 0
if tokens >= 1 then
  given = want
  tokens = tokens - want
else
  wait = math.ceil((1 - tokens) / rate * 1000)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((rate - tokens) / rate * 1000) + 1000)
return {given, wait}
"""


class _Bucket:
    """What this process holds of a bucket, and until when there is no use in asking for more."""

    __slots__ = ("asking", "filled_at", "tokens", "wait_until")

    def __init__(self, now: float) -> None:
        self.tokens = 0.0
        self.filled_at = now - 1  # a second's worth is saved up
        self.wait_until = 0.0
        self.asking = asyncio.Lock()


class Limits:
    """Spends tokens, or refuses."""

    def __init__(self, redis: Redis, metrics: Metrics, *, address_rate: int) -> None:
        self._take = redis.register_script(_TAKE)
        self._metrics = metrics
        self._address_rate = address_rate
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._alone_until = 0.0

    async def spend(self, key: Key, n: int) -> None:
        """`n` events of a key. Raises RateLimited; nothing is spent then."""
        if key.rate is not None and n:
            await self._spend(f"key:{key.hash[:8].hex()}", key.rate, n, "key")

    async def ask(self, address: str | None) -> None:
        """One request of a client's address. Raises RateLimited."""
        if self._address_rate and address:
            await self._spend(f"address:{_network(address)}", self._address_rate, 1, "address")

    async def _spend(self, name: str, rate: int, n: int, whose: str) -> None:
        bucket = self._bucket(name)
        if bucket.tokens < n:
            async with bucket.asking:  # one question for all who wait
                if bucket.tokens < n and not await self._fill(name, bucket, rate, n):
                    self._reject(bucket, rate, whose)
        bucket.tokens -= n

    def _reject(self, bucket: _Bucket, rate: int, whose: str) -> NoReturn:
        self._metrics.rate_limited.labels(whose).inc()
        what = "events" if whose == "key" else "requests"
        raise RateLimited(
            f"This {whose} may send {rate:,} {what} a second: send the rest again later.",
            bucket.wait_until - time.monotonic(),
        )

    def _bucket(self, name: str) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(time.monotonic())
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket

    async def _fill(self, name: str, bucket: _Bucket, rate: int, n: int) -> bool:
        """Take tokens for a while, for what is to be spent now, and for what is owed; False if
        there are none."""
        now = time.monotonic()
        if now < bucket.wait_until:
            return False
        if now < self._alone_until:
            return self._fill_alone(bucket, rate, now)
        want = max(n, math.ceil(rate * LEASE_S)) - bucket.tokens
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                given, wait_ms = await self._take([f"livetally:limit:{name}"], [rate, want])
        except (RedisError, OSError, TimeoutError):
            self._alone_until = time.monotonic() + REDIS_PAUSE_S
            return self._fill_alone(bucket, rate, now)
        bucket.tokens += int(given)
        bucket.filled_at = now
        bucket.wait_until = time.monotonic() + int(wait_ms) / 1000
        return bool(given)

    def _fill_alone(self, bucket: _Bucket, rate: int, now: float) -> bool:
        bucket.tokens = min(rate, bucket.tokens + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        bucket.wait_until = now + max(0.0, -bucket.tokens / rate)
        return bucket.tokens > 0


@lru_cache(maxsize=MAX_BUCKETS)
def _network(address: str) -> str:
    """What a limit on addresses counts as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket's peer
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return address
