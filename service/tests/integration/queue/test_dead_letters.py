"""Dead letters: listed with their reasons, shown whole, and replayed so that all counts once."""

import asyncio
import hashlib
import re
from typing import Any

import aiohttp
import pytest

from livetally.cli import main
from livetally.schema.keys import Role
from service.tests.support.aws import Account
from service.tests.support.clients.caller import ROUTES, Caller
from service.tests.support.postgres import query, totals_in
from service.tests.support.process import on_a_terminal
from service.tests.support.server import Service, serving

RED = {"type": "click", "subject": "red"}
PATH = "/admin/v1/dead-letters"


@pytest.fixture
async def dead(account: Account, work: Any) -> tuple[str, str]:
    """Two dead letters: an array of which one is bad, and one with a key that isn't known."""
    ids = (
        account.send([RED | {"id": "a"}, RED, {"type": "click"}]),
        account.send(RED, api_key="lt_write_not-yet"),
    )
    await work()
    return ids


class Command:
    """`livetally replay` with the account's settings; what it printed, and its status."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        status = await asyncio.to_thread(main, ["replay", *arguments])
        return status, *self._capsys.readouterr()


@pytest.fixture
def command(
    account: Account,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    settings = account.settings | {
        "LIVETALLY_DATABASE_URL": database_url,
        "LIVETALLY_REDIS_URL": "redis://127.0.0.1:1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Command(capsys)


async def test_by_the_command(account: Account, command: Command, dead: tuple[str, str]) -> None:
    """They are listed with why, shown with what was bad, and sent; a dry run sends none."""
    _, listed, _ = await command("--list")
    told = {line.split("\t")[0]: line for line in listed.splitlines()}
    assert told.keys() == set(dead)
    assert "1 of 3 records were refused. The first is number 3: " in told[dead[0]]
    assert "unknown_key: " in told[dead[1]]

    _, shown, _ = await command("--show", dead[1])
    assert '"api_key": "(not shown)"' in shown
    assert "lt_write_not-yet" not in shown
    assert '"line": 3' in (await command("--show", dead[0]))[1]

    _, would, _ = await command("--all", "--dry-run")
    assert sorted(would.split()) == sorted(dead)
    assert account.counts() == (0, 0)

    status, sent, said = await command(dead[0], "no-such")
    assert (status, sent) == (1, dead[0] + "\n")
    assert "no-such is not among the dead letters" in said
    assert account.counts() == (1, 0)
    assert [each["MessageId"] for each in account.dead()] == [dead[1]]


async def test_hostile_messages_are_safe_to_look_at(
    account: Account, command: Command, work: Any
) -> None:
    """A dead letter's words steer no terminal, at the very moment when somebody looks at it."""
    id = account.send(RED | {"\x1b]0;pwn\x07\x1b[2J\x9b2J": "\x9b"})
    await work()
    for arguments in (("--list",), ("--show", id)):
        _, said, _ = await command(*arguments)
        assert "pwn" in said
        assert said.replace("\n", "").replace("\t", "").isprintable(), said


async def test_progress_is_shown(
    account: Account, command: Command, database_url: str, dead: tuple[str, str]
) -> None:
    """On a terminal a replay shows how far it is."""
    said = await asyncio.to_thread(on_a_terminal, database_url, "replay", "--all")
    assert re.search(r"dead letters.*100%", said, re.DOTALL)
    assert account.counts() == (2, 0)


