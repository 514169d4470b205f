"""Clients of the older systems change host and key, and nothing else: content types, stages of the
gateway, the order of colors, and keys that can't be edited in every page."""

import asyncio
import json
import logging
from base64 import b64encode
from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.clients.compat import opened
from service.tests.support.postgres import totals_in
from service.tests.support.server import Service

STAGES = ("dev", "develop", "stage", "staging", "prod", "production", "local")
#: What pages, proxies and libraries say of a JSON body, or don't.
TYPES = (
    "application/x-www-form-urlencoded; charset=UTF-8",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/plain; charset=utf8",
    "application/json; charset=UTF_8",
    "application/json; charset=latin-1",
    "application/xml",
    "multipart/form-data; boundary=x",
    "nonsense",
    "",
)
COLOR = '{ "action" : "hover", "color" : "red" }'
RAILS = '{"action_color":{"action_name":"hover","color_name":"red"}}'
CLICK = '{"session_id":"s","button_id":"buy"}'
CABLE = {"protocols": ["actioncable-v1-json"]}


def headers(service: Service, path: str) -> dict[str, str]:
    key = service.keys[Role.READ_WRITE]
    if "button" in path or "page_view" in path:
        return {"Authorization": f"Basic {b64encode(f'demo:{key}'.encode()).decode()}"}
    return {"Authorization": key}


async def call(
    service: Service, method: str, path: str, body: str | None = None, kind: str = ""
) -> tuple[int, Any]:
    head = headers(service, path) | ({"content-type": kind} if kind else {})
    async with service.http.request(
        method, path, data=body and body.encode(), headers=head, skip_auto_headers=["Content-Type"]
    ) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


@pytest.mark.parametrize("kind", TYPES)
async def test_json_is_taken_under_any_content_type(service: Service, kind: str) -> None:
    """The older systems never looked at it; each body counts."""
    for path, body, status in (
        ("/v1/events", COLOR, 200),
        ("/v1/events", RAILS, 204),
        ("/v2/events", RAILS, 204),
        ("/v3/events", RAILS, 204),
        ("/button/click", CLICK, 200),
        ("/web/page_view", '{"session_id":"s","url":"https://shop.example/"}', 200),
    ):
        assert (await call(service, "POST", path, body, kind))[0] == status, (path, kind)
    assert totals_in(service.database_url, "hover")["red"] == 4
    assert totals_in(service.database_url, "button_click")["buy"] == 1
    assert totals_in(service.database_url, "page_view")["https://shop.example/"] == 1


