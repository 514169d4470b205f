"""The commands that talk to a running service: send, tail, put, stats, simulate."""

import asyncio
import json
import os
import pty
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from livetally.schema.keys import Role
from service.tests.support.command import Command
from service.tests.support.postgres import make_keys, query, totals_in
from service.tests.support.process import Process
from service.tests.support.server import Service
from service.tests.support.waiting import until

Run = Callable[..., Command]


@pytest.fixture
def run(service: Service) -> Run:
    def run(*arguments: str, role: Role = Role.ADMIN, **options: Any) -> Command:
        return Command(service.url, service.keys[role], *arguments, **options)

    return run


async def test_an_event_is_sent(run: Run, service: Service) -> None:
    """`send TYPE SUBJECT` counts one event, and says what became of it."""
    arguments = ("send", "click", "red", "--id", "a", "--property", "x=3", "--property", "p=/a")
    assert await run(*arguments).end() == (0, '{"accepted":1,"duplicates":0,"refused":0}\n', "")
    assert (await run(*arguments).end())[1] == '{"accepted":0,"duplicates":1,"refused":0}\n'
    ((properties,),) = query(service.database_url, "SELECT properties FROM events")
    assert properties == {"x": 3, "p": "/a"}


async def test_lines_are_sent_and_counted_exactly(run: Run, service: Service) -> None:
    """NDJSON from stdin: every line is accepted, a duplicate, or refused with its number."""
    lines = [json.dumps({"type": "click", "subject": "red", "id": f"{n}"}) for n in range(1200)]
    lines[7] = "{"
    lines[600] = '{"type": "click"}'
    lines[601] = lines[602]
    lines[603] = ""
    status, said, complained = await run("send").end("\n".join(lines).encode())
    assert (status, json.loads(said)) == (1, {"accepted": 1196, "duplicates": 1, "refused": 2})
    assert "line 8: malformed_json" in complained
    assert "line 601: invalid_event" in complained
    assert totals_in(service.database_url)["red"] == 1196

    again = await run("send", "--skip", "1100").end("\n".join(lines).encode())
    assert json.loads(again[1]) == {"accepted": 0, "duplicates": 100, "refused": 0}


async def test_a_slow_pipe_does_not_hold_events_back(run: Run, service: Service) -> None:
    """What has come is sent while the next line is not there yet; Ctrl-C says how far it got."""
    command = run("send")
    assert command.process.stdin
    command.process.stdin.write(b'{"type":"click","subject":"red"}\n')
    command.process.stdin.flush()
    await until(lambda: totals_in(service.database_url).get("red") == 1, 20)
    command.process.send_signal(signal.SIGINT)
    status = await asyncio.to_thread(command.process.wait, 20)
    assert command.process.stdout
    assert command.process.stderr
    accepted = json.loads(command.process.stdout.read())["accepted"]
    assert (status, accepted in (0, 1)) == (130, True)  # 0: its answer was still on the way
    assert b"--skip %d." % accepted in command.process.stderr.read()


async def test_what_can_not_be_done_is_one_line(run: Run, service: Service, tmp_path: Path) -> None:
    """A wrong key or role, no server, no JSON: status 2, and a line that says so."""
    (tmp_path / "key").write_text("lt_nobody\n")
    for arguments, role, says in (
        (("stats", "click", "--key-file", str(tmp_path / "key")), Role.READ, "not known"),
        (("tail", "click", "--key", "lt_nobody"), Role.READ, "not known"),
        (("send", "click", "red"), Role.READ, "write key"),
        (("simulate", "--url", "http://127.0.0.1:1"), Role.ADMIN, "127.0.0.1:1"),
        (("put", "van", "1", "{"), Role.ADMIN, "not JSON"),
        (("put", "x", "1", "1"), Role.ADMIN, "3-50 letters"),
        (("put", "van", "1"), Role.ADMIN, "value is missing"),
        (("send", "click"), Role.ADMIN, "subject is missing"),
        (("stats", "click", "--url", "ftp://x"), Role.ADMIN, "http://"),
    ):
        status, said, complained = await run(*arguments, role=role).end()
        assert (status, said, len(complained.splitlines())) == (2, "", 1), (arguments, complained)
        assert complained.startswith("livetally: ")
        assert says in complained, complained


