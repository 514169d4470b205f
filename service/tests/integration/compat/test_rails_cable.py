"""Format 2: colour tracking with Rails, over HTTP and ActionCable, line by line."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from livetally.base.config import MAX_SUBSCRIPTIONS
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.clients.compat import (
    NO_NAMES,
    ORIGIN,
    Socket,
    commits_held,
    opened,
    other_project,
    until_a_commit_waits,
)
from service.tests.support.clients.node import needs_node, running
from service.tests.support.postgres import make_keys, totals_in, unreachable
from service.tests.support.process import Process
from service.tests.support.server import Service, serving

CABLE = "/v1/events/cable"
CLICKS = '{"channel":"ClicksChannel"}'
HOVERS = '{"channel":"HoversChannel"}'
RED_HOVER = {"action_color": {"action_name": "hover", "color_name": "red"}}
RED_CLICK = {"action_color": {"action_name": "click", "color_name": "red"}}
PATHS = ("/v1/events", "/v2/events", "/v3/events")


async def post(
    service: Service,
    body: object = RED_CLICK,
    path: str = "/v1/events",
    key: str | None = None,
    **headers: str,
) -> tuple[int, Any]:
    """POST JSON, or a form if the body is a text. Returns (status, answer)."""
    head = {"Authorization": f"Token token={key or service.keys[Role.WRITE]}", **headers}
    options: dict[str, Any] = {"json": body}
    if isinstance(body, str):
        options = {"data": body.encode()}
        head["Content-Type"] = "application/x-www-form-urlencoded"
    async with service.http.post(path, headers=head, **options) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json() if response.status != 204 else None


async def get(service: Service, path: str, key: str | None = None) -> tuple[int, str]:
    headers = {"Authorization": f"Token token={key or service.keys[Role.READ]}"}
    async with service.http.get(path, headers=headers) as response:
        return response.status, await response.text()


def cable(service: Service, path: str = CABLE, key: str | None = None) -> Any:
    """A connection with the read key in its address."""
    address = f"{path}?api_key={key or service.keys[Role.READ]}"
    return opened(service, address, protocols=["actioncable-v1-json", "actioncable-unsupported"])


async def receive(socket: Socket) -> Any:
    """The next message that isn't a ping."""
    while (message := await socket.receive()).get("type") == "ping":
        pass
    return message


async def welcomed(socket: Socket) -> Socket:
    assert await socket.receive() == {"type": "welcome"}
    return socket


async def subscribe(socket: Socket, identifier: str = CLICKS) -> Any:
    """Subscribe, and return the message of the first push."""
    await socket.send({"command": "subscribe", "identifier": identifier})
    confirmed = {"identifier": identifier, "type": "confirm_subscription"}
    assert await receive(socket) == confirmed
    push = await receive(socket)
    assert push["identifier"] == identifier
    return push["message"]


def results(action: str = "click", **amounts: int) -> dict[str, Any]:
    return {
        "results": [
            {"action": action, "color": color, "amount": amount}
            for color, amount in sorted(amounts.items())
        ]
    }


# HTTP.


@pytest.mark.parametrize(
    "scheme",
    [
        "Token token={}",
        'Token token="{}"',
        'token token="{}", nonce="a,b"',
        "Token {};n=1",
        "Token {}",
        "Bearer {}",
    ],
)
async def test_key_as_token_or_bearer(service: Service, scheme: str) -> None:
    """Key: `Token token=<key>` (also `Token token="<key>"`, `Token <key>`, Bearer), and whatever
    Rails' own client puts after it."""
    headers = {"Authorization": scheme.format(service.keys[Role.WRITE])}
    for path in PATHS:
        async with service.http.post(path, json=RED_HOVER, headers=headers) as response:
            assert response.status == 204
            assert await response.read() == b""


