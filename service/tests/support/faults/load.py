"""For the tests that break things: load that keeps account, viewers, a relay that misbehaves."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import aiohttp

from service.tests.support.faults.books import check_counts
from service.tests.support.postgres import query
from service.tests.support.waiting import until

SUBJECTS = [f"subject {n}" for n in range(8)]
NEVER_STORED = (aiohttp.ClientError, OSError, TimeoutError)


class Load:
    """Clients that send events with known ids, and remember which of them were acknowledged."""

    def __init__(self, seed: int, write_key: str) -> None:
        self.random = random.Random(seed)
        self.acked: dict[str, dict[str, str]] = {}
        #: Sent, and no answer said that they are stored: to be sent again.
        self.unsure: dict[str, dict[str, str]] = {}
        #: Every refusal: (status, Retry-After, code, seconds it took).
        self.refusals: list[tuple[int, str | None, str, float]] = []
        self.progress = asyncio.Event()
        self._headers = {"x-api-key": write_key}
        self._key = write_key
        self._prefix = f"{seed}"
        self._made = 0

    def events(self, most: int = 20) -> list[dict[str, str]]:
        """New events, one or several, not yet sent."""
        size = 1 if self.random.random() < 0.5 else self.random.randint(2, most)
        made = []
        for _ in range(size):
            self._made += 1
            made.append(
                {
                    "id": f"{self._prefix}-{self._made}",
                    "type": self.random.choice(["click", "click", "hover"]),
                    "subject": self.random.choice(SUBJECTS),
                }
            )
        return made

    async def post(
        self, http: aiohttp.ClientSession, url: str, events: list[dict[str, str]]
    ) -> bool:
        """Whether the answer said that they are stored; if it didn't come, they are `unsure`."""
        self.unsure |= {event["id"]: event for event in events}
        started = time.monotonic()
        try:
            async with http.post(
                url + "/v1/events", json=events, headers=self._headers
            ) as response:
                answer = await response.json()
                if response.status == 200:
                    assert answer["accepted"] + answer["duplicates"] == len(events), answer
                    self._store(events)
                    return True
                took = time.monotonic() - started
                retry_after = response.headers.get("Retry-After")
                self.refusals.append((response.status, retry_after, answer["error"]["code"], took))
        except NEVER_STORED:
            pass
        return False

    def _store(self, events: list[dict[str, str]]) -> None:
        for event in events:
            self.acked[event["id"]] = event
            self.unsure.pop(event["id"], None)
        self.progress.set()

    async def by_http(self, url: str) -> None:
        """Post for ever, over one connection."""
        async with aiohttp.ClientSession() as http:
            while True:
                if not await self.post(http, url, self.events()):
                    await asyncio.sleep(0.02)

    async def by_websocket(self, url: str) -> None:
        """Track for ever, several at once, over one socket that is opened again when it ends."""
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(*NEVER_STORED, TypeError):
                    async with http.ws_connect(url + "/v1/live", headers=self._headers) as socket:
                        await self._track(socket)
                await asyncio.sleep(0.02)

    async def _track(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        under_way: dict[int, list[dict[str, str]]] = {}
        ref = 0
        while True:
            while len(under_way) < 4:
                ref += 1
                under_way[ref] = self.events()
                self.unsure |= {event["id"]: event for event in under_way[ref]}
                await socket.send_json({"type": "track", "ref": ref, "events": under_way[ref]})
            message = await socket.receive_json()  # TypeError when the socket has ended
            if message["type"] == "ack":
                self._store(under_way.pop(message["ref"]))
            elif message["type"] == "error":
                under_way.pop(message["ref"])
                self.refusals.append((503, message.get("retry_after_s"), message["code"], 0))
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def running(self, *urls: str, http: int = 3, websockets: int = 2) -> AsyncIterator[None]:
        """Clients of each kind for each url, as long as the block runs."""
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(self.by_http(u)) for u in urls for _ in range(http)]
            clients += [
                group.create_task(self.by_websocket(u)) for u in urls for _ in range(websockets)
            ]
            try:
                yield
            finally:
                for client in clients:
                    client.cancel()

    async def until_acked(self, more: int, within_s: float = 60) -> None:
        """Wait until so many more events have been acknowledged."""
        goal = len(self.acked) + more
        await until(lambda: len(self.acked) >= goal, within_s, lambda: f"{self.refusals[-3:]}")

    async def settle(self, *urls: str, repeat: float = 0.3, within_s: float = 60) -> None:
        """Send again all that is unsure, and a part of what was acknowledged, anywhere."""
        again = [event for event in self.acked.values() if self.random.random() < repeat]
        again += self.unsure.values()
        self.random.shuffle(again)
        async with aiohttp.ClientSession() as http:
            for start in range(0, len(again), 200):
                part = again[start : start + 200]
                url = self.random.choice(urls)
                await until(lambda url=url, part=part: self.post(http, url, part), within_s)
        assert not self.unsure

    def check_books(self, database_url: str) -> None:
        """Everything acknowledged is in the log once, and every count says the same."""
        logged = [id for (id,) in query(database_url, "SELECT id FROM events")]
        assert len(set(logged)) == len(logged), "an event is in the log twice"
        assert self.acked.keys() - set(logged) == set(), "acknowledged, and lost"
        assert set(logged) - self.acked.keys() - self.unsure.keys() == set(), "never sent"
        check_counts(database_url)
