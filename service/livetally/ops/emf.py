"""Metrics for CloudWatch: a line on stdout now and then, in its embedded metric format (EMF).

A task needs neither a right nor a connection for that: the log driver carries the line, and
CloudWatch reads the metrics out of it. Their average over a minute is that of all tasks, so that
`Viewers` is viewers a task, which is what autoscaling goes by (a websocket is one request, however
long it lives). Source: AWS, "Embedded metric format specification".
"""

import sys
import time

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from .health import Heartbeat
from .metrics import Metrics

#: Several lines in a metric's minute; and a heartbeat that is not taken for a stuck loop's.
INTERVAL_S = 10.0

#: The metrics, and what CloudWatch is told they are.
UNITS = {
    "Viewers": "Count",
    "QueueEvents": "Count",
    "EventsAccepted": "Count",
    "EventsDuplicate": "Count",
    "CommitMilliseconds": "Milliseconds",
    "LagMilliseconds": "Milliseconds",
}


class Emf:
    """Says every few seconds what happened since it last did."""

    def __init__(self, metrics: Metrics, namespace: str) -> None:
        self._metrics = metrics
        self._namespace = namespace
        self._before: dict[tuple[str, str], float] = {}

    async def run(self, heart: Heartbeat) -> None:
        while True:
            sys.stdout.write(f"{self.line(time.time())}\n")
            sys.stdout.flush()
            await heart.rest(INTERVAL_S)

    def line(self, now: float) -> str:
        """The metrics as one line of JSON. A mean of nothing is left out."""
        values = {name: value for name, value in self._values() if value is not None}
        described = [{"Name": name, "Unit": UNITS[name]} for name in values]
        directive = {"Namespace": self._namespace, "Dimensions": [[]], "Metrics": described}
        aws = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
        return msgspec.json.encode({"_aws": aws, **values}).decode()

    def _values(self) -> list[tuple[str, float | None]]:
        metrics = self._metrics
        return [
            ("Viewers", _now(metrics.viewers)),
            ("QueueEvents", _now(metrics.queue_events)),
            ("EventsAccepted", self._since(metrics.events_accepted, "_total")),
            ("EventsDuplicate", self._since(metrics.events_duplicate, "_total")),
            ("CommitMilliseconds", self._mean_ms(metrics.commit_seconds)),
            ("LagMilliseconds", self._mean_ms(metrics.lag_seconds)),
        ]

    def _mean_ms(self, histogram: Histogram) -> float | None:
        count = self._since(histogram, "_count")
        seconds = self._since(histogram, "_sum")
        return seconds / count * 1000 if count else None

    def _since(self, metric: Counter | Histogram, ending: str) -> float:
        """How much it grew since it was last asked for."""
        (found,) = metric.collect()
        value = next(s.value for s in found.samples if s.name == found.name + ending)
        grown = value - self._before.get((found.name, ending), 0)
        self._before[found.name, ending] = value
        return grown


def _now(gauge: Gauge) -> float:
    (found,) = gauge.collect()
    return found.samples[0].value
