"""Limits on how much a key may send and an address may ask: token buckets shared by all processes.

A token is an event, and every 4 KiB of a request at least: they are asked for before anything is
parsed, and what turns out to be no event is paid too. What is public, a key that is bound to
origins, is also limited by address, so that nobody can use up a site's rate for its visitors.

A bucket stands in Redis. A process takes tokens out of it for a twentieth of a second at a time
and spends them here, so a limit costs a round trip now and then, not one a request; what processes
hold unspent is the error, 5 % each at most. A request of more tokens than a bucket holds is
refused. A smaller one is let in as soon as there is one token, and may cost more than is left: that
debt, of a bucket at most in each process, stands in Redis, and is paid off before anything else.
So large requests come through beside small ones, and over time the rate is exact, whatever the
sizes.

Redis away: each process keeps the limit by itself, so that the sum may be higher; nothing waits.
"""

import asyncio
import math
import time
from collections import OrderedDict
from typing import NamedTuple, NoReturn

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..base.errors import RateLimited, TooManyEvents
from ..ops.metrics import Metrics
from .address_limits import AddressLimit, network_of
from .auth import Key

#: So much of a second's tokens is taken from Redis at a time, and one at least.
LEASE_S = 0.05
#: A limiter that answers later than this is no use: the process decides alone.
REDIS_TIMEOUT_S = 0.25
#: ... and doesn't ask again for this long.
REDIS_PAUSE_S = 1.0
#: Buckets in memory; one that falls out loses what it had taken.
MAX_BUCKETS = 10_000

#: So much of a request's text is a token, if its events aren't more.
BYTES_A_TOKEN = 4 * 1024
#: A text up to this is never too large for a bucket: it may be a single event, or an item.
ONE_EVENT_BYTES = 72 * 1024
#: Of a public key's rate an address has a tenth, and half a second's worth at once.
SHARE_RATE = 0.1
SHARE_SAVED = 0.5
#: An office behind one address comes back at once after a restart.
HANDSHAKES_SAVED_S = 20

# KEYS: the bucket. ARGV: tokens a second, saved up at most, wanted, and 1 if they are owed anyway.
# Returns {tokens given, milliseconds until there is one}. Redis's clock is the one all share.
_TAKE = """
local rate, most, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or most
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
tokens = math.min(most, tokens + passed * rate / 1000)
local given, wait = 0, 0
if tokens >= 1 or ARGV[4] == '1' then
  given = want
  tokens = tokens - want
else
  wait = math.ceil((1 - tokens) / rate * 1000)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((most - tokens) / rate * 1000) + 1000)
return {given, wait}
"""


class Payer(msgspec.Struct):
    """Whose events these are, and what was paid for them when only their size was known."""

    key: Key
    address: str | None
    paid: int = 0
    #: What can't be sent in smaller requests is not too large for any bucket.
    indivisible: bool = False


class _Limit(NamedTuple):
    """What a bucket holds: tokens a second, and how many are saved up."""

    name: str
    whose: str
    rate: float
    saved: float


class _Bucket:
    """What this process holds of a bucket, and until when there is no use in asking for more."""

    __slots__ = ("asking", "filled_at", "tokens", "wait_until")

    def __init__(self) -> None:
        self.tokens = 0.0
        self.filled_at = -math.inf  # a bucketful is saved up
        self.wait_until = 0.0
        self.asking = asyncio.Lock()


