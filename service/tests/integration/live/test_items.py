"""Items: durable, versioned, pushed; written through the API or by plain SQL."""

import asyncio
from typing import Any

import pytest

from livetally.live.topics import items as items_topic
from livetally.schema.keys import Role
from service.tests.support.clients.items import delete, get, put
from service.tests.support.postgres import make_keys, query
from service.tests.support.server import Live, Service, serving


async def until_item(live: Live, id: str, version: int) -> dict[str, Any]:
    """Follow until this version of an item (or a later one) has come, never going back."""
    last = 0
    while True:
        message = await live.receive()
        for item in message.get("items", []):
            if item["id"] == id:
                assert item["version"] >= last
                last = item["version"]
                if last >= version:
                    return item


async def test_an_item_is_kept_with_its_version(service: Service) -> None:
    """What is put comes back with a version that every change raises by one, past a removal too."""
    assert (await put(service, "vehicle-id/3", {"lat": 41.40}))[1]["version"] == 1
    assert (await put(service, "vehicle-id/3", {"lat": 41.5}))[1]["version"] == 2
    status, item = await get(service, "vehicle-id/3")
    assert (status, item["value"], item["version"]) == (200, {"lat": 41.5}, 2)

    assert (await delete(service, "vehicle-id/3"))[0] == 200
    assert (await get(service, "vehicle-id/3"))[0] == 404
    assert (await delete(service, "vehicle-id/3"))[0] == 404
    assert (await put(service, "vehicle-id/3", 1))[1]["version"] == 4


async def test_a_stale_writer_is_told(service: Service) -> None:
    """`If-Match` and `If-None-Match` store nothing when somebody else was faster: 409."""
    assert (await put(service, "van/1", 1, **{"If-None-Match": "*"}))[0] == 200
    assert (await put(service, "van/1", 2, **{"If-None-Match": "*"}))[0] == 409
    assert (await put(service, "van/1", 2, **{"If-Match": '"1"'}))[0] == 200
    status, answer = await put(service, "van/1", 3, **{"If-Match": "1"})
    assert (status, answer["error"]["code"]) == (409, "version_conflict")
    assert (await put(service, "van/2", 3, **{"If-Match": "1"}))[0] == 409
    assert (await delete(service, "van/1", **{"If-Match": "1"}))[0] == 409
    assert (await get(service, "van/1"))[1]["value"] == 2
    assert (await put(service, "van/1", 3, **{"If-Match": "soon"}))[0] == 400


async def test_only_one_of_many_at_once_wins(service: Service) -> None:
    """Of twenty writers that expect the same version exactly one is stored."""
    await put(service, "van/1", 0)
    answers = await asyncio.gather(
        *(put(service, "van/1", i, **{"If-Match": "1"}) for i in range(20))
    )
    created = await asyncio.gather(
        *(put(service, "van/9", i, **{"If-None-Match": "*"}) for i in range(20))
    )
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    assert sorted(status for status, _ in created) == [200] + [409] * 19
    assert (await get(service, "van/1"))[1]["version"] == 2


async def test_a_batch_is_stored_whole_or_not_at_all(service: Service) -> None:
    """One stale item keeps all others of its batch out."""
    status, answer = await put(service, "van", [{"id": f"{i}", "value": i} for i in range(1000)])
    assert (status, len(answer["items"])) == (200, 1000)
    batch = [{"id": "new", "value": 1}, {"id": "7", "value": 8, "version": 2}]
    assert (await put(service, "van", batch))[0] == 409
    assert (await get(service, "van/new"))[0] == 404
    batch[1]["version"] = 1
    assert (await put(service, "van", batch))[0] == 200
    assert (await get(service, "van/7"))[1]["value"] == 8


async def test_a_list_comes_in_pages(service: Service) -> None:
    """Every item is on exactly one page; removed ones on none."""
    await put(service, "van", [{"id": f"{i:03}", "value": i} for i in range(250)])
    await delete(service, "van/100")
    ids: list[str] = []
    after: str | None = ""
    while after is not None:
        _, page = await get(service, f"van?limit=99&after={after}")
        ids += [item["id"] for item in page["items"]]
        after = page["next"]
    assert ids == [f"{i:03}" for i in range(250) if i != 100]
    assert (await get(service, "van?limit=0"))[0] == 400


async def test_a_viewer_gets_the_value_then_every_change(service: Service) -> None:
    """One item and a whole key can be watched; a removal is announced."""
    await put(service, "van/1", {"at": 1})
    async with service.live() as live:
        one = await live.subscribe("one", {"item": ["van", "1"]})
        all_ = await live.subscribe("all", {"items": "van"})
        for snapshot in (one, all_):
            assert snapshot["type"] == "snapshot"
            assert [(i["id"], i["version"], i["value"]) for i in snapshot["items"]] == [
                ("1", 1, {"at": 1})
            ]
        await put(service, "van/1", {"at": 2})
        assert (await until_item(live, "1", 2))["value"] == {"at": 2}
        await delete(service, "van/1")
        assert (await until_item(live, "1", 3))["removed"] is True
        await put(service, "van/2", 5)
        assert (await until_item(live, "2", 1))["value"] == 5


