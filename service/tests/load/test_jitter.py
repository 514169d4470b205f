"""`make jitter` made small: viewers miss nothing while they, and servers, come and go."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from livetally.schema.keys import Role
from loadtest.jitter.__main__ import free_port
from loadtest.jitter.report import summary
from loadtest.jitter.run import Plan, measure
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process

PLAN = Plan(viewers=40, messages=30, rate=10, cut_every_s=1, offline_s=0.2, processes=1)


@pytest.mark.parametrize("mode", ["cut", "kill", "rolling"])
async def test_nothing_is_missed(
    mode: str, spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """Every viewer gets every message once, and in order."""
    keys = await make_keys(database_url)
    servers = [
        spawn(LIVETALLY_PORT=str(free_port()), LIVETALLY_DRAIN_S="1")
        for _ in range(2 if mode == "rolling" else 1)
    ]
    for server in servers:
        server.wait_ready()

    run = await measure(
        mode,
        PLAN,
        servers,
        keys=(keys[Role.WRITE], keys[Role.READ]),
        database_url=database_url,
        folder=tmp_path,
        show=lambda line: None,
    )

    figures = summary(run)
    # How long it took says more of the machine than of the code: `make jitter` judges that.
    wrong = [each for each in figures["failures"] if "beyond the offline time" not in each]
    assert wrong == [], figures
    assert figures["reconnects"]["cut"] > PLAN.viewers
    assert mode == "cut" or figures["reconnects"]["server"]


async def test_viewers_who_have_gone_leave_no_memory_behind(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """Thousands have come and gone, and the server is hardly larger than after the first ones."""
    keys = await make_keys(database_url)
    server = spawn().wait_ready()
    upgrade = (
        f"GET /v1/live HTTP/1.1\r\nHost: a\r\nX-Api-Key: {keys[Role.READ]}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )

    async def viewer() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade.encode())
        await reader.readuntil(b"}")  # ready
        return writer

    sizes = []
    for _ in range(16):
        viewers = await asyncio.gather(*(viewer() for _ in range(500)))
        sizes.append(psutil.Process(server.process.pid).memory_info().rss / 2**20)
        for writer in viewers:
            writer.transport.abort()
    assert max(sizes[4:]) < sizes[3] + 20, sizes