async def test_what_is_replayed_counts_once(
    account: Account, database_url: str, work: Any, command: Command, dead: tuple[str, str]
) -> None:
    """A message that was counted in part and is replayed keeps its events' ids, and those with none
    get the same as before; one that is good by now counts, and nothing is left on record."""
    digest = "decode(%s, 'hex')"
    query(
        database_url,
        "INSERT INTO keys (project, name, role, hash)"
        f" SELECT id, 'late', 'write', {digest} FROM projects WHERE name = 'demo'",
        _sha256("lt_write_not-yet"),
    )
    assert totals_in(database_url)[""] == 2
    assert (await command("--all"))[0] == 0
    await work()
    assert totals_in(database_url)[""] == 3
    (left,) = account.dead()
    assert left["MessageAttributes"]["livetally-message-id"]["StringValue"] == dead[0]
    rows = query(database_url, "SELECT DISTINCT cause FROM queue_refusals WHERE line = 0")
    assert rows == [("refused_in_part",)]


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
async def server(
    account: Account, database_url: str, redis_url: str, demo_keys: dict[Role, str]
) -> Any:
    settings = {
        "queue_url": account.made.queue_url,
        "dead_letter_queue_url": account.made.dead_letter_queue_url,
    }
    async with serving(database_url, redis_url, demo_keys, **settings) as service:
        yield service


async def ask(
    service: Service, method: str, path: str, role: Role = Role.ADMIN, **options: Any
) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[role], "content-type": "application/json"}
    async with service.http.request(method, path, headers=headers, **options) as response:
        return response.status, await response.json()


async def test_by_the_api(server: Service, dead: tuple[str, str], account: Account) -> None:
    """The admin API does the same, for admin keys only, and answers as its document says."""
    caller = Caller(server)

    def described(route: str, body: dict[str, Any]) -> None:
        caller.check(ROUTES[route], 200, "application/json", body)

    for role in (Role.READ, Role.WRITE):
        assert (await ask(server, "GET", PATH, role))[0] == 403
        assert (await ask(server, "POST", PATH + "/replay", role, json={"all": True}))[0] == 403
    status, listed = await ask(server, "GET", PATH)
    causes = {each["id"]: each["cause"] for each in listed["dead_letters"]}
    assert (status, causes) == (200, {dead[0]: "refused_in_part", dead[1]: "unknown_key"})
    described(f"GET {PATH}", listed)
    _, shown = await ask(server, "GET", f"{PATH}/{dead[0]}")
    assert [line["line"] for line in shown["lines"]] == [3]
    described(f"GET {PATH}/{{id}}", shown)
    assert (await ask(server, "GET", PATH + "/nobody"))[0] == 404
    _, refusals = await ask(server, "GET", "/admin/v1/refusals?limit=10")
    assert {row["message"] for row in refusals["refusals"]} == set(dead)
    described("GET /admin/v1/refusals", refusals)

    for wrong in ({}, {"ids": [], "all": True}, {"ids": 1}):
        assert (await ask(server, "POST", PATH + "/replay", json=wrong))[0] == 422
    dry = {"ids": [dead[0]], "dry_run": True}
    _, done = await ask(server, "POST", PATH + "/replay", json=dry)
    assert done == {"ids": [dead[0]], "missing": [], "failed": [], "dry_run": True}
    assert account.counts() == (0, 0)
    _, done = await ask(server, "POST", PATH + "/replay", json={"ids": [dead[1], "x"]})
    assert (done["ids"], done["missing"]) == ([dead[1]], ["x"])
    described(f"POST {PATH}/replay", done)
    assert account.counts() == (1, 0)


async def test_without_a_queue_there_are_none(service: Service) -> None:
    """An installation without a queue says so."""
    status, answer = await ask(service, "GET", PATH)
    assert (status, answer["error"]["code"]) == (404, "not_found")
    assert "LIVETALLY_DEAD_LETTER_QUEUE_URL" in answer["error"]["message"]


async def test_an_unreachable_queue_is_told(
    server: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS away: 503 with the cause, and the rest of the service works."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    status, answer = await ask(server, "GET", PATH)
    assert (status, answer["error"]["code"]) == (503, "queue_unavailable")
    assert "unreachable" in answer["error"]["message"]
    assert isinstance(server.http, aiohttp.ClientSession)
    assert (await server.post(RED))[0] == 200
