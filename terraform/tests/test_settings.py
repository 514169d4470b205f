"""What the task definitions say and what the service understands are one thing.

The containers' environment, as ECS has it, goes through the service's own Config; then the three
commands run with it, in a deploy's order, against a real Postgres and a real Redis of this machine.
Only where those are differs (host, port, TLS), and the port that is listened on.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from livetally.base.config import Config
from livetally.dev.servers import LocalPostgres, LocalRedis
from terraform.tests.cloud import free_port
from terraform.tests.stack import Stack

#: What the secrets hold here. RDS and we make passwords of letters and digits.
OWNER_PASSWORD, SERVICE_PASSWORD = "owner0123456789", "service0123456789"


def given(stack: Stack, task: str) -> dict[str, str]:
    """A container's variables, with the secrets' values as ECS would put them in."""
    found = stack.container(task)
    owner = stack.outputs()["database"]["owner_secret_arn"]
    values = {each["name"]: each["value"] for each in found["environment"]}
    for each in found["secrets"]:
        is_owners = each["valueFrom"].startswith(owner)
        values[each["name"]] = OWNER_PASSWORD if is_owners else SERVICE_PASSWORD
    return values


@pytest.mark.parametrize("task", ["web", "worker", "migrate"])
def test_the_service_understands_its_environment(applied: Stack, task: str) -> None:
    """Every variable is a setting with a good value, and the passwords reach their URLs."""
    config = Config.from_environ(given(applied, task))
    user, password = (
        ("livetally", OWNER_PASSWORD)
        if task == "migrate"
        else ("livetally_service", SERVICE_PASSWORD)
    )
    host = applied.outputs()["database"]["host"]
    place = f"{host}:5432/livetally?sslmode=require"
    assert config.database_url == f"postgresql://{user}:{password}@{place}"
    assert config.redis_url.startswith(f"rediss://livetally:{SERVICE_PASSWORD}@")
    assert config.host == "0.0.0.0"  # noqa: S104
    if task == "web":
        assert config.emf_namespace == f"Livetally/{applied.environment}"


def test_the_tasks_run_with_it(applied: Stack, tmp_path: Path) -> None:
    """migrate, web, worker: the service is ready, says its metrics, and counts a queued event."""
    with (
        LocalPostgres(tmp_path / "postgres") as postgres,
        LocalRedis(tmp_path / "redis") as redis,
    ):
        here = _servers(applied, postgres, redis)
        migrate = _run(applied, "migrate", here)
        assert migrate.wait(60) == 0
        project = given(applied, "worker")["LIVETALLY_QUEUE_PROJECT"]
        keys = ["keys", "create", "--project", project, "--role", "write", "--name", "first"]
        assert _run(applied, "migrate", here, command=keys).wait(60) == 0
        with _running(applied, "web", here) as (web, url):
            assert _answer(f"{url}/readyz") == {"status": "ready", "reasons": []}
            told = json.loads(web.stdout.readline())
            namespace = told["_aws"]["CloudWatchMetrics"][0]["Namespace"]
            assert namespace == f"Livetally/{applied.environment}"
            # The limit that _environ sets is kept in Redis by a script, the one that says PEXPIRE.
            _answer(f"{url}/openapi.json")
            assert _redis(redis).info("commandstats")["cmdstat_pexpire"]["calls"] >= 1
        with _running(applied, "worker", here):
            queue = applied.outputs()["queue"]["url"]
            event = {"id": "1", "type": "click", "subject": "red"}
            applied.moto.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(event))
            _until(lambda: _counted(postgres) == 1)


def _redis(redis: LocalRedis) -> Redis:
    return Redis.from_url(redis.url)


def _servers(stack: Stack, postgres: LocalPostgres, redis: LocalRedis) -> dict[str, str]:
    """This machine's servers, in the place of RDS and ElastiCache; with the same users."""
    users = stack.moto.client("elasticache").describe_users()["Users"]
    (user,) = [each for each in users if each["UserName"] == "livetally"]
    rules = user["AccessString"].split()
    # Redis 7 begins with no channel, 6.2 with all.
    rules = ["resetchannels", *rules]
    _redis(redis).execute_command("ACL", "SETUSER", "livetally", f">{SERVICE_PASSWORD}", *rules)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE owner LOGIN CREATEROLE PASSWORD '{OWNER_PASSWORD}'")
        connection.execute("ALTER DATABASE livetally OWNER TO owner")
        connection.execute("ALTER SCHEMA public OWNER TO owner")
    place = f"127.0.0.1:{postgres.port}/livetally"
    return {
        "owner": f"postgresql://owner@{place}",
        "service": f"postgresql://livetally_service@{place}",
        "redis": f"redis://livetally@127.0.0.1:{redis.port}/0",
    }


def _environ(stack: Stack, task: str, here: dict[str, str], port: int) -> dict[str, str]:
    values = given(stack, task)
    place = {
        "LIVETALLY_DATABASE_URL": here["owner" if task == "migrate" else "service"],
        "LIVETALLY_REDIS_URL": here["redis"],
        "LIVETALLY_HOST": "127.0.0.1",
        "LIVETALLY_PORT": str(port),
    }
    if "LIVETALLY_SERVICE_DATABASE_URL" in values:
        place["LIVETALLY_SERVICE_DATABASE_URL"] = here["service"]
    assert place.keys() <= values.keys()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    # On ECS the region and the task's rights come from its surroundings.
    aws = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    limit = {"LIVETALLY_ADDRESS_RATE": "1000"}
    return {**kept, **aws, **stack.moto.environ(), **values, **place, **limit}


def _run(
    stack: Stack, task: str, here: dict[str, str], port: int = 0, command: list[str] | None = None
) -> subprocess.Popen[str]:
    """The container's command, as a process."""
    words = command or stack.container(task)["command"]
    return subprocess.Popen(
        [sys.executable, "-m", "livetally", *words],
        env=_environ(stack, task, here, port),
        stdout=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def _running(
    stack: Stack, task: str, here: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The task, once its own health check is content; it must end by itself when it is told to."""
    port = free_port()
    process = _run(stack, task, here, port)
    check = [sys.executable if w == "python" else w for w in _health_check(stack, task)]
    environ = _environ(stack, task, here, port)
    try:
        _until(lambda: subprocess.run(check, env=environ, capture_output=True).returncode == 0)
        yield process, f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def _health_check(stack: Stack, task: str) -> list[str]:
    kind, *command = stack.container(task)["healthCheck"]["command"]
    assert kind == "CMD"
    return command


def _answer(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def _counted(postgres: LocalPostgres) -> int:
    with psycopg.connect(postgres.dsn()) as connection:
        found = connection.execute("SELECT count(*) FROM events WHERE subject = 'red'").fetchone()
    return found[0] if found else 0


def _until(condition: Any, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it didn't come to that in time"
        time.sleep(0.1)
