"""An event's journey as spans, as a collector gets them by OTLP/HTTP; and what it costs not to."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from livetally.dev.servers import LocalPostgres
from livetally.ops.tracing import QUEUE_SPANS
from livetally.schema.keys import Role
from livetally.server.process import listen
from service.tests.support.postgres import make_keys, totals_in, unreachable
from service.tests.support.process import Process, free_port
from service.tests.support.server import serving
from service.tests.support.waiting import until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "a subject that nobody else may see"
EVENT = [{"type": "click", "subject": SECRET}]


class Collector:
    """What an OpenTelemetry collector is to those who send to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self.spans: list[Span] = []
        self.services: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        body = await request.read()
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                each.value.string_value
                for each in resource.resource.attributes
                if each.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def until(self, **counts: int) -> None:
        """Wait until there are so many spans of each of these names."""
        await until(
            lambda: all(len(self.named(name)) >= n for name, n in counts.items()),
            20,
            lambda: [span.name for span in self.spans],
        )


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    sock = listen("127.0.0.1", 0)
    collector = Collector(f"http://127.0.0.1:{sock.getsockname()[1]}")
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    yield collector
    await runner.cleanup()


def attributes(span: Span) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def linked(span: Span) -> list[tuple[bytes, bytes]]:
    return [(link.trace_id, link.span_id) for link in span.links]


def place(span: Span) -> tuple[bytes, bytes]:
    return span.trace_id, span.span_id


async def test_an_events_journey_is_traced(
    collector: Collector, database_url: str, redis_url: str
) -> None:
    """From the caller's span to the frame: parents within a trace, links from one to the next."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, otlp_endpoint=collector.url) as service:
        async with service.live() as live:
            await live.subscribe(1, {"totals": "click"})
            status, _ = await service.post(EVENT * 3, traceparent=f"00-{TRACE}-{CALLER}-01")
            assert status == 200
            await live.until_total(3)
        await collector.until(**{"POST /v1/events": 1, "publish": 1, "frame": 1})

    (request,), (wait,) = collector.named("POST /v1/events"), collector.named("wait")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(request)["http.route"] == "/v1/events"
    assert (wait.trace_id, wait.parent_span_id) == place(request)

    (commit,), (publish,), (frame,) = map(collector.named, ("commit", "publish", "frame"))
    assert not commit.parent_span_id
    assert linked(commit) == [place(wait)]
    assert attributes(commit) == {"livetally.events": 3, "livetally.requests": 1}
    assert (publish.trace_id, publish.parent_span_id) == place(commit)
    assert linked(frame) == [place(commit)]
    assert attributes(frame)["livetally.topic"] == "totals"
    assert attributes(frame)["livetally.viewers"] == 1

    order = [wait.end_time_unix_nano, commit.start_time_unix_nano, frame.start_time_unix_nano]
    assert order == sorted(order)
    assert frame.end_time_unix_nano >= commit.end_time_unix_nano
    assert collector.services == {"livetally"}
    sent = b"".join(collector.bodies)
    for secret in (SECRET, keys[Role.WRITE], keys[Role.READ], "click"):
        assert secret.encode() not in sent


async def test_requests_of_one_batch_are_linked_to_its_commit(
    collector: Collector, database_url: str, redis_url: str
) -> None:
    """Requests that wait while another is committed share the next commit, which is linked to each;
    each stays in its own caller's trace."""
    keys = await make_keys(database_url)
    callers = [f"{n:032x}" for n in range(1, 41)]
    async with serving(database_url, redis_url, keys, otlp_endpoint=collector.url) as service:
        posts = [service.post(EVENT, traceparent=f"00-{trace}-{CALLER}-01") for trace in callers]
        assert {status for status, _ in await asyncio.gather(*posts)} == {200}
        await collector.until(**{"POST /v1/events": 40, "wait": 40})
    commits = collector.named("commit")
    assert len(commits) < 40, "no batch had two requests"
    links = [link for commit in commits for link in linked(commit)]
    assert sorted(links) == sorted(map(place, collector.named("wait")))
    assert sorted(trace.hex() for trace, _ in links) == callers
    assert sum(attributes(commit)["livetally.requests"] for commit in commits) == 40


