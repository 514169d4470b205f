"""The hub: what is being watched in this process, kept equal to Postgres, and told to viewers.

Three things feed a topic, in any order: this process's own commits, at once; other processes'
commits, through Redis; and Postgres itself. Commits carry the positions they gave
out, so a topic knows without reading anything whether it has heard of everything: every
`resync_interval` the hub asks Postgres how far each slot has come, and has those topics read again
which have not heard of something that was committed before the last look. Each reads by itself: one
that can't be read is stale, and no other is.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ..base.errors import DatabaseUnavailable
from ..db.database import Database
from ..ops.health import Health, Heartbeat, wait
from ..ops.metrics import Metrics
from ..schema.changes import Change, ItemsChanged
from ..schema.http import HubDifference, Position
from ..schema.live import Fresh, Stale
from ..web.read_budgets import Reader, Reads
from .topics.admin import ALL
from .topics.base import RESYNC, Subscription, Topic, TopicContext, TopicId
from .topics.items import ItemsTopic
from .viewer import Viewer

if TYPE_CHECKING:  # at run time only where there are traces
    from ..ops.tracing import Tracing

#: Viewers written to before other work gets its turn.
_FLUSH_CHUNK = 250
#: Most topics have read again by then; those that haven't are nobody's concern but their viewers'.
_SETTLE_S = 0.1
#: What of an items topic fails if changes by others can't be found.
_ITEMS = "items"


class _ChangedItems(msgspec.Struct):
    """What `items_changed` returns."""

    seen: str
    changes: list[tuple[int, str, str, int]]  # project, key, id, version


_changed_items = msgspec.json.Decoder(_ChangedItems)


class _Project:
    """A project's topics, and where Postgres was when it was last looked at."""

    def __init__(self) -> None:
        self.topics: dict[TopicId, Topic] = {}
        self.positions: Position = {}


