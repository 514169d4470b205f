"""The one key of an older system's client: it sends, asks and watches, in its own project only."""

import base64
from typing import Any

import pytest

from livetally.base.config import Config
from livetally.base.errors import Unprocessable
from livetally.schema.keys import Role
from livetally.server.app import create_app
from service.tests.support.clients.compat import opened, other_project
from service.tests.support.postgres import make_key
from service.tests.support.server import Service

RED = {"type": "click", "subject": "red"}
CABLE = "/v1/events/cable?api_key="
CLICKS = '{"channel":"ClicksChannel"}'


@pytest.fixture
def key(service: Service) -> str:
    return service.keys[Role.READ_WRITE]


def basic(user: str, password: str) -> dict[str, str]:
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {login}"}


async def ask(
    service: Service, method: str, path: str, key: str, body: object = None
) -> tuple[int, Any]:
    async with service.http.request(
        method, path, json=body, headers={"x-api-key": key}
    ) as response:
        return response.status, await response.json() if response.status != 204 else None


async def test_it_sends_and_asks_over_http(service: Service, key: str) -> None:
    """Events, totals, items, page views: whatever a write or a read key is for."""
    for method, path, body in (
        ("POST", "/v1/events", RED),
        ("GET", "/v1/stats?type=click", None),
        ("PUT", "/v1/items/vehicle-id/3", {"lat": 41.4}),
        ("GET", "/v1/items/vehicle-id/3", None),
        ("GET", "/v1/items/vehicle-id", None),
        ("DELETE", "/v1/items/vehicle-id/3", None),
        ("GET", "/v1/pages", None),
    ):
        assert (await ask(service, method, path, key, body))[0] == 200, (method, path)
    assert (await service.stats(key, type="click"))["total"] == 1


async def test_it_tracks_and_watches_on_one_socket(service: Service, key: str) -> None:
    """Each kind of topic, and `track`; as server-sent events too."""
    async with service.live(key) as live:
        for id, topic in enumerate(
            ({"totals": "click"}, {"feed": "click"}, {"item": ["vehicle-id", "3"]}), 1
        ):
            assert (await live.subscribe(id, topic))["type"] in ("snapshot", "events")
        await live.send(type="track", events=[RED], ref="a")
        said = [await live.receive() for _ in range(3)]
    assert {message["type"] for message in said} == {"ack", "update", "events"}
    path = f"/v1/live/sse?totals=click&api_key={key}"
    async with service.http.get(path) as response:
        assert response.status == 200


async def test_it_is_all_that_a_client_of_an_older_system_has(service: Service, key: str) -> None:
    """Each of the five formats writes with it, reads with it, and watches with it."""
    await ask(service, "POST", "/v1/events", key, {"action": "click", "color": "red"})
    assert (await ask(service, "GET", "/v1/stats?action=click", key))[0] == 200
    async with opened(service, "/ws") as colours:
        await colours.send({"action": "add_api_key", "api_key": key})
        lists = [await colours.receive() for _ in range(2)]
    clicks = [{"action": "click", "color": "red", "count": 1}]
    assert {"stats": clicks, "event_type": "click"} in lists

    rails = {"action_color": {"action_name": "click", "color_name": "red"}}
    assert await ask(service, "POST", "/v1/events", key, rails) == (204, None)
    assert (await ask(service, "GET", "/v1/events", key))[0] == 200
    async with opened(service, CABLE + key) as cable:
        await cable.send({"command": "subscribe", "identifier": CLICKS})
        result = {"action": "click", "color": "red", "amount": 2}
        await cable.until({"identifier": CLICKS, "message": {"results": [result]}})

    async with opened(service, f"/ws?api_key={key}") as page:
        await page.send({"message": "views", "articleId": "a1"})
        assert await page.receive() == {"articleId": "a1", "uniqueViews": 1, "totalViews": 1}

    await ask(service, "PUT", "/v1/items/vehicle-id/3", key, {"on": True})
    async with opened(service, f"/ws?vehicle-id=3&api_key={key}") as items:
        assert await items.receive() == {"vehicle-id": {"S": "3"}, "on": {"BOOL": True}}

    login = basic("demo", key)
    click = {"session_id": "s", "button_id": "buy"}
    async with service.http.post("/button/click", json=click, headers=login) as response:
        assert response.status == 200
    async with service.http.get("/button/click/count?button_id=buy", headers=login) as response:
        assert await response.json() == {"count": 1}


async def test_it_sees_nothing_of_another_project(service: Service, key: str) -> None:
    """What the other project has is not there for it, in any format; nor does it add to it."""
    other = await other_project(service, "other")
    theirs = other[Role.WRITE]
    await service.post([RED, {"type": "button_click", "subject": "buy"}], key=theirs)
    await ask(service, "PUT", "/v1/items/vehicle-id/3", theirs, {"lat": 1})

    assert (await service.stats(key, type="click"))["total"] == 0
    assert (await ask(service, "GET", "/v1/stats?action=click", key))[1] == {"stats": []}
    assert (await ask(service, "GET", "/v1/events", key))[1] == {"results": []}
    assert (await ask(service, "GET", "/v1/items/vehicle-id/3", key))[0] == 404
    login = basic("other", key)
    async with service.http.get("/button/click/count?button_id=buy", headers=login) as response:
        assert response.status == 403
    async with opened(service, "/ws") as colours:
        await colours.send({"action": "add_api_key", "api_key": key})
        assert [(await colours.receive())["stats"] for _ in range(2)] == [[], []]
        await service.post(RED, key=theirs)
        await service.post({**RED, "subject": "blue"}, key=key)
        pushed = await colours.receive()  # its own change is the first that it hears of
        assert [each["color"] for each in pushed["stats"]] == ["blue"]
    assert (await service.stats(other[Role.READ], type="click"))["total"] == 2


async def test_it_administers_nothing(service: Service, key: str, database_url: str) -> None:
    """Every route under /admin/v1, whatever it will be, and /v1/verify: 403."""
    app = create_app(Config(database_url=database_url, redis_url="redis://localhost"))
    routes = [
        (route.method, route.resource.url_for(**_any(route.resource)))
        for route in app.router.routes()
        if route.resource and route.resource.canonical.startswith(("/admin/v1/", "/v1/verify"))
        if route.method != "HEAD"
    ]
    assert len(routes) >= 2
    for method, url in routes:
        status, answer = await ask(service, method, str(url), key)
        assert (status, answer["error"]["code"]) == (403, "wrong_role"), (method, url)


def _any(resource: Any) -> dict[str, str]:
    """Something for each variable part of its path."""
    pattern = resource.get_info().get("pattern")
    return dict.fromkeys(pattern.groupindex, "1") if pattern else {}


async def test_it_is_never_found_by_an_origin(service: Service) -> None:
    """Only write keys are bound to origins: what asks for no key can't read."""
    origins = ("https://blog.example",)
    with pytest.raises(Unprocessable):
        await make_key(service.database_url, "demo", Role.READ_WRITE, "page", origins)