async def test_plain_sql_reaches_viewers_through_every_process(
    database_url: str, redis_url: str
) -> None:
    """Rows that psql writes are versioned and shown by two processes, a DELETE as a removal."""
    keys = await make_keys(database_url)
    async with (
        serving(database_url, redis_url, keys) as one,
        serving(database_url, redis_url, keys) as two,
        one.live() as first,
        two.live() as second,
    ):
        for live in (first, second):
            await live.subscribe(1, {"items": "van"})

        async def shown(version: int) -> list[dict[str, Any]]:
            return [await until_item(live, "x", version) for live in (first, second)]

        async with asyncio.timeout(8):
            insert = (
                "INSERT INTO items (project, key, id, value) VALUES (1, 'van', 'x', '{\"a\":1}')"
            )
            query(database_url, insert)
            assert [item["value"] for item in await shown(1)] == [{"a": 1}] * 2
            query(database_url, "UPDATE items SET value = '2', version = 0 WHERE id = 'x'")
            assert [item["version"] for item in await shown(2)] == [2] * 2
            query(database_url, "DELETE FROM items WHERE id = 'x'")
            assert [item["removed"] for item in await shown(3)] == [True] * 2
            query(
                database_url, insert + " ON CONFLICT (project, key, id) DO UPDATE SET value = '4'"
            )
            assert [item["value"] for item in await shown(4)] == [4] * 2


async def test_a_snapshot_is_all_of_its_pages(service: Service) -> None:
    """A map that opens beside another one that is up to date gets 3,000 vans, page by page, though
    none of them changes."""
    for start in range(0, 3_000, 1_000):
        await put(service, "van", [{"id": f"{start + i:04}", "value": i} for i in range(1_000)])

    async def pages(live: Live) -> list[dict[str, Any]]:
        found = [await live.subscribe(1, {"items": "van"})]
        while found[-1].get("more", True):
            found.append(await live.receive())
        return found

    async with service.live() as first, service.live() as second:
        await pages(first)
        await put(service, "van/0000", "news")
        await until_item(first, "0000", 2)  # all that was new to this process has been told
        found = await pages(second)
    ids = [item["id"] for page in found if "more" in page for item in page["items"]]
    assert ids == [f"{i:04}" for i in range(3_000)]


async def test_a_long_snapshot_loses_no_change(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that change while a snapshot is sent in parts end at their last version."""
    monkeypatch.setattr(items_topic, "PAGE_ITEMS", 10)
    await put(service, "van", [{"id": f"{i:03}", "value": 0} for i in range(300)])
    async with service.live() as live:
        await live.send(type="subscribe", id=1, topic={"items": "van"})

        async def change() -> None:
            for _ in range(3):
                await put(service, "van", [{"id": f"{i:03}", "value": 1} for i in range(0, 300, 7)])

        changing = asyncio.create_task(change())
        versions: dict[str, int] = {}
        expected = {f"{i:03}": 4 if i % 7 == 0 else 1 for i in range(300)}
        while versions != expected:
            for item in (await live.receive()).get("items", []):
                assert item["version"] >= versions.get(item["id"], 0), "it went back"
                versions[item["id"]] = item["version"]
        await changing


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("van/1", b"{", 400),
        ("van/1", b"null", 422),
        ("van/1", b'"' + b"x" * (64 * 1024 - 1) + b'"', 422),
        ("van/1", b'"' + b"x" * (64 * 1024 - 2) + b'"', 200),
        ("van/1", b'{"a":1,"a":2}', 422),
        ("van/1", b'"\\u0000"', 422),
        ("van/1", b"1e999", 422),
        ("van/1", b"[" * 40 + b"]" * 40, 422),
        ("va/1", b"1", 400),
        ("1van/1", b"1", 400),
        ("van/" + "x" * 129, b"1", 400),
        ("van/a%00b", b"1", 400),
        ("van", b"[]", 422),
        ("van", b'[{"id":"a","value":1},{"id":"a","value":2}]', 422),
        ("van", b'[{"id":"a"}]', 422),
        ("van", b'[{"id":"a","value":1,"version":9223372036854775808}]', 422),
        ("van", b'{"id":"a","value":1}', 422),
    ],
)
async def test_bad_items_are_refused(service: Service, path: str, body: bytes, status: int) -> None:
    """Each bad key, id and value gets its status and a message."""
    got, answer = await put(service, path, body)
    assert got == status, answer
    assert status == 200 or answer["error"]["message"]


@pytest.mark.parametrize(
    "id", ["a b", "ä/ö", "%2F", "🚐", "a%", "<b>", "'; DROP TABLE items", ".x"]
)
async def test_ids_may_hold_odd_characters(service: Service, id: str) -> None:
    """An id is the same id in a path, a list, a batch and a topic."""
    from urllib.parse import quote

    from yarl import URL

    headers = {"x-api-key": service.keys[Role.WRITE]}
    url = URL(f"{service.url}/v1/items/van/{quote(id, safe='')}", encoded=True)
    async with service.http.put(url, json=1, headers=headers) as response:
        assert (response.status, (await response.json())["id"]) == (200, id)
    assert [item["id"] for item in (await get(service, "van"))[1]["items"]] == [id]
    async with service.live() as live:
        snapshot = await live.subscribe(1, {"item": ["van", id]})
        assert [item["id"] for item in snapshot["items"]] == [id]


async def test_roles_and_projects_are_kept_apart(service: Service) -> None:
    """A read key can't write, a write key can't read, another project sees nothing."""
    await put(service, "van/1", 1)
    assert (await put(service, "van/1", 2, service.keys[Role.READ]))[0] == 403
    headers = {"x-api-key": service.keys[Role.WRITE]}
    async with service.http.get("/v1/items/van/1", headers=headers) as response:
        assert response.status == 403
    other = await make_keys(service.database_url, "other")
    headers = {"x-api-key": other[Role.READ]}
    async with service.http.get("/v1/items/van/1", headers=headers) as response:
        assert response.status == 404
    async with service.live(other[Role.READ]) as live:
        assert (await live.subscribe(1, {"items": "van"}))["items"] == []
