"""The totals of a type as one process knows them: grow-only counters, merged by maximum.

Of each subject the largest count seen in each slot is kept, and its total is their sum. Merging is
commutative and idempotent: messages may come late, twice, in any order, or mixed with what was
read from Postgres, and the result is the same.
"""

from collections.abc import Iterable

import msgspec

from ...base.config import MAX_SUBJECTS


class _Counter(msgspec.Struct):
    slots: dict[int, int]
    total: int = 0

    def merge(self, slot: int, n: int) -> bool:
        known = self.slots.get(slot, 0)
        if n <= known:
            return False
        self.slots[slot] = n
        self.total += n - known
        return True


def _sums(cells: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for subject, _, n in cells:
        if subject:
            sums[subject] = sums.get(subject, 0) + n
    return sums


class Counters:
    """The subjects that were named; or the largest `MAX_SUBJECTS` and the type's grand total."""

    def __init__(self, subjects: frozenset[str] | None) -> None:
        self._subjects = subjects
        self._counters: dict[str, _Counter] = {}
        self._grand = _Counter({})
        self._changed: set[str] = set()
        self._grand_changed = False
        #: Which subjects are the largest may have changed: only Postgres can tell. To be cleared
        #: before it is asked: what is heard until its answer comes is a reason to ask again.
        self.must_rank = False
        #: The choice of subjects has changed: an update can't say that, a snapshot can.
        self.must_snapshot = False

    @property
    def changed(self) -> bool:
        """Whether there is something that viewers were not told yet."""
        return bool(self._changed) or self._grand_changed or self.must_snapshot

    def merge(self, subject: str, slot: int, n: int) -> None:
        """Take in that `slot` has counted `subject` up to `n`; '' is the type's grand total."""
        counter = self._counters.get(subject)
        if counter is None:
            counter = self._new_counter(subject)
            if counter is None:
                return
        if counter.merge(slot, n):
            if counter is self._grand:
                self._grand_changed = True
            else:
                self._changed.add(subject)

    def count(self, subject: str, slot: int) -> int:
        """What `slot` is known to have counted; '' is the type's grand total."""
        counter = self._grand if subject == "" else self._counters.get(subject)
        return counter.slots.get(slot, 0) if counter else 0

    def _new_counter(self, subject: str) -> _Counter | None:
        if subject == "":
            return self._grand if self._subjects is None else None
        if self._subjects is not None:
            if subject not in self._subjects:
                return None
        elif len(self._counters) >= MAX_SUBJECTS:
            self.must_rank = True
            return None
        return self._counters.setdefault(subject, _Counter({}))

    def load(self, cells: Iterable[tuple[str, int, int]]) -> None:
        """Take in what Postgres holds: (subject, slot, n) of every subject that belongs here."""
        cells = list(cells)
        if self._subjects is None:
            largest = {subject for subject, _, _ in cells if subject}
            # Fewer than the limit are all there are; then one missing here is only too new to have
            # been read, and stays.
            if len(largest) >= MAX_SUBJECTS:
                least = min(_sums(cells).values())
                for gone in self._counters.keys() - largest:
                    # It counted more meanwhile than Postgres knew when it chose.
                    if self._counters[gone].total >= least:
                        self.must_rank = True
                    del self._counters[gone]
                    self._changed.discard(gone)
                    self.must_snapshot = True
        for subject, slot, n in cells:
            self.merge(subject, slot, n)

    @property
    def total(self) -> int:
        """The type's grand total; of named subjects, theirs."""
        if self._subjects is None:
            return self._grand.total
        return sum(counter.total for counter in self._counters.values())

    def totals(self) -> dict[str, int]:
        """The total of every subject."""
        totals = {subject: counter.total for subject, counter in self._counters.items()}
        if self._subjects is not None:
            totals = {subject: totals.get(subject, 0) for subject in self._subjects}
        return totals

    def changed_totals(self) -> dict[str, int]:
        """Those that have changed since the last `settle`."""
        return {subject: self._counters[subject].total for subject in self._changed}

    def settle(self) -> None:
        """Viewers have been told everything."""
        self._changed.clear()
        self._grand_changed = False
        self.must_snapshot = False
