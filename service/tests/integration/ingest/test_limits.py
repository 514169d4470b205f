"""Limits: what a key may send and an address may ask, whoever in the installation it reaches."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import aiohttp
import pytest
from redis.asyncio import Redis

from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

RATE = 50


@pytest.fixture
async def key(service: Service) -> str:
    return await make_key(service.database_url, "demo", Role.READ_WRITE, "limited", rate=1)


def click(n: int = 1) -> list[dict[str, str]]:
    return [{"type": "click", "subject": "red"}] * n


async def test_a_key_may_send_what_it_may(service: Service, key: str) -> None:
    """One a second: the second one is refused, says when to come back, and then is taken."""
    headers = {"x-api-key": key}
    async with aiohttp.ClientSession(service.url, headers=headers) as session:
        first = await session.post("/v1/events", json=click()[0])
        second = await session.post("/v1/events", json=click()[0])
        assert (first.status, second.status) == (200, 429)
        assert (await second.json())["error"]["code"] == "rate_limited"
        assert "1 events a second" in (await second.json())["error"]["message"]
        assert second.headers["Access-Control-Allow-Origin"] == "*"
        await asyncio.sleep(int(second.headers["Retry-After"]))
        third = await session.post("/v1/events", json=click()[0])
        assert third.status == 200
    assert (await service.stats(type="click"))["total"] == 2


async def test_other_keys_are_not_held_up(service: Service, key: str) -> None:
    headers = {"x-api-key": key}
    async with aiohttp.ClientSession(service.url, headers=headers) as session:
        assert [(await session.post("/v1/events", json=click()[0])).status for _ in range(3)] == [
            200,
            429,
            429,
        ]
    status, _ = await service.post(click(100))
    assert status == 200


async def test_a_request_larger_than_its_bucket_is_refused(
    service: Service, database_url: str
) -> None:
    """It says how many may come at once, and leaves no debt that keeps the others out."""
    key = await make_key(database_url, "demo", Role.READ_WRITE, "ten", rate=10)
    for body in (click(11), b"x" * 200_000):
        status, answer = await service.post(body, key=key)
        assert (status, answer["error"]["code"]) == (413, "too_many_events")
        assert "10 events at once" in answer["error"]["message"]
    assert (await service.post(b"x" * 50_000, key=key))[0] == 400  # it may have been one event
    assert (await service.post(click(), key=key))[0] == 429
    await asyncio.sleep(1)
    assert (await service.post(click(10), key=key))[0] == 200
    assert (await service.stats(type="click"))["total"] == 10


async def test_requests_of_mixed_sizes_are_paid_off(
    service: Service, database_url: str, redis_url: str
) -> None:
    """Small requests before a large one don't hide what it costs, nor does another process, which
    has tokens left over: one overshoots, and is paid off before anything else is let in."""
    key = await make_key(database_url, "demo", Role.READ_WRITE, "hundred", rate=100)
    async with serving(database_url, redis_url, service.keys) as other:
        for each in (service, other):
            assert (await each.post(click(), key=key))[0] == 200
        for size in (90, 100):  # as many as there are, and then of debt
            assert (await service.post(click(size), key=key))[0] == 200
        assert (await other.post(click(100), key=key))[0] == 200  # of what it had left
        for each in (service, other):
            for size in (100, 10, 100):
                status, answer = await each.post(click(size), key=key)
                assert (status, answer["error"]["code"]) == (429, "rate_limited")
    assert (await service.stats(type="click"))["total"] == 292


async def test_a_bucket_is_asked_before_parsing(service: Service, key: str) -> None:
    """What is no JSON is refused for its rate once there is nothing left, in every way in; and what
    was parsed in vain has been paid."""
    headers = {"x-api-key": key}
    basic = {"Authorization": aiohttp.encode_basic_auth("demo", key)}
    async with aiohttp.ClientSession(service.url) as session:
        first = await session.post("/v1/events", data=b"{", headers=headers)
        assert first.status == 400
        for method, path, body, more in (
            ("POST", "/v1/events", b"{", headers),
            ("POST", "/v1/events", b'{"action', headers),
            ("POST", "/v2/events", b"{", headers),
            ("POST", "/button/click", b"{", basic),
            ("PUT", "/v1/items/van/1", b"{", headers),
            ("PUT", "/v1/items/van", b"{", headers),
        ):
            # What is let in pays: of two in a second one is refused.
            tries = [await session.request(method, path, data=body, headers=more) for _ in range(9)]
            assert 429 in {answer.status for answer in tries}, path
    async with service.live(key) as live:
        for ref in range(9):
            await live.send(type="track", ref=ref, events=[{"type": 1}])
        codes = [(await live.receive()).get("code") for _ in range(9)]
        assert "rate_limited" in codes


async def test_refused_events_are_paid_like_good_ones(service: Service, database_url: str) -> None:
    key = await make_key(database_url, "demo", Role.READ_WRITE, "ten", rate=10)
    bad = [{"type": 1}] * 10
    answers = await asyncio.gather(*(service.post(bad, key=key) for _ in range(20)))
    assert {status for status, _ in answers} == {422, 429}


async def test_an_address_has_a_share_of_a_public_key(database_url: str, redis_url: str) -> None:
    """Who uses a page's key up, in any sizes, is refused; the page's other visitors are not."""
    page = "https://shop.example"
    keys = await make_keys(database_url)
    key = await make_key(database_url, "demo", Role.WRITE, "page", origins=(page,), rate=100)
    async with serving(database_url, redis_url, keys, trusted_proxies="127.0.0.0/8") as service:

        async def send(address: str, size: int) -> int:
            headers = {"Origin": page, "X-Forwarded-For": f"203.0.113.99, {address}"}
            return (await service.post(click(size), key=key, **headers))[0]

        statuses = [await send("198.51.100.7", size) for size in (51, 40, 50, 1, 1)]
        assert statuses == [413, 200, 200, 429, 429]  # 50 are let in, with debt
        assert [await send(f"198.51.100.{n}", 1) for n in range(8, 18)] == [200] * 10


@pytest.mark.parametrize(
    ("heard", "trusted"),
    [("203.0.113.7", ""), ("unknown, 192.168.0.1", "127.0.0.0/8,192.168.0.0/16")],
)
async def test_clients_of_a_proxy_that_was_forgotten_share_nothing(
    database_url: str, redis_url: str, heard: str, trusted: str
) -> None:
    """They all seem to be at its address: only the key's own rate holds for them."""
    page = "https://shop.example"
    keys = await make_keys(database_url)
    key = await make_key(database_url, "demo", Role.WRITE, "page", origins=(page,), rate=100)
    async with serving(database_url, redis_url, keys, trusted_proxies=trusted) as service:
        headers = {"Origin": page, "X-Forwarded-For": heard}
        assert (await service.post(click(90), key=key, **headers))[0] == 200


