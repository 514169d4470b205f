"""The queue when things go wrong: workers killed, AWS away or unwilling, Postgres away. Nothing is
lost, nothing counts twice, the cause is told, and all heals by itself."""

import asyncio
import contextlib
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from livetally.dev.servers import LocalPostgres
from livetally.queue import consumer as queue
from livetally.schema.keys import Role
from service.tests.support.aws import (
    BREAK,
    Account,
    Gate,
    Spoil,
    is_object,
    make_account,
    ndjson,
    s3_refusing,
    working,
)
from service.tests.support.faults.books import check_counts
from service.tests.support.postgres import make_keys, totals_in, unreachable
from service.tests.support.process import Process
from service.tests.support.waiting import until

RED = {"type": "click", "subject": "red"}


def refusing(code: str, status: int = 400) -> Callable[[web.Request], web.Response]:
    """Answers as SQS refuses."""
    text = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": code})
    return lambda request: web.Response(
        status=status, text=text, content_type="application/x-amz-json-1.0"
    )


@pytest.fixture
async def gate(account: Account, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    async with Gate(account.server.url).open() as gate:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
        yield gate


async def failures(url: str) -> dict[str, float]:
    """How often calls to AWS have failed, by service and cause."""
    async with aiohttp.ClientSession() as http, http.get(url + "/metrics") as response:
        text = await response.text()
    pattern = r'livetally_aws_failures_total{cause="(\w+)",service="(\w+)"} (\S+)'
    return {f"{service} {cause}": float(n) for cause, service, n in re.findall(pattern, text)}


FAULTS: dict[str, Spoil] = {
    "unreachable": lambda request: BREAK,
    "access_denied": refusing("AccessDeniedException", 403),
    "missing": refusing("QueueDoesNotExist"),
    "throttled": refusing("RequestThrottled"),
    "clock_skew": refusing("RequestTimeTooSkewed", 403),
}


@pytest.mark.parametrize("cause", FAULTS)
async def test_a_queue_that_can_not_be_read(
    gate: Gate,
    account: Account,
    database_url: str,
    redis_url: str,
    demo_keys: object,
    caplog: pytest.LogCaptureFixture,
    cause: str,
) -> None:
    """At the start and later: the cause is counted and logged, once, /readyz tells it, and when it
    ends all is counted without anybody's help."""
    gate.spoil = FAULTS[cause]
    async with working(account, database_url, redis_url) as url:
        for n in (1, 2):
            account.send(RED)
            before = (await failures(url)).get(f"sqs {cause}", 0)

            async def counted(before: float = before) -> bool:
                return (await failures(url)).get(f"sqs {cause}", 0) >= before + 2

            await until(counted, 30)
            async with aiohttp.ClientSession() as http, http.get(url + "/readyz") as response:
                report = await response.json()
            assert report["status"] == "degraded"
            assert any(cause in reason for reason in report["reasons"])
            told = [r for r in caplog.records if "queue can't be read" in r.getMessage()]
            assert len([r for r in told if r.levelname == "WARNING"]) == n
            gate.spoil = lambda request: None
            await until(lambda n=n: totals_in(database_url).get("") == n, 30)
            await account.until_empty()  # with the delete refused it would be news twice
            gate.spoil = FAULTS[cause]
        gate.spoil = lambda request: None
        await account.until_empty()
    assert account.dead() == []


async def test_a_cut_object_is_read_on(
    gate: Gate, account: Account, database_url: str, work: Any, demo_keys: object
) -> None:
    """When the connection breaks in the middle of an object, it is read on from there."""
    gate.cut_at = 100_000
    account.put("inbox/a", ndjson(RED | {"id": f"{n}"} for n in range(5_000)))
    await work()
    assert gate.cut_at is None
    assert totals_in(database_url)[""] == 5_000
    assert account.dead() == []


S3_FAULTS: dict[str, Spoil] = {
    "unreachable": lambda request: BREAK,
    "throttled": s3_refusing("SlowDown", 503),
    "clock_skew": s3_refusing("RequestTimeTooSkewed", 403),
    "credentials": s3_refusing("ExpiredToken", 400),
}


@pytest.mark.parametrize("cause", S3_FAULTS)
async def test_a_store_that_can_not_be_asked(
    gate: Gate,
    account: Account,
    database_url: str,
    redis_url: str,
    demo_keys: object,
    caplog: pytest.LogCaptureFixture,
    cause: str,
) -> None:
    """While S3 is away or unwilling an object waits in hand, other messages are counted, the cause
    is counted and logged once; when it ends the object is read without anybody's help."""
    gate.spoil = lambda request: S3_FAULTS[cause](request) if is_object(request) else None
    async with working(account, database_url, redis_url) as url:
        account.put("inbox/a", ndjson([RED] * 3))
        account.send(RED)

        async def failing() -> bool:
            return (await failures(url)).get(f"s3 {cause}", 0) >= 2

        await until(failing, 30)
        await until(lambda: totals_in(database_url).get("") == 1, 30)
        gate.spoil = lambda request: None
        await account.until_empty()
    told = [r for r in caplog.records if f"from byte 0 ({cause})" in r.getMessage()]
    assert len([r for r in told if r.levelname == "WARNING"]) == 1
    assert totals_in(database_url)[""] == 4
    assert account.dead() == []


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [("AccessDenied", 403, "access_denied"), ("NoSuchBucket", 404, "missing")],
)
async def test_an_object_that_may_not_be_read(
    gate: Gate,
    account: Account,
    database_url: str,
    redis_url: str,
    demo_keys: object,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    status: int,
    cause: str,
) -> None:
    """Denied, an object's message waits its turn without holding up others; once it is allowed it
    is counted. So it is where there is no such bucket (yet)."""
    denied = s3_refusing(code, status)
    monkeypatch.setattr(queue, "delay_s", lambda receives, patient: 1 if patient else 0)

    def deny_once(request: web.Request) -> web.Response | None:
        if not is_object(request):
            return None
        gate.spoil = lambda request: None
        return denied(request)

    gate.spoil = deny_once
    account.put("inbox/a", ndjson([RED, RED]))
    account.send(RED)
    async with working(account, database_url, redis_url) as url:
        await account.until_empty()
        assert (await failures(url))[f"s3 {cause}"] == 1
    assert totals_in(database_url)[""] == 3
    assert account.dead() == []


