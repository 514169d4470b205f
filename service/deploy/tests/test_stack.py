"""What `docker compose up` promises, each promise on the running stack."""

import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from livetally import __version__
from service.deploy.tests.stack import IMAGE, ROOT, Load, Stack, compose, in_thread, run, until

MAX_IMAGE_BYTES = 190_000_000
RUNBOOK = ROOT / "service" / "deploy" / "README.md"


def command(begins: str) -> str:
    """A command of the runbook, as it is written there."""
    found = re.search(rf"^{re.escape(begins)}.*$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert found, begins
    return found[0].partition("#")[0].strip()


def shell(text: str) -> str:
    return run("sh", "-euc", text)


async def exact(stack: Stack, load: Load) -> None:
    """Every event that was acknowledged is counted, once, and no other is."""
    async with aiohttp.ClientSession() as http:
        assert await stack.total(http) == len(load.stored)


def test_the_image_is_small_and_locked_down(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    """Within its size; not root, with nothing to install by and nowhere to write."""
    image = json.loads(run("docker", "image", "inspect", IMAGE))[0]
    record_property("image, MB", round(image["Size"] / 1e6))
    assert image["Size"] <= MAX_IMAGE_BYTES
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.rpartition(".")[2]: each for name, each in image["Config"]["Labels"].items()}
    assert (labels["title"], labels["licenses"]) == ("Livetally", "Apache-2.0")
    for name in ("version", "revision"):
        assert labels[name] == os.environ.get(f"LIVETALLY_{name.upper()}", "unknown")
    said = run("docker", "exec", stack.tasks()[0], "livetally", "--version")
    assert __version__ in said
    for tool in ("pip", "apt-get", "gcc", "curl", "npm", "perl"):
        assert not run("docker", "exec", stack.tasks()[0], "sh", "-c", f"command -v {tool} || :")
    unwanted = "-name pip -o -path '/var/cache/*' -o -path '/var/lib/apt/*' -o -type f -perm /6000"
    find = f"find / -xdev {unwanted} 2>/dev/null || :"
    assert not run("docker", "exec", stack.tasks()[0], "sh", "-c", find)
    ran = run("docker", "exec", stack.tasks()[0], "sh", "-c", "touch /x /venv/x 2>&1 || :")
    assert ran.count("Read-only file system") == 2


async def test_a_task_is_healthy_soon(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    """From the start of its process to Docker's first good look at it; 2 s on a machine that has
    nothing else to do."""
    task = stack.tasks()[0]
    await in_thread(run, "docker", "restart", task)

    def seen() -> list[float]:
        state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", task))
        started = datetime.fromisoformat(state["StartedAt"])
        looks = [
            (datetime.fromisoformat(look["End"]) - started).total_seconds()
            for look in state["Health"]["Log"]
            if look["ExitCode"] == 0
        ]
        return [look for look in looks if look > 0]

    first, *_ = await until(seen, "it is not healthy")
    record_property("start to healthy, s", round(first, 2))
    assert first < 60


async def test_the_clients_address_comes_through(stack: Stack) -> None:
    """Who asks too often is refused by its own address, whatever it says it is, and nobody else is:
    by what the TLS proxy in front has heard from, be it on the Internet or near; without one, by
    whom the connection is from."""
    limited = {**os.environ, "LIVETALLY_ADDRESS_RATE": "1"}
    behind = limited | {"LIVETALLY_PROXY": "behind_tls"}
    compose("up", "--detach", "--wait", "--wait-timeout", "120", "service", "proxy", env=behind)
    async with aiohttp.ClientSession() as http:

        async def ask(forwarded: str) -> int:
            headers = {"x-forwarded-for": forwarded, "x-api-key": stack.read}
            async with http.get(stack.url + "/v1/types", headers=headers) as response:
                return response.status

        numbers = itertools.count()

        async def refused(end: str) -> bool:
            forged = [f"198.51.{n // 256}.{n % 256}" for n in itertools.islice(numbers, 20)]
            return 429 in await asyncio.gather(*(ask(f"{each}{end}") for each in forged))

        for heard in ("203.0.113.1", "172.18.0.9"):
            await until(
                lambda heard=heard: refused(f", {heard}"),
                "it is believed what it says",
                within_s=20,
            )
        assert await ask("203.0.113.2") == 200
        compose(
            "up", "--detach", "--wait", "--wait-timeout", "120", "service", "proxy", env=limited
        )
        await until(lambda: refused(""), "it is believed what it says", within_s=20)


async def test_tls_in_front_comes_through(stack: Stack) -> None:
    """What the TLS proxy before this one says it speaks is what pages show as the address."""
    behind = {**os.environ, "LIVETALLY_PROXY": "behind_tls"}
    compose("up", "--detach", "--wait", "--wait-timeout", "120", "proxy", env=behind)
    host = stack.url.removeprefix("http://")
    async with aiohttp.ClientSession() as http:
        for scheme, headers in (("http", {}), ("https", {"x-forwarded-proto": "https"})):
            async with http.get(stack.url + "/examples", headers=headers) as response:
                assert f"{scheme}://{host}/" in await response.text()


async def test_viewers_of_both_tasks_see_every_event(stack: Stack) -> None:
    """Events go in through the proxy, websockets to whichever task: all of them show the total."""
    async with stack.viewers(20) as viewers, stack.under_load(2) as load:
        await load.more(100)
    async with stack.viewers(20) as viewers:
        await until(
            lambda: all(viewer.total == len(load.stored) for viewer in viewers),
            "a viewer shows something else",
        )
    await exact(stack, load)


async def test_server_sent_events_are_not_held_back(stack: Stack) -> None:
    """The last change reaches who listens without a websocket, though nothing comes after it."""
    url, headers = stack.url + "/v1/live/sse?totals=click", {"x-api-key": stack.read}
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, headers=headers) as stream,
        asyncio.timeout(60),
    ):
        async with stack.under_load(1) as load:
            await load.more(10)
        async for line in stream.content:
            if line.startswith(b"data:") and json.loads(line[5:])["total"] == len(load.stored):
                break


