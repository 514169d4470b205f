"""Dashboards that sum up as clients do, and must show what Postgres holds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from service.tests.support.faults.load import SUBJECTS
from service.tests.support.postgres import totals_in
from service.tests.support.waiting import until


class Viewer:
    """A dashboard: follows all clicks and two subjects' clicks, and sums up as a client does."""

    FILTER = tuple(SUBJECTS[:2])

    def __init__(self, url: str, read_key: str) -> None:
        self.url = url
        self._read_key = read_key
        self.topics: dict[str, dict[str, int]] = {"all": {}, "some": {}}
        self.total = {"all": -1, "some": -1}
        self.states: list[str] = []  # "stale", "fresh", in order
        self.close_code: int | None = None
        self.closed = asyncio.Event()
        self.errors: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"{self.url}: {self.topics} {self.total} {self.states} {self.errors}"

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["Viewer"]:
        """Connected as long as the block runs; both snapshots are there when it begins."""
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(self.url + "/v1/live", headers={"x-api-key": self._read_key}) as socket,
        ):
            filtered = {"totals": "click", "subjects": list(self.FILTER)}
            topics = {"all": {"totals": "click"}, "some": filtered}
            for id, topic in topics.items():
                await socket.send_json({"type": "subscribe", "id": id, "topic": topic})
            following = asyncio.create_task(self._follow(socket))
            try:
                await until(
                    lambda: min(self.total.values()) >= 0 or following.done(), 20, lambda: self
                )
                if following.done():
                    following.result()
                yield self
            finally:
                following.cancel()
                await asyncio.wait([following])
        if not following.cancelled():
            following.result()

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            message = frame.json()
            match message["type"]:
                case "snapshot" | "update":
                    self._apply(message)
                case "stale" | "fresh":
                    self.states.append(message["type"])
                case "error":
                    self.errors.append(message)
        self.close_code = socket.close_code
        self.closed.set()

    def _apply(self, message: dict[str, Any]) -> None:
        topic = self.topics[message["id"]]
        for subject, n in message["totals"].items():
            assert n >= topic.get(subject, 0), "a total went backwards"
        if message["type"] == "snapshot":
            topic.clear()
        topic |= message["totals"]
        self.total[message["id"]] = message["total"]

    def shows(self, truth: dict[str, int]) -> bool:
        """Whether both topics are what Postgres holds."""
        all_ = {subject: n for subject, n in truth.items() if subject}
        some = {subject: truth.get(subject, 0) for subject in self.FILTER}
        return (
            self.topics == {"all": all_, "some": some}
            and self.total == {"all": truth.get("", 0), "some": sum(some.values())}
        )  # fmt: skip


async def all_show(viewers: list[Viewer], database_url: str, within_s: float) -> None:
    """Every viewer shows what Postgres holds, within the time."""
    truth = totals_in(database_url)
    await until(
        lambda: all(viewer.shows(truth) for viewer in viewers),
        within_s,
        lambda: f"Postgres: {truth}; shown: {viewers}",
    )
