"""What was sent and what came of it: the load's own books, which the gate compares with the server.

    acknowledged    the server said that it is stored: it must be there, once
    unknown         no answer, or a refusal that doesn't say: it may be there, at most once

Events of formats that have no ids are counted only. Worker processes hand theirs to the master
with Locust's own reports, every three seconds.
"""

import itertools
import math
import time
import uuid
from collections import Counter
from typing import Any

#: Latencies are kept in classes of 2 %: percentiles over time at a bounded size.
_STEP = math.log(1.02)


class Ledger:
    """One process's books, and on the master everybody's."""

    def __init__(self) -> None:
        self.tag = ""
        #: How many processes have handed in their last report.
        self.closed = 0
        self.acknowledged: dict[str, set[str]] = {}
        self.unknown: dict[str, set[str]] = {}
        self.counted: Counter[str] = Counter()
        self.doubtful: Counter[str] = Counter()
        self.items: dict[str, tuple[int, int]] = {}
        self.timeline = Timeline()
        self._numbers = itertools.count()
        self._report = _empty_report()

    def begin(self) -> None:
        """Once in each process: those that were forked must not make each other's ids."""
        self.tag = uuid.uuid4().hex[:12]

    def new_id(self) -> str:
        return f"load-{self.tag}-{next(self._numbers)}"

    def acknowledge(self, type_: str, ids: list[str]) -> None:
        self._report["acknowledged"].setdefault(type_, []).extend(ids)

    def doubt(self, type_: str, ids: list[str]) -> None:
        self._report["unknown"].setdefault(type_, []).extend(ids)

    def count(self, type_: str, *, sure: bool) -> None:
        """One more event that has no id."""
        counts = self._report["counted" if sure else "doubtful"]
        counts[type_] = counts.get(type_, 0) + 1

    def put(self, item: str, acknowledged: int, tried: int) -> None:
        """An item's value is at least the one, and at most the other."""
        self._report["items"][item] = (acknowledged, tried)

    def record(self, kind: str, latency_ms: float, failed: bool) -> None:
        second, bucket = int(time.time()), _bucket(latency_ms)
        cells = self._report["timeline"].setdefault(f"{second} {kind}", {})
        name = "failed" if failed else bucket
        cells[name] = cells.get(name, 0) + 1

    def take_report(self) -> dict[str, Any]:
        """What is new since the last one."""
        report, self._report = self._report, _empty_report()
        return report

    def merge(self, report: dict[str, Any]) -> None:
        for type_, ids in report["acknowledged"].items():
            self.acknowledged.setdefault(type_, set()).update(ids)
        for type_, ids in report["unknown"].items():
            self.unknown.setdefault(type_, set()).update(ids)
        self.counted.update(report["counted"])
        self.doubtful.update(report["doubtful"])
        self.items.update({item: tuple(both) for item, both in report["items"].items()})
        self.timeline.merge(report["timeline"])

    def settle(self) -> None:
        """Takes in this process's own books."""
        self.merge(self.take_report())

    @property
    def types(self) -> set[str]:
        return {*self.acknowledged, *self.unknown, *self.counted, *self.doubtful}


class Timeline:
    """Latencies by second and kind, as a histogram each."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, str], Counter[int]] = {}
        self.failed: Counter[tuple[int, str]] = Counter()

    def merge(self, cells: dict[str, dict[Any, int]]) -> None:
        for name, counts in cells.items():
            second, _, kind = name.partition(" ")
            at = (int(second), kind)
            histogram = self.cells.setdefault(at, Counter())
            for bucket, n in counts.items():
                if bucket == "failed":
                    self.failed[at] += n
                else:
                    histogram[int(bucket)] += n

    @property
    def kinds(self) -> list[str]:
        return sorted({kind for _, kind in self.cells})

    @property
    def seconds(self) -> range:
        seconds = [second for second, _ in self.cells]
        return range(min(seconds), max(seconds) + 1) if seconds else range(0)

    def histogram(self, kind: str, seconds: range) -> Counter[int]:
        total: Counter[int] = Counter()
        for second in seconds:
            total.update(self.cells.get((second, kind), {}))
        return total

    def failures(self, kind: str, seconds: range) -> int:
        return sum(self.failed[second, kind] for second in seconds)


def percentile(histogram: Counter[int], q: float) -> float:
    """In ms, within 2 %; nan of nothing."""
    left = math.ceil(q * histogram.total())
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0:
            return round(math.exp(bucket * _STEP), 3)
    return math.nan


def _bucket(latency_ms: float) -> int:
    return math.ceil(math.log(max(latency_ms, 0.01)) / _STEP)


def _empty_report() -> dict[str, Any]:
    return {
        "acknowledged": {},
        "unknown": {},
        "counted": {},
        "doubtful": {},
        "items": {},
        "timeline": {},
    }
