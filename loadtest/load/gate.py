"""The gate: is what the server holds what it told the load that it holds? And was it in time?

Every id that was sent is looked for in the log itself, by the feed of its type, from the position
at which the run began; the counts in `/v1/stats` must have grown by as many; `/v1/verify` must
find log, counts and viewers to agree.
"""

import json
from collections import Counter
from typing import Any

import requests

from loadtest.load.ledger import Ledger, percentile
from loadtest.load.socket import WebSocket

PATIENCE_S = 30
#: A feed that owes events and says nothing for so long doesn't have them.
QUIET_S = 5.0
TIMEOUT_S = 120
OWN_IDS = "load-"


class Gate:
    """Opened before the load, closed after it."""

    def __init__(self, host: str, read_key: str, admin_key: str) -> None:
        self._host = host.rstrip("/")
        self._read_key = read_key
        self._admin_key = admin_key
        self._began: dict[str, tuple[dict[str, int], int]] = {}

    def open(self, types: list[str]) -> None:
        """Notes where each type stands."""
        for type_ in types:
            self._began[type_] = self._position(type_), self._total(type_)

    def close(self, ledger: Ledger) -> tuple[dict[str, Any], list[str]]:
        """(what was compared, what is wrong)."""
        facts: dict[str, Any] = {"types": {}, "items": len(ledger.items)}
        wrong: list[str] = []
        for type_ in sorted(ledger.types):
            facts["types"][type_] = self._compare(type_, ledger, wrong)
        for id, (stored, tried) in ledger.items.items():
            value = self._ask(f"/v1/items/vehicle-id/{id}", self._read_key)["value"]["n"]
            if not stored <= value <= tried:
                wrong.append(f"item {id} is {value}, and {stored} to {tried} were put")
        verified = self._ask("/v1/verify", self._admin_key)
        facts["verify"] = verified
        if not verified["exact"]:
            wrong.append(f"/v1/verify finds differences: {json.dumps(verified)[:500]}")
        return facts, wrong

    def _compare(self, type_: str, ledger: Ledger, wrong: list[str]) -> dict[str, int]:
        since, before = self._began[type_]
        grown = self._total(type_) - before
        stored = self._read_log(type_, since, grown)
        own = {id for id in stored if id.startswith(OWN_IDS)}
        sent = ledger.acknowledged.get(type_, set())
        unknown = ledger.unknown.get(type_, set()) - sent
        others = stored.total() - sum(stored[id] for id in own)
        facts = {
            "acknowledged": len(sent) + ledger.counted[type_],
            "unknown": len(unknown) + ledger.doubtful[type_],
            "stored": stored.total(),
            "counted": grown,
            "lost": len(sent - own),
            "doubled": sum(n - 1 for id, n in stored.items() if n > 1),
        }
        most = ledger.counted[type_] + ledger.doubtful[type_]
        checks = {
            f"{facts['lost']} acknowledged events are not in the log": not facts["lost"],
            f"{facts['doubled']} events are in the log twice": not facts["doubled"],
            f"{len(own - sent - unknown)} ids in the log were never sent": own <= sent | unknown,
            f"{others} events without an id of ours in the log, {ledger.counted[type_]} were"
            f" acknowledged and {most} sent": ledger.counted[type_] <= others <= most,
            f"{stored.total()} events in the log, but the count grew by {grown}": stored.total()
            == grown,
        }
        wrong += [f"{type_}: {what}" for what, fine in checks.items() if not fine]
        return facts

    def _read_log(self, type_: str, since: dict[str, int], expected: int) -> Counter[str]:
        """How often each id is in the log since a position, read until nothing more comes.

        A feed gives what its process knows, and of another's events it learns a moment later.
        """
        found: Counter[str] = Counter()
        socket = self._feed(type_, since)
        try:
            while True:
                message = json.loads(socket.receive(QUIET_S if found.total() < expected else 0.5))
                if message["type"] == "events":
                    found.update(each["id"] for each in message["events"])
                elif message["type"] in ("error", "gap"):
                    raise RuntimeError(f"the feed of {type_} can't be read: {message}")
        except TimeoutError:
            return found
        finally:
            socket.close()

    def _position(self, type_: str) -> dict[str, int]:
        socket = self._feed(type_, None)
        try:
            while True:
                message = json.loads(socket.receive())
                if message["type"] == "events":
                    position: dict[str, int] = message["position"]
                    return position
                if message["type"] == "error":
                    raise RuntimeError(f"the feed of {type_} can't be read: {message}")
        finally:
            socket.close()

    def _feed(self, type_: str, since: dict[str, int] | None) -> WebSocket:
        url = self._host.replace("http", "ws", 1) + "/v1/live"
        socket = WebSocket(url, {"x-api-key": self._read_key}, PATIENCE_S)
        topic = {"feed": type_} | ({"since": since} if since is not None else {})
        socket.send(json.dumps({"type": "subscribe", "id": 1, "topic": topic}))
        return socket

    def _total(self, type_: str) -> int:
        return int(self._ask(f"/v1/stats?type={type_}&top=1", self._read_key)["total"])

    def _ask(self, path: str, key: str) -> Any:
        answer = requests.get(self._host + path, headers={"x-api-key": key}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()


def in_time(ledger: Ledger, options: Any) -> list[str]:
    """What was slower, or failed more often, than the options allow."""
    seconds = ledger.timeline.seconds
    wrong = []
    for kind in ("commit", "seen"):
        histogram = ledger.timeline.histogram(kind, seconds)
        failed = ledger.timeline.failures(kind, seconds)
        if not histogram and not failed:
            continue
        ratio = failed / (failed + histogram.total())
        if ratio > options.max_error_ratio:
            wrong.append(f"{kind}: {100 * ratio:.2f} % failed")
        if options.shape == "ramp":
            continue  # goes beyond what is possible on purpose
        for q, most in ((0.95, options.p95_ms), (0.99, options.p99_ms)):
            took = percentile(histogram, q)
            if not took <= most:
                wrong.append(f"{kind}: p{100 * q:.0f} is {took:.0f} ms, over {most:.0f}")
    return wrong