async def test_another_process_links_its_frame(
    collector: Collector, database_url: str, redis_url: str
) -> None:
    """The viewer's process is not the one that commits: its frame leads back to that commit."""
    keys = await make_keys(database_url)
    settings = {"otlp_endpoint": collector.url, "resync_interval_ms": 60_000}
    async with (
        serving(database_url, redis_url, keys, **settings) as one,
        serving(database_url, redis_url, keys, **settings) as other,
    ):
        async with other.live() as live:
            await live.subscribe(1, {"feed": "click"})
            deadline = time.monotonic() + 20
            while not collector.named("frame"):  # until the other end listens to the project
                assert time.monotonic() < deadline
                await one.post(EVENT)
                await asyncio.sleep(0.1)
            await collector.until(commit=1)
        await until(
            lambda: (
                {place(commit) for commit in collector.named("commit")}
                >= {link for frame in collector.named("frame") for link in linked(frame)}
            ),
            20,
        )
    (frame, *_) = collector.named("frame")
    assert attributes(frame)["livetally.topic"] == "feed"


async def test_the_caller_decides_what_is_sampled(
    collector: Collector, database_url: str, redis_url: str
) -> None:
    """Of a caller that doesn't sample there is no span, not even its commit's; a bad traceparent
    begins a trace of its own; a refusal is a span with its status."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, otlp_endpoint=collector.url) as service:
        await service.post(EVENT, traceparent=f"00-{TRACE}-{CALLER}-00")
        await service.post(EVENT, traceparent="00-nonsense", key="nobody")
    (refused,) = collector.spans  # the others would be here: closing sends what is left
    assert not refused.parent_span_id
    assert attributes(refused)["http.response.status_code"] == 401
    assert refused.status.code == Status.STATUS_CODE_UNSET  # the fault is the client's


async def test_a_failed_commit_says_so(
    collector: Collector, postgres: LocalPostgres, database_url: str, redis_url: str
) -> None:
    """When Postgres is away the commit's span is an error and names the cause, not the event."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, otlp_endpoint=collector.url) as service:
        await service.post(EVENT)
        with unreachable(postgres, database_url):
            status, _ = await service.post(EVENT)
            assert status == 503
    first, second = sorted(collector.named("commit"), key=lambda each: each.start_time_unix_nano)
    assert first.status.code == Status.STATUS_CODE_UNSET
    assert second.status.code == Status.STATUS_CODE_ERROR
    assert attributes(second)["error.type"] == "database_unavailable"
    statuses = [each.status.code for each in collector.named("POST /v1/events")]
    assert sorted(statuses) == [Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR]
    assert SECRET.encode() not in b"".join(collector.bodies)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_collector_that_is_away_harms_nothing(
    spawn: Callable[..., Process], database_url: str, answers: bool
) -> None:
    """Nobody listens, or who listens never answers: events are stored all the same, more than the
    queue of spans holds, and the process ends in time."""
    keys = await make_keys(database_url)
    with contextlib.closing(listen("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = free_port() if answers else silent.getsockname()[1]
        silent.listen()
        process = spawn(LIVETALLY_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        await asyncio.to_thread(process.wait_ready)
        headers = {"x-api-key": keys[Role.WRITE]}
        sent = 0
        async with aiohttp.ClientSession(headers=headers) as http:

            async def send() -> None:
                nonlocal sent
                # Two spans each, or more. A slow machine may drop them as fast as they come.
                while sent < QUEUE_SPANS and "Queue full" not in process.log.read_text():
                    async with http.post(process.url + "/v1/events", json=EVENT) as response:
                        assert response.status == 200
                        sent += 1

            await asyncio.gather(*(send() for _ in range(20)))
        started = time.monotonic()
        assert await asyncio.to_thread(process.stop) == 0
        assert time.monotonic() - started < 15  # the SDK's own way of ending would take 30 s
    assert totals_in(database_url)[""] == sent


def test_nothing_is_imported_where_nothing_is_traced() -> None:
    """Only with an endpoint do the service and the worker load what traces. (redis-py by itself
    imports OpenTelemetry's metrics where it finds them: 3 MB that aren't ours to save.)"""
    code = """
import sys
from livetally.server.app import create_app
from livetally.base.config import Config
from livetally.worker.app import create_worker
make = {"app": create_app, "worker": create_worker}[sys.argv[1]]
make(Config(database_url="postgresql://x", redis_url="redis://x", otlp_endpoint=sys.argv[2]))
ours = ("livetally.ops.tracing", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google")
print([each for each in sys.modules if each.startswith(ours)])
"""
    for made in ("app", "worker"):
        for endpoint in ("", "http://127.0.0.1:1"):
            ran = subprocess.run(
                [sys.executable, "-c", code, made, endpoint],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            assert (ran.stdout.strip() == "[]") == (endpoint == ""), ran.stdout
