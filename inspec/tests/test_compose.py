"""inspec/compose against the real stack: as it should be, with one thing wrong, and gone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from profiles import ROOT, auditor, controls, execute

PROJECT = os.environ.get("COMPOSE_PROJECT_NAME", "livetally")
INPUTS = {
    "project": PROJECT,
    "url": f"http://127.0.0.1:{os.environ.get('LIVETALLY_HTTP_PORT', '8080')}",
    "disruptive": True,
}


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, Any]]:
    """The stack, up; brought up and down here if nobody else does."""
    auditor()
    if "LIVETALLY_STACK_IS_UP" in os.environ:
        yield INPUTS
        return
    docker("compose", "build", "--quiet")
    try:
        docker("compose", "up", "--detach", "--wait", "--wait-timeout", "120")
        yield INPUTS
    finally:
        docker("compose", "down", "--volumes", "--timeout", "10")


def test_the_stack_passes(stack: dict[str, Any], tmp_path: Path) -> None:
    """All controls pass, none is skipped; Postgres is restarted meanwhile."""
    assert execute("compose", stack, tmp_path)["passed"] == controls("compose")


def test_a_paused_container_is_one_red_control(stack: dict[str, Any], tmp_path: Path) -> None:
    """What stands still is found, and by that control only."""
    docker("pause", f"{PROJECT}-aws-1")
    try:
        found = execute("compose", {**stack, "disruptive": False}, tmp_path)
    finally:
        docker("unpause", f"{PROJECT}-aws-1")
    assert found["failed"] == {"livetally-container-01"}
    assert found["skipped"] == {"livetally-postgres-08"}


def test_no_stack_passes_nothing(stack: dict[str, Any], tmp_path: Path) -> None:
    """Of a stack that isn't there every control is red: none is content with nothing."""
    nowhere = {"project": "livetally-nowhere", "url": "http://127.0.0.1:1", "disruptive": True}
    assert execute("compose", nowhere, tmp_path)["failed"] == controls("compose")
