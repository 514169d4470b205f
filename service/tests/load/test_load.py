"""`make load` made short: the gate opens when all is counted, and is shut when it isn't."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, make_keys
from service.tests.support.process import Process

pytestmark = pytest.mark.load

#: A busy machine is slow, and that is no fault here.
PATIENT = ("--p95-ms", "60000", "--p99-ms", "60000")


def load(url: str, keys: dict[Role, str], folder: Path, *arguments: str) -> tuple[int, str]:
    """(exit status, what was logged)"""
    environ = os.environ | {f"{role.name}_KEY": key for role, key in keys.items()}
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "loadtest.load", "--host", url, "--results", str(folder)),
            *arguments,
        ],
        env=environ | {"PROJECT": "demo"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def pages(tmp_path: Path) -> str:
    """The visitors of the load ask for a page; which one is no matter."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    return str(folder)


async def test_every_user_in_two_processes_through_a_storm(
    spawn: Callable[..., Process], database_url: str, pages: str, tmp_path: Path
) -> None:
    """All kinds of users at once, viewers cut off half-way: every id is in the log, once."""
    keys = await make_keys(database_url)
    server = spawn("--workers", "2", LIVETALLY_PAGES_DIR=pages).wait_ready()

    status, log = load(
        server.url, keys, tmp_path, "--users", "40", "--seconds", "6", "--shape", "storm",
        "--processes", "2", "--stop-timeout", "3", *PATIENT,
    )  # fmt: skip

    assert status == 0, log
    report = json.loads((tmp_path / "load-storm.json").read_text())
    assert len(report["classes"]) == 11
    assert {"load", "click", "page_view", "button_click"} <= report["gate"]["types"].keys()
    assert report["gate"]["types"]["load"]["acknowledged"] > 100
    assert report["kinds"]["reconnect"]["count"] >= 2
    assert report["kinds"]["seen"]["count"]
    assert "Nothing" not in (tmp_path / "load-storm.md").read_text()
    assert (tmp_path / "load-storm.png").read_bytes().startswith(b"\x89PNG")


async def test_a_lost_event_shuts_the_gate(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """A server that says yes to what it then forgets."""
    keys = await make_keys(database_url)
    server = spawn().wait_ready()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN IF NEW.subject = 's7' THEN RETURN NULL; END IF; RETURN NEW; END$$"
        )
        connection.execute(
            "CREATE TRIGGER forget BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION forget()"
        )

    status, log = load(
        server.url, keys, tmp_path, "--users", "5", "--seconds", "2", *PATIENT, "Batches"
    )

    assert status == 1
    assert "acknowledged events are not in the log" in log
    assert "/v1/verify finds differences" in log


async def test_an_event_counted_twice_shuts_the_gate(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    keys = await make_keys(database_url)
    server = spawn().wait_ready()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN NEW.n := NEW.n + 1; RETURN NEW; END$$"
        )
        connection.execute(
            "CREATE TRIGGER again BEFORE UPDATE ON totals FOR EACH ROW EXECUTE FUNCTION again()"
        )

    status, log = load(
        server.url, keys, tmp_path, "--users", "5", "--seconds", "2", *PATIENT, "SingleEvents"
    )

    assert status == 1
    assert "but the count grew by" in log


async def test_a_slow_answer_shuts_the_gate(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    keys = await make_keys(database_url)
    server = spawn().wait_ready()

    status, log = load(
        server.url, keys, tmp_path, "--users", "2", "--seconds", "2", "--p95-ms", "0.001",
        "SingleEvents",
    )  # fmt: skip

    assert status == 1
    assert "p95 is" in log
    assert "not in the log" not in log


async def test_refusals_shut_the_gate(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """A key that may send 10 events a second: what is over fails, and isn't taken for lost."""
    keys = await make_keys(database_url)
    keys[Role.WRITE] = await make_key(database_url, "demo", Role.READ_WRITE, "limited", rate=10)
    server = spawn().wait_ready()

    status, log = load(
        server.url, keys, tmp_path, "--users", "10", "--seconds", "3", *PATIENT, "SingleEvents"
    )

    assert status == 1
    assert "% failed" in log
    assert "not in the log" not in log
    report = json.loads((tmp_path / "load-steady.json").read_text())
    assert report["gate"]["types"]["load"]["unknown"] > 10


async def test_the_knee_is_found(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """The ramp ends at the step that is too much: here the very first one."""
    keys = await make_keys(database_url)
    server = spawn().wait_ready()

    status, log = load(
        server.url, keys, tmp_path, "--users", "20", "--seconds", "60", "--shape", "ramp",
        "--step-seconds", "9", "--p95-ms", "0.001", "SingleEvents",
    )  # fmt: skip

    assert status == 0, log
    report = json.loads((tmp_path / "load-ramp.json").read_text())
    assert [step["users"] for step in report["steps"]] == [2]
    assert report["knee"] == report["steps"][0]
    assert report["steps"][0]["requests_a_second"] > 1
