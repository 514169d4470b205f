"""What /metrics tells. Causes carry the code of the error that the client was told."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every metric of a process, by the name it is used under in the code."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)  # CPU, memory, files; not of several workers
        self.requests = Counter(
            "livetally_http_requests",
            "HTTP requests answered",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "livetally_http_request_seconds",
            "Time from a request's head to its answer",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.events_accepted = Counter(
            "livetally_events_accepted", "Events stored and counted", registry=registry
        )
        self.events_duplicate = Counter(
            "livetally_events_duplicate", "Events whose id was known already", registry=registry
        )
        self.events_rejected = Counter(
            "livetally_events_rejected", "Events refused", ["cause"], registry=registry
        )
        self.rate_limited = Counter(
            "livetally_rate_limited",
            "Times that a key or an address wanted more than it may have",
            ["whose"],
            registry=registry,
        )
        self.reads_refused = Counter(
            "livetally_reads_refused",
            "Reads refused: too many at once (`busy`), or a second of a key or a project",
            ["cause"],
            registry=registry,
        )
        self.batch_events = Histogram(
            "livetally_batch_events",
            "Events a transaction",
            registry=registry,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
        )
        self.commit_seconds = Histogram(
            "livetally_commit_seconds", "Time of a transaction", registry=registry, buckets=_SECONDS
        )
        self.commit_failures = Counter(
            "livetally_commit_failures", "Batches not stored", ["cause"], registry=registry
        )
        self.queue_events = Gauge(
            "livetally_queue_events",
            "Events waiting for a transaction",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.publish_failures = Counter(
            "livetally_publish_failures",
            "Changes that Redis did not take (viewers elsewhere see them by the re-read)",
            registry=registry,
        )
        self.resyncs = Counter(
            "livetally_resyncs",
            "Topics that read again what messages did not tell",
            registry=registry,
        )
        self.viewers = Gauge(
            "livetally_viewers",
            "Live connections",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.subscriptions = Gauge(
            "livetally_subscriptions",
            "Subscriptions of live connections",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.frames_sent = Counter(
            "livetally_frames_sent", "Frames written to viewers", registry=registry
        )
        self.frames_skipped = Counter(
            "livetally_frames_skipped",
            "Frames not written, the viewer being slow",
            registry=registry,
        )
        self.lag_seconds = Histogram(
            "livetally_lag_seconds",
            "Time from a commit to the frame that shows it",
            registry=registry,
            buckets=_SECONDS,
        )
        self.viewers_closed = Counter(
            "livetally_viewers_closed", "Live connections ended by us", ["cause"], registry=registry
        )
        self.archived_events = Counter(
            "livetally_archived_events", "Events written to the archive", registry=registry
        )
        self.archived_parts = Counter(
            "livetally_archived_parts", "Objects written to the archive", registry=registry
        )
        self.archived_bytes = Counter(
            "livetally_archived_bytes", "Size of the objects written", registry=registry
        )
        self.archive_failures = Counter(
            "livetally_archive_failures",
            "Times that archiving failed and was put off; the events wait in Postgres",
            ["cause"],
            registry=registry,
        )
        self.archive_lag_seconds = Gauge(
            "livetally_archive_lag_seconds",
            "For how long the oldest event that is not archived has waited, at most",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.messages_done = Counter(
            "livetally_messages_done", "Queue messages committed", ["kind"], registry=registry
        )
        self.messages_refused = Counter(
            "livetally_messages_refused",
            "Queue messages left for the dead-letter queue, once for every time they came",
            ["cause"],
            registry=registry,
        )
        self.messages_in_hand = Gauge(
            "livetally_messages_in_hand",
            "Queue messages being worked on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.message_age = Gauge(
            "livetally_message_age_seconds",
            "Age of the oldest queue message received last; 0 when the queue is empty",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.message_seconds = Histogram(
            "livetally_message_seconds",
            "Time from a queue message's sending to its commit",
            registry=registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600),
        )
        self.object_bytes = Counter(
            "livetally_object_bytes", "Bytes of objects read", registry=registry
        )
        self.aws_failures = Counter(
            "livetally_aws_failures",
            "Calls to AWS that failed",
            ["service", "cause"],
            registry=registry,
        )
        self.rolled_up = Counter(
            "livetally_rolled_up", "Minutes and hours added up to hours and days", registry=registry
        )
        self.days_dropped = Counter(
            "livetally_days_dropped", "Days of the log that were old enough", registry=registry
        )

    def render(self) -> bytes:
        """The exposition text; with several workers on one port, of all of them together."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
