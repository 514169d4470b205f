"""Users of the native protocol: those who send, those who watch, and those who do both."""

import json
import random
import time
from typing import Any

import gevent
from locust.exception import StopUser

from loadtest.load.base import EVENT_TYPE, READ_KEY, WRITE_KEY, Paced, books, dump, event, ledger
from loadtest.load.socket import Closed, WebSocket

HEADERS = {"x-api-key": WRITE_KEY, "content-type": "application/json"}
#: One event in so many is timed by viewers.
PROBE_EVERY = 10


class SingleEvents(Paced):
    """One event a request."""

    weight = 10
    rate = 5.0
    size = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._n = random.randrange(1_000)

    def events(self) -> list[dict[str, Any]]:
        self._n += self.size
        return [event(self._n + i, (self._n + i) % PROBE_EVERY == 0) for i in range(self.size)]

    def step(self, due: float) -> None:
        events = self.events()
        ids = [each["id"] for each in events]
        body = dump(events if self.size > 1 else events[0])
        with books(EVENT_TYPE, ids) as acknowledged:
            answer = self.send(
                "POST", "/v1/events", due, f"{self.size} events", headers=HEADERS, data=body
            )
            if answer is not None and _all_stored(answer.json(), self.size):
                acknowledged += ids


class Batches(SingleEvents):
    """Requests of 100 events."""

    weight = 2
    rate = 1.0
    size = 100


class Tracker(SingleEvents):
    """Messages of 20 events over a websocket."""

    weight = 3
    rate = 2.0
    size = 20

    def on_start(self) -> None:
        self.socket = open_live(self, WRITE_KEY)

    def step(self, due: float) -> None:
        events = self.events()
        ids = [each["id"] for each in events]
        error: Exception | None = None
        with books(EVENT_TYPE, ids) as acknowledged:
            try:
                self.socket.send(dump({"type": "track", "ref": ids[0], "events": events}))
                answer = await_message(self.socket, "ack")
                if answer.get("ref") == ids[0] and _all_stored(answer, self.size):
                    acknowledged += ids
                else:
                    error = Closed(1002, f"acknowledged otherwise: {answer}")
            except (OSError, Closed) as gone:
                error = gone
        self.report("commit", f"track {self.size}", time.monotonic() - due, error)
        if error is not None:
            self.socket = open_live(self, WRITE_KEY)


class Viewer(Paced):
    """Watches the probes of its own process arrive, each event once.

    The time in an event is this process's own, so one clock tells how long it took from sender to
    viewer. A cut connection is taken up again from the last position.
    """

    weight = 5

    def on_start(self) -> None:
        self._position: dict[str, int] | None = None
        self._seen: set[str] = set()
        self.socket = self._subscribe()
        self._reader = gevent.spawn(self._read)

    def on_stop(self) -> None:
        self._reader.kill()
        super().on_stop()

    def cut(self) -> None:
        """The storm's: as if the network had gone."""
        self.socket.cut()

    def step(self, due: float) -> None:
        """It only watches."""

    def _subscribe(self) -> WebSocket:
        socket = open_live(self, READ_KEY)
        topic: dict[str, Any] = {"feed": EVENT_TYPE, "subject": f"probe-{ledger.tag}"}
        if self._position is not None:
            topic["since"] = self._position
        socket.send(dump({"type": "subscribe", "id": 1, "topic": topic}))
        return socket

    def _read(self) -> None:
        while True:
            try:
                self._take(await_message(self.socket, "events"))
            except TimeoutError:
                continue
            except (OSError, Closed):
                self._come_back()

    def _take(self, message: dict[str, Any]) -> None:
        now = time.monotonic_ns()
        self._position = message["position"]
        for each in message["events"]:
            sent = each["properties"]["sent_ns"]
            twice = Closed(1002, f"{each['id']} came twice") if each["id"] in self._seen else None
            self._seen.add(each["id"])
            self.report("seen", "by viewers of the feed", (now - sent) / 1e9, twice)

    def _come_back(self) -> None:
        began = time.monotonic()
        while True:
            try:
                self.socket = self._subscribe()
                break
            except StopUser:
                gevent.sleep(random.random())
        self.report("reconnect", "viewer", time.monotonic() - began)


