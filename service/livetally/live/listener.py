"""The other end of the publisher: changes that other processes committed, from Redis."""

import asyncio
import logging
import time

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..base.backoff import Backoff
from ..ops.health import Health, Heartbeat
from ..schema.changes import Change, ItemsChanged
from .hub import Hub
from .publisher import channel
from .topics.admin import ALL

log = logging.getLogger(__name__)

#: Always subscribed to, so that the connection is there (and watched) before the first viewer is.
_IDLE_CHANNEL = "livetally"
#: All projects, for who watches `admin`. Redis's rights are by this very pattern.
_EVERYTHING = "livetally*"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 1.0
#: A project may be quiet for hours: only pings tell whether the connection still carries anything.
_PING_S = 1.0
_SILENCE_S = 5.0
#: How long a new viewer's project may wait until it is listened to.
_FOLLOW_S = 0.1

_decoder: msgspec.json.Decoder[Change | ItemsChanged] = msgspec.json.Decoder(Change | ItemsChanged)


class Listener:
    """Follows the channels of the projects that are being watched here."""

    def __init__(
        self,
        redis: Redis,  # its own: a connection that listens can do nothing else
        origin: str,
        hub: Hub,
        health: Health,
    ) -> None:
        self._redis = redis
        self._pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self._origin = origin
        self._hub = hub
        self._health = health

    async def run(self, heart: Heartbeat) -> None:
        """The loop; ends when cancelled. Redis coming and going is its everyday business."""
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        try:
            while True:
                heart.beat()
                try:
                    await self._listen(heart, backoff)
                except (RedisError, OSError, TimeoutError) as error:
                    self._health.trouble("listener", f"Redis can't be heard: {error}")
                    await self._pubsub.aclose()  # type: ignore[no-untyped-call]
                    await asyncio.sleep(backoff.next_s())
        finally:
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]
            await self._redis.aclose()

    async def _listen(self, heart: Heartbeat, backoff: Backoff) -> None:
        await self._pubsub.subscribe(_IDLE_CHANNEL)
        subscribed: set[int] = set()
        await self._follow(subscribed)
        self._health.trouble("listener", None)
        backoff.reset()
        self._hub.resync()
        heard_at = pinged_at = time.monotonic()
        while True:
            heart.beat()
            message = await self._pubsub.get_message(timeout=_FOLLOW_S)
            now = time.monotonic()
            if message is not None:
                heard_at = now
                if message["type"] in ("message", "pmessage"):
                    self._receive(message["data"], all_only=message["type"] == "pmessage")
            if now - heard_at > _SILENCE_S:
                raise TimeoutError("it does not answer")
            if now - pinged_at > _PING_S:
                pinged_at = now
                await self._pubsub.ping()
            if self._hub.watched_changed.is_set():
                self._hub.watched_changed.clear()
                await self._follow(subscribed)

    async def _follow(self, subscribed: set[int]) -> None:
        """Listen to what is watched, and to nothing else; `subscribed` is brought up to date.

        Until a new viewer's project is listened to, the hub's own re-read finds what changes."""
        wanted = self._hub.watched
        new, old = wanted - subscribed, subscribed - wanted
        if ALL in new:
            await self._pubsub.psubscribe(_EVERYTHING)
        if ALL in old:
            await self._pubsub.punsubscribe(_EVERYTHING)
        if new := new - {ALL}:
            await self._pubsub.subscribe(*map(channel, new))
        if old := old - {ALL}:
            await self._pubsub.unsubscribe(*map(channel, old))
        subscribed ^= subscribed ^ wanted

    def _receive(self, data: bytes, *, all_only: bool = False) -> None:
        try:
            change = _decoder.decode(data)
        except msgspec.DecodeError as error:
            log.warning("a message from Redis can't be read: %s", error)
        else:
            if change.origin != self._origin:  # our own was applied before it was published
                apply = self._hub.apply_to_all if all_only else self._hub.apply
                apply(change)