async def test_failure_is_401_bad_credentials(service: Service) -> None:
    """Failure 401, `WWW-Authenticate: Token realm="Application"`, status and message."""
    headers = {"Authorization": "Token token=nobody"}
    for method in ("GET", "POST"):
        for path in PATHS:
            async with service.http.request(method, path, headers=headers) as response:
                answer = await response.json()
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == 'Token realm="Application"'
                assert (answer["status"], answer["message"]) == ("error", "Bad credentials")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        RED_HOVER,
        "action_color[action_name]=hover&action_color[color_name]=red",
        "action_color%5Baction_name%5D=hover&action_color%5Bcolor_name%5D=red&utf8=%E2%9C%93",
        {"action_color": {"color_name": "red"}, "action_name": "hover"},
        "action_name=hover&action_color[color_name]=red",
        {**RED_HOVER, "action_name": "click"},
    ],
    ids=["json", "form", "escaped form", "flat in json", "flat in form", "both"],
)
async def test_post_takes_forms_and_json(service: Service, path: str, body: object) -> None:
    """form-encoded or JSON, `action_name` in it or beside it -> 204."""
    assert await post(service, body, path) == (204, None)
    assert totals_in(service.database_url, "hover") == {"red": 1, "": 1}


async def test_no_action_color_is_400(service: Service) -> None:
    """No `action_color` -> 400, on each path, as JSON and as a form."""
    cases: list[tuple[str, object]] = [("/v1/events", {"action_name": "hover"})]
    cases += [(path, "action_name=hover") for path in PATHS]
    cases += [(path, "") for path in PATHS]
    cases += [(path, body) for path in PATHS[1:] for body in ({}, [], {"color": "red"}, None)]
    for path, body in cases:
        status, answer = await post(service, body, path)
        assert (status, answer["status"]) == (400, "error"), (path, body)
        assert "action_color" in answer["message"]


async def test_unknown_colours_and_actions_are_events(service: Service) -> None:
    """Unknown colours or actions are events like any other."""
    body = "action_color[action_name]=blink&action_color[color_name]=infra%20red%20%E2%82%AC"
    assert await post(service, body) == (204, None)
    assert totals_in(service.database_url, "blink") == {"infra red €": 1, "": 1}


