"""The way in over HTTP: what is answered to every good and bad request, on a real socket."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from livetally.base.config import MAX_BODY_BYTES
from livetally.ingest import http as ingest
from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys, query, totals_in
from service.tests.support.server import Service, serving

RED = {"type": "click", "subject": "red"}
TAKEN = {"accepted": 1, "duplicates": 0, "rejected": []}


def assert_error(answer: dict[str, Any], code: str, message: str) -> None:
    """Every error has the one shape, its code, and a message that says this."""
    assert set(answer["error"]) == {"code", "message"}, answer
    assert answer["error"]["code"] == code
    assert message in answer["error"]["message"]


class Reply:
    """An HTTP answer, read from a socket."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        self.body = body

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@contextlib.asynccontextmanager
async def connected(
    service: Service,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(service.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def head(service: Service, *lines: str, path: str = "/v1/events") -> bytes:
    """The head of a POST as bytes, with the write key."""
    key = f"x-api-key: {service.keys[Role.WRITE]}"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: test", key, *lines, "", ""]).encode()


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    async with asyncio.timeout(20):
        found = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        reply = Reply(found, b"")
        reply.body = await reader.readexactly(int(reply.headers.get("content-length", 0)))
    return reply


async def ask(service: Service, request: bytes) -> Reply:
    """Send these bytes and read the answer."""
    async with connected(service) as (reader, writer):
        writer.write(request)
        return await read_reply(reader)


async def nothing_is_stored(service: Service) -> bool:
    return query(service.database_url, "SELECT count(*) FROM events") == [(0,)]


def event_of(**fields: object) -> bytes:
    return json.dumps({**RED, **fields}).encode()


# What is wrong with the whole request.


BAD_BODIES = [
    (b"", 422, "unprocessable", "The body is empty."),
    (b"  \n", 422, "unprocessable", "The body is empty."),
    (b"[]", 422, "unprocessable", "There is no event in the request."),
    (b'{"type":', 400, "malformed_json", "truncated"),
    (b"not json", 400, "malformed_json", "invalid character"),
    (b'{"type":"click","subject":"\xff"}', 400, "malformed_json", "not valid UTF-8"),
    (b'{"type":"click","subject":"\\ud800"}', 400, "malformed_json", "its other half"),
    (b"[" * 50_000, 400, "malformed_json", "nested too deeply"),
    (json.dumps([RED] * 1001).encode(), 413, "too_many_events", "1,000 events at most"),
]


async def test_a_body_that_is_no_events_is_refused_whole(service: Service) -> None:
    """A body that can't be taken apart gets one error that says why, and stores nothing."""
    for body, status, code, message in BAD_BODIES:
        answered, answer = await service.post(body)

        assert answered == status, answer
        assert_error(answer, code, message)
    assert await nothing_is_stored(service)


WRONG_EVENTS = [
    (b"7", "invalid_event", "Expected `object`, got `int`."),
    (event_of(type=7), "invalid_event", "`type`: Expected `str`, got `int`."),
    (event_of(subject=None), "invalid_event", "`subject`: Expected `str`, got `null`."),
    (event_of(properties=[1]), "invalid_event", "`properties` must be an object."),
    (event_of(occurred_at=5), "invalid_event", "`occurred_at`: Expected `datetime"),
    (event_of(colour="red"), "invalid_event", "unknown field `colour`"),
    (event_of(type="t" * 65), "invalid_event", "`type`: Expected `str` of length <= 64."),
    (event_of(subject="s" * 1025), "invalid_event", "`subject`: Expected `str` of length <="),
    (event_of(subject="\0"), "nul_character", "U+0000 can't be stored"),
    (event_of(id="i" * 129), "invalid_event", "`id`: Expected `str` of length <= 128."),
    (
        event_of(properties={"a": "x" * (16 * 1024 - 8)}),
        "properties_too_large",
        "16,385 bytes; 16 KiB is the limit",
    ),
    (
        event_of(properties={"a": json.loads("[" * 40 + "]" * 40)}),
        "too_deep",
        "nested deeper than 32 levels",
    ),
    (
        event_of()[:-1] + b',"properties":{"a":1e999}}',
        "invalid_event",
        "`properties`: A number is out of range.",
    ),
    (
        event_of()[:-1] + b',"properties":{"a":' + b"9" * 5000 + b"}}",
        "invalid_event",
        "`properties`: A number is out of range.",
    ),
    (event_of()[:-1] + b',"type":"hover"}', "duplicate_key", "The key `type` is given twice."),
]


async def test_a_wrong_event_alone_is_422_and_among_others_is_told_by_index(
    service: Service,
) -> None:
    """A wrong event is the request's error when it is alone; between good ones it is refused by
    its index, and they are counted."""
    red = json.dumps(RED).encode()
    for body, code, message in WRONG_EVENTS:
        status, answer = await service.post(body)

        assert status == 422, answer
        assert_error(answer, code, message)
        assert answer["accepted"] == 0
        assert answer["rejected"] == [{"index": 0, "error": answer["error"]}]

        status, answer = await service.post(b"[" + red + b"," + body + b"," + red + b"]")

        assert (status, answer["accepted"], answer["duplicates"]) == (200, 2, 0)
        (rejected,) = answer["rejected"]
        assert rejected["index"] == 1
        assert_error(rejected, code, message)
    assert totals_in(service.database_url)["red"] == 2 * len(WRONG_EVENTS)


async def test_when_no_event_is_valid_each_has_its_reason(service: Service) -> None:
    """422 says how many events were refused and why the first was, and lists them all."""
    status, answer = await service.post([{"type": "click"}, 5])

    assert status == 422
    assert_error(answer, "no_valid_event", "None of the 2 events is valid; the first: Object")
    assert [each["index"] for each in answer["rejected"]] == [0, 1]
    assert await nothing_is_stored(service)


async def test_a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not(service: Service) -> None:
    """The limit is exact, with a length that was declared and one that was not."""
    event = json.dumps(RED).encode()
    largest = event.rjust(MAX_BODY_BYTES)

    assert (await service.post(largest))[0] == 200
    for body in (largest + b" ", event.rjust(2 * MAX_BODY_BYTES)):
        status, answer = await service.post(body)
        assert status == 413
        assert_error(answer, "too_large", "larger than 1 MiB")

        async def chunks(body: bytes = body) -> AsyncIterator[bytes]:
            for start in range(0, len(body), 65_536):
                yield body[start : start + 65_536]

        headers = {"x-api-key": service.keys[Role.WRITE]}
        async with service.http.post("/v1/events", data=chunks(), headers=headers) as response:
            assert response.status == 413
            assert_error(await response.json(), "too_large", "larger than 1 MiB")
    assert totals_in(service.database_url) == {"red": 1, "": 1}


async def test_a_large_body_is_refused_before_it_is_sent(service: Service) -> None:
    """A declared length is enough to refuse by: nobody has to send 2 MiB to be told."""
    reply = await ask(service, head(service, f"Content-Length: {2 * MAX_BODY_BYTES}"))

    assert reply.status == 413
    assert_error(reply.json, "too_large", "larger than 1 MiB")


async def test_the_content_types_of_json_are_taken(service: Service) -> None:
    """JSON, NDJSON, and what browsers say for want of something better."""
    for content_type in (
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=UTF-8",
        "text/plain;charset=UTF-8",
        "application/octet-stream",
        "application/x-ndjson",
        "application/jsonl",
    ):
        answered = await service.post(json.dumps(RED).encode(), content_type=content_type)
        assert answered == (200, TAKEN), content_type


async def test_no_content_type_at_all_is_taken(service: Service) -> None:
    """A client that says nothing about its body is taken to send JSON."""
    body = json.dumps(RED).encode()
    reply = await ask(service, head(service, f"Content-Length: {len(body)}") + body)
    assert (reply.status, reply.json) == (200, TAKEN)


async def test_other_content_types_and_charsets_are_refused(service: Service) -> None:
    """415 tells which content types and which charset there are."""
    for content_type in (
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/plain; charset=nonsense",
    ):
        status, answer = await service.post(json.dumps(RED).encode(), content_type=content_type)

        assert status == 415, content_type
        assert_error(answer, "unsupported_media_type", "application/json, application/x-ndjson")
    assert await nothing_is_stored(service)


# Bodies that are compressed, cut short, or late.


async def test_a_compressed_body_is_taken(service: Service) -> None:
    """gzip is understood, as HTTP clients for batches send it."""
    body = gzip.compress(json.dumps([RED] * 10).encode())
    status, answer = await service.post(body, content_encoding="gzip")
    assert (status, answer["accepted"]) == (200, 10)


async def test_a_body_that_is_not_compressed_as_it_says_is_a_bad_request(service: Service) -> None:
    """Broken gzip is the client's error, with its message, not ours."""
    status, answer = await service.post(b"{}", content_encoding="compress")
    assert (status, answer["error"]["code"]) == (415, "unsupported_media_type")
    status, answer = await service.post(b"not gzip", content_encoding="gzip")

    assert status == 400
    assert_error(answer, "bad_request", "not what its Content-Encoding says")


async def test_a_compressed_bomb_is_refused_by_its_real_size(service: Service) -> None:
    """64 MiB in 64 KiB are refused like any body over 1 MiB; the service goes on."""
    bomb = gzip.compress(bytes(64 * MAX_BODY_BYTES))
    status, answer = await service.post(bomb, content_encoding="gzip")

    assert status == 413
    assert_error(answer, "too_large", "larger than 1 MiB")
    assert await service.post(RED) == (200, TAKEN)


async def test_a_body_that_ends_half_way_stores_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that closes, wholly or for writing, in the middle of a body has sent no event, even
    if what came is one; others are served, and nothing is logged as our error."""
    event = json.dumps(RED).encode()
    bodies = {
        "Content-Length: 1000": event,
        "Transfer-Encoding: chunked": b"%x\r\n%b\r\n" % (len(event), event),
    }
    for line, body in bodies.items():
        for half in (True, False):
            async with connected(service) as (reader, writer):
                writer.write(head(service, line) + body)
                await writer.drain()
                if half:
                    writer.write_eof()
                    assert await reader.read() == b""

    assert await service.post({"type": "click", "subject": "blue"}) == (200, TAKEN)
    assert totals_in(service.database_url) == {"blue": 1, "": 1}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_body_that_stalls_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that doesn't send its body holds a connection for so long only: 408."""
    monkeypatch.setattr(ingest, "BODY_TIMEOUT_S", 0.1)
    reply = await ask(service, head(service, "Content-Length: 1000") + b'{"type":')

    assert reply.status == 408
    assert_error(reply.json, "request_timeout", "did not arrive in time")
    assert await nothing_is_stored(service)


async def test_requests_on_one_connection_are_answered_in_order(service: Service) -> None:
    """Pipelined requests get their answers one after the other, good ones and bad ones."""
    bodies = [json.dumps(RED).encode(), b"broken", json.dumps(RED).encode()]
    async with connected(service) as (reader, writer):
        for body in bodies:
            writer.write(head(service, f"Content-Length: {len(body)}") + body)
        statuses = [(await read_reply(reader)).status for _ in bodies]
    assert statuses == [200, 400, 200]


# What is told about each event.


async def test_the_fate_of_every_event_is_told_when_asked(service: Service) -> None:
    """With ?results=each the answer has a word for every event, in the order of the request."""
    await service.post({**RED, "id": "old"})
    events = [{**RED, "id": "new"}, {"type": "x"}, {**RED, "id": "old"}, {**RED, "id": "new"}, RED]

    headers = {"x-api-key": service.keys[Role.WRITE]}
    async with service.http.post(
        "/v1/events?results=each", json=events, headers=headers
    ) as response:
        answer = await response.json()

    assert answer["results"] == ["accepted", "rejected", "duplicate", "duplicate", "accepted"]
    assert (answer["accepted"], answer["duplicates"]) == (2, 2)
    assert [each["index"] for each in answer["rejected"]] == [1]


async def test_one_bad_line_does_not_spoil_the_others(service: Service) -> None:
    """Of NDJSON each line stands alone: the bad one is told by its index, the rest is counted."""
    red = json.dumps(RED).encode()
    status, answer = await service.post(
        b"\n".join([red, b'{"type":"click",', red, b""]), content_type="application/x-ndjson"
    )

    assert (status, answer["accepted"]) == (200, 2)
    (rejected,) = answer["rejected"]
    assert rejected["index"] == 1
    assert_error(rejected, "malformed_json", "truncated")
    assert totals_in(service.database_url) == {"red": 2, "": 2}


async def test_a_beacon_is_taken(service: Service) -> None:
    """navigator.sendBeacon sends text/plain and can't set a header: its key is in the query."""
    key = service.keys[Role.WRITE]
    async with service.http.post(
        f"/v1/events?api_key={key}",
        data=json.dumps([RED, RED]),
        headers={"content-type": "text/plain;charset=UTF-8", "origin": "https://shop.example"},
    ) as response:
        assert response.status == 200
        assert (await response.json())["accepted"] == 2


async def test_the_longest_subject_is_stored_counted_listed_and_shown(service: Service) -> None:
    """1,024 characters of four bytes each are a subject like any other, all the way."""
    longest = "😀" * 1024
    async with service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        assert await service.post({"type": "click", "subject": longest}) == (200, TAKEN)
        update = await viewer.receive()

    assert update["totals"] == {longest: 1}
    assert totals_in(service.database_url) == {longest: 1, "": 1}
    assert (await service.stats(type="click"))["subjects"] == [{"subject": longest, "total": 1}]
    assert (await service.stats(type="click", subject=longest))["total"] == 1


# Around every answer.


def _requests(service: Service) -> list[tuple[str, str, dict[str, Any], int, str | None]]:
    """(method, path, options, status, code) of one request of every kind."""
    write = {"x-api-key": service.keys[Role.WRITE]}
    read = {"x-api-key": service.keys[Role.READ]}
    xml = {**write, "content-type": "application/xml"}
    return [
        ("POST", "/v1/events", {"headers": write, "json": RED}, 200, None),
        ("GET", "/v1/stats?type=click", {"headers": read}, 200, None),
        ("GET", "/healthz", {}, 200, None),
        ("HEAD", "/healthz", {}, 200, None),
        ("GET", "/metrics", {}, 200, None),
        ("OPTIONS", "/v1/events", {}, 204, None),
        ("OPTIONS", "/nowhere", {}, 204, None),
        ("POST", "/v1/events", {"headers": write, "data": b"{"}, 400, "malformed_json"),
        ("GET", "/v1/live", {"headers": read}, 400, "bad_request"),
        ("POST", "/v1/events", {"json": RED}, 401, "missing_key"),
        ("POST", "/v1/events", {"headers": {"x-api-key": "x"}}, 401, "unknown_key"),
        ("POST", "/v1/events", {"headers": read, "json": RED}, 403, "wrong_role"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/assets/" + "a" * 2000, {}, 404, "not_found"),
        ("PUT", "/v1/events", {"headers": write}, 405, "method_not_allowed"),
        ("DELETE", "/v1/stats", {"headers": read}, 405, "method_not_allowed"),
        ("POST", "/v1/events", {"headers": write, "data": bytes(2**21)}, 413, "too_large"),
        ("POST", "/v1/events", {"headers": xml, "data": b"<a/>"}, 415, "unsupported_media_type"),
        ("POST", "/v1/events", {"headers": write, "json": []}, 422, "unprocessable"),
    ]


async def test_every_answer_is_for_every_page(service: Service) -> None:
    """Each kind of answer, errors of all kinds too, carries the CORS headers that let a page read
    it, a request id, and, being an error, the one shape."""
    for method, path, options, status, code in _requests(service):
        async with service.http.request(method, path, **options) as response:
            about = (method, path, response.status)
            assert response.status == status, about
            assert response.headers["Access-Control-Allow-Origin"] == "*", about
            assert "Retry-After" in response.headers["Access-Control-Expose-Headers"], about
            assert response.headers["X-Request-Id"], about
            assert response.headers["Server"] == "livetally", about
            assert ("WWW-Authenticate" in response.headers) == (status == 401), about
            if code is not None:
                assert_error(await response.json(), code, "")


async def test_a_preflight_allows_what_the_api_takes(service: Service) -> None:
    """A browser's question gets the API's methods and headers, on every path, without a key."""
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key, content-type, authorization, traceparent,"
        " if-match, if-none-match, content-encoding, last-event-id, x-requested-with",
    }
    wanted = set(asked["Access-Control-Request-Headers"].replace(" ", "").split(","))
    for path in ("/v1/events", "/v1/stats", "/v1/live", "/nowhere"):
        async with service.http.options(path, headers=asked) as response:
            allowed = response.headers["Access-Control-Allow-Headers"].lower()
            assert response.status == 204
            assert wanted <= set(allowed.split(", "))
            assert "POST" in response.headers["Access-Control-Allow-Methods"]


async def test_a_method_that_is_not_taken_is_told_which_are(service: Service) -> None:
    """405 names the methods in Allow and in its message."""
    async with service.http.put("/v1/stats") as response:
        assert response.headers["Allow"] == "GET, HEAD"
        assert_error(await response.json(), "method_not_allowed", "Use one of: GET, HEAD.")


async def test_a_request_id_is_echoed_if_it_is_harmless(service: Service) -> None:
    """A client's request id comes back; one that is long or not plain ASCII is replaced."""
    for given, echoed in {
        "abc-123": True,
        "x" * 64: True,
        "x" * 65: False,
        "sch\xf6n": False,
        "a\tb": False,
        "": False,
    }.items():
        line = b"X-Request-Id: " + given.encode("latin-1")
        reply = await ask(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")

        assert (reply.headers["x-request-id"] == given) is echoed, given
        assert reply.headers["x-request-id"]


# Requests that share a batch, and more than can be taken.


@contextlib.contextmanager
def commits_blocked(database_url: str) -> Iterator[Callable[[], None]]:
    """No batch is committed in here: another session of Postgres holds the table. The function
    that is yielded lets go of it early."""
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE slots IN EXCLUSIVE MODE")
        yield connection.rollback


async def metric(service: Service, name: str) -> float:
    async with service.http.get("/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


async def queued(service: Service, events: int) -> None:
    """Wait until this many events wait for a transaction."""
    async with asyncio.timeout(20):
        while await metric(service, "livetally_queue_events") != events:
            pass


async def commit_waits(service: Service) -> None:
    """Wait until a batch has reached Postgres and waits there for the lock."""
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'livetally write'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(query, service.database_url, waits):
            pass


async def test_more_than_can_wait_is_refused_with_503(database_url: str, redis_url: str) -> None:
    """While commits are stuck, events over the bound are refused, to be sent again after a while;
    those that were taken are stored, and the refused ones when they come again."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, queue_max_events=1000) as service:
        with commits_blocked(database_url) as unblock:
            first = asyncio.create_task(service.post(RED))
            await commit_waits(service)
            second = asyncio.create_task(service.post([RED] * 999))
            await queued(service, 999)

            headers = {"x-api-key": keys[Role.WRITE]}
            refused = [{**RED, "id": "a"}, {**RED, "id": "b"}]
            async with service.http.post("/v1/events", json=refused, headers=headers) as response:
                assert response.status == 503
                assert response.headers["Retry-After"] == "1"
                assert response.headers["Access-Control-Allow-Origin"] == "*"
                assert_error(await response.json(), "overloaded", "nothing of this request was")
            fits = asyncio.create_task(service.post(RED))
            await queued(service, 1000)
            unblock()

            assert [(await each)[1]["accepted"] for each in (first, second, fits)] == [1, 999, 1]
        assert (await service.post(refused))[1]["accepted"] == 2
        assert totals_in(database_url) == {"red": 1003, "": 1003}


async def test_an_id_counts_once_in_a_request_and_in_a_batch(service: Service) -> None:
    """The same id twice in one request, and in two requests that share a transaction, is accepted
    the first time and a duplicate each further time."""
    event = {**RED, "id": "a"}
    with commits_blocked(service.database_url) as unblock:
        first = asyncio.create_task(service.post({**RED, "id": "first"}))
        await commit_waits(service)
        # These gather while the first is stuck, and are committed together.
        one = asyncio.create_task(service.post([event, event]))
        await queued(service, 2)
        two = asyncio.create_task(service.post([event, {**RED, "id": "b"}, event, event]))
        await queued(service, 6)
        unblock()
        answers = [(await each)[1] for each in (first, one, two)]

    counts = [(answer["accepted"], answer["duplicates"]) for answer in answers]
    assert counts == [(1, 0), (1, 1), (1, 3)]
    assert await metric(service, "livetally_batch_events_count") == 2, "two transactions"
    assert totals_in(service.database_url) == {"red": 3, "": 3}


async def test_an_id_is_known_in_its_project_only(service: Service) -> None:
    """Two projects may use the same id; each counts its own."""
    other = await make_key(service.database_url, "other", Role.WRITE)
    event = {**RED, "id": "a"}

    assert await service.post(event) == (200, TAKEN)
    assert await service.post(event, key=other) == (200, TAKEN)

    assert totals_in(service.database_url, project=1) == {"red": 1, "": 1}
    assert query(service.database_url, "SELECT count(DISTINCT project) FROM events") == [(2,)]


async def test_a_client_that_leaves_before_the_answer_harms_nobody(service: Service) -> None:
    """Its event may be stored; the others of its batch get their answers."""
    with commits_blocked(service.database_url) as unblock:
        first = asyncio.create_task(service.post(RED))
        await commit_waits(service)
        body = json.dumps(RED).encode()
        async with connected(service) as (_, writer):
            writer.write(head(service, f"Content-Length: {len(body)}") + body)
            await queued(service, 1)
        last = asyncio.create_task(service.post([RED, RED]))
        await queued(service, 3)
        unblock()
        assert (await first)[0] == (await last)[0] == 200
    assert totals_in(service.database_url) == {"red": 4, "": 4}
