"""What every kind of user shares: keys, a schedule of its own, sockets, and the books."""

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, task
from locust.exception import StopUser

from loadtest.load.ledger import Ledger
from loadtest.load.socket import Closed, WebSocket

#: This process's books. Locust makes users itself, so there is no other way to hand it to them.
ledger = Ledger()

WRITE_KEY, READ_KEY, ADMIN_KEY = (
    os.environ.get(name, "") for name in ("WRITE_KEY", "READ_KEY", "ADMIN_KEY")
)
#: What the keys belong to; format 5 sends it as the user.
PROJECT = os.environ.get("PROJECT", "demo")
EVENT_TYPE = "load"
SUBJECTS = 100
ANSWER_S = 30.0


class Paced(FastHttpUser):
    """Does one `step` at a time, at times fixed beforehand, however long the last one took.

    Latency counts from when a step was due, so a server that makes users wait can't hide the wait
    (Locust's own pacing starts the clock when the request leaves).
    """

    abstract = True
    #: Steps a second.
    rate: ClassVar[float] = 1.0
    network_timeout = connection_timeout = ANSWER_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sockets: list[WebSocket] = []
        every = 1 / (self.rate * self.environment.parsed_options.rate_factor)
        self._every = every
        self._due = time.monotonic() + random.random() * every

    def on_stop(self) -> None:
        for socket in self.sockets:
            socket.close()

    @task
    def scheduled(self) -> None:
        left = self._due - time.monotonic()
        if left > 0:
            gevent.sleep(left)
        due, self._due = self._due, self._due + self._every
        self.report("schedule", "lag", time.monotonic() - due)
        self.step(due)

    def step(self, due: float) -> None:
        """What this user does; `due` by the monotonic clock."""
        raise NotImplementedError

    def report(
        self, kind: str, name: str, latency_s: float, error: Exception | None = None, size: int = 0
    ) -> None:
        """One figure for Locust's statistics and for the timeline."""
        ledger.record(kind, latency_s * 1000, error is not None)
        if kind != "schedule":
            self.environment.events.request.fire(
                request_type=kind,
                name=name,
                response_time=latency_s * 1000,
                response_length=size,
                exception=error,
                context={},
            )

    def send(self, method: str, path: str, due: float, name: str, **kwargs: Any) -> Any | None:
        """The answer, if it is 2xx; else what it was is reported and None comes back."""
        with self.client.request(
            method, path, name=name, catch_response=True, **kwargs
        ) as response:
            fine = 200 <= (response.status_code or 0) < 300
            latency_ms = (time.monotonic() - due) * 1000
            response.request_meta["response_time"] = latency_ms
            ledger.record("commit", latency_ms, not fine)
            if fine:
                response.success()
                return response
            response.failure(f"{response.status_code} {(response.text or '')[:100]}")
            return None

    def connect(self, path: str, **headers: str) -> WebSocket:
        """A socket that is closed with the user. Being refused ends the user."""
        began = time.monotonic()
        try:
            socket = WebSocket(self.host.replace("http", "ws", 1) + path, headers, ANSWER_S)
        except (OSError, Closed) as error:
            self.report("connect", path.split("?")[0], time.monotonic() - began, error)
            raise StopUser from None
        self.sockets.append(socket)
        self.report("connect", path.split("?")[0], time.monotonic() - began)
        return socket


@contextmanager
def books(type_: str, ids: list[str]) -> Iterator[list[str]]:
    """Ids that the block doesn't acknowledge are in doubt, also if the user is killed in it.

    The block puts what was acknowledged into the list that it is given.
    """
    acknowledged: list[str] = []
    try:
        yield acknowledged
    finally:
        ledger.acknowledge(type_, acknowledged)
        if left := set(ids).difference(acknowledged):
            ledger.doubt(type_, list(left))


@contextmanager
def one_counted(*types: str) -> Iterator[list[bool]]:
    """The same for an event without an id."""
    fine: list[bool] = []
    try:
        yield fine
    finally:
        for type_ in types:
            ledger.count(type_, sure=bool(fine))


def event(n: int, probe: bool = False) -> dict[str, Any]:
    """An event; a probe is what this process's own viewers time, by this process's own clock."""
    subject = f"probe-{ledger.tag}" if probe else f"s{n % SUBJECTS}"
    made = {"id": ledger.new_id(), "type": EVENT_TYPE, "subject": subject}
    if probe:
        made["properties"] = {"sent_ns": time.monotonic_ns()}
    return made


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