async def test_form_encoded_across_origins(service: Service) -> None:
    """A page elsewhere posts a form: the preflight is answered, success and errors can be read."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for path in (*PATHS, CABLE):
        async with service.http.options(path, headers=asked) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()
    form = "action_color[action_name]=hover&action_color[color_name]=red"
    for path in PATHS:  # `post` looks at the CORS headers
        assert (await post(service, form, path, Origin=ORIGIN))[0] == 204
        assert (await post(service, "", path, Origin=ORIGIN))[0] == 400
        assert (await post(service, form, path, key="nobody", Origin=ORIGIN))[0] == 401


@pytest.mark.parametrize("path", PATHS)
async def test_get_lists_an_actions_results_by_colour(service: Service, path: str) -> None:
    """`?action_name=click` -> `{"results":[…]}` sorted by colour; without it every colour's total
    over clicks and hovers, with its action."""
    for body in (RED_CLICK, RED_HOVER, "action_name=click&action_color[color_name]=blue"):
        await post(service, body)
    assert await get(service, f"{path}?action_name=click") == (
        200,
        (
            '{"results":[{"action":"click","color":"blue","amount":1},'
            '{"action":"click","color":"red","amount":1}]}'
        ),
    )
    assert await get(service, f"{path}?action_name=never") == (200, '{"results":[]}')
    for all_actions in (path, f"{path}?action_name="):
        assert await get(service, all_actions) == (
            200,
            (
                '{"results":[{"action":"click","color":"blue","amount":1},'
                '{"action":"click","color":"red","amount":2}]}'
            ),
        )


# ActionCable.


@pytest.mark.parametrize("path", [CABLE, "/v2/events/cable", "/v3/events/cable"])
async def test_on_open_a_welcome_with_the_subprotocol(service: Service, path: str) -> None:
    """On open `{"type":"welcome"}`, subprotocol `actioncable-v1-json`."""
    async with cable(service, path) as socket:
        assert await socket.text() == '{"type":"welcome"}'
        assert socket.socket.protocol == "actioncable-v1-json"


async def test_every_3_s_a_ping_with_epoch_seconds(service: Service) -> None:
    """Every 3 s `{"type":"ping","message":<epoch seconds>}`, to all connections alike."""
    async with cable(service) as one, cable(service) as other:
        pings = []
        for socket in (await welcomed(one), await welcomed(other)):
            pings += [await socket.receive(), await socket.receive()]
        assert [ping["type"] for ping in pings] == ["ping"] * 4
        first, second, *others = [ping["message"] for ping in pings]
        assert [first, second] == others
        assert second - first in (3, 4)
        assert abs(time.time() - second) < 10


async def test_subscribe_is_confirmed_and_the_identifier_echoed(service: Service) -> None:
    """`confirm_subscription` and the pushes echo the identifier byte for byte; exact bytes."""
    await post(service)
    for written in (
        r'"{\"channel\":\"ClicksChannel\"}"',
        r'"{ \"channel\" : \"\u0043licksChannel\", \"n\": 1.0, \"s\": \"\u00e9é\\/\" }"',
    ):
        async with cable(service) as socket:
            await welcomed(socket)
            await socket.socket.send_str('{"command":"subscribe","identifier":' + written + "}")
            start = '{"identifier":' + written
            assert await socket.text() == start + ',"type":"confirm_subscription"}'
            assert await socket.text() == (
                start + ',"message":{"results":[{"action":"click","color":"red","amount":1}]}}'
            )


async def test_each_channel_gets_its_actions_whole_list(service: Service) -> None:
    """ClicksChannel and HoversChannel: a push after each change, the whole list by colour."""
    async with cable(service) as socket:
        await welcomed(socket)
        assert await subscribe(socket, CLICKS) == results()
        assert await subscribe(socket, HOVERS) == results()
        await post(service)
        assert await receive(socket) == {"identifier": CLICKS, "message": results(red=1)}
        await post(service, RED_HOVER)
        assert await receive(socket) == {"identifier": HOVERS, "message": results("hover", red=1)}
        await post(service, "action_name=click&action_color[color_name]=blue")
        assert await receive(socket) == {"identifier": CLICKS, "message": results(blue=1, red=1)}


async def test_unsubscribe_ends_the_pushes(service: Service) -> None:
    """`unsubscribe` likewise: its channel is silent, the other goes on, and it can come back, any
    number of times."""
    async with cable(service) as socket:
        await welcomed(socket)
        await subscribe(socket, CLICKS)
        await subscribe(socket, HOVERS)
        await socket.send({"command": "unsubscribe", "identifier": CLICKS})
        await post(service)
        await post(service, RED_HOVER)
        assert (await receive(socket))["identifier"] == HOVERS
        for _ in range(MAX_SUBSCRIPTIONS):
            assert await subscribe(socket, CLICKS) == results(red=1)
            await socket.send({"command": "unsubscribe", "identifier": CLICKS})


@pytest.mark.parametrize(
    "identifier",
    [
        *('{"channel":"OtherChannel"}', '{"channel":"clickschannel"}', '{"channel":5}'),
        *('{"channel":null}', '{"channel":["ClicksChannel"]}', '{"channel":{}}'),
        *('{"channel":"ClicksChannel","api_key":5}', '{"channel":"ClicksChannel","api_key":[]}'),
        '{"channel":"ClicksChannel","cable_ready":"<b>"}',
        *("{}", "[]", "", "null", "no JSON", "[" * 9000),
    ],
)
async def test_refused_is_reject_subscription(service: Service, identifier: str) -> None:
    """refused -> `"type":"reject_subscription"`, with the identifier."""
    async with cable(service) as socket:
        await welcomed(socket)
        await socket.send({"command": "subscribe", "identifier": identifier})
        rejected = {"identifier": identifier, "type": "reject_subscription"}
        assert await receive(socket) == rejected
        await subscribe(socket)


async def test_cable_ready_wraps_the_results(service: Service) -> None:
    """The optional variant: `message.operations.consoleLog[0].message.results`."""
    await post(service)
    async with cable(service) as socket:
        await welcomed(socket)
        told = await subscribe(socket, '{"channel":"ClicksChannel","cable_ready":true}')
        assert told["cableReady"] is True
        assert told["operations"]["consoleLog"][0]["message"] == results(red=1)


async def test_the_key_may_be_inside_the_identifier(service: Service) -> None:
    """`"api_key"` inside the identifier's JSON; another one of the same project may follow."""
    identifier = json.dumps({"channel": "ClicksChannel", "api_key": service.keys[Role.READ]})
    async with opened(service, CABLE) as socket:
        await welcomed(socket)
        assert await subscribe(socket, identifier) == results()
        assert await subscribe(socket, HOVERS) == results()


