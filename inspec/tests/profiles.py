"""Runs a profile with the InSpec (or Cinc Auditor) that is here, and says what it said."""

import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: The compose project.
PROJECT = os.environ.get("COMPOSE_PROJECT_NAME", "livetally")
PACK = re.compile(r"^    url: https://\S+$", re.MULTILINE)


def auditor() -> str:
    """The program; INSPEC names another. Without one the test is skipped by name."""
    for name in (os.environ.get("INSPEC"), "inspec", "cinc-auditor"):
        if name and (found := shutil.which(name)):
            return found
    pytest.skip("no InSpec 5 or Cinc Auditor 5 on the PATH (cinc-auditor, inspec, or INSPEC)")


def controls(profile: str) -> set[str]:
    """The ids that a run must have executed, as they stand in the files."""
    directory = ROOT / "inspec" / profile / "controls"
    text = "".join(file.read_text("utf-8") for file in directory.glob("*.rb"))
    return set(re.findall(r'^control "([^"]+)"', text, re.MULTILINE))


def rows_and_columns(slips: set[str]) -> list[list[str]]:
    """All slips as a square, row by row and column by column.

    Made together, the slips of a row turn just their own controls red, or one has reddened another
    row's. If it has reddened one of its own row, that is in none of its column. So a square of n
    slips takes 2√n runs to show what n runs with one slip each would.
    """
    names = sorted(slips)
    side = math.ceil(math.sqrt(len(names)))
    rows = [names[start : start + side] for start in range(0, len(names), side)]
    return rows + [names[start::side] for start in range(side)]


def execute(
    profile: str, inputs: dict[str, Any], directory: Path, *options: str, **environ: str
) -> dict[str, set[str]]:
    """Ids by status: passed, failed, skipped; a control without a result is `empty`."""
    copy = directory / profile
    shutil.copytree(ROOT / "inspec" / profile, copy, dirs_exist_ok=True)
    if pack := os.environ.get("INSPEC_AWS"):  # where the pack can't be downloaded
        metadata = copy / "inspec.yml"
        metadata.write_text(PACK.sub(f"    path: {pack}", metadata.read_text("utf-8")))
    given, report = directory / "inputs.yml", directory / "report.json"
    given.write_text(json.dumps(inputs))
    report.unlink(missing_ok=True)
    ran = subprocess.run(
        [
            *(auditor(), "exec", str(copy), "--no-create-lockfile", *options),
            *("--input-file", str(given), "--reporter", f"json:{report}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert report.exists(), ran.stdout[-2000:] + ran.stderr[-4000:]
    found: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    for each in json.loads(report.read_text("utf-8"))["profiles"]:
        for control in each["controls"]:
            said = {result["status"] for result in control["results"]}
            status = next((s for s in ("failed", "skipped", "passed") if s in said), "empty")
            found.setdefault(status, set()).add(control["id"])
    # "No tests executed" ends well too: count.
    assert set().union(*found.values()) == controls(profile)
    assert "empty" not in found, found["empty"]
    return found
