"""inspec/compose against the real stack: as it should be, with something wrong, and gone."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from inspec.tests.compose_slips import COMPOSE, LIVE, SLIPS, configured, run
from inspec.tests.profiles import PROJECT, auditor, controls, execute, rows_and_columns

INPUTS = {
    "project": PROJECT,
    "url": f"http://127.0.0.1:{os.environ.get('LIVETALLY_HTTP_PORT', '8080')}",
    "disruptive": False,
}
#: Restarts Postgres; skipped where that isn't allowed.
RESTART = {"livetally-postgres-09"}
#: Can't be made in a running stack: a volume keeps what it was made with.
VOLUME = {"livetally-postgres-08"}


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, Any]]:
    """The stack, up; brought up and down here if nobody else does."""
    auditor()
    if "LIVETALLY_STACK_IS_UP" in os.environ:
        yield INPUTS
        return
    run(*COMPOSE, "build", "--quiet")
    try:
        start()
        yield INPUTS
    finally:
        run(*COMPOSE, "down", "--volumes", "--timeout", "10")


def start(*files: str) -> None:
    options = [part for file in files for part in ("--file", file)]
    run(*COMPOSE, *options, "up", "--detach", "--wait", "--wait-timeout", "120")


def test_the_stack_passes(stack: dict[str, Any], tmp_path: Path) -> None:
    """All controls pass, none is skipped; Postgres is restarted meanwhile."""
    found = execute("compose", {**stack, "disruptive": True}, tmp_path)
    assert found["failed"] == set()
    assert found["passed"] == controls("compose")


@pytest.mark.parametrize("names", rows_and_columns(SLIPS), ids=lambda names: names[0][10:])
def test_a_slip_is_one_red_control(names: list[str], stack: dict[str, Any], tmp_path: Path) -> None:
    """Each control is red when what it says is broken, and no other is."""
    with configured(names, tmp_path), ExitStack() as made:
        for name in names:
            if name in LIVE:
                made.enter_context(LIVE[name]())
        found = execute("compose", stack, tmp_path)
    assert found["failed"] == set(names)
    assert found["skipped"] == RESTART


def test_no_stack_passes_nothing(stack: dict[str, Any], tmp_path: Path) -> None:
    """Of a stack that isn't there every control is red: none is content with nothing, or skipped.

    Nor of one of which nobody has said what it has.
    """
    nowhere = {"project": "livetally-nowhere", "url": "http://127.0.0.1:1", "disruptive": False}
    assert execute("compose", nowhere, tmp_path)["failed"] == controls("compose")
    nothing = {**nowhere, "services": {}, "once": {}}
    assert execute("compose", nothing, tmp_path)["failed"] == controls("compose")


def test_data_in_memory_is_found(stack: dict[str, Any], tmp_path: Path) -> None:
    """By looking at its volume, and by a restart, which loses it. The last: nothing is left."""
    memory = {"type": "tmpfs", "device": "tmpfs", "o": "uid=999,gid=999,mode=0700"}
    override = tmp_path / "memory.yml"
    override.write_text(json.dumps({"volumes": {"postgres-data": {"driver_opts": memory}}}))
    run(*COMPOSE, "down", "--volumes", "--timeout", "10")
    start(str(override))
    assert execute("compose", stack, tmp_path)["failed"] == VOLUME
    found = execute("compose", {**stack, "disruptive": True}, tmp_path)
    assert found["failed"] == VOLUME | RESTART