async def test_without_a_key_it_is_disconnected_as_unauthorized(service: Service) -> None:
    """else `{"type":"disconnect","reason":"unauthorized","reconnect":false}`: bad or missing."""
    disconnect = '{"type":"disconnect","reason":"unauthorized","reconnect":false}'
    async with opened(service, f"{CABLE}?api_key=nobody") as socket:
        assert await socket.text() == disconnect
        assert await socket.close_code() == 1008
    for identifier in (CLICKS, '{"channel":"ClicksChannel","api_key":"nobody"}'):
        async with opened(service, CABLE) as socket:
            await welcomed(socket)
            await socket.send({"command": "subscribe", "identifier": identifier})
            assert await socket.text() == disconnect
            assert await socket.close_code() == 1008


async def test_leaving_is_said_before_the_close(database_url: str, redis_url: str) -> None:
    """leaving: `{"type":"disconnect","reason":"…","reconnect":true}`, then the close."""
    own = await make_keys(database_url)

    async def leave(socket: Socket) -> tuple[Any, int | None]:
        return await receive(socket), await socket.close_code()

    async with aiohttp.ClientSession() as http:
        async with serving(database_url, redis_url, own) as service:
            address = f"{service.url}{CABLE}?api_key={own[Role.READ]}"
            socket = Socket(await http.ws_connect(address))
            await subscribe(await welcomed(socket))
            leaving = asyncio.create_task(leave(socket))
        disconnect = {"type": "disconnect", "reason": "server_restart", "reconnect": True}
        assert await leaving == (disconnect, 1012)


async def test_when_the_database_is_away_a_client_is_told_to_return(
    service: Service, postgres: LocalPostgres
) -> None:
    """A subscription that can't be served: disconnect with `"reconnect":true`."""
    async with cable(service) as socket:
        await welcomed(socket)
        with unreachable(postgres, service.database_url):
            await socket.send({"command": "subscribe", "identifier": CLICKS})
            told = await receive(socket)
            assert told["reason"] == "database_unavailable"
            assert (told["type"], told["reconnect"]) == ("disconnect", True)
            assert await socket.close_code() == 1013


async def test_each_projects_channel_is_its_own(service: Service) -> None:
    """No other project's data, ever; nor another project's key on this connection, nor one that may
    not read."""
    other = await other_project(service, "other")
    async with cable(service) as socket:
        await subscribe(await welcomed(socket))
        await post(service, key=other[Role.WRITE])
        await post(service, "action_name=click&action_color[color_name]=blue")
        assert (await receive(socket))["message"] == results(blue=1)
        identifier = json.dumps({"channel": "HoversChannel", "api_key": other[Role.READ]})
        await socket.send({"command": "subscribe", "identifier": identifier})
        assert (await receive(socket))["type"] == "reject_subscription"
    async with cable(service, key=service.keys[Role.WRITE]) as socket:
        await welcomed(socket)
        await socket.send({"command": "subscribe", "identifier": CLICKS})
        assert (await receive(socket))["type"] == "reject_subscription"


