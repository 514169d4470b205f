"""The live protocol as a state machine: Hypothesis makes up long conversations of several
connections, and a model says what each must be answered, told and shown, and when it must end."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from livetally.schema.keys import Role
from service.tests.support.clients.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process

#: The same conversations every time, and few: they run with every other test.
few = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failure waits for what never comes: not that again and again
    suppress_health_check=list(HealthCheck),
)
PROJECTS = ("demo", "other")
SUBJECTS = ("red", "blue", "\u2028\U0001f4a5")
IDS = (0, "a", "\U0001f4a5")
KINDS = ("all", "some", "feed", "items", "item")
LEAST_PEERS = 2
MAX_PEERS = 4
NO_MESSAGES = ("{", "", "[]", "null", '{"type":"dance"}', '{"type":"ping","more":1}', "[" * 20_000)
NO_TOPICS: tuple[Any, ...] = (None, 1, [], {}, {"totals": ""}, {"feed": "a", "totals": "a"})
NO_EVENTS: tuple[Any, ...] = (5, {}, {"type": "click"}, {"type": "\0", "subject": "s"})
#: What ends a connection, and with which code.
WRECKS = {
    1002: RawSocket.frame(3, b"an opcode that nobody has"),
    1003: RawSocket.frame(BINARY, b'{"type":"ping"}'),
    1007: RawSocket.frame(TEXT, b'{"type":"\xff"}'),
    1009: b"\x81\xff" + (1 << 40).to_bytes(8),
}

_runs = itertools.count()
numbers = st.integers(0, 11)
ids = st.sampled_from(IDS)
#: Mostly one project, and keys that may do much.
projects = st.sampled_from(["demo", "demo", "other"])
likely = st.sampled_from([Role.READ_WRITE, Role.ADMIN, Role.READ, Role.WRITE])
kinds = st.sampled_from(KINDS)
types = st.sampled_from(["x", "y"])
events = st.tuples(types, st.sampled_from(SUBJECTS), st.integers(0, 30)) | st.sampled_from(
    range(len(NO_EVENTS))
)


class Project:
    """What a project holds, by the promises."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.counts: dict[str, Counter[str]] = {"x": Counter(), "y": Counter()}
        self.log: dict[str, list[str]] = {"x": [], "y": []}
        self.items: dict[str, int] = {}

    def take(self, sent: list[Any]) -> dict[str, Any]:
        """What is to be answered to these events."""
        answer: dict[str, Any] = {"accepted": 0, "duplicates": 0, "rejected": []}
        for index, each in enumerate(sent):
            if isinstance(each, int):
                answer["rejected"].append(index)
                continue
            type_, subject, n = each
            if f"{n}" in self.ids:
                answer["duplicates"] += 1
                continue
            self.ids.add(f"{n}")
            self.counts[type_][subject] += 1
            self.log[type_].append(f"{n}")
            answer["accepted"] += 1
        return answer


class Subscription:
    """A topic, and what its viewer has been told of it."""

    def __init__(self, kind: str, type_: str, project: Project) -> None:
        self._kind = kind
        self._type = type_
        self._project = project
        self._since = len(project.log[type_])
        self._shown: dict[str, int] = {}
        self._total = 0
        self._told: list[str] = []

    def hear(self, message: dict[str, Any], run: str) -> None:
        if message["type"] == "events":
            self._told += [each["id"].removeprefix(run) for each in message["events"]]
            return
        assert message["type"] in ("snapshot", "update"), message
        if message["type"] == "snapshot":
            self._shown.clear()
        self._total = message.get("total", 0)
        self._shown |= message.get("totals", {})
        for item in message.get("items", []):
            self._shown[item["id"]] = item.get("value")
            if item.get("removed"):
                del self._shown[item["id"]]

    @property
    def exact(self) -> bool:
        counts = self._project.counts[self._type]
        if self._kind == "feed":
            return self._told == self._project.log[self._type][self._since :]
        if self._kind == "all":
            return (self._shown, self._total) == (counts, counts.total())
        if self._kind == "some":
            some = {subject: counts[subject] for subject in SUBJECTS[:2]}
            return (self._shown, self._total) == (some, sum(some.values()))
        items = self._project.items
        if self._kind == "item":
            items = {id: value for id, value in items.items() if id == self._type}
        return self._shown == items

    def __repr__(self) -> str:
        about = self._project
        return (
            f"{self._kind} {self._type}: {self._shown}, {self._total}, {self._told};"
            f" true: {about.counts}, {about.log}, {about.items}"
        )


