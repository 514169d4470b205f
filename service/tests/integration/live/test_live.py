"""The live protocol on real sockets: what each message does, and what each bad one does not."""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from livetally.base.config import MAX_BODY_BYTES, MAX_SUBSCRIPTIONS
from livetally.live import connections
from livetally.schema.keys import Role
from service.tests.support.clients.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket
from service.tests.support.postgres import make_keys, totals_in
from service.tests.support.server import Live, Service, serving

RED = {"type": "click", "subject": "red"}
CLICKS = {"totals": "click"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that look more often than once a second; to be asked for before `service`."""
    monkeypatch.setattr(connections, "RECHECK_S", 0.05)


@contextlib.asynccontextmanager
async def raw_socket(
    service: Service, *, receive_buffer: int = 0, limit: int = 2**16
) -> AsyncIterator[RawSocket]:
    """A connection that is authenticated with the read key."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    port = int(service.url.rpartition(":")[2])
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
    writer.write(
        b"GET /v1/live HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"x-api-key: " + service.keys[Role.READ].encode() + b"\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    raw = RawSocket(reader, writer)
    assert (await raw.message())["type"] == "ready"
    try:
        yield raw
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def metric(service: Service, name: str) -> float:
    async with service.http.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


# Who it is.


async def test_a_key_is_told_at_the_handshake_or_after_it(service: Service) -> None:
    """A key may come in the query, a header or the first message: `ready` says whose it is."""
    key = service.keys[Role.READ]
    ready = {"type": "ready", "project": "demo", "role": "read"}
    async with service.http.ws_connect(f"/v1/live?api_key={key}") as viewer:
        assert await viewer.receive_json(timeout=10) == ready
    headers = {"Authorization": f"Bearer {key}"}
    async with service.http.ws_connect("/v1/live", headers=headers) as viewer:
        assert await viewer.receive_json(timeout=10) == ready
    async with service.http.ws_connect("/v1/live") as viewer:
        await viewer.send_json({"type": "auth", "key": key})
        assert await viewer.receive_json(timeout=10) == ready


async def test_a_bad_key_is_refused(service: Service) -> None:
    """Before the handshake with 401, as any HTTP request; after it with 1008 and a reason."""
    for options in ({"headers": {"x-api-key": "nonsense"}}, {"params": {"api_key": "nonsense"}}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await service.http.ws_connect("/v1/live", **options)
        assert refused.value.status == 401

    async with service.http.ws_connect("/v1/live") as sock:
        viewer = Live(sock)
        await viewer.send(type="auth", key="nonsense")
        code, (error,) = await viewer.end()
    assert (code, error["type"], error["code"]) == (1008, "error", "unknown_key")


async def test_nothing_goes_without_a_key(service: Service) -> None:
    """Asking or tracking before `auth` is told to authenticate, and closed."""
    for message in (
        {"type": "subscribe", "id": 1, "topic": CLICKS},
        {"type": "track", "events": [RED]},
    ):
        async with service.http.ws_connect("/v1/live") as sock:
            viewer = Live(sock)
            await viewer.send(**message)
            code, (error,) = await viewer.end()
        assert (code, error["code"]) == (1008, "missing_key")
        assert '"type":"auth"' in error["message"]
    assert totals_in(service.database_url) == {}


async def test_who_never_says_a_key_is_closed(
    impatient: None, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without a key lasts a short time only; one with a key goes on."""
    async with service.live() as known, service.http.ws_connect("/v1/live") as sock:
        monkeypatch.setattr(connections, "AUTH_TIMEOUT_S", 0.1)
        code, (error,) = await Live(sock).end()
        assert (code, error["code"]) == (1008, "missing_key")
        assert (await known.subscribe(1, CLICKS))["type"] == "snapshot"


async def test_a_second_key_adds_its_role(service: Service) -> None:
    """A page with a read key and a write key watches and tracks over one connection."""
    async with service.live() as page:
        await page.send(type="auth", key=service.keys[Role.WRITE])
        assert (await page.receive())["role"] == "write"
        await page.subscribe(1, CLICKS)
        await page.send(type="track", events=[RED], ref="t")
        answers = {message["type"]: message for message in [await page.receive() for _ in range(2)]}
    assert answers["ack"]["accepted"] == 1
    assert answers["update"]["totals"] == {"red": 1}


# What is watched.


async def test_subscribe_update_unsubscribe(service: Service) -> None:
    """A snapshot of what is, updates with what changed in absolute values, and then silence."""
    await service.post([RED, RED, {"type": "click", "subject": "blue"}])
    async with service.live() as viewer:
        snapshot = {"type": "snapshot", "id": "a", "totals": {"red": 2, "blue": 1}, "total": 3}
        assert await viewer.subscribe("a", CLICKS) == snapshot

        await service.post([RED, {"type": "hover", "subject": "red"}])
        update = {"type": "update", "id": "a", "totals": {"red": 3}, "total": 4}
        assert await viewer.receive() == update

        await viewer.send(type="unsubscribe", id="a")
        assert await viewer.receive() == {"type": "unsubscribed", "id": "a"}
        await service.post(RED)
        await viewer.send(type="ping")
        assert await viewer.receive() == {"type": "pong"}

        again = await viewer.subscribe("a", CLICKS)
        assert (again["type"], again["total"]) == ("snapshot", 5)


async def test_named_subjects_are_watched_alone(service: Service) -> None:
    """Of named subjects the snapshot has each, also those at 0, updates tell of these only, and
    the total is theirs."""
    await service.post([RED, RED, {"type": "click", "subject": "green"}])
    async with service.live() as viewer:
        some = {"totals": "click", "subjects": ["red", "blue", "red"]}
        snapshot = await viewer.subscribe(1, some)
        assert (snapshot["totals"], snapshot["total"]) == ({"red": 2, "blue": 0}, 2)

        await service.post({"type": "click", "subject": "green"})
        await service.post([{"type": "click", "subject": "blue"}, RED])
        update = await viewer.receive()
        assert (update["totals"], update["total"]) == ({"red": 3, "blue": 1}, 4)


async def test_several_subscriptions_of_one_viewer(service: Service) -> None:
    """Each subscription has its id on every message; the same topic may be watched twice."""
    async with service.live() as viewer:
        for id_, topic in ((1, CLICKS), ("two", CLICKS), (3, {"totals": "hover"})):
            assert (await viewer.subscribe(id_, topic))["type"] == "snapshot"
        await service.post([RED, {"type": "hover", "subject": "sky"}])
        updates = [await viewer.receive() for _ in range(3)]
    assert {str(each["id"]): each["totals"] for each in updates} == {
        "1": {"red": 1},
        "two": {"red": 1},
        "3": {"sky": 1},
    }


async def test_the_thousand_largest_are_shown_and_all_are_counted(service: Service) -> None:
    """Of more than 1,000 subjects a snapshot holds the 1,000 largest, and the total of all; one
    that rises among them appears, and one goes."""

    def some(first: int, last: int) -> list[dict[str, str]]:
        return [{"type": "click", "subject": f"s{number}"} for number in range(first, last)]

    await service.post(some(0, 1000))
    await service.post(some(0, 900))
    await service.post(some(1000, 1300))
    async with service.live() as viewer:
        snapshot = await viewer.subscribe(1, CLICKS)
        assert snapshot["total"] == 2200
        assert len(snapshot["totals"]) == 1000
        assert {f"s{number}" for number in range(900)} < snapshot["totals"].keys()

        small = next(f"s{n}" for n in range(900, 1300) if f"s{n}" not in snapshot["totals"])
        await service.post([{"type": "click", "subject": small}] * 2)
        while True:
            message = await viewer.receive()
            if small in message["totals"]:
                break
        assert (message["type"], message["total"]) == ("snapshot", 2202)
        assert len(message["totals"]) == 1000
        assert message["totals"][small] == 3


async def test_an_open_websocket_keeps_no_request_waiting(service: Service) -> None:
    """Its request has been handled, and counted, while it is open: what handles a request takes
    memory as long as it runs, and there are thousands of viewers."""
    async with service.live() as viewer:
        await viewer.subscribe(1, CLICKS)
        answered = 'livetally_http_requests_total{method="GET",route="/v1/live",status="101"}'
        assert await metric(service, answered) == 1
        await service.post(RED)
        assert (await viewer.receive())["total"] == 1


async def test_updates_are_conflated(service: Service) -> None:
    """Under constant writes the first update comes at once, then at most 25 a second, each with
    the state of its moment, and the last one is exact."""
    async with service.live() as viewer:
        await viewer.subscribe(1, CLICKS)
        started = time.monotonic()
        await service.post(RED)
        assert (await viewer.receive())["total"] == 1

        posts = 400

        async def write() -> None:
            for _ in range(posts // 4):
                await service.post(RED)

        writing = asyncio.gather(*(write() for _ in range(4)))
        totals = [1]
        while totals[-1] < 1 + posts:
            totals.append((await viewer.receive())["total"])
        took = time.monotonic() - started
        await writing

    assert totals == sorted(set(totals)), "each update tells something new"
    # A slow machine takes longer for all of it, and so may see more frames: 25 for each second.
    assert len(totals) <= 25 * took + 2
    assert totals_in(service.database_url)["red"] == totals[-1]


async def test_what_happens_after_a_pause_is_shown_at_once(
    database_url: str, redis_url: str
) -> None:
    """However long the interval between frames, the first update doesn't wait for its end."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys, frame_interval_ms=600_000) as service,
        service.live() as viewer,
    ):
        await viewer.subscribe(1, CLICKS)
        await service.post(RED)
        assert (await viewer.receive())["total"] == 1


# What is wrong.


async def test_each_bad_message_has_its_error_and_costs_nothing_else(service: Service) -> None:
    """A message that can't be understood or obeyed is answered with a code and with what is
    wrong; the connection and its subscription go on."""
    subscribe = {"type": "subscribe", "id": 2, "topic": CLICKS}
    nested = '{"type":"subscribe","id":2,"topic":' + "[" * 50_000
    async with service.live() as viewer:
        await viewer.subscribe(1, CLICKS)
        for message, code, says in (
            ("{", "malformed_json", "not JSON"),
            ("", "malformed_json", "not JSON"),
            ("[" * 100_000, "bad_request", "Expected `object`, got `array`."),
            (nested, "malformed_json", "recursion"),
            (f"{nested}{']' * 50_000}}}", "malformed_json", "recursion"),
            ('{"type":"track","events":["\\ud800"]}', "wrong_role", "write key"),
            ('{"type":"subscribe","id":2,"topic":{"totals":"\\ud800"}}', "malformed_json", ""),
            ('{"type":"subscribe","id":2,"topic":{"totals":1e999}}', "bad_request", "range"),
            ("{}", "bad_request", "missing required field `type`"),
            ("[]", "bad_request", "Expected `object`"),
            ('{"type":"dance"}', "bad_request", "Invalid value 'dance'"),
            ('{"type":"auth"}', "bad_request", "missing required field `key`"),
            ('{"type":"auth","key":7}', "bad_request", "`key`: Expected `str`, got `int`."),
            ({"type": "auth", "key": "x" * 1025}, "bad_request", "`key`: Expected `str` of length"),
            ({**subscribe, "id": None}, "bad_request", "`id`: Expected"),
            ({**subscribe, "id": 1.5}, "bad_request", "`id`: Expected"),
            ({**subscribe, "id": "x" * 65}, "bad_request", "`id`: Expected `str` of length <= 64"),
            ({**subscribe, "topic": "click"}, "bad_request", "A topic is an object"),
            ({**subscribe, "topic": {}}, "bad_request", "A topic is an object with one of"),
            ({**subscribe, "topic": {"totals": 5}}, "bad_request", "`totals`: Expected `str`"),
            ({**subscribe, "topic": {"totals": "t" * 65}}, "bad_request", "length <= 64"),
            ({**subscribe, "topic": {"totals": "a\0b"}}, "bad_request", "U+0000"),
            ({**subscribe, "topic": {**CLICKS, "subjects": []}}, "bad_request", "`subjects`"),
            ({**subscribe, "topic": {**CLICKS, "subjects": ["\0"]}}, "bad_request", "U+0000"),
            (
                {**subscribe, "topic": {**CLICKS, "subjects": [str(n) for n in range(1001)]}},
                "bad_request",
                "length <= 1000",
            ),
            ({**subscribe, "topic": {**CLICKS, "x": 1}}, "bad_request", "unknown field `x`"),
            ({**subscribe, "x": 1}, "bad_request", "unknown field `x`"),
            ({**subscribe, "id": 1}, "conflict", "a subscription with the id 1 already"),
            ({"type": "unsubscribe", "id": "9"}, "not_found", "no subscription with the id '9'"),
            ({"type": "track"}, "bad_request", "missing required field `events`"),
            ({"type": "track", "events": {}}, "bad_request", "`events`: Expected `array`"),
        ):
            text = message if isinstance(message, str) else json.dumps(message)
            await viewer.socket.send_str(text)
            error = await viewer.receive()
            assert (error["type"], error["code"]) == ("error", code), (text[:200], error)
            assert says in error["message"], error

        await service.post(RED)
        assert await viewer.receive() == {
            "type": "update",
            "id": 1,
            "totals": {"red": 1},
            "total": 1,
        }


async def test_a_refused_subscription_is_told_by_its_id(service: Service) -> None:
    """An error about a subscription or a track carries its id or ref."""
    async with service.live() as viewer:
        await viewer.subscribe("mine", CLICKS)
        assert (await viewer.subscribe("mine", CLICKS))["code"] == "conflict"
        await viewer.send(type="track", events=[RED], ref="mine")
        refused = await viewer.receive()
        assert (refused["code"], refused["ref"]) == ("wrong_role", "mine")


async def test_a_connection_has_a_hundred_subscriptions_at_most(service: Service) -> None:
    """The 101st is refused; once one is given up there is room again."""
    async with service.live() as viewer:
        for number in range(MAX_SUBSCRIPTIONS):
            topic = {"totals": "click", "subjects": [f"s{number}"]}
            assert (await viewer.subscribe(number, topic))["type"] == "snapshot"
        refused = await viewer.subscribe("more", CLICKS)
        assert (refused["type"], refused["code"]) == ("error", "too_many_subscriptions")

        await viewer.send(type="unsubscribe", id=0)
        assert (await viewer.receive())["type"] == "unsubscribed"
        assert (await viewer.subscribe("more", CLICKS))["type"] == "snapshot"


async def test_bad_frames_end_their_connection_only(service: Service) -> None:
    """What breaks the websocket protocol closes the connection with the code for it; another
    viewer, and the service, notice nothing."""
    ping = b'{"type":"ping"}'
    large = b" " * (MAX_BODY_BYTES + 1)
    frame = RawSocket.frame
    bad: dict[str, tuple[bytes, set[int | None]]] = {
        "too large": (frame(TEXT, large), {1009}),
        "too large in pieces": (
            frame(TEXT, large[:600_000], fin=False) + frame(0, large[:600_000]),
            {1009},
        ),
        "binary": (frame(BINARY, ping), {1003}),
        "not UTF-8": (frame(TEXT, b'{"type":"\xff"}'), {1007}),
        "a surrogate in UTF-8": (frame(TEXT, b'"\xed\xa0\x80"'), {1007}),
        "a reserved bit": (bytes([0xC1]) + frame(TEXT, ping)[1:], {1002}),
        "an unknown opcode": (frame(3, ping), {1002}),
        "a long ping": (frame(PING, b"x" * 126), {1002}),
        "a ping in pieces": (frame(PING, b"x", fin=False), {1002}),
        "an end without a beginning": (frame(0, ping), {1002}),
        "two beginnings": (frame(TEXT, ping, fin=False) + frame(TEXT, ping), {1002}),
        "a bad close code": (frame(CLOSE, b"\x00\x01"), {1002}),
        "unmasked": (frame(TEXT, ping, masked=False), {1002}),
        "unmasked after others": (
            frame(TEXT, ping) + frame(TEXT, b" " * 70_000) + frame(PING, b"", masked=False),
            {1002},
        ),
        "no websocket at all": (b"GET / HTTP/1.1\r\n\r\n" * 10, {1002}),
    }
    async with service.live() as other:
        await other.subscribe(1, CLICKS)
        for total, (name, (data, codes)) in enumerate(bad.items(), 1):
            async with raw_socket(service) as raw:
                raw.writer.write(data)
                assert await raw.close_code() in codes, name
            await service.post(RED)
            assert (await other.receive())["total"] == total, name


async def test_a_message_may_come_in_pieces(service: Service) -> None:
    """A text message in several frames, a ping between them, and bytes one at a time, is one
    message."""
    message = json.dumps({"type": "subscribe", "id": "ä", "topic": CLICKS}, ensure_ascii=False)
    encoded = message.encode()
    cut = encoded.index("ä".encode()) + 1  # in the middle of a character
    async with raw_socket(service) as raw:
        raw.send(TEXT, encoded[:5], fin=False)
        raw.send(0, encoded[5:cut], fin=False)
        raw.send(PING, b"here?")
        raw.send(0, encoded[cut:])
        assert await raw.frame_from() == (PONG, b"here?")
        assert (await raw.message())["id"] == "ä"

        for byte in RawSocket.frame(TEXT, b'{"type":"ping"}'):
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
        assert await raw.message() == {"type": "pong"}


async def test_an_unmasked_frame_harms_nobody(service: Service) -> None:
    """RFC 6455 has clients mask their frames for the sake of proxies; one that doesn't is
    understood all the same, or closed."""
    async with service.live() as other, raw_socket(service) as raw:
        await other.subscribe(1, CLICKS)
        raw.send(TEXT, b'{"type":"ping"}', masked=False)
        opcode, payload = await raw.frame_from()
        assert opcode == CLOSE or json.loads(payload) == {"type": "pong"}
        await service.post(RED)
        assert (await other.receive())["total"] == 1


async def test_a_client_may_vanish_at_any_moment(service: Service) -> None:
    """Half a handshake, half a frame, a reset: the service forgets such viewers and goes on."""
    async with service.live() as other:
        await other.subscribe(1, CLICKS)
        for data in (b"", b"\x81", RawSocket.frame(TEXT, b"x" * 200)[:50]):
            async with raw_socket(service) as raw:
                raw.writer.write(data)
                await raw.writer.drain()
                linger = struct.pack("ii", 1, 0)  # closing sends a reset
                sock = raw.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await service.post(RED)
        assert (await other.receive())["total"] == 1
        async with asyncio.timeout(20):
            while await metric(service, "livetally_viewers ") != 1:
                pass


# Time.


async def test_pings_are_answered(service: Service) -> None:
    """A ping of the websocket protocol gets its payload back; one of ours, for browsers, `pong`."""
    async with raw_socket(service) as raw:
        raw.send(PING, b"are you there?")
        assert await raw.frame_from() == (PONG, b"are you there?")
        raw.send(TEXT, b'{"type":"ping"}')
        assert await raw.message() == {"type": "pong"}


async def test_who_is_silent_for_three_intervals_is_closed(
    impatient: None, database_url: str, redis_url: str
) -> None:
    """A viewer that doesn't even answer pings is gone; one that does stays, saying nothing."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, ping_interval_s=0.5) as service:
        async with service.live() as answering, raw_socket(service) as silent:
            await answering.subscribe(1, CLICKS)
            # aiohttp answers pings while it is being read from.
            waiting = asyncio.create_task(answering.receive())
            pings = 0
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    opcode, _ = await silent.frame_from()
                    pings += opcode == PING
            assert pings >= 1
            await service.post(RED)
            assert (await waiting)["total"] == 1
        assert await metric(service, 'livetally_viewers_closed_total{cause="silent"}') == 1


async def test_a_slow_viewer_costs_others_nothing(database_url: str, redis_url: str) -> None:
    """Promise 4: a viewer that reads nothing is skipped, while another is told everything; what is
    kept for it is bounded, and when it reads again it ends with the exact totals."""
    keys = await make_keys(database_url)
    settings = {"viewer_buffer_bytes": 65_536, "frame_interval_ms": 5}
    async with serving(database_url, redis_url, keys, **settings) as service:
        # 200 subjects of 4 KB each: an update of all of them takes most of a megabyte.
        events = [{"type": "click", "subject": f"{n:03}" + "😀" * 1000} for n in range(200)]
        body = json.dumps(events, ensure_ascii=False).encode()
        slow_connection = raw_socket(service, receive_buffer=4096, limit=2**24)
        async with service.live(max_msg_size=0) as fast, slow_connection as slow:
            slow.send(TEXT, json.dumps({"type": "subscribe", "id": 1, "topic": CLICKS}).encode())
            assert (await slow.message())["type"] == "snapshot"
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await fast.subscribe(1, CLICKS)

            posts = after = 0
            while after < 10:
                assert (await service.post(body))[0] == 200
                posts += 1
                # Nobody waits: the fast one has it before the next is sent.
                assert set((await fast.until_total(200 * posts)).values()) == {posts}
                after += await metric(service, "livetally_frames_skipped_total") > 0
                assert posts < 100, "the slow viewer is never skipped"

            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            frames = []
            while not frames or frames[-1]["total"] < 200 * posts:
                frames.append(await slow.message())

        # At least ten were skipped for it: they are neither kept in memory nor sent.
        assert len(frames) <= posts - 9
        assert frames[-1]["type"] == "snapshot"
        assert set(frames[-1]["totals"].values()) == {posts}
        assert len(frames[-1]["totals"]) == 200


async def test_the_largest_snapshot_is_no_reason_to_cut_a_viewer_off(
    database_url: str, redis_url: str
) -> None:
    """1,000 subjects of the most bytes that JSON makes of 1,024 characters: a viewer that is slow
    to read them, and asks for something meanwhile, gets it all."""
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys) as service:
        for start in range(0, 1000, 100):
            subjects = [f"{start + n:04}" + "\x01" * 1020 for n in range(100)]
            body = json.dumps([{"type": "click", "subject": each} for each in subjects])
            assert (await service.post(body.encode()))[0] == 200
        async with raw_socket(service, receive_buffer=4096, limit=2**24) as slow:
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            slow.send(TEXT, json.dumps({"type": "subscribe", "id": 1, "topic": CLICKS}).encode())
            async with asyncio.timeout(20):
                while await metric(service, "livetally_frames_sent_total") < 1:
                    pass
            slow.send(TEXT, b'{"type":"ping"}')
            # It is answered, or cut off, before this viewer's next message is.
            async with service.live() as other:
                await other.send(type="ping")
                await other.receive()
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            snapshot = await slow.message()
            assert (len(snapshot["totals"]), snapshot["total"]) == (1000, 1000)
            assert await slow.message() == {"type": "pong"}


async def test_stopping_says_restart(database_url: str, redis_url: str) -> None:
    """When the service stops, viewers are closed with 1012: come back, it is not your fault."""
    keys = await make_keys(database_url)
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as stack:
        async with serving(database_url, redis_url, keys) as service:
            headers = {"x-api-key": keys[Role.READ]}
            viewers = [
                Live(
                    await stack.enter_async_context(
                        http.ws_connect(f"{service.url}/v1/live", headers=headers)
                    )
                )
                for _ in range(3)
            ]
            for viewer in viewers:
                assert (await viewer.receive())["type"] == "ready"
                await viewer.subscribe(1, CLICKS)
            ends = asyncio.gather(*(viewer.end() for viewer in viewers))
        assert [code for code, _ in await ends] == [1012] * 3


# Tracking.


async def test_every_track_has_its_ack(service: Service) -> None:
    """A hundred tracks in flight are each acknowledged, with what became of their events."""
    async with service.live(service.keys[Role.WRITE]) as tracker:
        for number in range(100):
            event = {**RED, "id": f"e{number // 2}"}  # each id twice
            await tracker.send(type="track", ref=number, events=[event, {"type": "click"}])
        acks = [await tracker.receive() for _ in range(100)]

    assert {ack["type"] for ack in acks} == {"ack"}
    assert sorted(ack["ref"] for ack in acks) == list(range(100))
    assert sum(ack["accepted"] for ack in acks) == 50
    assert sum(ack["duplicates"] for ack in acks) == 50
    assert all(ack["rejected"][0]["index"] == 1 for ack in acks)
    assert totals_in(service.database_url) == {"red": 50, "": 50}


async def test_a_track_that_can_not_be_is_refused_with_its_ref(service: Service) -> None:
    """No events, or more than 1,000, are an error; events that are all wrong are told each."""
    async with service.live(service.keys[Role.WRITE]) as tracker:
        for events, code in (([], "unprocessable"), ([RED] * 1001, "too_many_events")):
            await tracker.send(type="track", ref="r", events=events)
            error = await tracker.receive()
            assert (error["type"], error["code"], error["ref"]) == ("error", code, "r")

        await tracker.send(type="track", ref="r", events=[5, {"type": "\0", "subject": "s"}])
        ack = await tracker.receive()
        assert (ack["type"], ack["accepted"], ack["duplicates"]) == ("ack", 0, 0)
        codes = [each["error"]["code"] for each in ack["rejected"]]
        assert codes == ["invalid_event", "nul_character"]

        await tracker.send(type="track", events=[RED])
        assert (await tracker.receive())["accepted"] == 1
    assert totals_in(service.database_url) == {"red": 1, "": 1}