async def test_pushes_come_after_the_commit(service: Service) -> None:
    """While the commit waits nothing is pushed; the push follows it."""
    async with cable(service) as socket:
        await subscribe(await welcomed(socket))
        async with commits_held(service):
            posting = asyncio.create_task(post(service))
            await until_a_commit_waits(service)
            # Its first push shows what is counted, and no push came before it.
            assert await subscribe(socket, '{"channel":"ClicksChannel","n":2}') == results()
        assert (await posting)[0] == 204
        assert (await receive(socket))["message"] == results(red=1)


async def test_nothing_is_lost_under_concurrency(service: Service) -> None:
    """20 writers at once: the truth, the results and the pushes agree."""
    colors = ["blue", "green", "red"]

    async def write(n: int) -> None:
        for i in range(30):
            color = colors[(n + i) % 3]
            await post(service, f"action_name=click&action_color[color_name]={color}")

    async with cable(service) as socket:
        await subscribe(await welcomed(socket))
        await asyncio.gather(*(write(n) for n in range(20)))
        expected = results(blue=200, green=200, red=200)
        assert json.loads((await get(service, "/v1/events?action_name=click"))[1]) == expected
        await socket.until({"identifier": CLICKS, "message": expected})


async def test_counts_agree_with_the_other_formats(service: Service) -> None:
    """An event of any format shows in every other's answers and pushes."""
    read = {"Authorization": service.keys[Role.READ]}
    async with (
        cable(service) as socket,
        opened(service, "/ws") as colour,
        service.live() as viewer,
    ):
        await subscribe(await welcomed(socket))
        await colour.send({"action": "add_api_key", "api_key": service.keys[Role.READ]})
        await viewer.subscribe(1, {"totals": "click"})
        bodies = [RED_CLICK, {"action": "click", "color": "red"}]
        bodies += [{"type": "click", "subject": "red"}]
        for n, body in enumerate(bodies, 1):
            assert (await post(service, body))[0] in (200, 204)
            assert (await receive(socket))["message"] == results(red=n)
            cells = [{"action": "click", "color": "red", "count": n}]
            await colour.until({"stats": cells, "event_type": "click"})
            assert (await viewer.receive())["totals"] == {"red": n}
            async with service.http.get("/v1/stats?action=click", headers=read) as response:
                assert await response.json() == {"stats": cells}
            assert (await service.stats(type="click"))["total"] == n
            assert json.loads((await get(service, "/v3/events?action_name=click"))[1]) == results(
                red=n
            )


@needs_node
@pytest.mark.parametrize("package", ["actioncable", "@rails/actioncable"])
async def test_the_npm_packages_survive_a_restart(
    spawn: Callable[..., Process], database_url: str, package: str
) -> None:
    """The npm packages subscribe, receive, survive a restart, and resubscribe by themselves."""
    own = await make_keys(database_url)
    process = spawn().wait_ready()
    service = Service(process.url, database_url, own)
    address = process.url.replace("http", "ws") + f"{CABLE}?api_key={own[Role.READ]}"
    try:
        async with running("cable.mjs", package, address, CLICKS) as client:
            await client.until("connected")
            await post(service)
            await client.until_data(results(red=1))
            assert process.stop() == 0
            await client.until("disconnected")
            process.restart().wait_ready()
            await post(service)
            await client.until("connected")
            await client.until_data(results(red=2))
    finally:
        await service.close()


@needs_node
async def test_the_npm_package_does_not_come_back_unauthorized(service: Service) -> None:
    """`@rails/actioncable` takes `"reconnect":false` by its word."""
    address = service.url.replace("http", "ws") + f"{CABLE}?api_key=nobody"
    async with running("cable.mjs", "@rails/actioncable", address, CLICKS) as client:
        assert await client.next() == {"event": "disconnected"}


# Hostile input.


