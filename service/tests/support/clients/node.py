"""Real clients: npm packages, which print a line of JSON for what happens."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.tests.support.paths import MODULES

CLIENTS = Path(__file__).parent

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "reconnecting-websocket").is_dir(),
    reason="needs Node and frontend/node_modules",
)


class Client:
    """A client that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any]:
        """What happens next."""
        assert self._process.stdout
        async with asyncio.timeout(60):
            line = await self._process.stdout.readline()
        assert line, "the client ended"
        return json.loads(line)

    async def until(self, event: str) -> None:
        """Read on until this happens."""
        while (await self.next())["event"] != event:
            pass

    async def until_data(self, data: Any) -> None:
        """Read on until these data come."""
        while (await self.next()).get("data") != data:
            pass


@contextlib.asynccontextmanager
async def running(script: str, *arguments: str) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        *("node", str(CLIENTS / script), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Client(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
