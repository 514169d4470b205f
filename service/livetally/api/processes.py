"""GET /admin/v1/processes: what serves just now, and how busy each process is.

Every process writes a line about itself into one Redis hash, and drops those that have been silent.
Redis away: the process that is asked knows of itself only, and says so.
"""

import asyncio
import contextlib
import os
import socket
import time
from typing import Any

import msgspec
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..live.announcer import Announcer
from ..live.hub import Hub
from ..ops.health import Heartbeat
from ..schema.http import Count
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation

BEAT_S = 2.0
#: A process that has said nothing for this long is gone.
SILENT_S = 10
#: Longer than Redis takes; an answer waits no longer.
REDIS_TIMEOUT_S = 1.0

# KEYS: the hash. ARGV: this process, its line ('': none), seconds of silence. Returns all that are
# there. Redis's clock is the one that all share.
_BEAT = """
local now = tonumber(redis.call('TIME')[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
  redis.call('EXPIRE', KEYS[1], 60)
end
local found = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, line = string.match(all[i + 1], '^(%d+) (.*)$')
  if at and now - tonumber(at) <= tonumber(ARGV[3]) then
    found[#found + 1] = line
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return found
"""


class Process(msgspec.Struct, frozen=True):
    """A serving process: who it is, and what it does. The rate is of the last seconds."""

    id: str
    host: str
    pid: int
    uptime_s: Count
    viewers: Count
    subscriptions: Count
    events_per_s: float


class ProcessList(msgspec.Struct, frozen=True):
    """All processes; or, not `complete`, the one that was asked, and why no others are known."""

    complete: bool
    reason: str | None
    processes: list[Process]


_decoder = msgspec.json.Decoder(Process)


class Processes:
    """Tells of this process, and of the others. For admin keys."""

    def __init__(self, auth: Auth, hub: Hub, announcer: Announcer, redis: Redis) -> None:
        self._auth = auth
        self._hub = hub
        self._beat = redis.register_script(_BEAT)
        self._announcer = announcer
        self._id = announcer.origin
        self._started_at = time.monotonic()
        self._accepted = 0
        self._measured_at = self._started_at
        self._rate = 0.0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/admin/v1/processes", self.get_processes)]

    @operation(
        "What serves just now",
        tag="Administration",
        key="admin",
        responses={200: ProcessList},
    )
    async def get_processes(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        try:
            lines = await self._exchange("")
        except (RedisError, OSError, TimeoutError):
            reason = "Redis can't be reached: the other processes are not known."
            return json_response(ProcessList(False, reason, [self._own()]))
        found = {each.id: each for each in map(_decoder.decode, lines)} | {self._id: self._own()}
        ordered = sorted(found.values(), key=lambda each: (each.host, each.pid, each.id))
        return json_response(ProcessList(True, None, ordered))

    async def run(self, heart: Heartbeat) -> None:
        """The loop; ends when cancelled."""
        while True:
            self._measure()
            # A failure is the publisher's to report; and who asks is told.
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._exchange(msgspec.json.encode(self._own()).decode())
            await heart.rest(BEAT_S)

    async def _exchange(self, line: str) -> list[bytes]:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            found: Any = await self._beat(["livetally:processes"], [self._id, line, SILENT_S])
            return list(found)

    def _measure(self) -> None:
        now = time.monotonic()
        if (passed := now - self._measured_at) >= BEAT_S / 2:
            accepted = self._announcer.accepted
            self._rate = round((accepted - self._accepted) / passed, 1)
            self._accepted, self._measured_at = accepted, now

    def _own(self) -> Process:
        return Process(
            self._id,
            socket.gethostname(),
            os.getpid(),
            int(time.monotonic() - self._started_at),
            len(self._hub.viewers),
            self._hub.subscriptions,
            self._rate,
        )
