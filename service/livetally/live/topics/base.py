"""What can be watched: the part that all kinds of topics share.

A topic has two loops. One sends what is new to the viewers that are up to date, at most once in a
frame interval. The other brings the rest up to date: the new ones, and those that were skipped for
reading too slowly. Neither waits for a viewer.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ...base.errors import DatabaseUnavailable
from ...db.database import Database
from ...ops.health import wait
from ...ops.metrics import Metrics
from ...schema.changes import Change
from ..frames import Message
from ..viewer import Viewer

log = logging.getLogger(__name__)

#: Until the next try, when Postgres failed or all who are behind have full buffers.
RETRY_S = 0.1

Position = dict[int, int]


class Subscription(msgspec.Struct, eq=False):
    """A viewer's interest in a topic, under the id that the viewer chose."""

    viewer: Viewer
    id: int | str
    topic: "Topic"
    #: It may be served; before, its topic only knows that it is wanted.
    admitted: bool = False
    #: Nothing was sent to it yet.
    fresh: bool = True
    #: Feeds: up to where it was sent everything, while it is behind; None: it starts at the head.
    position: Position | None = None
    #: Items: up to which id it was sent its snapshot, while it is behind; None: not begun.
    after: str | None = None


class Topic:
    """One thing that is watched here, by at least one viewer."""

    #: What identifies it: a hashable key with the `project` that it belongs to. Not a tuple: keys
    #: of two kinds with the same fields would be equal.
    key: Any

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        interval_s: float,
        flush: Callable[[Viewer], None],
        framed: Callable[["Topic", list[Change]], None],
    ) -> None:
        self._database = database
        self._metrics = metrics
        self.subscriptions: dict[Subscription, None] = {}
        #: Subscriptions that must be caught up before they get what is new.
        self.behind: dict[Subscription, None] = {}
        self._interval_s = interval_s
        self._flush = flush
        self._framed = framed
        #: The changes that the next frame shows, of those whose commits are traced.
        self._traced: list[Change] | None = None
        self.started = False
        self._stopped = False
        self._starting: asyncio.Task[None] | None = None
        self._due_at = 0.0
        self._news = asyncio.Event()
        self._laggards = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    # For the hub

    async def start(self) -> None:
        """Read what is to be known first, once however many wait. Raises DatabaseUnavailable."""
        if self.started:
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def admit(self, subscription: Subscription, since: Position | None) -> None:
        """Serve a new viewer, from where it left off. Raises BadPosition, DatabaseUnavailable."""
        subscription.admitted = True
        self.fall_behind(subscription)

    def add(self, subscription: Subscription) -> None:
        self.subscriptions[subscription] = None
        self.behind[subscription] = None

    def stop(self) -> None:
        self._stopped = True
        for loop in self._loops:
            loop.cancel()

    def remove(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription, None)
        self.behind.pop(subscription, None)

    def apply(self, change: Change) -> None:
        """Take in what a commit changed in this topic's project."""
        raise NotImplementedError

    def missed(self, positions: Position) -> bool:
        """Whether something up to these positions has not been heard of."""
        raise NotImplementedError

    async def resync(self) -> None:
        """Read from Postgres what was missed. Raises DatabaseUnavailable."""
        raise NotImplementedError

    async def differences(self) -> list[dict[str, Any]]:
        """Where what viewers were told differs from Postgres. Raises DatabaseUnavailable."""
        return []

    # For the kinds

    async def load(self) -> None:
        """Read what the first viewer needs. Raises DatabaseUnavailable."""
        raise NotImplementedError

    async def send_news(self) -> None:
        """Put what is new to every viewer that is not behind. Raises DatabaseUnavailable."""
        raise NotImplementedError

    async def catch_up(self) -> None:
        """Bring those in `behind` a step nearer. Raises DatabaseUnavailable."""
        raise NotImplementedError

    def has_news(self, change: Change | None = None) -> None:
        """Something is to be sent; because of this change, if it is known."""
        self._news.set()
        if change is not None and change.trace is not None:
            if self._traced is None:
                self._traced = []
            self._traced.append(change)

    def fall_behind(self, subscription: Subscription) -> None:
        self.behind[subscription] = None
        self._laggards.set()

    def put_to_all(
        self, message: Message, skipped: Callable[[Subscription], None] | None = None
    ) -> None:
        """Hand a message to everybody who is not behind; who reads too slowly falls behind.

        The loop that a frame costs its CPU in: a viewer a turn, nothing looked up twice.
        """
        behind, flush = self.behind, self._flush
        wire = id = None
        frame = b""
        for subscription in self.subscriptions:
            if behind and subscription in behind:
                continue
            viewer = subscription.viewer
            if viewer.clogged:
                self._metrics.frames_skipped.inc()
                if skipped:
                    skipped(subscription)
                self.fall_behind(subscription)
                continue
            if subscription.id != id or viewer.wire is not wire:
                wire, id = viewer.wire, subscription.id
                frame = message.frame(wire, id)
            viewer.put(frame)
            flush(viewer)

    def put(self, subscription: Subscription, message: Message) -> None:
        """Hand a message over; what is due for a viewer at this moment goes in one write."""
        viewer = subscription.viewer
        viewer.put(message.frame(viewer.wire, subscription.id))
        self._flush(viewer)

    def ready_laggards(self) -> Iterable[Subscription]:
        """Those of `behind` that can take something now."""
        return [each for each in self.behind if each.admitted and not each.viewer.clogged]

    # The loops

    async def _start(self) -> None:
        try:
            await self.load()
            if self._stopped:  # all who wanted it have left meanwhile
                return
            self.started = True
            self._loops = [
                asyncio.create_task(self._run_news()),
                asyncio.create_task(self._run_catch_up()),
            ]
        finally:
            self._starting = None

    async def _run_news(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._news.wait()
            if (early := self._due_at - clock()) > 0:
                await asyncio.sleep(early)
            self._news.clear()
            self._due_at = self._next_due(clock())
            traced, self._traced = self._traced, None
            try:
                await self.send_news()
            except Exception as error:
                await self._recover(error)
                self._news.set()
            else:
                if traced is not None:
                    self._framed(self, traced)

    def _next_due(self, now: float) -> float:
        """When the next news may go.

        A quiet topic's news go at once. A busy topic's go at the ticks of one clock, the same for
        all topics, so that all that is due for a viewer goes in one write; once a tick at most.
        """
        # A timer set for a tick may run a rounding error before it.
        tick = math.floor(now / self._interval_s + 1e-6)
        on_tick = now - self._due_at < self._interval_s
        return (tick + (1 if on_tick else 2)) * self._interval_s

    async def _run_catch_up(self) -> None:
        while True:
            await self._laggards.wait()
            try:
                await self.catch_up()
            except Exception as error:
                await self._recover(error)
                continue
            if not self.behind:
                self._laggards.clear()
            elif not self.ready_laggards():
                self._laggards.clear()
                await wait(self._laggards, RETRY_S)
                self._laggards.set()

    async def _recover(self, error: Exception) -> None:
        """A topic's viewers depend on its loops: they go on, whatever happens."""
        if not isinstance(error, DatabaseUnavailable):
            log.error("%s failed", type(self).__name__, exc_info=error)
        await asyncio.sleep(RETRY_S)
