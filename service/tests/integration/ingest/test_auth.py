"""Promise 5: a key sees its own project only, and does only what its role allows, everywhere."""

import asyncio
import base64
import contextlib
from typing import Any

import aiohttp
import pytest

from livetally.base.errors import UnknownKey
from livetally.db.database import Database
from livetally.live import connections
from livetally.schema.keys import Role
from livetally.web import auth, keys
from livetally.web.auth import Auth, key_in
from service.tests.support.postgres import make_key, make_keys, opened, query
from service.tests.support.server import Live, Service, serving

RED = {"type": "click", "subject": "red"}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "K"},
        {"Authorization": "Bearer K"},
        {"Authorization": "bearer   K"},
        {"Authorization": "K"},
        {"Authorization": "Token token=K"},
        {"Authorization": 'Token token="K"'},
        {"Authorization": "token K"},
        {"Authorization": basic("shop:K")},
        {"Authorization": basic(":K")},
        {"x-api-key": "K", "Authorization": "Bearer other"},
    ],
)
def test_a_key_is_found_wherever_clients_put_it(headers: dict[str, str]) -> None:
    """Each of the ways in which the clients of older systems send a key gives the key."""
    assert key_in(headers) == "K"


@pytest.mark.parametrize(
    "value",
    ["", " ", "Bearer", "Bearer ", "Token", "Token token=", "Basic", "Basic ???", basic("shop")],
)
def test_no_key_is_no_key(value: str) -> None:
    """A header without a key in it is as good as none."""
    assert key_in({"Authorization": value}) in (None, "")


async def ask(
    service: Service, path: str = "/v1/stats?type=click", **headers: str
) -> tuple[int, dict[str, Any]]:
    async with service.http.get(path, headers=headers) as response:
        return response.status, await response.json()


async def test_every_place_for_a_key_works_over_http(service: Service) -> None:
    """A key is taken from any header it may be in, whatever the case of its name, or the query."""
    key = service.keys[Role.READ]
    for headers in (
        {"X-API-KEY": key},
        {"x-Api-Key": key},
        {"AUTHORIZATION": f"Bearer {key}"},
        {"authorization": key},
        {"Authorization": f"Token token={key}"},
        {"Authorization": f'Token token="{key}"'},
        {"Authorization": basic(f"demo:{key}")},
        {"Authorization": basic(f"demo:{key.replace('_', '%5F')}")},
    ):
        assert (await ask(service, **headers))[0] == 200, headers
    assert (await ask(service, f"/v1/stats?type=click&api_key={key}"))[0] == 200


