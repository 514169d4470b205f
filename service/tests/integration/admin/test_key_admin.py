"""The admin API for projects and keys: made, listed, used, revoked, and what it refuses."""

import asyncio
import time
from typing import Any
from urllib.parse import quote

from livetally.schema.keys import Role
from livetally.web.auth import hash_key
from service.tests.support.postgres import query
from service.tests.support.server import Service

KEYS = "/admin/v1/keys"
PROJECTS = "/admin/v1/projects"
RED = {"type": "click", "subject": "red"}


async def ask(
    service: Service, method: str, path: str, body: Any = None, role: Role = Role.ADMIN
) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[role]}
    async with service.http.request(method, path, headers=headers, json=body) as response:
        return response.status, await response.json()


async def test_a_key_is_shown_once_and_ends_everywhere(service: Service) -> None:
    """A key that is made counts at once from its origins only; no list ever has it or its hash;
    revoked, it is refused within 5 s, and its name is free again."""
    shop = {
        "project": "shop",
        "role": "write",
        "name": "päges / 1",
        "origins": ["https://shop.example"],
        "rate": 50,
    }
    status, made = await ask(service, "POST", KEYS, shop)
    assert status == 201
    key = made["key"]
    assert (await service.post(RED, key=key, origin="https://shop.example"))[0] == 200
    assert (await service.post(RED, key=key))[0] == 403

    _, listed = await ask(service, "GET", KEYS + "?project=shop")
    (row,) = listed["keys"]
    assert {name: row[name] for name in shop} == shop
    assert key not in str(listed)
    assert hash_key(key).hex() not in str(listed)
    assert (await ask(service, "POST", KEYS, shop))[0] == 409

    path = f"{KEYS}/shop/{quote(shop['name'], safe='')}"
    assert await ask(service, "DELETE", path) == (200, {"project": "shop", "name": "päges / 1"})
    deadline = time.monotonic() + 5
    while (await service.post(RED, key=key, origin="https://shop.example"))[0] != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert (await ask(service, "DELETE", path))[0] == 404
    assert (await ask(service, "POST", KEYS, shop))[0] == 201


async def test_who_asks_can_not_lock_themselves_out(service: Service) -> None:
    """The key that asks is not ended by itself."""
    (name,) = query(service.database_url, "SELECT name FROM keys WHERE role = 'admin'")[0]
    status, answer = await ask(service, "DELETE", f"{KEYS}/demo/{name}")
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert (await ask(service, "GET", KEYS))[0] == 200


async def test_lists_come_in_pages(service: Service) -> None:
    """Any number of projects and keys is read a page at a time, each once."""
    for name in ("b", "a", "c"):
        assert await ask(service, "POST", PROJECTS, {"name": name}) == (201, {"name": name})
    assert (await ask(service, "POST", PROJECTS, {"name": "a"}))[0] == 409
    names, after = [], ""
    while after is not None:
        _, page = await ask(service, "GET", f"{PROJECTS}?limit=2&after={after}")
        names += [(each["name"], each["keys"]) for each in page["projects"]]
        after = page["next"]
    assert names == [("a", 0), ("b", 0), ("c", 0), ("demo", len(service.keys))]

    ids, before = [], ""
    while before is not None:
        _, page = await ask(service, "GET", f"{KEYS}?limit=1{before and f'&before={before}'}")
        ids += [each["id"] for each in page["keys"]]
        before = page["next"]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(service.keys)


HOSTILE: list[tuple[Any, int]] = [
    ({"project": "Shop", "role": "read", "name": "x"}, 422),
    ({"project": "x" * 100_000, "role": "read", "name": "x"}, 422),
    ({"project": "shop", "role": "root", "name": "x"}, 422),
    ({"project": "shop", "role": "read", "name": ""}, 422),
    ({"project": "shop", "role": "read", "name": "a\0b"}, 422),
    ({"project": "shop", "role": "read", "name": "x", "hash": "00"}, 422),
    ({"project": "shop", "role": "read", "name": "x", "rate": 0}, 422),
    ({"project": "shop", "role": "read", "name": "x", "rate": 1.5}, 422),
    ({"project": "shop", "role": "read", "name": "x", "origins": ["https://a.example"]}, 422),
    ({"project": "shop", "role": "write", "name": "x", "origins": ["*"]}, 422),
    ({"project": "shop", "role": "write", "name": "x", "origins": ["https://a"] * 51}, 422),
    ([], 422),
    (b"{", 400),
    (b"\xff", 400),
    (b"[" * 100_000, 400),
]


async def test_hostile_keys_are_refused(service: Service) -> None:
    """What makes no sense is refused in our form, briefly, and makes nothing."""
    headers = {"x-api-key": service.keys[Role.ADMIN], "content-type": "application/json"}
    for body, status in HOSTILE:
        options: Any = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with service.http.post(KEYS, headers=headers, **options) as response:
            answer = await response.json()
            assert response.status == status, body
        assert answer["error"].keys() == {"code", "message"}
        assert len(answer["error"]["message"]) < 500
    assert query(service.database_url, "SELECT name FROM projects") == [("demo",)]


async def test_only_admin_keys_may(service: Service) -> None:
    """Every other role is refused before its request is looked at."""
    for role in (Role.WRITE, Role.READ, Role.READ_WRITE):
        for method, path in (
            ("GET", PROJECTS),
            ("POST", PROJECTS),
            ("GET", KEYS),
            ("POST", KEYS),
            ("DELETE", f"{KEYS}/demo/write"),
        ):
            assert (await ask(service, method, path, role=role))[0] == 403, (method, path)
