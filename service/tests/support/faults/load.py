"""For the tests that break things: load that keeps account, viewers, a relay that misbehaves."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import psycopg

from livetally.db import sql
from service.tests.support.postgres import query, totals_in

SUBJECTS = [f"subject {n}" for n in range(8)]
NEVER_STORED = (aiohttp.ClientError, OSError, TimeoutError)


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


def check_counts(database_url: str) -> None:
    """Totals, minutes and positions are those of the log; `/v1/verify` says so too."""
    with psycopg.connect(database_url) as connection:
        cursor = psycopg.RawCursor(connection)
        (document,) = cursor.execute(sql.query("verify"), (1, 100)).fetchone() or ("{}",)
    assert json.loads(document)["differences"] == []
    counted = query(database_url, "SELECT type, subject, count(*) FROM events GROUP BY 1, 2")
    assert {(type_, subject): n for type_, subject, n in counted} == {
        (type_, subject): n
        for type_ in ("click", "hover")
        for subject, n in totals_in(database_url, type_).items()
        if subject
    }
    for type_ in {type_ for type_, _, _ in counted}:
        totals = totals_in(database_url, type_)
        assert totals.pop("") == sum(totals.values()), "the grand total is another"
    minutes = (
        "SELECT type, subject_key, sum(n) FROM {} GROUP BY 1, 2 ORDER BY 1, 2"  # whatever the slot
    )
    assert query(database_url, minutes.format("minutes")) == query(
        database_url, minutes.format("totals")
    )
    positions = (
        "SELECT slot, min(seq), max(seq), count(DISTINCT seq), count(*) FROM events GROUP BY 1"
    )
    for slot, first, last, distinct, count in query(database_url, positions):
        assert (first, last, distinct) == (1, count, count), f"slot {slot} has gaps"
        assert query(database_url, "SELECT seq FROM slots WHERE slot = %s", slot) == [(count,)]


def lock_waits(database_url: str) -> int:
    """How many sessions wait for a lock that another one holds."""
    (waiting,) = query(
        database_url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return int(waiting[0])


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


class Relay:
    """Stands before Redis. Drops, doubles and reorders published messages when told to."""

    def __init__(self, host: str, port: int, seed: int) -> None:
        self._upstream = host, port
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._late: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.faulty = False
        self.faults = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Relay"]:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            self.cut()

    def url(self, redis_url: str) -> str:
        """The address of Redis, by way of the relay."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return redis_url.replace(f":{self._upstream[1]}/", f":{port}/")

    def cut(self) -> None:
        """End every connection that goes through."""
        for writer in list(self._writers):
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Connections stay, and new ones come about, but nothing gets through any more."""
        self._flowing.clear()

    def heal(self) -> None:
        """No more faults; what was held back comes now, late."""
        self.faulty = False
        self._flowing.set()
        self._release()

    async def _connected(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            server, to_server = await asyncio.open_connection(*self._upstream)
        except OSError:
            to_client.transport.abort()
            return
        ends = {to_client, to_server}
        self._writers |= ends
        pumps = [
            asyncio.create_task(self._pump(client, to_server, self._bytes)),
            asyncio.create_task(self._pump(server, to_client, self._messages)),
        ]
        with contextlib.suppress(asyncio.CancelledError):  # the test has ended
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for writer in ends:
            writer.transport.abort()
        self._writers -= ends

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passing: Callable[[asyncio.StreamWriter, bytes], bytes],
    ) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                rest = passing(writer, rest + data)
                await writer.drain()

    def _bytes(self, writer: asyncio.StreamWriter, data: bytes) -> bytes:
        writer.write(data)
        return b""

    def _messages(self, writer: asyncio.StreamWriter, data: bytes) -> bytes:
        """Pass on whole replies, published messages at risk; returns what isn't whole yet."""
        at = 0
        while (end := _end_of_reply(data, at)) is not None:
            reply, at = data[at:end], end
            if self.faulty and reply[1:].startswith(b"3\r\n$7\r\nmessage\r\n"):
                self._endanger(writer, reply)
            else:
                writer.write(reply)
        return data[at:]

    def _endanger(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        self.faults += 1
        match self._random.choices(["drop", "double", "hold", "release"], [4, 2, 3, 1])[0]:
            case "drop":
                return
            case "double":
                writer.write(message + message)
            case "hold":
                self._late.append((writer, message))
            case "release":
                writer.write(message)
                self._release()

    def _release(self) -> None:
        self._random.shuffle(self._late)
        for writer, message in self._late:
            if not writer.is_closing():
                writer.write(message)
        self._late.clear()


def _end_of_reply(data: bytes, at: int) -> int | None:
    """Where the RESP value that starts at `at` ends, if it is all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, after = data[at : at + 1], line + 2
    if kind in (b"$", b"=", b"!"):
        size = int(data[at + 1 : line])
        end = after + size + 2 if size >= 0 else after
        return end if end <= len(data) else None
    if kind in (b"*", b">", b"~", b"%", b"|"):
        for _ in range(int(data[at + 1 : line]) * (2 if kind in (b"%", b"|") else 1)):
            part = _end_of_reply(data, after)
            if part is None:
                return None
            after = part
    return after


@contextlib.contextmanager
def paused(server: Any) -> Iterator[None]:
    """SIGSTOP all of a local server's processes: it hangs, but its connections stay."""
    processes = server._processes()
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