async def test_a_feed_is_followed_and_resumed(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """`tail` prints every event once, through a kill -9 of the server and one of its own."""
    keys = await make_keys(database_url)
    server = await asyncio.to_thread(spawn().wait_ready)
    at = str(tmp_path / "position.json")
    seen: list[str] = []

    def tail(*more: str) -> Command:
        return Command(server.url, keys[Role.READ], "tail", "click", "--position-file", at, *more)

    async def send(subject: str) -> None:
        sent = await Command(server.url, keys[Role.WRITE], "send", "click", subject).end()
        assert sent[0] == 0, sent

    await send("0")
    tailing = tail("--all")
    seen.append((await tailing.line())["subject"])
    server.kill()
    server.restart()
    await send("1")
    seen.append((await tailing.line())["subject"])
    # It is kept after it is printed: a kill between the two would have it printed again.
    await until(lambda: sum(json.loads(Path(at).read_text()).values()) == 2, 10)
    tailing.process.kill()
    await tailing.end()
    await send("2")
    await send("3")
    status, said, _ = await tail("-n", "2").end()
    assert status == 0
    seen += [json.loads(line)["subject"] for line in said.splitlines()]
    assert seen == ["0", "1", "2", "3"]


async def test_items_are_put(run: Run, service: Service) -> None:
    """`put` stores one item, only over a version if told so, or many from stdin."""
    status, said, _ = await run("put", "van", "1", '{"n": 1.10}').end()
    assert (status, json.loads(said)["version"]) == (0, 1)
    assert (await run("put", "van", "1", "2", "--version", "0").end())[0] == 2
    assert (await run("put", "van", "1", "-", "--version", "1").end(b"[3]"))[0] == 0
    lines = "".join(f'{{"id":"n{n}","value":{n}}}\n' for n in range(1_200))
    assert (await run("put", "van").end(lines.encode()))[1] == '{"stored":1200}\n'
    assert query(service.database_url, "SELECT count(*) FROM items") == [(1201,)]


async def test_counts_are_shown(run: Run, service: Service) -> None:
    """`stats` prints a table, or the API's answer; what would steer the terminal is escaped."""
    await service.post([{"type": "click", "subject": s} for s in ("red", "red", "\x1b[2J")])
    said = (await run("stats", "click").end())[1]
    assert said == "2  red\n1  \\u001b[2J\n3  total\n"
    said = (await run("stats", "click", "--subject", "red", "--json").end())[1]
    assert json.loads(said) == {"type": "click", "subject": "red", "total": 2}
    said = (await run("stats", "click", "--bucket", "hour").end())[1]
    assert (len(said.splitlines()), said.splitlines()[-1].split()[0]) == (60, "3")


async def test_all_subjects_are_shown(run: Run, service: Service) -> None:
    """`stats --all` shows every subject, the largest first, also more than one page has."""
    names = [f"s{n:04}" for n in range(1_002)]
    await service.post([{"type": "click", "subject": each} for each in names[:999]])
    await service.post([{"type": "click", "subject": each} for each in [*names[999:], "s0500"]])
    status, said, _ = await run("stats", "click", "--all", "--json").end()
    found = json.loads(said)
    subjects = [each["subject"] for each in found["subjects"]]
    assert (status, found["total"], subjects[0]) == (0, 1_003, "s0500")
    assert sorted(subjects) == names


async def test_counts_are_watched_without_a_terminal(run: Run, service: Service) -> None:
    """`stats --watch` in a pipe is a JSON line a message."""
    watching = run("stats", "click", "--watch", "--updates", "2")
    assert (await watching.line())["total"] == 0
    await service.post({"type": "click", "subject": "red"})
    line = await watching.line()
    assert (line["total"], line["totals"]) == (1, {"red": 1})
    assert (await watching.end())[0] == 0


async def on_a_terminal(command: Callable[[int], Command], wanted: str) -> str:
    """What a command writes to a terminal, until the wanted words have been there."""
    ours, theirs = pty.openpty()
    running = command(theirs)
    os.close(theirs)
    said = b""
    try:
        async with asyncio.timeout(30):
            while re.search(wanted, said.decode(errors="replace"), re.DOTALL) is None:
                said += await asyncio.to_thread(os.read, ours, 65536)
    finally:
        running.process.send_signal(signal.SIGINT)
        os.close(ours)
        await asyncio.to_thread(running.process.wait, 20)
    return said.decode(errors="replace")


async def test_counts_are_watched_on_a_terminal(run: Run, service: Service) -> None:
    """`stats --watch` on a terminal draws: the state, the total, the subjects."""
    await service.post([{"type": "click", "subject": "red"}] * 3)

    def watch(terminal: int) -> Command:
        return run("stats", "click", "--watch", stdout=terminal, stderr=terminal)

    said = await on_a_terminal(watch, r"3 in all.*● live.*red.*█")
    assert "\x1b[" in said


async def test_users_are_simulated(run: Run, service: Service) -> None:
    """N sockets send at the rate that was asked for, and every event is accounted for."""
    status, said, _ = await run(
        "simulate", "--users", "20", "--rate", "100", "--seconds", "2", "--subject", "red"
    ).end()
    found = json.loads(said)
    assert (status, found["users"], found["unanswered"], found["refused"]) == (0, 20, 0, 0)
    assert 0 < found["sent"] <= 201
    assert found["accepted"] == found["sent"] == totals_in(service.database_url)["red"]
    assert found["updates_received"] >= 20


async def test_a_simulation_is_stopped(run: Run, service: Service) -> None:
    """Ctrl-C ends it early, with a summary that is true; a progress bar is shown on a terminal."""
    simulating = run("simulate", "--users", "5", "--rate", "50", "--seconds", "600")
    await until(lambda: totals_in(service.database_url).get("", 0) > 10, 20)
    simulating.process.send_signal(signal.SIGINT)
    status, said, _ = await simulating.end()
    found = json.loads(said)
    assert (status, found["unanswered"]) == (130, 0)
    assert found["accepted"] == found["sent"] == totals_in(service.database_url)[""]

    def simulate(terminal: int) -> Command:
        return run("simulate", "--users", "2", "--seconds", "600", stderr=terminal)

    assert "2 users" in await on_a_terminal(simulate, r"[1-9]\d* acknowledged")


HOSTILE = "\x1b]0;pwn\x07\x1b[2J\x9b2J\u202edne"


@pytest.mark.parametrize(
    "arguments",
    [("stats", "a"), ("stats", "a", "--watch"), ("tail", "a"), ("put", "van", "1", "2")],
)
async def test_no_server_steers_the_terminal(arguments: tuple[str, ...]) -> None:
    """What a server says of an error is text, in whatever command's words it reaches the terminal;
    and so is what an honest one passes on."""
    error = {"code": "unknown_key", "message": f"{HOSTILE}\nsecond"}

    async def refuse(request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            return web.json_response({"error": error}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "error", **error})
        await socket.close(code=1008)
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as server:
        command = Command(str(server.make_url("")), "k", *arguments)
        status, said, complained = await command.end()
    assert status == 2
    assert (said + complained).replace("\n", "").isprintable(), (said, complained)
    assert "\\u001b]0;pwn" in complained


async def test_json_is_printable_too(run: Run, service: Service) -> None:
    """The same JSON, whoever reads it, without what a terminal would obey."""
    await service.post({"type": "click", "subject": HOSTILE, "properties": {HOSTILE: HOSTILE}})
    said = (await run("stats", "click", "--json").end())[1]
    assert said.rstrip().isprintable()
    assert json.loads(said)["subjects"][0]["subject"] == HOSTILE