class Limits:
    """Spends tokens, or refuses."""

    def __init__(
        self,
        redis: Redis,
        metrics: Metrics,
        *,
        address_rate: int,
        public_key_rate: int,
        handshake_rate: int,
    ) -> None:
        self._take = redis.register_script(_TAKE)
        self._metrics = metrics
        self._address_rate = address_rate
        self._public_key_rate = public_key_rate
        self._handshakes = AddressLimit(
            handshake_rate, handshake_rate * HANDSHAKES_SAVED_S, "opened connections"
        )
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._alone_until = 0.0

    async def admit(self, key: Key, address: str | None, size: int) -> Payer:
        """A request's text of so many bytes, before it is parsed.

        Raises RateLimited, or TooManyEvents if it is more than a bucket holds.
        """
        payer = Payer(key, address)
        for limit in self._limits(payer):
            tokens = max(1, math.ceil(size / BYTES_A_TOKEN))
            if tokens > limit.saved and size > ONE_EVENT_BYTES:
                self._reject_size(limit)
            payer.paid = max(1, min(tokens, math.floor(limit.saved)))
            await self._spend(limit, payer.paid)
        return payer

    async def settle(self, payer: Payer, events: int) -> None:
        """The rest, now that it is known how many events there were, good ones or not.

        What was let in is not refused for what is left, but is owed. Raises TooManyEvents if it is
        more than a bucket holds; that it was parsed is paid all the same.
        """
        if events > payer.paid:
            for limit in self._limits(payer):
                if events > max(1, limit.saved) and not payer.indivisible:
                    self._reject_size(limit)
                await self._owe(limit, events - payer.paid)

    async def ask(self, address: str | None) -> None:
        """One request of a client's address. Raises RateLimited."""
        if self._address_rate and address:
            rate = self._address_rate
            await self._spend(_Limit(f"address:{network_of(address)}", "address", rate, rate), 1)

    def open(self, address: str | None) -> None:
        """A live connection of a client's address. Raises RateLimited."""
        try:
            self._handshakes.check(address)
        except RateLimited:
            self._metrics.rate_limited.labels("handshake").inc()
            raise
        self._handshakes.spend(address)

    def _limits(self, payer: Payer) -> list[_Limit]:
        """An address's share is asked first: who has used that up takes nothing from the others."""
        key, address = payer.key, payer.address
        rate = key.rate if key.rate is not None else self._public_key_rate if key.origins else 0
        if not rate:
            return []
        name = f"key:{key.hash[:8].hex()}"
        limits = [_Limit(name, "key", rate, rate)]
        if key.origins and address:
            saved = max(1.0, rate * SHARE_SAVED)
            share = _Limit(f"{name}:{network_of(address)}", "share", rate * SHARE_RATE, saved)
            limits.insert(0, share)
        return limits

    async def _spend(self, limit: _Limit, n: int) -> None:
        bucket = self._bucket(limit.name)
        if bucket.tokens < n:
            async with bucket.asking:  # one question for all who wait
                if bucket.tokens < n and not await self._fill(limit, bucket, n):
                    self._reject(bucket, limit)
        bucket.tokens -= n

    async def _owe(self, limit: _Limit, n: int) -> None:
        """The same, though there may be no token left: the debt is in Redis when this returns."""
        bucket = self._bucket(limit.name)
        bucket.tokens -= n  # at once: nobody is let in beside it
        if bucket.tokens < 0:
            async with bucket.asking:
                if bucket.tokens < 0:
                    await self._fill(limit, bucket, 0, owed=True)

    def _reject_size(self, limit: _Limit) -> NoReturn:
        self._metrics.rate_limited.labels(limit.whose).inc()
        raise TooManyEvents(
            f"{_WHOSE[limit.whose]} may send {limit.saved:,.0f} events at once"
            f" (each {BYTES_A_TOKEN // 1024} KiB count as one): send them in smaller requests."
        )

    def _reject(self, bucket: _Bucket, limit: _Limit) -> NoReturn:
        self._metrics.rate_limited.labels(limit.whose).inc()
        what = "requests" if limit.whose == "address" else "events"
        raise RateLimited(
            f"{_WHOSE[limit.whose]} may send {limit.rate:,g} {what} a second:"
            " send the rest again later.",
            bucket.wait_until - time.monotonic(),
        )

    def _bucket(self, name: str) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket()
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket

    async def _fill(self, limit: _Limit, bucket: _Bucket, n: int, *, owed: bool = False) -> bool:
        """Take tokens for a while, for what is to be spent now, and for what is owed; False if
        there are none."""
        now = time.monotonic()
        if now < bucket.wait_until and not owed:
            return False
        if now < self._alone_until:
            return self._fill_alone(limit, bucket, now)
        lease = 0 if owed else max(n, math.ceil(limit.rate * LEASE_S))
        want = lease - bucket.tokens
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                given, wait_ms = await self._take(
                    [f"livetally:limit:{limit.name}"], [limit.rate, limit.saved, want, int(owed)]
                )
        except (RedisError, OSError, TimeoutError):
            self._alone_until = time.monotonic() + REDIS_PAUSE_S
            return self._fill_alone(limit, bucket, now)
        bucket.tokens += int(given)
        bucket.filled_at = now
        bucket.wait_until = time.monotonic() + int(wait_ms) / 1000
        return bool(given)

    def _fill_alone(self, limit: _Limit, bucket: _Bucket, now: float) -> bool:
        saved = bucket.tokens + (now - bucket.filled_at) * limit.rate
        bucket.tokens = min(limit.saved, saved)
        bucket.filled_at = now
        bucket.wait_until = now + max(0.0, -bucket.tokens / limit.rate)
        return bucket.tokens > 0


_WHOSE = {
    "key": "This key",
    "share": "An address that uses this public key",
    "address": "This address",
}
