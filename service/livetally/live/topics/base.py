"""What can be watched: the part that all kinds of topics share.

A topic has two loops. One sends updates to the viewers that are up to date, at most once in a frame
interval. The other brings those up to date that are lagging: the new ones, and the slow consumers.
Neither waits for a viewer.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

import msgspec

from ...base.errors import DatabaseUnavailable, ReadsOverloaded
from ...ops.health import wait
from ...ops.metrics import Metrics
from ...schema.changes import Change
from ...schema.http import HubDifference, Position
from ...schema.live import TopicMessage
from ...web.read_budgets import Reader, Reads
from ..frames import Broadcast
from ..viewer import Viewer

log = logging.getLogger(__name__)

#: Until the next try, when Postgres failed or all who are lagging have full buffers.
RETRY_S = 0.1

#: What may fail of a topic.
RESYNC, _UPDATES, _CATCH_UP = "resync", "updates", "catching up"


class Subscription(msgspec.Struct, eq=False):
    """A viewer's interest in a topic, under the id that the viewer chose."""

    viewer: Viewer
    id: int | str
    topic: "Topic"
    #: It may be served; before, its topic only knows that it is wanted.
    admitted: bool = False


class TopicContext(msgspec.Struct, frozen=True):
    """What every topic of a process works with."""

    reads: Reads
    metrics: Metrics
    #: A frame goes out at most once in this time.
    interval_s: float
    #: Writes what was put for a viewer, soon.
    flush: Callable[[Viewer], None]
    #: Is told when a topic has put what traced commits changed.
    framed: Callable[["Topic", list[Change]], None]


class TopicId(msgspec.Struct, frozen=True):
    """What identifies a topic. No tuple: ids of two kinds with the same fields would be equal."""

    project: int

    def make(self, context: TopicContext) -> "Topic":
        raise NotImplementedError