async def test_native_json_in_a_form_stays_rejected(service: Service) -> None:
    """`curl -d` without a content type is told what is missing, and nothing is counted."""
    form = "application/x-www-form-urlencoded"
    status, answer = await call(
        service, "POST", "/v1/events", '{"type":"click","subject":"red"}', form
    )
    assert (status, answer["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("stage", STAGES)
async def test_a_stage_may_stand_before_every_older_route(service: Service, stage: str) -> None:
    """As behind the gateway that they had: every path that is there without is there with it."""
    assert (await call(service, "POST", f"/{stage}/v1/events", COLOR))[0] == 200
    assert (await call(service, "POST", f"/{stage}/v2/events", RAILS))[0] == 204
    assert (await call(service, "POST", f"/{stage}/button/click", CLICK))[0] == 200
    for path, answer in (
        ("v1/stats?action=hover", {"stats": [{"action": "hover", "color": "red", "count": 2}]}),
        (
            "v1/events?action_name=hover",
            {"results": [{"action": "hover", "color": "red", "amount": 2}]},
        ),
        ("button/click/count?button_id=buy", {"count": 1}),
        ("web/page_view/count?url=x", {"count": 0}),
        ("", {"message": "Hello World"}),
    ):
        assert await call(service, "GET", f"/{stage}/{path}") == (200, answer)
    assert (await call(service, "POST", f"/{stage}/v3/events/", RAILS))[0] == 204
    assert await call(service, "GET", f"/{stage}") == (200, {"message": "Hello World"})
    assert (await call(service, "GET", "/elsewhere/v1/stats?action=hover"))[0] == 404


async def test_a_slash_at_the_end_changes_nothing(service: Service) -> None:
    """As for the routers that the older systems had."""
    for path, body, status in (
        ("/v1/events/", COLOR, 200),
        ("/v1/events/", RAILS, 204),
        ("/v3/events/", RAILS, 204),
        ("/button/click/", CLICK, 200),
    ):
        assert (await call(service, "POST", path, body))[0] == status, path
    assert (await call(service, "GET", "/v1/stats/?action=hover"))[1]["stats"][0]["count"] == 3
    assert (await call(service, "GET", "/v2/events/?action_name=hover"))[1]["results"]
    assert await call(service, "GET", "/button/click/count/?button_id=buy") == (200, {"count": 1})
    for path in ("/v1/events/cable/", "/prod/v2/events/cable/"):
        query = f"?api_key={service.keys[Role.READ_WRITE]}"
        async with opened(service, path + query, **CABLE) as socket:
            assert (await socket.receive())["type"] == "welcome"


PARTS = "".join(
    f'--x\r\nContent-Disposition: form-data; name="action_color[{name}]"\r\n\r\n{value}\r\n'
    for name, value in (("action_name", "hover"), ("color_name", "rot ü"))
)
FORMS = (
    ("multipart/form-data; boundary=x", f"{PARTS}--x--\r\n"),
    (
        "Application/X-WWW-Form-Urlencoded;charset=utf8",
        "action_color%5Baction_name%5D=hover&action_color[color_name]=rot+%C3%BC&utf8=%E2%9C%93",
    ),
)


@pytest.mark.parametrize(("kind", "body"), FORMS)
async def test_forms_are_taken_as_rails_takes_them(service: Service, kind: str, body: str) -> None:
    """Also a FormData, as `fetch` sends it."""
    for path in ("/v1/events", "/v2/events", "/dev/v3/events"):
        assert (await call(service, "POST", path, body, kind))[0] == 204
        assert (await call(service, "POST", path, body[:20], kind))[0] == 400
    assert totals_in(service.database_url, "hover")["rot ü"] == 3


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/ws/", "/dev", "/prod/", "/develop/ws", "/local/ws/"]
)
async def test_a_websocket_is_the_same_at_each_of_these(service: Service, path: str) -> None:
    """Color tracking, page views and items."""
    key = service.keys[Role.READ_WRITE]
    async with opened(service, path) as socket:
        await socket.send({"action": "add_api_key", "api_key": key})
        assert (await socket.receive())["event_type"] == "hover"
    async with opened(service, f"{path}?api_key={key}") as socket:
        await socket.send({"message": "views", "articleId": "a1"})
        assert (await socket.receive())["articleId"] == "a1"
    put = service.http.put("/v1/items/vehicle-id/3", json={"lat": 1}, headers={"x-api-key": key})
    assert (await put).status == 200
    async with opened(service, f"{path}?vehicle-id=3&api_key={key}") as socket:
        assert await socket.receive() == {"vehicle-id": {"S": "3"}, "lat": {"N": "1"}}


async def some_of_each(service: Service) -> None:
    """Five colors, by their names in another order than the pages'; and what is no color."""
    events = [
        {"type": type_, "subject": subject}
        for type_, subjects in (
            ("click", ["azure", "blue", "green", "red", "yellow", "crimson"]),
            ("hover", ["red", "red"]),
            ("page_view", ["/"]),
        )
        for subject in subjects
    ]
    assert (await service.post(events))[0] == 200


async def test_the_four_colors_come_first_in_each_pages_order(service: Service) -> None:
    """Pages fill their slices by place: a fifth color must not move the first four."""
    await some_of_each(service)
    _, stats = await call(service, "GET", "/v1/stats?action=click")
    assert [each["color"] for each in stats["stats"]] == [
        *("green", "red", "blue", "yellow", "azure", "crimson")
    ]
    rails = ["blue", "green", "red", "yellow", "azure", "crimson"]
    _, found = await call(service, "GET", "/v1/events?action_name=click")
    assert [each["color"] for each in found["results"]] == rails
    key = service.keys[Role.READ_WRITE]
    async with opened(service, f"/v1/events/cable?api_key={key}", **CABLE) as socket:
        await socket.send({"command": "subscribe", "identifier": '{"channel":"ClicksChannel"}'})
        async with asyncio.timeout(20):
            while "message" not in (told := await socket.receive()) or told.get("type") == "ping":
                pass
    assert [each["color"] for each in told["message"]["results"]] == rails


async def test_without_an_action_clicks_and_hovers_are_added(service: Service) -> None:
    """Each color's total over both, named by the action it has most of; nothing else is a color."""
    await some_of_each(service)
    status, found = await call(service, "GET", "/v1/events")
    assert status == 200
    assert found["results"] == [
        {"action": "click", "color": "blue", "amount": 1},
        {"action": "click", "color": "green", "amount": 1},
        {"action": "hover", "color": "red", "amount": 3},
        {"action": "click", "color": "yellow", "amount": 1},
        {"action": "click", "color": "azure", "amount": 1},
        {"action": "click", "color": "crimson", "amount": 1},
    ]


async def test_cable_ready_by_the_address(service: Service) -> None:
    """All that `createConsumer(URL)` lets a page say; also behind a stage."""
    key = service.keys[Role.READ_WRITE]
    path = f"/prod/v1/events/cable?api_key={key}&cable_ready=true"
    async with opened(service, path, **CABLE) as socket:
        await socket.send({"command": "subscribe", "identifier": '{"channel":"ClicksChannel"}'})
        async with asyncio.timeout(20):
            while "operations" not in str(told := await socket.receive()):
                pass
    assert told["message"]["operations"]["consoleLog"][0]["message"] == {"results": []}


OWN = "testing/of-a-page-1"


async def made(service: Service, **fields: Any) -> tuple[int, Any]:
    body = {"project": "demo", "role": "read_write", "name": "old page", **fields}
    headers = {"x-api-key": service.keys[Role.ADMIN]}
    async with service.http.post("/admin/v1/keys", json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_a_key_can_be_brought_along(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that pages hold already does what one of ours does; it is in no log, and in the answer
    that makes it only."""
    caplog.set_level(logging.DEBUG)
    status, answer = await made(service, key=OWN)
    assert (status, answer["key"]) == (201, OWN)
    async with service.http.post(
        "/dev/v1/events", data=COLOR, headers={"Authorization": OWN}
    ) as response:
        assert response.status == 200
    async with service.http.get(
        "/admin/v1/keys", headers={"x-api-key": service.keys[Role.ADMIN]}
    ) as response:
        assert OWN not in await response.text()
    assert OWN not in caplog.text


async def test_a_key_of_ones_own_is_not_weak_and_nobody_elses(service: Service) -> None:
    """Short ones only by request; never one that is in use, or was, in whatever project."""
    assert (await made(service, key="0"))[0] == 422
    assert (await made(service, key="x" * 15))[0] == 422
    assert (await made(service, key="0", weak=True))[0] == 201
    for key in ("", "with space in it", "umlaut-\u00e4\u00f6\u00fc-in-it", "x" * 257, "a\tb" * 9):
        assert (await made(service, key=key, name="bad", weak=True))[0] == 422, key
    assert (await made(service, key=OWN, name="mine"))[0] == 201
    for project in ("demo", "another"):
        status, answer = await made(service, project=project, key=OWN, name="again")
        assert (status, answer["error"]["code"]) == (409, "conflict")
        assert OWN not in answer["error"]["message"]
    async with service.http.delete(
        "/admin/v1/keys/demo/mine", headers={"x-api-key": service.keys[Role.ADMIN]}
    ) as response:
        assert response.status == 200
    assert (await made(service, project="another", key=OWN, name="again"))[0] == 409