async def test_an_object_that_s3_won_t_hear_of(
    gate: Gate, account: Account, database_url: str, redis_url: str, demo_keys: object
) -> None:
    """What no attempt mends is not tried for ever: such messages go to the dead letters, and others
    are read meanwhile, even if there are more of them than objects are read at once."""
    invalid = "<Error><Code>InvalidArgument</Code><Message>no</Message></Error>"

    def refuse(request: web.Request) -> web.Response | None:
        if not is_object(request) or request.path.endswith("good"):
            return None
        return web.Response(status=400, text=invalid, content_type="application/xml")

    gate.spoil = refuse
    for n in range(5):
        account.put(f"inbox/{n}", ndjson([RED]))
    account.put("inbox/good", ndjson([RED]))
    async with working(account, database_url, redis_url):
        await account.until_empty()
    assert totals_in(database_url)[""] == 1
    assert len(account.dead()) == 5


async def test_what_is_not_deleted_comes_again(
    gate: Gate, account: Account, database_url: str, redis_url: str, demo_keys: object
) -> None:
    """Committed but not deleted, a message comes again, and counts no second time; one refusal of a
    batch in part is enough for that, too."""
    refused: list[str] = []

    def not_deleted(request: web.Request) -> web.Response | None:
        if not request.headers.get("X-Amz-Target", "").endswith("DeleteMessageBatch"):
            return None
        refused.append("whole" if len(refused) < 3 else "in part")
        if refused[-1] == "whole":
            return refusing("InternalError", 500)(request)
        gate.spoil = lambda request: None
        failed = [{"Id": "0", "Code": "InternalError", "SenderFault": False}]
        text = json.dumps({"Successful": [], "Failed": failed})
        return web.Response(text=text, content_type="application/x-amz-json-1.0")

    gate.spoil = not_deleted
    account.send([RED] * 10)
    async with working(account, database_url, redis_url) as url:
        await account.until_empty()
        told = await failures(url)
    assert refused == ["whole"] * 3 + ["in part"]
    assert told["sqs server_error"] == 3
    # At least: whoever is slow finds its hold on the message run out, and that is told so, too.
    assert told["sqs in_part"] >= 1
    assert totals_in(database_url)[""] == 10


async def test_postgres_away(
    account: Account,
    postgres: LocalPostgres,
    database_url: str,
    redis_url: str,
    demo_keys: object,
) -> None:
    """Messages wait in hand for longer than they would take to die, no more are taken, and when
    Postgres is back each is counted once."""
    async with working(account, database_url, redis_url, queue_max_events=1_000):
        account.send(RED)
        await until(lambda: totals_in(database_url).get("") == 1, 30)
        with unreachable(postgres, database_url):
            for n in range(5):
                account.send(RED | {"id": f"{n}"})
            account.send("bad")
            # Twice the visibility time-out, twice the receives that it takes to die.
            await asyncio.sleep(9)
            assert account.dead() == []
            assert account.counts()[1] >= 1, "what is in hand has become visible to others"
        await account.until_empty()
    assert totals_in(database_url)[""] == 6
    assert [each["Body"] for each in account.dead()] == ["bad"]


