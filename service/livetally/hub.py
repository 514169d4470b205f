"""The hub: what is being watched in this process, kept equal to Postgres, and told to viewers.

Three things feed a topic, and merging makes their order irrelevant: this process's own commits, at
once; other processes' commits, through Redis; and Postgres itself. Commits carry the positions they
gave out, so the hub knows without reading any totals whether it has heard of everything: every
`resync_interval` it asks Postgres how far each slot has come, and reads a project's topics again
only if something that was committed before the last look has not been heard of by this one.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from .config import MAX_SUBJECTS
from .database import Database
from .errors import DatabaseUnavailable
from .frames import addressed, message, text_frame
from .health import Health, wait
from .metrics import Metrics
from .publisher import Change
from .totals import Totals
from .viewer import Viewer

#: Viewers written to before other work gets its turn.
_FAN_OUT_CHUNK = 250


class TopicKey(NamedTuple):
    """What is watched: the totals of a type, or of some of its subjects."""

    project: int
    type: str
    subjects: frozenset[str] | None


class Subscription(msgspec.Struct, eq=False):
    """A viewer's interest in a topic, under the id that the viewer chose."""

    viewer: Viewer
    id: int | str
    topic: "_Topic"
    #: The next thing it gets is a snapshot: it is new, or was skipped for being slow.
    behind: bool = True


class _Read(msgspec.Struct):
    """What `watch_type` and `watch_subjects` return."""

    positions: list[tuple[int, int]]
    cells: list[tuple[str, int, int]]


_read = msgspec.json.Decoder(_Read)


class _Topic:
    """Totals that somebody here is watching."""

    def __init__(self, key: TopicKey) -> None:
        self.key = key
        self.totals = Totals(key.subjects)
        self.subscriptions: dict[Subscription, None] = {}
        self.loading: asyncio.Task[None] | None = None
        self.loaded = False
        #: By slot, how far it has been heard of without a gap.
        self.heard: dict[int, int] = {}
        self.due_at = 0.0  # no frame before this (the loop's clock)
        self.committed_at = math.inf  # Unix time of the oldest change not shown yet

    def apply(self, change: Change, cells: dict[str, int]) -> None:
        at = self.heard.get(change.slot, 0)
        if change.first <= at + 1:
            self.heard[change.slot] = max(at, change.last)
        subjects = cells.keys() if self.key.subjects is None else self.key.subjects & cells.keys()
        for subject in subjects:
            self.totals.merge(subject, change.slot, cells[subject])
        if self.totals.changed:
            self.committed_at = min(self.committed_at, change.committed_at)

    def load(self, read: _Read) -> None:
        self.totals.load(read.cells)
        for slot, seq in read.positions:
            self.heard[slot] = max(seq, self.heard.get(slot, 0))
        self.loaded = True

    def missed(self, positions: dict[int, int]) -> bool:
        """Whether something up to these positions was never heard of."""
        return any(self.heard.get(slot, 0) < seq for slot, seq in positions.items())


class _Project:
    """A project's topics, and where Postgres was when it was last looked at."""

    def __init__(self) -> None:
        self.topics: dict[TopicKey, _Topic] = {}
        self.positions: dict[int, int] = {}