class Hub:
    """Viewers subscribe here; commits are applied here; frames leave from here."""

    def __init__(
        self,
        reads: Reads,
        vitals: Database,
        metrics: Metrics,
        health: Health,
        *,
        frame_interval_s: float,
        resync_interval_s: float,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._vitals = vitals
        self._metrics = metrics
        self._health = health
        self._context = TopicContext(
            reads, metrics, frame_interval_s, self._flush_soon, self._frame
        )
        self._resync_interval_s = resync_interval_s
        self._tracing = tracing
        #: Frames of what traced commits changed: put, not yet written.
        self._frames: list[tuple[Topic, list[Change]]] = []
        self._projects: dict[int, _Project] = {}
        self._unflushed: dict[Viewer, None] = {}
        self._flush_now = asyncio.Event()
        self._resync_now = asyncio.Event()
        #: Set when a project's first viewer has come or its last one gone: for who listens to them.
        self.watched_changed = asyncio.Event()
        #: Transactions before this one have been looked at for what they did to items.
        self._transactions_seen: str | None = None
        self.viewers: set[Viewer] = set()
        #: Nothing can be compared with Postgres.
        self.stale = False
        self._told_stale: set[Viewer] = set()

    # Viewers

    def join(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self._metrics.viewers.set(len(self.viewers))

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        self._told_stale.discard(viewer)
        self._metrics.viewers.set(len(self.viewers))

    @property
    def subscriptions(self) -> int:
        """How many there are, of all viewers here."""
        return sum(len(topic.subscriptions) for topic in self._topics())

    @property
    def watched(self) -> set[int]:
        """The projects that somebody watches here."""
        return set(self._projects)

    async def subscribe(
        self,
        viewer: Viewer,
        id: int | str,
        topic_id: TopicId,
        since: Position | None = None,
        *,
        reader: Reader | None = None,
    ) -> Subscription:
        """First what there is (for a feed: what came after `since`), then what changes.

        What must be read at first costs `reader`, or else only the project.

        Raises DatabaseUnavailable, or BadPosition for a `since` from elsewhere.
        """
        project = self._projects.get(topic_id.project)
        if project is None:
            project = self._projects[topic_id.project] = _Project()
            self.watched_changed.set()
        topic = project.topics.get(topic_id)
        if topic is None:
            topic = project.topics[topic_id] = topic_id.make(self._context)
        subscription = Subscription(viewer, id, topic)
        topic.add(subscription)
        self._metrics.subscriptions.inc()
        try:
            await topic.start(reader or self._context.reads.of(topic_id.project))
            await topic.admit(subscription, since)
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        topic = subscription.topic
        if subscription not in topic.subscriptions:
            return
        topic.remove(subscription)
        self._metrics.subscriptions.dec()
        if topic.subscriptions:
            return
        topic.stop()
        project = self._projects[topic.id.project]
        del project.topics[topic.id]
        if not project.topics:
            del self._projects[topic.id.project]
            self.watched_changed.set()

    # What feeds the topics

    def apply(self, change: Change | ItemsChanged) -> None:
        """Take in what a commit changed, here or in another process."""
        self.apply_to_all(change)
        if project := self._projects.get(change.project):
            for topic in project.topics.values():
                if isinstance(change, Change):
                    topic.apply(change)
                elif isinstance(topic, ItemsTopic):
                    topic.apply_items(change)

    def apply_to_all(self, change: Change | ItemsChanged) -> None:
        """The same for who watches all projects, and for nobody else."""
        if isinstance(change, Change) and (everything := self._projects.get(ALL)):
            for topic in everything.topics.values():
                topic.apply(change)

    def resync(self) -> None:
        """Compare with Postgres now: something may have been missed."""
        self._resync_now.set()

    async def run_resync(self, heart: Heartbeat) -> None:
        """The loop that notices what messages did not tell; ends when cancelled."""
        await self._look_for_items()  # from here on, and not from the beginning of time
        while True:
            await heart.rest(self._resync_interval_s, until=self._resync_now)
            self._resync_now.clear()
            await asyncio.gather(self._compare(), self._look_for_items())
            self._tell_staleness()

    async def _compare(self) -> None:
        """Have those topics read again that have missed something, each by itself."""
        now: dict[int, Position] = {project: {} for project in self._projects}
        try:
            rows = await self._vitals.rows("slot_positions", list(now))
        except DatabaseUnavailable as error:
            self.stale = True
            self._health.trouble("hub", f"totals may be stale: {error.message}")
            return
        self._health.trouble("hub", None)
        for row in rows:
            now[row["project"]][row["slot"]] = row["seq"]
        was_stale, self.stale = self.stale, False
        resyncs = [topic.resync_soon() for topic in self._behind(was_stale)]
        for number in self._projects.keys() & now.keys():
            self._projects[number].positions = now[number]
        if resyncs:
            await asyncio.wait(resyncs, timeout=_SETTLE_S)

    def _behind(self, was_stale: bool) -> Iterator[Topic]:
        """The topics that are to read again; all of them, if nothing could be compared."""
        for topic in filter(lambda topic: topic.started, self._topics()):
            if was_stale:
                topic.doubt(RESYNC)
            # What Postgres had at the last look has been on its way for a whole interval.
            if topic.failing or topic.missed(self._projects[topic.id.project].positions):
                self._metrics.resyncs.inc()
                yield topic

    def _topics(self) -> list[Topic]:
        return [topic for project in self._projects.values() for topic in project.topics.values()]

    def _tell_staleness(self) -> None:
        """Tell viewers whose topics may show what is old, and those whose topics no longer do."""
        if self.stale:
            stale = set(self.viewers)
        else:
            failing = [topic for topic in self._topics() if topic.failing]
            stale = {each.viewer for topic in failing for each in topic.stale_subscriptions()}
        for viewer in stale - self._told_stale:
            self._tell(viewer, Stale())
        for viewer in self._told_stale - stale:
            self._tell(viewer, Fresh())
        self._told_stale = stale

    async def _look_for_items(self) -> None:
        """Find the items that somebody else has written: psql, replication, a lost message."""
        topics = [topic for topic in self._topics() if isinstance(topic, ItemsTopic)]
        keys = {(topic.id.project, topic.id.item_key) for topic in topics}
        at = ([number for number, _ in keys], [key for _, key in keys])
        try:
            document = await self._vitals.value("items_changed", *at, self._transactions_seen)
        except DatabaseUnavailable:
            for topic in topics:
                topic.doubt(_ITEMS)
            return
        for topic in topics:
            topic.trust(_ITEMS)
        found = _changed_items.decode(document)
        self._transactions_seen = found.seen
        for number, key, id, version in found.changes:
            self.apply(ItemsChanged("", number, key, [(id, version)]))

    async def differences(self, project: int) -> list[HubDifference]:
        """Where what this process shows of a project differs from Postgres."""
        topics = self._projects[project].topics.values() if project in self._projects else ()
        return [each for topic in list(topics) for each in await topic.differences()]

    # What leaves

    def _flush_soon(self, viewer: Viewer) -> None:
        """Write what was put for a viewer, when all who have something due have put it."""
        if not self._unflushed:
            self._flush_now.set()
        self._unflushed[viewer] = None

    def _frame(self, topic: Topic, changed: list[Change]) -> None:
        """A topic has put what traced commits changed: its span ends when that is written."""
        if self._tracing is not None:  # else another process traces
            self._frames.append((topic, changed))
            self._flush_now.set()  # even if nobody could take it

    async def run_flush(self, heart: Heartbeat) -> None:
        """The loop that writes; ends when cancelled."""
        while True:
            heart.beat()
            await wait(self._flush_now, 1)
            await asyncio.sleep(0)  # the other topics that are due at this tick
            self._flush_now.clear()
            viewers, self._unflushed = self._unflushed, {}
            frames, self._frames = self._frames, []
            sent = 0
            for count, viewer in enumerate(viewers, 1):
                sent += viewer.flush()
                if count % _FLUSH_CHUNK == 0:
                    await asyncio.sleep(0)
            self._metrics.frames_sent.inc(sent)
            if self._tracing is not None:
                for topic, changed in frames:
                    kind = type(topic).__name__.removesuffix("Topic").lower()
                    self._tracing.frame(changed, kind, len(topic.subscriptions))

    def _tell(self, viewer: Viewer, message: Stale | Fresh) -> None:
        viewer.put(viewer.encode(message))
        self._flush_soon(viewer)
