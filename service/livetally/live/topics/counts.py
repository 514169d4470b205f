"""One subject's totals of several types: every message has all of them, of one moment."""

from collections.abc import Iterable

from ...schema.changes import Change
from ...schema.live import Snapshot, TopicMessage
from ..frames import Broadcast
from .base import Subscription, TopicContext, TopicId
from .counters import Counters, CountersTopic


class CountsTopicId(TopicId, frozen=True):
    """The totals of one subject, of several types."""

    subject: str
    types: frozenset[str]

    def make(self, context: TopicContext) -> "CountsTopic":
        return CountsTopic(self, context)


class CountsTopic(CountersTopic):
    """A subject's totals, by type.

    A viewer may have its answers in its own time: `hold`, do something that counts, `show`; if that
    failed, `release`.
    """

    id: CountsTopicId

    def __init__(self, id: CountsTopicId, context: TopicContext) -> None:
        super().__init__(context, id, Counters(id.types))
        #: What each viewer was told last: an update may say what a snapshot has said already.
        self._told: dict[Subscription, TopicMessage] = {}

    def hold(self, subscription: Subscription) -> None:
        """Tell a viewer nothing for now."""
        subscription.admitted = False
        self.lagging[subscription] = None

    def show(self, subscription: Subscription) -> None:
        """Tell a viewer at once how things stand, be it new to it or not."""
        self._told.pop(subscription, None)
        self.release(subscription)

    def release(self, subscription: Subscription) -> None:
        """Tell a viewer what it has missed, if anything."""
        subscription.admitted = True
        if subscription.viewer.backpressured:
            self.mark_lagging(subscription)
        else:
            self.lagging.pop(subscription, None)
            self.put(subscription, Broadcast(self._snapshot()))

    def put(self, subscription: Subscription, broadcast: Broadcast) -> None:
        if self._told.get(subscription) != broadcast.message:
            self._told[subscription] = broadcast.message
            super().put(subscription, broadcast)

    def put_to_all(self, broadcast: Broadcast) -> list[Subscription]:
        slow = []
        for subscription in self.subscriptions.keys() - self.lagging.keys():
            if subscription.viewer.backpressured:
                self.slow_down(subscription)
                slow.append(subscription)
            else:
                self.put(subscription, broadcast)
        return slow

    def remove(self, subscription: Subscription) -> None:
        super().remove(subscription)
        self._told.pop(subscription, None)

    def _counts_in(self, change: Change) -> Iterable[tuple[str, int]]:
        for type_ in self.id.types & change.totals.keys():
            if (n := change.totals[type_].get(self.id.subject)) is not None:
                yield type_, n

    async def _query(self) -> bytes:
        project, subject, types = self.id.project, self.id.subject, self.id.types
        document: bytes = await self._database.value("watch_types", project, list(types), subject)
        return document

    def _name(self) -> str:
        return f"counts of {self.id.subject}"

    def _update(self) -> Snapshot:
        return self._snapshot()