async def test_no_key_and_an_unknown_one_are_401(service: Service) -> None:
    """401 says whether a key is missing or not known, and how to send one."""
    key = service.keys[Role.READ]
    headers: dict[str, str]
    for headers, code in (
        ({}, "missing_key"),
        ({"Authorization": "Basic ???"}, "missing_key"),
        ({"x-api-key": "nonsense"}, "unknown_key"),
        ({"x-api-key": key[:-1]}, "unknown_key"),
        ({"x-api-key": key + "x"}, "unknown_key"),
        ({"x-api-key": key.upper()}, "unknown_key"),
        ({"x-api-key": "schl\xfcssel"}, "unknown_key"),
        ({"x-api-key": "\udcff"}, "unknown_key"),
    ):
        port = int(service.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET /v1/stats?type=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"
        writer.write(request.encode("utf-8", "surrogateescape"))
        answer = (await reader.read()).decode()
        writer.close()

        assert answer.startswith("HTTP/1.1 401 "), headers
        assert 'WWW-Authenticate: Bearer realm="livetally"' in answer
        assert f'"code":"{code}"' in answer, headers


async def test_a_role_does_what_it_is_for_and_nothing_else(service: Service) -> None:
    """A read key that writes and a write key that reads get 403, over HTTP and the websocket; an
    admin key does both."""
    read, write, admin = (service.keys[role] for role in (Role.READ, Role.WRITE, Role.ADMIN))

    refusals = [await service.post(RED, key=read), await ask(service, **{"x-api-key": write})]
    for (status, answer), role in zip(refusals, ("read", "write"), strict=True):
        assert (status, answer["error"]["code"]) == (403, "wrong_role")
        assert f"is a {role} key" in answer["error"]["message"]
    assert (await service.post(RED, key=write))[0] == 200
    assert (await ask(service, **{"x-api-key": read}))[0] == 200
    assert (await service.post(RED, key=admin))[0] == 200
    assert (await ask(service, **{"x-api-key": admin}))[0] == 200

    async with service.live(read) as reader, service.live(write) as writer:
        assert (await reader.subscribe(1, {"totals": "click"}))["type"] == "snapshot"
        await reader.send(type="track", events=[RED], ref="r")
        refused = await reader.receive()
        assert (refused["code"], refused["ref"]) == ("wrong_role", "r")
        assert refused["message"] == "This needs a write key."

        refused = await writer.subscribe(1, {"totals": "click"})
        assert (refused["type"], refused["code"]) == ("error", "wrong_role")
        await writer.send(type="track", events=[RED], ref="w")
        assert (await writer.receive())["type"] == "ack"
    assert query(service.database_url, "SELECT count(*) FROM events") == [(3,)]


async def test_projects_never_see_each_other(database_url: str, redis_url: str) -> None:
    """Projects and keys whose names are prefixes of each other's are as strangers: in totals,
    subjects, series, snapshots and updates."""
    found: dict[str, dict[Role, str]] = {}
    for project in ("shop", "shop2", "sho"):
        found[project] = {
            role: await make_key(database_url, project, role, name)
            for role, name in ((Role.WRITE, "web"), (Role.READ, "web2"))
        }
    async with (
        serving(database_url, redis_url, found["shop"]) as service,
        service.live(found["shop"][Role.READ]) as shop,
        service.live(found["shop2"][Role.READ]) as shop2,
        service.live(found["sho"][Role.READ]) as sho,
    ):
        viewers = {"shop": shop, "shop2": shop2, "sho": sho}
        for viewer in viewers.values():
            assert (await viewer.subscribe(1, {"totals": "click"}))["total"] == 0
        for number, project in enumerate(found, 1):
            events = [{"type": "click", "subject": project}] * number
            assert (await service.post(events, key=found[project][Role.WRITE]))[0] == 200

        for number, project in enumerate(found, 1):
            seen = await viewers[project].until_total(number)
            assert seen == {project: number}
            key = found[project][Role.READ]
            assert await service.stats(key, type="click") == {
                "type": "click",
                "total": number,
                "subjects": [{"subject": project, "total": number}],
            }
            for other in found:
                if other != project:
                    assert (await service.stats(key, type="click", subject=other))["total"] == 0
            series = await service.stats(key, type="click", bucket="day")
            assert sum(each["total"] for each in series["series"]) == number
            fresh = await viewers[project].subscribe(2, {"totals": "click"})
            assert fresh["totals"] == {project: number}
            some = await viewers[project].subscribe(3, {"totals": "click", "subjects": list(found)})
            assert some["total"] == number


async def test_a_connection_serves_one_project(service: Service) -> None:
    """A second key of another project is refused; the first goes on working alone."""
    foreign = await make_key(service.database_url, "other", Role.WRITE)
    async with service.live() as viewer:
        await viewer.send(type="auth", key=foreign)
        refused = await viewer.receive()
        assert refused["type"] == "error"
        assert "one project" in refused["message"]

        await viewer.send(type="track", events=[RED], ref=1)
        assert (await viewer.receive())["code"] == "wrong_role"
        assert (await viewer.subscribe(1, {"totals": "click"}))["type"] == "snapshot"


async def test_a_revoked_key_ends_in_every_process(database_url: str, redis_url: str) -> None:
    """Two servers that have just used a key refuse it after it is revoked, and close its
    websockets with 1008; other keys go on. The two delays add up to less than the promised 5 s."""
    assert auth.CACHE_S + connections.RECHECK_S < 5
    mine = await make_keys(database_url)
    doomed = await make_key(database_url, "demo", Role.READ, "doomed")
    async with contextlib.AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(database_url, redis_url, mine))
            for _ in range(2)
        ]
        viewers = [await stack.enter_async_context(each.live(doomed)) for each in services]
        others = [await stack.enter_async_context(each.live()) for each in services]
        for service, viewer in zip(services, viewers, strict=True):
            assert (await ask(service, **{"x-api-key": doomed}))[0] == 200
            await viewer.subscribe(1, {"totals": "click"})

        async with opened(Database(database_url, 1)) as database:
            await keys.revoke(database, "demo", "doomed")

        ends = await asyncio.gather(*(viewer.end() for viewer in viewers))
        for code, messages in ends:
            assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert [each["code"] for each in messages] == ["unknown_key"]
        for service in services:
            # Its answer may have been kept a little before the websocket's was looked up.
            async with asyncio.timeout(20):
                while (await ask(service, **{"x-api-key": doomed}))[0] == 200:
                    pass
            status, answer = await ask(service, **{"x-api-key": doomed})
            assert (status, answer["error"]["code"]) == (401, "unknown_key")
            async with service.http.get("/v1/live", headers={"x-api-key": doomed}) as response:
                assert response.status == 401
        for other in others:
            assert (await other.subscribe(1, {"totals": "click"}))["type"] == "snapshot"


async def test_any_key_of_a_connection_can_end_it(service: Service) -> None:
    """A page reads and tracks over one websocket: it is closed when its second key is revoked."""
    async with service.live() as viewer:
        await viewer.send(type="auth", key=service.keys[Role.WRITE])
        assert (await viewer.receive())["type"] == "ready"
        async with opened(Database(service.database_url, 1)) as database:
            await keys.revoke(database, "demo", "write")
        code, (error,) = await viewer.end()
    assert (code, error["code"]) == (1008, "unknown_key")