async def test_a_stopped_worker_gives_back(
    account: Account,
    postgres: LocalPostgres,
    database_url: str,
    redis_url: str,
    demo_keys: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a worker has in hand and can't finish is free for others as soon as it has stopped."""
    monkeypatch.setattr(queue, "FINISH_S", 0.2)
    account.sqs.set_queue_attributes(
        QueueUrl=account.made.queue_url, Attributes={"VisibilityTimeout": "600"}
    )
    with contextlib.ExitStack() as away:
        async with working(account, database_url, redis_url):
            away.enter_context(unreachable(postgres, database_url))
            account.send(RED)
            # One is in hand, and the bucket's test event, which needs no Postgres, is deleted.
            await until(lambda: account.counts() == (0, 1), 30)
    async with working(account, database_url, redis_url):
        await account.until_empty()
    assert totals_in(database_url)[""] == 1


def _calls(name: str) -> Callable[[web.Request], bool]:
    return lambda request: request.headers.get("X-Amz-Target", "").endswith(name)


#: Where a worker dies, and whether something must be committed by then.
STEPS: dict[str, tuple[Callable[[web.Request], bool], bool]] = {
    "before an object": (is_object, False),
    "within an object": (lambda request: is_object(request) and "Range" in request.headers, True),
    "before letting go": (_calls("ChangeMessageVisibilityBatch"), False),
    "before deleting": (_calls("DeleteMessageBatch"), True),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_at_a_step(
    gate: Gate, account: Account, database_url: str, spawn: Callable[..., Process], step: str
) -> None:
    """kill -9 before or between the commits of an object, between a refusal's record and letting go
    of the message, between commit and delete: the next worker goes on, and every event counts
    once."""
    account = await asyncio.to_thread(
        make_account, account.server, step.replace(" ", "-"), visibility_s=5, receives=3
    )
    key = (await make_keys(database_url))[Role.WRITE]
    account.put("inbox/a", ndjson([RED] * 5_000))
    account.send([RED] * 10, api_key=key)
    bad = account.send("bad")
    gate.cut_at = 100_000 if step == "within an object" else None
    is_there, committed = STEPS[step]
    dead = asyncio.Event()

    def die(request: web.Request) -> web.Response | None:
        if not is_there(request) or (committed and not totals_in(database_url)):
            return None
        gate.spoil = lambda request: None
        worker.kill()
        dead.set()
        return BREAK

    gate.spoil = die
    settings = account.settings | {"AWS_ENDPOINT_URL": gate.url}
    worker = spawn("--queue", command="worker", **settings)
    await until(dead.is_set, 60, worker.log.read_text)
    worker.restart()
    await account.until_empty(90)
    assert totals_in(database_url)[""] == 5_010
    check_counts(database_url)
    assert [each["MessageId"] for each in account.dead()] == [bad]


async def test_two_workers_killed_at_random(
    account: Account, database_url: str, spawn: Callable[..., Process]
) -> None:
    """Two workers share messages and objects, all of them doubled, and are killed at random moments
    and started again: every id counts once, and nothing good is among the dead letters."""
    account = await asyncio.to_thread(
        make_account, account.server, "killed", visibility_s=2, receives=30
    )
    key = (await make_keys(database_url))[Role.WRITE]
    ids = 0
    for n in range(40):
        events = [RED | {"id": f"{n}-{i}"} for i in range(50)]
        ids += len(events)
        for _ in range(2):
            account.send(events, api_key=key)
    for n in range(6):
        events = [RED | {"id": f"o{n}-{i}"} for i in range(2_000)]
        ids += len(events)
        account.put(f"inbox/{n}", ndjson(events))
        account.put(f"inbox/{n}-again", ndjson(events))
    workers = [spawn("--queue", command="worker", **account.settings) for _ in range(2)]
    choose = random.Random(5)
    for _ in range(6):
        victim = choose.choice(workers)
        seen = totals_in(database_url).get("", 0)
        goal = min(seen + choose.randrange(1, 1_500), ids)
        await until(lambda goal=goal: totals_in(database_url).get("", 0) >= goal, 60)
        victim.kill()
        victim.restart()
    await account.until_empty(90)
    assert totals_in(database_url)[""] == ids
    check_counts(database_url)
    assert account.dead() == []
