"""The Python SDK through an outage that lasts longer than it waits for an answer."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from livetally.client import AsyncClient
from livetally.web.keys import Role
from service.tests.support.postgres import totals_in
from service.tests.support.server import Service


async def test_ids_outlast_a_long_outage(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer is lost until the client has twice given up waiting: the events are stored the
    whole time, and sent again with the same ids until it hears so; each counts once."""
    bodies: list[bytes] = []

    async def lose(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        status, answer = await service.post(bodies[-1])
        if caplog.text.count("events wait") < 2 and request.transport is not None:
            request.transport.abort()
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/v1/events", lose)
    async with TestServer(app) as relay:
        url = str(relay.make_url("/"))
        async with AsyncClient(url, service.keys[Role.WRITE], timeout_s=0.1) as client:
            client.track("click", "red")
            client.track("click", "red")
            await client.flush()
            assert client.outbox.duplicates == 2
    assert len(bodies) > 2
    assert len(set(bodies)) == 1
    assert totals_in(service.database_url) == {"": 2, "red": 2}