async def test_a_public_key_without_a_rate_has_the_settings(
    database_url: str, redis_url: str
) -> None:
    page = "https://shop.example"
    keys = await make_keys(database_url)
    key = await make_key(database_url, "demo", Role.WRITE, "page", origins=(page,))
    async with serving(database_url, redis_url, keys, public_key_rate=10) as service:
        assert (await service.post(click(6), key=key, Origin=page))[0] == 413
        assert (await service.post(click(5), key=key, Origin=page))[0] == 200
        assert (await service.post(click(100)))[0] == 200  # a server's own


async def test_handshakes_of_an_address_are_limited(database_url: str, redis_url: str) -> None:
    """Before anything else is done for them, and whatever protocol they are for."""
    keys = await make_keys(database_url)
    async with (
        serving(
            database_url, redis_url, keys, handshake_rate=1, trusted_proxies="127.0.0.0/8"
        ) as service,
        aiohttp.ClientSession(service.url) as session,
    ):

        async def open_(path: str, address: str) -> int:
            headers = {"X-Forwarded-For": address}
            try:
                async with session.ws_connect(path, headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as refused:
                return refused.status

        paths = ("/v1/live", "/ws", "/v1/events/cable")
        opened = [await open_(paths[n % 3], "198.51.100.7") for n in range(60)]
        assert opened[:20] == [101] * 20
        assert 429 in opened
        headers = {"X-Forwarded-For": "198.51.100.7", "x-api-key": keys[Role.READ]}
        streams = [await session.get("/v1/live/sse?totals=click", headers=headers) for _ in paths]
        assert 429 in {answer.status for answer in streams}
        assert await open_("/v1/live", "198.51.100.8") == 101


async def test_wrong_keys_of_an_address_are_limited(database_url: str, redis_url: str) -> None:
    """Each costs a look-up: after a hundred their address waits, but keys that are known don't,
    nor do other addresses."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys, trusted_proxies="127.0.0.0/8") as service,
        aiohttp.ClientSession(service.url) as session,
    ):

        async def ask(key: str, address: str) -> int:
            headers = {"x-api-key": key, "X-Forwarded-For": address}
            return (await session.get("/v1/types", headers=headers)).status

        assert await ask(keys[Role.READ], "198.51.100.7") == 200
        guesses = (ask(f"guess {n}", "198.51.100.7") for n in range(400))
        statuses = Counter(await asyncio.gather(*guesses))
        assert 100 <= statuses[401] < 400
        assert statuses[429] > 0
        assert await ask(keys[Role.READ], "198.51.100.7") == 200
        assert await ask("guess", "198.51.100.8") == 401


async def test_mixed_sizes_come_to_the_rate(two: tuple[list[Process], str]) -> None:
    """Over time a key gets its rate and no more, whatever the sizes: what is above it is one
    second's worth that was saved up, and the last request of each process."""
    processes, key = two
    began = time.monotonic()
    taken = await flood(processes, key, 3, sizes=[1, 1, 2, 7, RATE])
    allowed = RATE * (time.monotonic() - began + 3)
    assert RATE * 2 <= taken <= allowed


async def send_colour(session: aiohttp.ClientSession) -> int:
    return (await session.post("/v1/events", json={"action": "click", "color": "red"})).status


async def send_rails(session: aiohttp.ClientSession) -> int:
    form = {"action_color[action_name]": "click", "action_color[color_name]": "red"}
    return (await session.post("/v2/events", data=form)).status


async def send_mixed(session: aiohttp.ClientSession) -> int:
    mixed = [{"action": "click", "color": "red"}]
    return (await session.post("/v1/events", json=mixed)).status


async def send_button(session: aiohttp.ClientSession) -> int:
    key = session.headers["x-api-key"]
    event = {"session_id": "s", "button_id": "b"}
    headers = {"Authorization": aiohttp.encode_basic_auth("demo", key)}
    return (await session.post("/button/click", json=event, headers=headers)).status


async def put_item(session: aiohttp.ClientSession) -> int:
    return (await session.put("/v1/items/van/1", json={"lat": 1})).status


async def delete_item(session: aiohttp.ClientSession) -> int:
    status = (await session.delete("/v1/items/van/1")).status
    return 200 if status == 404 else status


@pytest.mark.parametrize(
    "send", [send_colour, send_rails, send_mixed, send_button, put_item, delete_item]
)
async def test_every_way_in_is_limited(
    send: Callable[[aiohttp.ClientSession], "asyncio.Future[int]"], service: Service, key: str
) -> None:
    headers = {"x-api-key": key}
    async with aiohttp.ClientSession(service.url, headers=headers) as session:
        assert await send(session) in (200, 204)
        assert await send(session) == 429


async def test_tracking_over_a_websocket_is_limited(service: Service, key: str) -> None:
    async with service.live(key) as live:
        await live.send(type="track", ref=1, events=click())
        assert (await live.receive())["type"] == "ack"
        await live.send(type="track", ref=2, events=click())
        refused = await live.receive()
    assert (refused["code"], refused["ref"]) == ("rate_limited", 2)
    assert refused["retry_after_s"] == 1


async def test_page_views_over_a_websocket_are_limited(service: Service, key: str) -> None:
    """Format 3 says so in words."""
    async with (
        aiohttp.ClientSession(service.url) as session,
        session.ws_connect(f"/ws?api_key={key}") as socket,
    ):
        view = {"message": "views", "articleId": "a", "articleTitle": "T"}
        await socket.send_json(view)
        assert (await socket.receive_json())["totalViews"] == 1
        await socket.send_json(view)
        assert "events a second" in (await socket.receive()).data


@pytest.fixture
async def two(spawn: Callable[..., Process], database_url: str) -> tuple[list[Process], str]:
    """Two processes, and a key of `RATE`."""
    await make_keys(database_url)
    key = await make_key(database_url, "demo", Role.READ_WRITE, "limited", rate=RATE)
    return [each.wait_ready() for each in [spawn(), spawn()]], key


async def flood(
    processes: list[Process], key: str, seconds: float, sizes: Sequence[int] = (1,)
) -> int:
    """How many of many more events than may be are taken, sent to all processes at once."""
    headers = {"x-api-key": key}
    until = time.monotonic() + seconds
    taken = 0

    async def send(session: aiohttp.ClientSession, url: str) -> None:
        nonlocal taken
        while time.monotonic() < until:
            size = random.choice(sizes)
            async with session.post(f"{url}/v1/events", json=click(size)) as answer:
                assert answer.status in (200, 429)
                taken += size * (answer.status == 200)

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(send(session, each.url) for each in processes * 4))
    return taken