async def test_what_is_not_for_everybody_stays_inside(stack: Stack) -> None:
    """One published port, on this machine only; no metrics through it, no version told, and what
    the proxy refuses by itself looks like what the service refuses."""
    published = {
        container["Name"]: container["Publishers"]
        for line in compose("ps", "--format", "json").splitlines()
        if (container := json.loads(line))
        and any(each["PublishedPort"] for each in container["Publishers"] or [])
    }
    assert len(published) == 1
    ((proxy, ports),) = published.items()
    assert "proxy" in proxy
    assert {port["URL"] for port in ports if port["PublishedPort"]} == {"127.0.0.1"}
    async with aiohttp.ClientSession() as http:
        for path, status in (("/metrics", 404), ("/-/proxy", 204), ("/healthz", 200)):
            async with http.get(stack.url + path) as response:
                assert response.status == status, path
                assert not re.search(r"\d", response.headers["Server"])
        async with http.get(stack.url + "/metrics") as response:
            assert (await response.json())["error"]["code"] == "not_found"
        async with http.get(stack.url + "/", headers={"accept": "text/html"}) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        headers = {"x-api-key": stack.write}
        async with http.post(
            stack.url + "/v1/events", data=b" " * 3_000_000, headers=headers
        ) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == "too_large"
        async with http.get(stack.url + "/v1/types", headers={"x-long": "x" * 20_000}) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "bad_request"
        async with http.get(stack.url + "/grafana/") as response:  # its profile is off
            assert response.status == 404


async def test_without_a_task_clients_are_told_to_come_again(stack: Stack) -> None:
    """As by the service itself: 503 with Retry-After, soon, whoever asks; and then all is well."""
    await in_thread(compose, "stop", "service")
    async with aiohttp.ClientSession() as http:
        headers = {"x-api-key": stack.write}
        async with http.post(
            stack.url + "/v1/events", json={"type": "click", "subject": "red"}, headers=headers
        ) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert (await response.json())["error"]["code"] == "unavailable"
    await in_thread(compose, "start", "service")
    async with stack.under_load(1) as load:
        await load.more(1)
    await exact(stack, load)


async def test_a_killed_task_loses_nothing(stack: Stack) -> None:
    """Under load one task dies as by the kernel's hand: its viewers move over, every acknowledged
    event is counted once, and the task comes back by itself."""
    async with stack.viewers(20) as viewers, stack.under_load() as load:
        await load.more(50)
        victim = stack.tasks()[0]
        ended = int(run("docker", "inspect", "--format", "{{.RestartCount}}", victim))
        kill = (
            "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $$ ] || kill -9 $p; done"
        )
        # Detached: the container may end before the command that kills it.
        await in_thread(run, "docker", "exec", "--detach", victim, "sh", "-c", kill)
        await until(lambda: any(viewer.connections > 1 for viewer in viewers), "nobody moved over")
        await load.more(50)
        state = "{{.State.Health.Status}} {{.RestartCount}}"
        await until(
            lambda: (
                run("docker", "inspect", "--format", state, victim).split()
                == ["healthy", f"{ended + 1}"]
            ),
            "the task did not come back",
        )
    await exact(stack, load)


