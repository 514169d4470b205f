"""`make queue-load` and `make archive-load` made short: all is equal in spite of kills, and a
difference is found."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.lib.stand import Bench, Wrong
from loadtest.worker.archive_load import compare
from service.tests.support.archives import archive_all, files, fill, worker

pytestmark = pytest.mark.load


def figures(results: Path, script: str, name: str, *arguments: str) -> dict[str, Any]:
    """What a run came to, as it is kept."""
    command = [
        sys.executable,
        "-m",
        f"loadtest.worker.{script}",
        *arguments,
        "--results",
        str(results),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (results / f"{name}.md").read_text() in ran.stdout
    found: dict[str, Any] = json.loads((results / f"{name}.json").read_text())["figures"]
    return found


def test_what_comes_by_the_queue(tmp_path: Path) -> None:
    """Messages and objects, doubled, with bad ones among them; the command's own checks decide."""
    sizes = ("--events", "4000", "--kills", "1", "--receives", "3")
    found = figures(tmp_path, "queue_load", "queue", *sizes)
    assert found["distinct events, each counted once, and once in the archive"] == 4000
    assert found["bad messages, each a dead letter"] == 20
    assert found["kills (-9)"] == 1


def test_what_is_archived(tmp_path: Path) -> None:
    """Archived through a kill, and restored; the command's own checks decide."""
    found = figures(tmp_path, "archive_load", "archive", "--events", "4000", "--kills", "1")
    assert found["kills (-9)"] == 1


async def test_a_difference_is_found(database_url: str, tmp_path: Path) -> None:
    """An object that is there twice, and one that is gone, are no archive equal to Postgres."""
    root = tmp_path / "archive"
    root.mkdir()
    fill(database_url, 200)
    async with worker(database_url, root) as archive:
        await archive_all(archive)
    bench = Bench(tmp_path, database_url, "", "", "", "")
    compare(bench, root)
    part = files(root, "*.parquet")[0]
    again = part.with_name("again.parquet")
    again.write_bytes(part.read_bytes())
    with pytest.raises(Wrong, match="only in the archive"):
        compare(bench, root)
    again.unlink()
    part.unlink()
    with pytest.raises(Wrong, match="only in Postgres"):
        compare(bench, root)