class Peer:
    """A connection that has said who it is."""

    def __init__(self, raw: RawSocket, project: str, role: Role) -> None:
        self.raw = raw
        self.project = project
        self.roles = {role}
        self.subscriptions: dict[int | str, Subscription] = {}

    def allows(self, role: Role) -> bool:
        return any(mine.allows(role) for mine in self.roles)


class Conversation(RuleBasedStateMachine):
    """Every rule waits for what it must be answered; whatever else comes must be true news."""

    def __init__(self, url: str, keys: dict[str, dict[Role, str]]) -> None:
        super().__init__()
        self._url = url
        self._port = int(url.rpartition(":")[2])
        self._keys = keys
        #: Types, ids and items of this conversation, not of another.
        self._run = f"run-{next(_runs)}-"
        self._items = "run-" + self._run.translate(str.maketrans("0123456789", "abcdefghij"))
        self._items = self._items.strip("-")
        self._projects = {name: Project() for name in PROJECTS}
        self._peers: list[Peer] = []
        self._loop = asyncio.Runner()

    def teardown(self) -> None:
        try:
            for peer in self._peers:
                self._do(self._settle(peer))
                self._do(self._ask(peer, {"type": "ping"}, type="pong"))
                for subscription in peer.subscriptions.values():
                    assert subscription.exact, subscription  # also after what came since
        finally:
            for peer in self._peers:
                peer.raw.writer.close()
            self._loop.close()

    # Who it is

    @initialize(kinds=st.permutations(KINDS), role=st.sampled_from(Role))
    def begin(self, kinds: list[str], role: Role) -> None:
        """Somebody who watches much, and somebody else."""
        self.join("demo", Role.READ_WRITE, True)
        self.join("demo", role, True)
        for id, kind in zip(IDS, kinds, strict=False):
            self.subscribe(0, id, kind, "x")

    @precondition(lambda self: len(self._peers) < MAX_PEERS)
    @rule(project=projects, role=likely, early=st.booleans())
    def join(self, project: str, role: Role, early: bool) -> None:
        key = self._keys[project][role]
        raw = self._do(self._connect(key if early else None))
        peer = Peer(raw, project, role)
        if not early:
            self._do(self._say(peer, {"type": "auth", "key": key}))
        self._do(self._hear(peer, type="ready", project=project, role=role.value))
        self._peers.append(peer)

    @rule(message=st.sampled_from(["track", "subscribe", "auth"]))
    def a_stranger_is_sent_away(self, message: str) -> None:
        peer = Peer(self._do(self._connect(None)), "", Role.READ)
        said: dict[str, dict[str, Any]] = {
            "track": {"events": [{"type": "x", "subject": "red"}]},
            "subscribe": {"id": 1, "topic": {"totals": "x"}},
            "auth": {"key": "nobody's"},
        }
        code = "unknown_key" if message == "auth" else "missing_key"
        self._do(self._ask(peer, {"type": "ping"}, type="pong"))
        self._do(self._ask(peer, {"type": message, **said[message]}, type="error", code=code))
        assert self._do(peer.raw.close_code()) == 1008
        peer.raw.writer.close()

    @rule(n=numbers, project=projects, role=st.sampled_from(Role))
    def bring_another_key(self, n: int, project: str, role: Role) -> None:
        peer = self._peer(n)
        said = {"type": "auth", "key": self._keys[project][role]}
        if project == peer.project:
            self._do(self._ask(peer, said, type="ready", role=role.value))
            peer.roles.add(role)
        else:
            self._do(self._ask(peer, said, type="error", code="bad_request"))

    # What it asks

    @rule(n=numbers, id=ids, kind=kinds, type_=types)
    def subscribe(self, n: int, id: int | str, kind: str, type_: str) -> None:
        peer = self._peer(n)
        said = {"type": "subscribe", "id": id, "topic": self._topic(kind, type_)}
        if not peer.allows(Role.READ):
            self._do(self._ask(peer, said, type="error", code="wrong_role", id=id))
        elif id in peer.subscriptions:
            self._do(self._ask(peer, said, type="error", code="conflict", id=id))
        else:
            made = Subscription(kind, type_, self._projects[peer.project])
            made.hear(self._do(self._ask(peer, said, id=id)), self._run)
            assert made.exact, made
            peer.subscriptions[id] = made

    @rule(n=numbers, id=ids, topic=st.sampled_from(NO_TOPICS))
    def subscribe_to_nothing(self, n: int, id: int | str, topic: Any) -> None:
        peer = self._peer(n)
        said = {"type": "subscribe", "id": id, "topic": topic}
        code = "bad_request" if peer.allows(Role.READ) else "wrong_role"
        self._do(self._ask(peer, said, type="error", code=code, id=id))

    @rule(n=numbers, which=numbers)
    def unsubscribe(self, n: int, which: int) -> None:
        peer = self._peer(n)
        watched = [*peer.subscriptions, "nothing"]
        id = watched[which % len(watched)]
        said = {"type": "unsubscribe", "id": id}
        if id in peer.subscriptions:
            self._do(self._ask(peer, said, type="unsubscribed", id=id))
            del peer.subscriptions[id]  # whatever comes for it from now on fails `_hear`
        else:
            self._do(self._ask(peer, said, type="error", code="not_found"))

    @rule(n=numbers, text=st.sampled_from(NO_MESSAGES))
    def talk_nonsense(self, n: int, text: str) -> None:
        peer = self._peer(n)
        peer.raw.send(TEXT, text.encode())
        error = self._do(self._hear(peer, type="error"))
        assert error["code"] in ("bad_request", "malformed_json"), error

    @rule(n=numbers, payload=st.binary(max_size=125))
    def ping_within_a_message(self, n: int, payload: bytes) -> None:
        peer = self._peer(n)
        peer.raw.send(TEXT, b'{"type":', fin=False)
        peer.raw.send(PING, payload)
        peer.raw.send(0, b'"ping"}')
        self._do(self._hear(peer, opcode=PONG, payload=payload))
        self._do(self._hear(peer, type="pong"))

    # What happens

    @rule(n=numbers, messages=st.lists(st.lists(events, max_size=4), max_size=3))
    def track(self, n: int, messages: list[list[Any]]) -> None:
        """Several at once: counted in their order, answered each by its ref."""
        peer = self._peer(n)
        for ref, sent in enumerate(messages):
            said = {"type": "track", "ref": ref, "events": list(map(self._event, sent))}
            self._do(self._say(peer, said))
        answers = self._do(self._hear_all(peer, len(messages)))
        for ref, sent in enumerate(messages):
            if not peer.allows(Role.WRITE):
                assert answers[ref]["code"] == "wrong_role"
            elif not sent:
                assert answers[ref]["code"] == "unprocessable"
            else:
                self._compare(answers[ref], self._projects[peer.project].take(sent))

    @rule(project=projects, sent=st.lists(events, min_size=1, max_size=4))
    def others_send(self, project: str, sent: list[Any]) -> None:
        told = self._do(self._http(project, "POST", "/v1/events", list(map(self._event, sent))))
        self._compare(told, self._projects[project].take(sent))

    @rule(project=projects, id=types, value=st.integers(-5, 5))
    def others_put(self, project: str, id: str, value: int) -> None:
        self._do(self._http(project, "PUT", f"/v1/items/{self._items}/{id}", value))
        self._projects[project].items[id] = value

    @rule(project=projects, id=types)
    def others_delete(self, project: str, id: str) -> None:
        if id in self._projects[project].items:
            self._do(self._http(project, "DELETE", f"/v1/items/{self._items}/{id}", None))
            del self._projects[project].items[id]

    @rule(n=numbers)
    def all_is_shown(self, n: int) -> None:
        peer = self._peer(n)
        self._do(self._settle(peer))

    # How it ends

    @precondition(lambda self: len(self._peers) > LEAST_PEERS)
    @rule(n=numbers, code=st.sampled_from(sorted(WRECKS)))
    def break_the_rules(self, n: int, code: int) -> None:
        peer = self._peer(n)
        self._peers.remove(peer)
        raw = peer.raw
        raw.writer.write(WRECKS[code])
        assert self._do(raw.close_code()) == code
        raw.writer.close()

    @precondition(lambda self: len(self._peers) > LEAST_PEERS)
    @rule(n=numbers, politely=st.booleans())
    def leave(self, n: int, politely: bool) -> None:
        peer = self._peer(n)
        self._peers.remove(peer)
        raw = peer.raw
        if politely:
            raw.send(CLOSE, (1000).to_bytes(2))
            assert self._do(raw.close_code()) == 1000
        raw.writer.transport.abort()

    # How it is done

    def _peer(self, n: int) -> Peer:
        return self._peers[n % len(self._peers)]

    def _do(self, doing: Any) -> Any:
        return self._loop.run(doing)

    def _topic(self, kind: str, type_: str) -> dict[str, Any]:
        name = self._run + type_
        return {
            "all": {"totals": name},
            "some": {"totals": name, "subjects": SUBJECTS[:2]},
            "feed": {"feed": name},
            "items": {"items": self._items},
            "item": {"item": [self._items, type_]},
        }[kind]

    def _event(self, drawn: Any) -> Any:
        if isinstance(drawn, int):
            return NO_EVENTS[drawn]
        type_, subject, n = drawn
        return {"type": self._run + type_, "subject": subject, "id": f"{self._run}{n}"}

    def _compare(self, told: dict[str, Any], expected: dict[str, Any]) -> None:
        rejected = [each["index"] for each in told["rejected"]]
        assert {**expected, "rejected": rejected} == expected, (told, expected)
        assert (told["accepted"], told["duplicates"]) == (
            expected["accepted"],
            expected["duplicates"],
        )

    async def _connect(self, key: str | None) -> RawSocket:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        given = f"x-api-key: {key}\r\n" if key else ""
        writer.write(
            "GET /v1/live HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"{given}\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return RawSocket(reader, writer)

    async def _http(self, project: str, method: str, path: str, body: Any) -> Any:
        headers = {"x-api-key": self._keys[project][Role.WRITE]}
        async with aiohttp.request(method, self._url + path, json=body, headers=headers) as answer:
            assert answer.status in (200, 201, 204, 422), await answer.text()
            return await answer.json() if answer.status != 204 else None

    async def _say(self, peer: Peer, message: dict[str, Any]) -> None:
        peer.raw.send(TEXT, json.dumps(message).encode())

    async def _ask(self, peer: Peer, message: dict[str, Any], **answer: Any) -> dict[str, Any]:
        await self._say(peer, message)
        return await self._hear(peer, **answer)

    async def _hear(self, peer: Peer, **wanted: Any) -> dict[str, Any]:
        """The message with these fields; what comes before it is news of what is watched."""
        while True:
            opcode, payload = await peer.raw.frame_from()
            if opcode != TEXT:
                assert opcode in (PING, PONG), (opcode, payload)
                if wanted == {"opcode": opcode, "payload": payload}:
                    return wanted
                continue
            message = json.loads(payload)
            if wanted.items() <= message.items() and not self._is_news(peer, message):
                return message
            self._take_news(peer, message)

    async def _hear_all(self, peer: Peer, count: int) -> dict[int, dict[str, Any]]:
        """So many answers by their refs: what is refused doesn't wait for what is committed."""
        answers: dict[int, dict[str, Any]] = {}
        while len(answers) < count:
            opcode, payload = await peer.raw.frame_from()
            message = json.loads(payload) if opcode == TEXT else {}
            if "ref" in message:
                assert message["ref"] not in answers, message
                answers[message["ref"]] = message
            elif message:
                self._take_news(peer, message)
        return answers

    def _is_news(self, peer: Peer, message: dict[str, Any]) -> bool:
        return message["type"] in ("snapshot", "update", "events") and (
            message["id"] in peer.subscriptions
        )

    def _take_news(self, peer: Peer, message: dict[str, Any]) -> None:
        if message["type"] in ("stale", "fresh"):
            return  # a busy machine
        assert self._is_news(peer, message), message
        peer.subscriptions[message["id"]].hear(message, self._run)

    async def _settle(self, peer: Peer) -> None:
        """Until every topic shows what is so."""
        while wrong := [each for each in peer.subscriptions.values() if not each.exact]:
            try:
                opcode, payload = await peer.raw.frame_from()
            except TimeoutError:
                raise AssertionError(f"never shown: {wrong}") from None
            if opcode == TEXT:
                self._take_news(peer, json.loads(payload))


def test_no_conversation_goes_wrong(spawn: Callable[..., Process], database_url: str) -> None:
    """Keys, subscriptions, tracks, items, nonsense, breaches and ends in any order, over several
    connections of two projects: every answer is the right one, everything that is watched is shown
    as it is, each event of a feed once, and nothing comes that wasn't asked for."""
    keys = {name: asyncio.run(make_keys(database_url, name)) for name in PROJECTS}
    settings_ = {"LIVETALLY_FRAME_INTERVAL_MS": "5", "LIVETALLY_PING_INTERVAL_S": "300"}
    process = spawn(**settings_).wait_ready()
    run_state_machine_as_test(lambda: Conversation(process.url, keys), settings=few)
    assert process.stop() == 0
    assert "failed" not in process.log.read_text()
