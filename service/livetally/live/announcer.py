"""What happens after a commit, and only then: it is shown here at once, and told to the others."""

import time
from typing import TYPE_CHECKING

from ..ingest.store import Committed
from ..schema.changes import Change, ItemsChanged
from .hub import Hub
from .publisher import Publisher

if TYPE_CHECKING:  # at run time only where there are traces
    from ..ops.tracing import Tracing


class Announcer:
    """Tells this process's viewers, and every other process, what is on disk now."""

    def __init__(
        self, origin: str, hub: Hub, publisher: Publisher, tracing: "Tracing | None" = None
    ) -> None:
        """`origin` names this process in what it tells."""
        self.origin = origin
        self._hub = hub
        self._publisher = publisher
        self._tracing = tracing
        #: events that this process has committed
        self.accepted = 0

    def committed(self, committed: Committed) -> None:
        """Tell what a transaction of the store's did."""
        self.accepted += len(committed.accepted)
        trace = None if self._tracing is None else self._tracing.here()
        for change in changes(committed, self.origin, trace):
            self.announce(change)

    def items_changed(self, project: int, key: str, versions: list[tuple[str, int]]) -> None:
        """Tell which versions items have now."""
        self.announce(ItemsChanged(self.origin, project, key, versions))

    def announce(self, change: Change | ItemsChanged) -> None:
        self._hub.apply(change)
        self._publisher.publish(change)


def changes(committed: Committed, origin: str, trace: str | None = None) -> list[Change]:
    """What a commit has to tell, by project; `trace` is its traceparent."""
    now = time.time()
    by_project = {
        project: Change(origin, project, committed.slot, first, last, now, {}, trace)
        for project, first, last in committed.positions
    }
    for project, type_, subject, n in committed.totals:
        by_project[project].totals.setdefault(type_, {})[subject] = n
    return list(by_project.values())
