"""Waiting for what a test needs to be so."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp


async def until(true: Callable[[], Any], within_s: float, what: Callable[[], object] = str) -> Any:
    """Poll until something (plain or awaitable) holds; if it never does, fail and say `what`."""
    deadline = time.monotonic() + within_s
    while True:
        result = true()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.01)


async def ready(url: str) -> tuple[int, dict[str, Any]]:
    """What /readyz says."""
    async with aiohttp.ClientSession() as http, http.get(url + "/readyz") as response:
        return response.status, await response.json()


async def until_ready_is(url: str, status: str, within_s: float = 30) -> list[str]:
    """Wait until /readyz reports this status; its reasons."""
    while_waiting: list[Any] = []

    async def is_so() -> bool:
        while_waiting[:] = await ready(url)
        return bool(while_waiting[1]["status"] == status)

    await until(is_so, within_s, lambda: while_waiting)
    reasons: list[str] = while_waiting[1]["reasons"]
    return reasons