async def test_processes_share_a_limit(two: tuple[list[Process], str]) -> None:
    """Together they take the key's rate, and one second's worth that was saved up, within 10 %."""
    processes, key = two
    began = time.monotonic()
    taken = await flood(processes, key, 4)
    allowed = RATE * (time.monotonic() - began + 1)
    assert 0.7 * RATE * 5 <= taken <= 1.1 * allowed


async def test_without_redis_a_limit_holds_in_each_process(
    database_url: str, redis_url: str
) -> None:
    """Nothing waits for a Redis that is away, and no process lets more in than the limit."""
    made = await make_keys(database_url)
    key = await make_key(database_url, "demo", Role.READ_WRITE, "limited", rate=RATE)
    nowhere = "redis://127.0.0.1:1"
    async with (
        serving(database_url, nowhere, made) as service,
        aiohttp.ClientSession(service.url, headers={"x-api-key": key}) as session,
    ):
        began = time.monotonic()
        statuses = [
            (await session.post("/v1/events", json=click()[0])).status for _ in range(3 * RATE)
        ]
        took = time.monotonic() - began
    assert RATE <= statuses.count(200) <= RATE * (took + 1) + 1
    assert statuses[:RATE] == [200] * RATE


async def test_an_address_may_ask_so_often(database_url: str, redis_url: str) -> None:
    """Each client behind the proxy has its own limit; a header that it made up gets it no other."""
    async with (
        serving(
            database_url, redis_url, await make_keys(database_url),
            address_rate=2, trusted_proxies="127.0.0.0/8",
        ) as service,
        aiohttp.ClientSession(service.url) as session,
    ):  # fmt: skip

        async def ask(heard: str) -> int:
            headers = {"X-Forwarded-For": heard}
            return (await session.get("/v1/stats?type=a", headers=headers)).status

        async def ask_at_once(*heard: str) -> Counter[int]:
            return Counter(await asyncio.gather(*map(ask, heard)))

        assert (await ask_at_once(*["192.0.2.1"] * 40))[429] > 0
        assert (await ask_at_once(*[f"198.51.100.{n}, 192.0.2.1" for n in range(40)]))[429] > 0
        assert await ask("192.0.2.2") == 401
        assert (await ask_at_once(*[f"2001:db8::{n}" for n in range(40)]))[429] > 0
        assert [(await session.get("/healthz")).status for _ in range(5)] == [200] * 5


