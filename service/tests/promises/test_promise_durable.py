"""Promise 1: a 2xx answer means committed. Shown by killing the process, again and again."""

import asyncio
from collections.abc import Callable

from livetally.schema.keys import Role
from service.tests.support.faults.load import Load
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process

ROUNDS = 14


async def test_what_was_acknowledged_survives_kill_9(
    spawn: Callable[..., Process], database_url: str
) -> None:
    """Killed at random moments under load, over many rounds, the service loses nothing that it
    acknowledged, and counts nothing twice that is sent again."""
    key = (await make_keys(database_url))[Role.WRITE]
    everything = Load(0, key)
    process = spawn()
    for seed in range(1, ROUNDS + 1):
        print(f"seed {seed}")  # noqa: T201
        load = Load(seed, key)
        await asyncio.to_thread(process.wait_ready)
        async with load.running(process.url):
            await load.until_acked(load.random.randint(1, 400))
            await asyncio.sleep(load.random.uniform(0, 0.03))
            process.kill()
        assert load.unsure, "the kill met no load"
        everything.acked |= load.acked
        everything.unsure = load.unsure
        everything.check_books(database_url)  # before anything lost is sent again

        process.restart()
        await asyncio.to_thread(process.wait_ready)
        await load.settle(process.url)
        everything.acked |= load.acked
        everything.unsure = {}
        everything.check_books(database_url)
    assert process.stop() == 0
