"""`make chaos` made short: it heals after some faults, and a broken promise is found."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psycopg

from loadtest.chaos.__main__ import Chaos
from loadtest.chaos.ground import Ground, ground


def test_it_heals() -> None:
    """Four faults, a third of a second each; the command's own checks decide."""
    command = [
        *(sys.executable, "-m", "loadtest.chaos", "--seconds", "0.3", "--screens", "3"),
        *("--only", "kill_a_server,terminate_backends,disorder,kill_redis"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("| as promised |") == 4
    assert "each in the archive once" in ran.stdout


async def test_broken_promises_are_found(tmp_path: Path) -> None:
    """A lost event, one counted twice, a screen that shows something else, memory that isn't given
    back: each fails the run."""

    async def spoil(ground: Ground, sql: str) -> None:
        with psycopg.connect(ground.database_url, autocommit=True) as connection:
            connection.execute(sql)

    async def lose_an_event(ground: Ground, hurt_s: float) -> None:
        await spoil(ground, "DELETE FROM events WHERE id = (SELECT min(id) FROM events)")

    async def count_twice(ground: Ground, hurt_s: float) -> None:
        await spoil(ground, "UPDATE totals SET n = n + 1 WHERE subject = 'subject 3'")

    async def nothing(ground: Ground, hurt_s: float) -> None:
        await asyncio.sleep(hurt_s)

    async with ground(tmp_path) as made:
        chaos = Chaos(made, screens=2, seed=1)
        async with chaos.watched():
            healthy = await chaos.suffer(nothing, 0)
            memory, chaos._memory = chaos._memory, dict.fromkeys(chaos._memory, -1_000.0)
            grown = await chaos.suffer(nothing, 0)
            chaos._memory = memory
            lost = await chaos.suffer(lose_an_event, 0)
            doubled = await chaos.suffer(count_twice, 0)
    assert healthy.result == "as promised", healthy
    assert grown.result == "FAILED"
    assert "has grown by" in grown.why
    assert (lost.result, doubled.result) == ("FAILED", "FAILED")
    assert "acknowledged, and lost" in lost.why