async def test_a_header_is_not_believed_without_a_trusted_proxy(
    database_url: str, redis_url: str
) -> None:
    async with (
        serving(database_url, redis_url, await make_keys(database_url), address_rate=2) as service,
        aiohttp.ClientSession(service.url) as session,
    ):
        answers = await asyncio.gather(
            *(
                session.get("/v1/types", headers={"X-Forwarded-For": f"192.0.2.{n}"})
                for n in range(40)
            )
        )
    assert 429 in {answer.status for answer in answers}


async def test_connections_have_a_cap(database_url: str, redis_url: str) -> None:
    """One more than the cap is refused before the handshake; when one leaves there is room."""
    made = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, made, max_connections=2) as service,
        service.live(made[Role.READ]),
        service.live(made[Role.READ]) as last,
        aiohttp.ClientSession(service.url) as session,
    ):
        for path in ("/v1/live", "/ws", "/v1/events/cable"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(path)
            assert refused.value.status == 503
            assert refused.value.headers is not None
            assert refused.value.headers["Retry-After"] == "1"
        await last.socket.close()
        async with service.live(made[Role.READ]) as live:
            assert (await live.subscribe(1, {"totals": "click"}))["type"] == "snapshot"


async def test_buckets_leave_nothing_in_redis(service: Service, key: str, redis_url: str) -> None:
    """A bucket that is full again is forgotten."""
    headers = {"x-api-key": key}
    async with (
        aiohttp.ClientSession(service.url, headers=headers) as session,
        Redis.from_url(redis_url) as redis,
    ):
        assert (await session.post("/v1/events", json=click()[0])).status == 200
        names = await redis.keys("livetally:limit:key:*")
        assert names
        for name in names:
            assert 0 < await redis.pttl(name) <= 3_000
