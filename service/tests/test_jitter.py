"""loadtest/jitter.py made small: viewers miss nothing while they, and servers, come and go."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Process, make_keys

from livetally.keys import Role

sys.path.append(str(Path(__file__).parents[2] / "loadtest"))
from jitter import free_port
from jitter_report import summary
from jitter_run import Plan, measure

PLAN = Plan(viewers=40, messages=30, rate=10, cut_every_s=1, offline_s=0.2, processes=1)


@pytest.mark.parametrize("mode", ["cut", "kill", "rolling"])
async def test_nothing_is_missed(
    mode: str, spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """Every viewer gets every message once, in order, within the times that are promised."""
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
    assert figures["failures"] == [], figures
    assert figures["reconnects"]["cut"] > PLAN.viewers
    assert mode == "cut" or figures["reconnects"]["server"]