async def test_postgres_restarts(stack: Stack) -> None:
    """Refused while it is away, never lied to; viewers are told, keep their connections, and in the
    end show what Postgres holds."""
    async with stack.viewers(4) as viewers:
        async with stack.under_load() as load:
            await load.more(50)
            await in_thread(compose, "restart", "postgres")
            await load.more(50)
        await until(
            lambda: all(viewer.total == len(load.stored) for viewer in viewers),
            "a viewer shows something else",
        )
        assert {viewer.connections for viewer in viewers} == {1}
        # A total can be right before it is known to be.
        await until(
            lambda: all(viewer.said[-1] == "fresh" for viewer in viewers if viewer.said),
            "a viewer is still told that it is stale",
        )
    await exact(stack, load)


async def test_redis_restarts(stack: Stack) -> None:
    """Nothing is refused, and viewers of both tasks are exact all the same."""
    async with stack.viewers(20) as viewers:
        async with stack.under_load() as load:
            await load.more(50)
            await in_thread(compose, "restart", "redis")
            await load.more(50)
        await until(
            lambda: all(viewer.total == len(load.stored) for viewer in viewers),
            "a viewer shows something else",
        )
        assert {viewer.connections for viewer in viewers} == {1}
    assert not load.refusals
    await exact(stack, load)


async def test_a_rolling_recreate_is_not_noticed(stack: Stack) -> None:
    """All tasks are replaced under load: somebody always answers, no acknowledged event is lost,
    viewers move over."""
    before = stack.tasks()
    async with stack.viewers(20) as viewers:
        async with stack.under_load() as load:
            await in_thread(run, command("docker compose build").split(" && ")[1])
            await load.more(50)
        await until(
            lambda: all(viewer.total == len(load.stored) for viewer in viewers),
            "a viewer shows something else",
        )
        assert all(viewer.connections > 1 for viewer in viewers)
    after = stack.tasks()
    assert len(after) == len(before)
    assert not set(after) & set(before)
    compose("up", "--detach", "--wait")  # has nothing left to do
    assert set(stack.tasks()) == set(after)
    # A task that stops says so itself; that no task is there at all is never said.
    assert {code for _, code in load.refusals} <= {"shutting_down", "ServerDisconnectedError"}
    await exact(stack, load)


async def test_a_version_that_does_not_start_replaces_nothing(stack: Stack) -> None:
    """The roll gives up and tidies up: the old tasks go on, with their viewers."""
    before = stack.tasks()
    roll = command("docker compose build").split(" && ")[1]
    async with stack.viewers(4) as viewers, stack.under_load(2) as load:
        with pytest.raises(AssertionError, match="the old ones still run"):
            await in_thread(shell, f"LIVETALLY_DRAIN_S=many {roll}")
        await load.more(10)
        assert {viewer.connections for viewer in viewers} == {1}
    assert compose("ps", "--all", "--quiet", "service").split() == before
    assert not load.refusals
    await exact(stack, load)


async def test_the_worker_counts_messages_and_archives(stack: Stack) -> None:
    """A message in the queue becomes an event, and that an object in the bucket; the queue and the
    bucket were made at the start, and what S3 said of that was not refused."""
    assert "missing_key" not in compose("logs", "worker")
    soon = {**os.environ, "LIVETALLY_ARCHIVE_INTERVAL_S": "1"}
    compose("up", "--detach", "--wait", "--wait-timeout", "120", "worker", env=soon)
    send = """
import asyncio, json, os, sys
from livetally.base.aws import client
async def main():
    url = os.environ["LIVETALLY_QUEUE_URL"]
    body = json.dumps({"id": "one", "type": "click", "subject": sys.argv[2]})
    key = {"x-api-key": {"DataType": "String", "StringValue": sys.argv[1]}}
    async with client("sqs", url) as sqs:
        await sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=key)
asyncio.run(main())
"""
    archived = """
import asyncio, io
from arro3.io import read_parquet
from livetally.base.aws import client
async def main():
    async with client("s3") as s3:
        listed = await s3.list_objects_v2(Bucket="livetally", Prefix="archive/")
        for each in listed.get("Contents", []):
            if each["Key"].endswith(".parquet"):
                got = await s3.get_object(Bucket="livetally", Key=each["Key"])
                table = read_parquet(io.BytesIO(await got["Body"].read())).read_all()
                print(table["subject"].to_pylist())
asyncio.run(main())
"""
    python = ("exec", "-T", "worker", "python", "-c")
    compose(*python, send, stack.write, stack.project)
    async with aiohttp.ClientSession() as http:

        async def counted() -> bool:
            return await stack.total(http) == 1

        await until(counted, "the message was not counted")
    await until(lambda: stack.project in compose(*python, archived), "it was not archived")