class Topic:
    """One thing that is watched here, by at least one viewer."""

    id: TopicId

    def __init__(self, context: TopicContext, id: TopicId) -> None:
        self.id = id
        self._database = context.reads.of(id.project)
        self._metrics = context.metrics
        self._interval_s = context.interval_s
        self._flush = context.flush
        self._framed = context.framed
        self.subscriptions: dict[Subscription, None] = {}
        #: Those that must be caught up before they get updates.
        self.lagging: dict[Subscription, None] = {}
        #: The changes that the next frame shows, of those whose commits are traced.
        self._traced: list[Change] | None = None
        self.started = False
        self._stopped = False
        self._starting: asyncio.Task[None] | None = None
        self._resyncing: asyncio.Task[None] | None = None
        #: What of it fails just now, so that it may show what is old.
        self._failing: set[str] = set()
        self._due_at = 0.0
        self._updated = asyncio.Event()
        self._lag = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    # For the hub

    async def start(self, opener: Reader) -> None:
        """Read what is to be known first, once however many wait, at the cost of the first of them.

        Raises DatabaseUnavailable.
        """
        while not self.started:
            starting, own = self._starting, self._starting is None
            if starting is None:
                starting = self._starting = asyncio.create_task(self._start(opener))
            try:
                await asyncio.shield(starting)
                return
            except ReadsOverloaded:
                if own:  # else it was another's budget
                    raise

    async def admit(self, subscription: Subscription, since: Position | None) -> None:
        """Serve a new viewer, from where it left off. Raises BadPosition, DatabaseUnavailable."""
        subscription.admitted = True
        self.mark_lagging(subscription)

    def add(self, subscription: Subscription) -> None:
        self.subscriptions[subscription] = None
        self.lagging[subscription] = None

    def stop(self) -> None:
        """Nobody wants it any more: neither what is read for it."""
        self._stopped = True
        for task in (*self._loops, self._starting, self._resyncing):
            if task is not None:
                task.cancel()

    def remove(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription, None)
        self.lagging.pop(subscription, None)

    def apply(self, change: Change) -> None:
        """Take in what a commit changed in this topic's project."""
        raise NotImplementedError

    def missed(self, positions: Position) -> bool:
        """Whether something up to these positions has not been heard of."""
        raise NotImplementedError

    async def resync(self) -> None:
        """Read from Postgres what was missed. Raises DatabaseUnavailable."""
        raise NotImplementedError

    def resync_soon(self) -> asyncio.Task[None]:
        """Have it read again what was missed. It may show what is old until that is done."""
        if self._resyncing is None or self._resyncing.done():
            self._resyncing = asyncio.create_task(self._resync())
        return self._resyncing

    def doubt(self, part: str) -> None:
        """It may show what is old: this part of it doesn't work, or is yet to show that it does."""
        self._failing.add(part)

    def trust(self, part: str) -> None:
        self._failing.discard(part)

    @property
    def failing(self) -> bool:
        return bool(self._failing)

    def stale_subscriptions(self) -> Iterable[Subscription]:
        """Those that may be shown what is old; only who lags depends on catching up."""
        return self.lagging if self._failing == {_CATCH_UP} else self.subscriptions

    async def differences(self) -> list[HubDifference]:
        """Where what viewers were told differs from Postgres. Raises DatabaseUnavailable."""
        return []

    # For the kinds

    async def load(self) -> None:
        """Read what the first viewer needs. Raises DatabaseUnavailable."""
        raise NotImplementedError

    async def send_updates(self) -> None:
        """Put what is new to every viewer that is not lagging. Raises DatabaseUnavailable."""
        raise NotImplementedError

    async def catch_up(self) -> None:
        """Bring those in `lagging` a step nearer. Raises DatabaseUnavailable."""
        raise NotImplementedError

    def has_updates(self, change: Change | None = None) -> None:
        """Something is to be sent; because of this change, if it is known."""
        self._updated.set()
        if change is not None and change.trace is not None:
            if self._traced is None:
                self._traced = []
            self._traced.append(change)

    def mark_lagging(self, subscription: Subscription) -> None:
        self.lagging[subscription] = None
        self._lag.set()

    def put_to_all(self, broadcast: Broadcast) -> list[Subscription]:
        """Hand a message to everybody who is not lagging; the slow consumers, who are from now on.

        The loop that a frame costs its CPU in: a viewer a turn, nothing looked up twice.
        """
        lagging, flush = self.lagging, self._flush
        slow = []
        encode = id = None
        frame = b""
        for subscription in self.subscriptions:
            if lagging and subscription in lagging:
                continue
            viewer = subscription.viewer
            if viewer.backpressured:
                slow.append(subscription)
                continue
            if subscription.id != id or viewer.encode is not encode:
                encode, id = viewer.encode, subscription.id
                frame = broadcast.frame(encode, id)
            viewer.put(frame)
            flush(viewer)
        for subscription in slow:
            self.slow_down(subscription)
        return slow

    def slow_down(self, subscription: Subscription) -> None:
        """A frame is not put to a slow consumer: it is caught up when it has room again."""
        self._metrics.frames_skipped.inc()
        self.mark_lagging(subscription)

    def put(self, subscription: Subscription, broadcast: Broadcast) -> None:
        """Hand a message over; what is due for a viewer at this moment goes in one write."""
        viewer = subscription.viewer
        viewer.put(broadcast.frame(viewer.encode, subscription.id))
        self._flush(viewer)

    def with_room(self) -> list[Subscription]:
        """Those of `lagging` that can take something now."""
        return [each for each in self.lagging if each.admitted and not each.viewer.backpressured]

    def catch_up_with(self, snapshot: TopicMessage) -> None:
        """Where one message is all that a viewer needs to be up to date."""
        broadcast = Broadcast(snapshot)
        for subscription in self.with_room():
            self.put(subscription, broadcast)
            del self.lagging[subscription]

    # The loops

    async def _start(self, opener: Reader) -> None:
        project, self._database = self._database, opener
        try:
            await self.load()
            if self._stopped:  # all who wanted it have left meanwhile
                return
            self.started = True
            self._loops = [
                asyncio.create_task(self._run_updates()),
                asyncio.create_task(self._run_catch_up()),
            ]
        finally:
            self._database = project
            self._starting = None

    async def _resync(self) -> None:
        try:
            await self.resync()
        except Exception as error:
            self._note_failure(RESYNC, error)
        else:
            self.trust(RESYNC)

    async def _run_updates(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._updated.wait()
            if (early := self._due_at - clock()) > 0:
                await asyncio.sleep(early)
            self._updated.clear()
            self._due_at = self._next_due(clock())
            traced, self._traced = self._traced, None
            try:
                await self.send_updates()
            except Exception as error:
                await self._recover(_UPDATES, error)
                self._updated.set()
            else:
                self.trust(_UPDATES)
                if traced is not None:
                    self._framed(self, traced)

    def _next_due(self, now: float) -> float:
        """When the next updates may go.

        A quiet topic's go at once. A busy topic's go at the ticks of one clock, the same for all
        topics, so that all that is due for a viewer goes in one write; once a tick at most.
        """
        # A timer set for a tick may run a rounding error before it.
        tick = math.floor(now / self._interval_s + 1e-6)
        on_tick = now - self._due_at < self._interval_s
        return (tick + (1 if on_tick else 2)) * self._interval_s

    async def _run_catch_up(self) -> None:
        while True:
            await self._lag.wait()
            try:
                await self.catch_up()
            except Exception as error:
                await self._recover(_CATCH_UP, error)
                continue
            self.trust(_CATCH_UP)
            if not self.lagging:
                self._lag.clear()
            elif not self.with_room():
                self._lag.clear()
                await wait(self._lag, RETRY_S)
                self._lag.set()

    async def _recover(self, part: str, error: Exception) -> None:
        """A topic's viewers depend on its loops: they go on, whatever happens."""
        self._note_failure(part, error)
        await asyncio.sleep(RETRY_S)

    def _note_failure(self, part: str, error: Exception) -> None:
        self.doubt(part)
        if not isinstance(error, DatabaseUnavailable):
            log.error("%s failed", type(self).__name__, exc_info=error)
