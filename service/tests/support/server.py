"""The server in a test's own loop, on a real socket, and clients of it."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from livetally.base.config import Config
from livetally.schema.compat import ActionRejected, CompatFailure, FailureDetail
from livetally.schema.http import Failure
from livetally.schema.keys import Role
from livetally.schema.live import Message
from livetally.server.app import create_app
from livetally.server.process import listen, make_runner
from livetally.site.examples import Login
from livetally.web.operation_docs import Operation, Text, operation_of
from service.tests.support.clients.websocket import end_of
from service.tests.support.declared import is_declared


class Live:
    """A viewer's end of a websocket to /v1/live."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: object) -> None:
        await self.socket.send_json(message)

    async def receive(self) -> dict[str, Any]:
        """The next message; fails the test if the connection ends instead."""
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        assert is_declared(message.data.encode(), [Message]), message.data
        return message.json()

    async def subscribe(self, id: int | str, topic: object) -> dict[str, Any]:
        """Subscribe and return what comes first for that id: the snapshot, or an error."""
        await self.send(type="subscribe", id=id, topic=topic)
        while True:
            message = await self.receive()
            if message.get("id") == id:
                return message

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait until the server closes; the close code, and the messages that came before."""
        end = await end_of(self.socket)
        return end.code, [json.loads(text) for text in end.texts]

    async def until_total(self, total: int, type_id: int | str = 1) -> dict[str, int]:
        """Follow a topic until its total is `total`; the totals as the frames made them."""
        totals: dict[str, int] = {}
        while True:
            message = await self.receive()
            if message.get("id") != type_id:
                continue
            if message["type"] == "snapshot":
                totals = {}
            totals |= message["totals"]
            if message["total"] == total:
                return totals
            assert message["total"] < total, "a total went past what was counted"


class Service:
    """A running server, and a client of it with the demo project's keys."""

    def __init__(self, url: str, database_url: str, keys: dict[Role, str]) -> None:
        self.url = url
        self.database_url = database_url
        self.keys = keys
        self.http = aiohttp.ClientSession(base_url=url)

    async def close(self) -> None:
        await self.http.close()

    async def post(
        self, body: object, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """POST /v1/events: JSON of `body`, or bytes as they are. Returns (status, answer)."""
        options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        head = {"x-api-key": key or self.keys[Role.WRITE], "content-type": "application/json"}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post("/v1/events", headers=head, **options) as response:
            return response.status, await response.json()

    async def stats(self, key: str | None = None, **parameters: object) -> dict[str, Any]:
        headers = {"x-api-key": key or self.keys[Role.READ]}
        async with self.http.get("/v1/stats", params=parameters, headers=headers) as response:
            return await response.json()

    async def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as `name{label="value"}`."""
        async with self.http.get("/metrics") as response:
            assert response.status == 200
            families = text_string_to_metric_families(await response.text())
        return {
            sample.name
            + "".join(f'{{{k}="{v}"}}' for k, v in sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    @contextlib.asynccontextmanager
    async def live(self, key: str | None = None, **options: Any) -> AsyncIterator[Live]:
        """A websocket that is authenticated with `key` (the read key)."""
        async with self.http.ws_connect("/v1/live", **options) as socket:
            live = Live(socket)
            await live.send(type="auth", key=key or self.keys[Role.READ])
            ready = await live.receive()
            assert ready["type"] == "ready", ready
            yield live


@contextlib.asynccontextmanager
async def serving(
    database_url: str,
    redis_url: str,
    keys: dict[Role, str],
    login: Login | None = None,
    **settings: Any,
) -> AsyncIterator[Service]:
    """The server in this loop, on a free port, with these settings; `login` is the demo's."""
    config = Config(database_url=database_url, redis_url=redis_url, **{"drain_s": 0, **settings})
    sock = listen("127.0.0.1", 0)
    app = create_app(config, login=login)
    undescribed = _note_undescribed(app)
    runner = make_runner(app)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    service = Service(f"http://127.0.0.1:{sock.getsockname()[1]}", database_url, keys)
    try:
        yield service
    finally:
        await service.close()
        await runner.cleanup()
    assert not undescribed, "a route answers what its documentation doesn't say"


#: How an error is told; the compatibility APIs say more beside it.
FAILURES = (Failure, CompatFailure, ActionRejected, FailureDetail)
#: What any route may answer: the client has it, no valid HTTP, too much, another method, a client
#: gone, a bug.
_ANY = {304, 400, 405, 408, 429, 499, 500}


def _types(about: Operation, status: int) -> list[Any]:
    """What a route may answer with a status as JSON: what it declares, or an error."""
    declared = about.responses.get(status)
    if isinstance(declared, Text):  # /docs/search.json, beside the pages
        return [Any]
    types = declared if isinstance(declared, tuple) else (declared,)
    return [*(each for each in types if each is not None), *FAILURES]


def _note_undescribed(app: web.Application) -> set[str]:
    """Routes with the answers that they gave and that /openapi.json doesn't have."""
    found: set[str] = set()

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        about = operation_of(request.match_info.handler)
        if about is None or request.method in ("HEAD", "OPTIONS"):
            return
        answer = f"{request.method} {request.path}: {response.status}"
        if response.status not in about.statuses | _ANY:
            found.add(answer)
        elif isinstance(response, web.Response) and response.content_type == "application/json":
            body = response.body if isinstance(response.body, bytes) else b""
            if not is_declared(body, _types(about, response.status)):
                found.add(f"{answer} {body.decode()}")

    app.on_response_prepare.append(note)
    return found
