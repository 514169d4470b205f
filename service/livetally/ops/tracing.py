"""Traces of the journey, for a collector that LIVETALLY_OTLP_ENDPOINT names.

    POST /v1/events     a request, below the span that its traceparent names
      wait              until a batch takes its events; the root, if they came by a websocket
    commit              the batch's transaction, linked to what waited for it
      publish           from the commit until Redis has it
    frame               from the oldest commit until it is written to viewers, linked to commits

A batch is of many requests and a frame of many commits: they are traces of their own, and links
lead from one to the next. Only what led to it being sampled samples a commit, so a caller decides
by its traceparent's flag; what comes without one is sampled. No span tells what a client sent:
no key, type, subject or property, and no message of an error.

Nothing but `app` and `worker` imports this, and only where it is asked for.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .. import __version__
from ..base.errors import LivetallyError
from ..schema.changes import Change, ItemsChanged

#: Spans that wait for the collector, a few megabytes; more push the oldest out.
QUEUE_SPANS = 4_096
#: They are sent this often, or when there are so many.
SEND_EVERY_MS = 1_000
SEND_SPANS = 512
#: A collector that takes longer has not got them.
EXPORT_TIMEOUT_S = 2
#: What is left at the end is dropped after this time.
CLOSE_TIMEOUT_S = 2
#: Links of one span; the SDK keeps no more.
LINKS = 128

_propagator = TraceContextTextMapPropagator()
_HEADERS = ("traceparent", "tracestate")


class Tracing:
    """Makes the spans and sends them, from a thread of its own. Nothing here waits or raises."""

    def __init__(self, endpoint: str, instance: str) -> None:
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT_S)
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON),
            resource=Resource.create(
                {
                    SERVICE_NAME: "livetally",
                    SERVICE_VERSION: __version__,
                    SERVICE_INSTANCE_ID: instance,
                }
            ),
            shutdown_on_exit=False,  # it would wait for 30 s; `close` has a deadline
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=SEND_EVERY_MS,
                max_export_batch_size=SEND_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("livetally", __version__)

    @property
    def middleware(self) -> Middleware:
        """For the application: a span around each POST, that is, what may bring events."""

        @web.middleware
        async def traced(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if request.method != hdrs.METH_POST:
                return await handler(request)
            with self._request(request) as span:
                status = 500
                try:
                    response = await handler(request)
                    status = response.status
                except (LivetallyError, web.HTTPException) as error:
                    status = error.status
                    raise
                finally:
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        _fail(span, str(status))
                return response

        return traced

    @contextlib.contextmanager
    def _request(self, request: web.Request) -> Iterator[Span]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unmatched"
        given = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        with self._tracer.start_as_current_span(
            f"POST {route}",
            context=_propagator.extract(given, Context()),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": route},
            record_exception=False,  # its message may quote what was sent
            set_status_on_exception=False,
        ) as span:
            yield span

    def wait(self, events: int) -> Span:
        """A request's events begin to wait, in whatever request this is called in."""
        return self._tracer.start_span("wait", attributes={"livetally.events": events})

    @contextlib.contextmanager
    def commit(self, waits: Sequence[Span], events: int) -> Iterator[None]:
        """Around a batch's transaction: these have waited for it."""
        for wait in waits:
            if wait.is_recording():  # once: a batch that fails is tried again in halves
                wait.end()
        sampled = (each for each in waits if each.get_span_context().trace_flags.sampled)
        links = [Link(each.get_span_context()) for each in islice(sampled, LINKS)]
        if not links:
            yield
            return
        attributes = {"livetally.events": events, "livetally.requests": len(waits)}
        with self._tracer.start_as_current_span(
            "commit",
            context=Context(),
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    def failed(self, waits: Iterable[Span | None], code: str) -> None:
        """The commit around this has failed, and so have those that would have been next."""
        _fail(get_current_span(), code)
        for wait in waits:
            if wait is not None and wait.is_recording():
                _fail(wait, code)
                wait.end()

    def here(self) -> str | None:
        """The traceparent of the span around this, for whoever goes on elsewhere."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get("traceparent")

    def published(self, batch: Iterable[Change | ItemsChanged], taken: bool) -> None:
        """Redis has taken these changes, or hasn't."""
        for change in batch:
            if isinstance(change, Change) and change.trace is not None:
                span = self._tracer.start_span(
                    "publish",
                    context=_context_of(change),
                    kind=SpanKind.PRODUCER,
                    attributes={"messaging.system": "redis", "livetally.project": change.project},
                    start_time=_started([change]),
                )
                if not taken:
                    _fail(span, "publish_failed")
                span.end()

    def frame(self, changed: Sequence[Change], kind: str, viewers: int) -> None:
        """A frame of what these commits changed has been written to so many viewers."""
        links = [
            Link(get_current_span(_context_of(each)).get_span_context()) for each in changed[:LINKS]
        ]
        self._tracer.start_span(
            "frame",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes={
                "livetally.topic": kind,
                "livetally.viewers": viewers,
                "livetally.project": changed[0].project,
            },
            links=links,
            start_time=_started(changed),
        ).end()

    async def close(self) -> None:
        """Send what is left, as long as `CLOSE_TIMEOUT_S`; the rest is dropped."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shutdown() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                loop.call_soon_threadsafe(sent.set)

        # Not an executor's: the interpreter would wait for its threads when it ends.
        threading.Thread(target=shutdown, name="tracing shutdown", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await sent.wait()


def _context_of(change: Change) -> Context:
    return _propagator.extract({"traceparent": change.trace or ""}, Context())


def _started(changed: Iterable[Change]) -> int:
    """When the oldest was committed, in ns; another machine's clock may be ahead of ours."""
    return min(time.time_ns(), *(int(each.committed_at * 1e9) for each in changed))


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))