def test_prometheus_scrapes_every_task(stack: Stack) -> None:
    """In the profile `metrics` each task and the worker is a target that is up, and the rules are
    in force."""
    compose("--profile", "metrics", "up", "--detach", "--wait", "prometheus")
    wget = ("exec", "-T", "prometheus", "wget", "-q", "-O", "-")
    deadline = time.monotonic() + 60
    while True:
        answer = json.loads(compose(*wget, "http://127.0.0.1:9090/api/v1/targets"))
        targets = answer["data"]["activeTargets"]
        jobs = sorted(each["labels"]["job"] for each in targets if each["health"] == "up")
        if jobs == ["service", "service", "worker"]:
            break
        assert time.monotonic() < deadline, targets
        time.sleep(0.5)
    rules = json.loads(compose(*wget, "http://127.0.0.1:9090/api/v1/rules"))
    assert rules["data"]["groups"]
    compose("--profile", "metrics", "rm", "--stop", "--force", "prometheus")


async def test_locust_loads_it(stack: Stack) -> None:
    """In the profile `load` a master and its workers send events, as the page at /locust/ tells
    them to; with new keys where those of the volume are of no use any more."""
    keys = "cd /run/secrets/load; echo of another database | tee write read admin"
    compose("--profile", "load", "run", "--rm", "--entrypoint", "sh -c", "load-keys", keys)
    compose("--profile", "load", "up", "--detach", "--wait", "locust", "locust-worker")
    read = compose("exec", "-T", "locust", "cat", "/run/secrets/load/read").strip()
    async with aiohttp.ClientSession() as http:

        async def told() -> dict[str, Any]:
            async with http.get(stack.url + "/locust/stats/requests") as response:
                stats: dict[str, Any] = await response.json()
                return stats

        async def both() -> bool:
            return len((await told())["workers"]) == 2

        await until(both, "a worker is missing")
        swarm = {"user_count": "4", "spawn_rate": "4", "user_classes": "SingleEvents"}
        async with http.post(stack.url + "/locust/swarm", data=swarm) as response:
            assert (await response.json())["success"], await response.text()

        async def counted() -> bool:
            url = stack.url + "/v1/types"
            async with http.get(url, headers={"x-api-key": read}) as response:
                return any(each["total"] > 20 for each in (await response.json())["types"])

        await until(counted, "nothing is counted")
        async with http.post(stack.url + "/locust/stop") as response:
            assert response.status == 200
        assert not (await told())["errors"]
    compose("--profile", "load", "rm", "--stop", "--force", "locust", "locust-worker", "load-keys")


async def test_lost_passwords_are_made_anew(stack: Stack) -> None:
    """By the runbook's commands, when the owner's is gone and what Postgres holds is not."""
    async with stack.under_load(1) as load:
        await load.more(10)
    compose("down", "--timeout", "35")
    project = os.environ.get("COMPOSE_PROJECT_NAME", "livetally")
    run("docker", "volume", "rm", f"{project}_secrets-owner")
    with pytest.raises(AssertionError, match="migrate"):
        compose("up", "--detach", "--wait")
    assert "authentication failed" in compose("logs", "migrate")
    shell(command("docker compose stop postgres"))
    shell(command("docker compose run --rm --no-deps -T postgres"))
    shell(command("docker compose up --detach --wait  "))
    await exact(stack, load)


async def test_backup_and_restore(stack: Stack, tmp_path_factory: object) -> None:
    """The runbook's own commands: a dump of the running stack, restored into an empty one, holds
    every key and every count of that moment; and events go on being counted, once."""
    async with stack.under_load() as load:
        await load.more(100)
    client = "docker compose exec -T postgres sh -c 'PGPASSWORD=$(cat /run/secrets/owner/password) "
    dump, restore = command(client + "pg_dump"), command(client + "pg_restore")
    file = str(tmp_path_factory.mktemp("backup") / "livetally.dump")  # type: ignore[attr-defined]
    shell(dump.replace("livetally.dump", file))
    compose("down", "--volumes", "--timeout", "35")
    shell(command("docker compose up --detach --wait postgres"))
    shell(restore.replace("livetally.dump", file))
    shell(command("docker compose up --detach --wait  "))
    await exact(stack, load)
    async with aiohttp.ClientSession() as http:
        again = [{"id": each, "type": "click", "subject": "s0"} for each in list(load.stored)[:5]]
        headers = {"x-api-key": stack.write}
        async with http.post(stack.url + "/v1/events", json=again, headers=headers) as response:
            assert (await response.json())["duplicates"] == 5
    async with stack.under_load(1) as more:
        await more.more(5)
    async with aiohttp.ClientSession() as http:
        assert await stack.total(http) == len(load.stored) + len(more.stored)