class Hub:
    """Viewers subscribe here; commits are applied here; frames leave from here."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        health: Health,
        *,
        frame_interval_s: float,
        resync_interval_s: float,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._health = health
        self._frame_interval_s = frame_interval_s
        self._resync_interval_s = resync_interval_s
        self._projects: dict[int, _Project] = {}
        self._dirty: dict[_Topic, None] = {}
        self._behind: dict[Subscription, None] = {}
        self._wake = asyncio.Event()
        self._resync_now = asyncio.Event()
        #: Told when a project's first viewer comes and its last one goes.
        self.follow: Callable[[int], None] = lambda project: None
        self.leave: Callable[[int], None] = lambda project: None
        self.viewers: set[Viewer] = set()
        self.stale = False

    # Viewers

    def join(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self._metrics.viewers.set(len(self.viewers))

    def part(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        self._metrics.viewers.set(len(self.viewers))

    async def subscribe(self, viewer: Viewer, id: int | str, key: TopicKey) -> Subscription:
        """A snapshot follows, then updates, until `unsubscribe`. Raises DatabaseUnavailable."""
        project = self._projects.get(key.project)
        if project is None:
            project = self._projects[key.project] = _Project()
            self.follow(key.project)
        topic = project.topics.setdefault(key, _Topic(key))
        subscription = Subscription(viewer, id, topic)
        topic.subscriptions[subscription] = None
        self._behind[subscription] = None
        self._metrics.subscriptions.inc()
        try:
            if not topic.loaded:
                await self._load(topic)
        except BaseException:
            self.unsubscribe(subscription)
            raise
        self._wake.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        topic = subscription.topic
        if subscription not in topic.subscriptions:
            return
        del topic.subscriptions[subscription]
        self._behind.pop(subscription, None)
        self._metrics.subscriptions.dec()
        if topic.subscriptions:
            return
        self._dirty.pop(topic, None)
        project = self._projects[topic.key.project]
        del project.topics[topic.key]
        if not project.topics:
            del self._projects[topic.key.project]
            self.leave(topic.key.project)

    # What feeds the topics

    def apply(self, change: Change) -> None:
        """Take in what a commit changed, here or in another process."""
        project = self._projects.get(change.project)
        if project is None:
            return
        by_type: dict[str, dict[str, int]] = {}
        for type_, subject, n in change.totals:
            by_type.setdefault(type_, {})[subject] = n
        for topic in project.topics.values():
            topic.apply(change, by_type.get(topic.key.type, {}))
            if topic.totals.changed:
                self._dirty[topic] = None
        self._wake.set()

    def resync(self) -> None:
        """Compare with Postgres now: something may have been missed."""
        self._resync_now.set()

    async def _load(self, topic: _Topic) -> None:
        """Read a topic from Postgres, once however many are waiting. Raises DatabaseUnavailable."""
        if topic.loading is None:
            topic.loading = asyncio.create_task(self._read(topic))
            topic.loading.add_done_callback(lambda _: setattr(topic, "loading", None))
        await asyncio.shield(topic.loading)

    async def _read(self, topic: _Topic) -> None:
        project, type_, subjects = topic.key
        if subjects is None:
            document = await self._database.value("watch_type", project, type_, MAX_SUBJECTS)
        else:
            document = await self._database.value("watch_subjects", project, type_, list(subjects))
        topic.load(_read.decode(document))
        if topic.totals.changed and topic.subscriptions:
            self._dirty[topic] = None
            self._wake.set()

    async def run_resync(self) -> None:
        """The loop that notices what messages did not tell; ends when cancelled."""
        while True:
            self._health.beat("resync")
            await wait(self._resync_now, self._resync_interval_s)
            self._resync_now.clear()
            try:
                await self._resync()
            except DatabaseUnavailable as error:
                self._health.trouble("hub", f"totals may be stale: {error.message}")
                if not self.stale:
                    self.stale = True
                    await self._tell_all({"type": "stale"})
            else:
                self._health.trouble("hub", None)
                if self.stale:
                    self.stale = False
                    await self._tell_all({"type": "fresh"})

    async def _resync(self) -> None:
        if not self._projects:
            if self.stale:
                await self._database.value("schema_version")
            return
        now: dict[int, dict[int, int]] = {project: {} for project in self._projects}
        for row in await self._database.rows("slot_positions", list(self._projects)):
            now[row["project"]][row["slot"]] = row["seq"]
        for number, positions in now.items():
            project = self._projects.get(number)
            if project is None:
                continue
            # What Postgres had at the last look has been on its way for a whole interval.
            for topic in list(project.topics.values()):
                if not topic.loaded:
                    continue
                if self.stale or topic.missed(project.positions):
                    self._metrics.resyncs.labels("missed").inc()
                    await self._load(topic)
                elif topic.totals.must_rank:
                    self._metrics.resyncs.labels("ranking").inc()
                    await self._load(topic)
            project.positions = positions

    # What the viewers are told

    async def run_frames(self) -> None:
        """The loop that sends what is due; ends when cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self._health.beat("frames")
            self._wake.clear()
            now = clock()
            touched: dict[Viewer, None] = {}
            for topic in [topic for topic in self._dirty if topic.due_at <= now]:
                del self._dirty[topic]
                self._put_update(topic, touched)
                topic.due_at = self._next_due(topic.due_at, now)
            self._put_snapshots(touched)
            await self._flush(touched)
            pause = min((topic.due_at - clock() for topic in self._dirty), default=1.0)
            if self._behind:
                pause = min(pause, self._frame_interval_s)
            await wait(self._wake, max(pause, 0))

    def _next_due(self, was_due: float, now: float) -> float:
        """When a topic's next frame may go, `was_due` being this one's time; at least an interval.

        A quiet topic's frame goes at once. A busy topic's frames go at the ticks of one clock, so
        that all that is due for a viewer goes in one write.
        """
        tick = math.floor(now / self._frame_interval_s)
        on_tick = now - was_due < self._frame_interval_s
        return (tick + (1 if on_tick else 2)) * self._frame_interval_s

    def _put_update(self, topic: _Topic, touched: dict[Viewer, None]) -> None:
        if topic.totals.must_snapshot:
            for subscription in topic.subscriptions:
                self._fall_behind(subscription)
        frames: dict[int | str, bytes] = {}
        update = topic.totals.update()
        for subscription in topic.subscriptions:
            if subscription.behind:
                continue
            viewer = subscription.viewer
            if viewer.clogged:
                self._metrics.frames_skipped.inc()
                self._fall_behind(subscription)
                continue
            frame = frames.get(subscription.id)
            if frame is None:
                frame = text_frame(addressed("update", subscription.id, update))
                frames[subscription.id] = frame
            viewer.put(frame)
            touched[viewer] = None
        topic.totals.settle()
        if topic.committed_at < math.inf:
            self._metrics.lag_seconds.observe(max(0.0, time.time() - topic.committed_at))
            topic.committed_at = math.inf

    def _fall_behind(self, subscription: Subscription) -> None:
        subscription.behind = True
        self._behind[subscription] = None

    def _put_snapshots(self, touched: dict[Viewer, None]) -> None:
        """For the new, and for the slow that have drained."""
        snapshots: dict[_Topic, bytes] = {}
        for subscription in list(self._behind):
            topic, viewer = subscription.topic, subscription.viewer
            if not topic.loaded or viewer.clogged:
                continue
            if topic not in snapshots:
                snapshots[topic] = topic.totals.snapshot()
            viewer.put(text_frame(addressed("snapshot", subscription.id, snapshots[topic])))
            touched[viewer] = None
            del self._behind[subscription]
            subscription.behind = False

    async def _flush(self, viewers: Iterable[Viewer]) -> None:
        for count, viewer in enumerate(list(viewers), 1):
            self._metrics.frames_sent.inc(viewer.flush())
            if count % _FAN_OUT_CHUNK == 0:
                await asyncio.sleep(0)

    async def _tell_all(self, value: object) -> None:
        frame = text_frame(message(value))
        viewers = list(self.viewers)
        for viewer in viewers:
            viewer.put(frame)
        await self._flush(viewers)