class Dashboard(Paced):
    """Clicks, and waits until its own screen shows it: from click to picture."""

    weight = 2
    rate = 1.0

    def on_start(self) -> None:
        self.socket = open_live(self, READ_KEY)
        self.socket.send(dump({"type": "auth", "key": WRITE_KEY}))
        self._subject = f"dashboard-{ledger.new_id()}"
        self._shown = 0
        topic = {"totals": EVENT_TYPE, "subjects": [self._subject]}
        self.socket.send(dump({"type": "subscribe", "id": 1, "topic": topic}))

    def step(self, due: float) -> None:
        id = ledger.new_id()
        sent = {"id": id, "type": EVENT_TYPE, "subject": self._subject}
        error: Exception | None = None
        wanted = self._shown + 1
        with books(EVENT_TYPE, [id]) as acknowledged:
            try:
                self.socket.send(dump({"type": "track", "ref": id, "events": [sent]}))
                self._await(wanted, id, acknowledged)
            except (OSError, Closed) as gone:
                error = gone
        self.report("seen", "own click on the dashboard", time.monotonic() - due, error)
        if error is not None:
            self.on_start()

    def _await(self, wanted: int, id: str, acknowledged: list[str]) -> None:
        """Until the click is acknowledged and shown, in either order."""
        while self._shown < wanted or not acknowledged:
            message = await_message(self.socket, "ack", "snapshot", "update")
            if message["type"] == "ack":
                if message.get("ref") == id and _all_stored(message, 1):
                    acknowledged.append(id)
                else:
                    raise Closed(1002, f"acknowledged otherwise: {message}")
            else:
                self._shown = message["totals"].get(self._subject, self._shown)


class Browser(Paced):
    """A visit: the page and its parts, a live socket, some hovers and clicks, then gone."""

    weight = 1
    rate = 0.1
    actions = 5

    def step(self, due: float) -> None:
        page = self.send("GET", "/", due, "page", headers={"accept": "text/html"})
        if page is None:
            return
        socket = open_live(self, READ_KEY)
        for id, type_ in enumerate(("click", "hover")):
            socket.send(dump({"type": "subscribe", "id": id, "topic": {"totals": type_}}))
        for _ in range(self.actions):
            gevent.sleep(random.expovariate(1.0))
            self._act(random.choice(("click", "hover", "hover")))
        socket.close()
        self.sockets.remove(socket)

    def _act(self, type_: str) -> None:
        """As `navigator.sendBeacon` does it."""
        id = ledger.new_id()
        body = dump({"id": id, "type": type_, "subject": random.choice(("red", "blue"))})
        with books(type_, [id]) as acknowledged:
            answer = self.send(
                "POST",
                f"/v1/events?api_key={WRITE_KEY}",
                time.monotonic(),
                "beacon",
                headers={"content-type": "text/plain;charset=UTF-8"},
                data=body,
            )
            if answer is not None:
                acknowledged.append(id)


def open_live(user: Paced, key: str) -> WebSocket:
    """A socket of the live protocol that knows its key."""
    socket = user.connect("/v1/live")
    socket.send(dump({"type": "auth", "key": key}))
    return socket


def await_message(socket: WebSocket, *types: str) -> dict[str, Any]:
    """The next message of these types. Raises Closed, also for an error that the server tells."""
    while True:
        message: dict[str, Any] = json.loads(socket.receive())
        if message["type"] in types:
            return message
        if message["type"] == "error":
            raise Closed(1002, message["message"])


def _all_stored(answer: dict[str, Any], size: int) -> bool:
    return bool(answer["accepted"] + answer["duplicates"] == size)