@pytest.mark.parametrize("field", ["action_name", "color_name"])
async def test_wrong_types_in_a_body_are_refused(service: Service, field: str) -> None:
    """Each field with each wrong JSON type: 422 in this format's words, nothing stored."""
    for wrong in NO_NAMES:
        body = {"action_color": {**RED_CLICK["action_color"], field: wrong}}
        status, answer = await post(service, body)
        assert (status, answer["status"]) == (422, "error"), wrong
        assert "`type`" not in answer["message"]
        assert "`subject`" not in answer["message"]
    for wrong in NO_NAMES:
        assert (await post(service, {"action_color": wrong}))[0] in (400, 422), wrong
    for form in ("%ff=%ff&action_color[color_name]=%ff", "a=1&" * 2000, "action_color[=1"):
        assert (await post(service, form))[0] == 400, form
    assert totals_in(service.database_url) == {}


async def test_sql_and_html_are_only_text(service: Service) -> None:
    """SQL and HTML in strings come back as they were."""
    async with cable(service) as socket:
        await subscribe(await welcomed(socket))
        for n, text in enumerate(("'; DROP TABLE totals; --", "<script>alert(1)</script>"), 1):
            body = {"action_color": {"action_name": "click", "color_name": text}}
            assert (await post(service, body))[0] == 204
            amounts = (await receive(socket))["message"]["results"]
            assert len(amounts) == n
            assert {"action": "click", "color": text, "amount": 1} in amounts


async def test_hostile_commands_leave_the_socket_working(service: Service) -> None:
    """Unknown commands and wrong types in every field are ignored, as by Rails."""
    messages: list[Any] = [{"command": wrong, "identifier": CLICKS} for wrong in NO_NAMES]
    messages += [{"command": "unsubscribe", "identifier": wrong} for wrong in NO_NAMES]
    messages += [{"command": "message", "identifier": CLICKS, "data": "{}"}, {}, [], 5, None, "x"]
    texts = [json.dumps(each) for each in messages] + ["", "{", "[" * 50_000, '{"a":' * 5000]
    async with cable(service) as socket:
        await welcomed(socket)
        for text in texts:
            await socket.socket.send_str(text)
        for wrong in NO_NAMES:
            await socket.send({"command": "subscribe", "identifier": wrong})
            assert await receive(socket) == {"identifier": wrong, "type": "reject_subscription"}
        assert await subscribe(socket) == results()
        await socket.socket.send_bytes(b"\x00\xff")
        assert await socket.close_code() == 1003


async def test_10000_subscriptions_and_huge_identifiers(service: Service) -> None:
    """More than a connection takes, and identifiers too long to echo with each push: rejected."""
    async with cable(service) as socket:
        await welcomed(socket)

        async def ask() -> None:
            for n in range(10_000):
                identifier = json.dumps({"channel": "ClicksChannel", "n": n})
                await socket.send({"command": "subscribe", "identifier": identifier})

        asking = asyncio.create_task(ask())
        kinds = {"confirm_subscription": 0, "reject_subscription": 0}
        while sum(kinds.values()) < 10_000:
            if (kind := (await receive(socket)).get("type")) in kinds:
                kinds[kind] += 1
        await asking
        assert kinds["confirm_subscription"] == MAX_SUBSCRIPTIONS
    async with cable(service) as socket:
        await welcomed(socket)
        huge = json.dumps({"channel": "ClicksChannel", "x": "x" * 500_000})
        await socket.send({"command": "subscribe", "identifier": huge})
        assert await receive(socket) == {"identifier": huge, "type": "reject_subscription"}
        await subscribe(socket)
    assert await post(service) == (204, None)


async def test_a_second_subscribe_to_the_same_is_confirmed_again(service: Service) -> None:
    """Two confirmations, but one subscription: one push."""
    async with cable(service) as socket:
        await subscribe(await welcomed(socket))
        await socket.send({"command": "subscribe", "identifier": CLICKS})
        assert await receive(socket) == {"identifier": CLICKS, "type": "confirm_subscription"}
        await post(service)
        assert (await receive(socket))["message"] == results(red=1)
        assert await subscribe(socket, HOVERS) == results()