async def test_all_viewers_of_a_revoked_key_are_closed(service: Service) -> None:
    """However many pages a leaked key was in: nobody reads on because others are closed first."""
    async with contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(service.live()) for _ in range(100)]
        async with opened(Database(service.database_url, 1)) as database:
            await keys.revoke(database, "demo", "read")
        async with asyncio.timeout(20):  # 5 are promised, one a second would be 100
            ends = await asyncio.gather(*(viewer.end() for viewer in viewers))
    assert {code for code, _ in ends} == {1008}


async def test_a_key_that_was_just_made_works_soon(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was unknown a moment ago isn't refused for long once it exists."""
    monkeypatch.setattr(auth, "UNKNOWN_CACHE_S", 0.1)
    text = f"lt_read_{'x' * 43}"
    assert (await ask(service, **{"x-api-key": text}))[0] == 401
    query(
        service.database_url,
        "INSERT INTO keys (project, name, role, hash) VALUES (1, 'late', 'read', %s)",
        auth.hash_key(text),
    )
    async with asyncio.timeout(20):
        while (await ask(service, **{"x-api-key": text}))[0] == 401:
            pass


async def test_a_write_key_is_bound_to_its_origins(service: Service) -> None:
    """A key that is bound to origins works from exactly these, over HTTP and the websocket; one
    that isn't works from anywhere."""
    bound = await make_key(
        service.database_url,
        "demo",
        Role.WRITE,
        "page",
        origins=("https://shop.example", "http://localhost:5173"),
    )
    expected = {
        "https://shop.example": 200,
        "http://localhost:5173": 200,
        "http://shop.example": 403,
        "https://shop.example.evil.test": 403,
        "https://evil.test": 403,
        "https://shop.example:8443": 403,
        "null": 403,
        None: 403,
    }
    for origin, status in expected.items():
        headers = {} if origin is None else {"origin": origin}
        answered, answer = await service.post(RED, key=bound, **headers)
        assert answered == status, origin
        if status == 403:
            assert answer["error"]["code"] == "foreign_origin"

        # Before the handshake, where the key comes with the request.
        asked = {**headers, "x-api-key": bound}
        if status == 200:
            async with service.http.ws_connect("/v1/live", headers=asked) as socket:
                assert (await socket.receive_json())["type"] == "ready"
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await service.http.ws_connect("/v1/live", headers=asked)
            assert refused.value.status == 403

        # And after it.
        async with service.http.ws_connect("/v1/live", headers=headers) as socket:
            viewer = Live(socket)
            await viewer.send(type="auth", key=bound)
            if status == 200:
                assert (await viewer.receive())["type"] == "ready"
            else:
                code, messages = await viewer.end()
                assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
                assert [each["code"] for each in messages] == ["foreign_origin"]
    assert (await service.post(RED, origin="https://evil.test"))[0] == 200


def everything_in(database_url: str) -> str:
    """All rows of all tables, and what the sessions are saying, as one text."""
    tables = query(
        database_url,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname = 'public'",
    )
    rows = [
        row for (name,) in tables for row in query(database_url, f"SELECT t::text FROM {name} t")
    ]
    return str(rows + query(database_url, "SELECT query FROM pg_stat_activity"))


async def test_only_hashes_of_keys_are_stored(service: Service) -> None:
    """No row of any table holds a key, or a part of one, after the keys were made and used."""
    for role, key in service.keys.items():
        await service.post(RED, key=key)
        await ask(service, **{"x-api-key": key})
        text = everything_in(service.database_url)
        secret = key.removeprefix(f"lt_{role}_")
        assert auth.hash_key(key).hex() in text
        assert key not in text
        assert secret not in text
        assert secret[:16] not in text
        assert key.encode().hex() not in text


class CountedDatabase(Database):
    """The real one, counting what it is asked."""

    asked = 0

    async def rows(self, name: str, *values: object) -> Any:
        self.asked += 1
        return await super().rows(name, *values)


async def test_a_key_is_looked_up_once_however_many_ask(database_url: str) -> None:
    """Requests that come together with one key share a look-up, and those after it need none; one
    that goes away doesn't take the others with it."""
    key = await make_key(database_url, "demo", Role.READ)
    async with opened(CountedDatabase(database_url, 4)) as database:
        finder = Auth(database)
        tasks = [asyncio.create_task(finder.find(key, None)) for _ in range(50)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        again = await finder.find(key, None)

    assert [task.cancelled() for task in tasks] == [True] + [False] * 49
    assert {each.name for each in [again, *(task.result() for task in tasks[1:])]} == {"read"}
    assert database.asked == 1


async def test_unknown_keys_do_not_fill_the_memory(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who tries keys makes the cache no larger than its bound, and drives no key out."""
    monkeypatch.setattr(auth, "UNKNOWN_CACHE_SIZE", 10)
    key = await make_key(database_url, "demo", Role.READ)
    async with opened(Database(database_url, 4)) as database:
        finder = Auth(database)
        await finder.find(key, None)
        for number in range(30):
            with pytest.raises(UnknownKey):
                await finder.find(f"guess {number}", None)

    assert len(finder._unknown) == 10
    assert len(finder._cache) == 1
    assert not finder._lookups
