"""What GitHub runs: held to its schema, to actions by commit, and to shellcheck, as far as that can
be seen without GitHub."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.tests.support.paths import ROOT

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
#: (YAML takes `on` for true.)
WORKFLOWS: dict[str, Any] = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in FILES}
JOBS = {
    f"{workflow}-{name}": job
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
}
PUBLISHING = ("pypi", "npm", "publish-image", "github", "deploy")
TOOLS = Path(sys.executable).parent


def needed(name: str) -> set[str]:
    """All that a job of the release waits for."""
    job = WORKFLOWS["release"]["jobs"][name]
    return set(job.get("needs", ())).union(*(needed(each) for each in job.get("needs", ())))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", FILES),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        (
            "github-issue-forms",
            [file for file in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if file.stem != "config"],
        ),
    ],
)
def test_they_are_what_github_reads(schema: str, files: list[Path]) -> None:
    """By the schemas that check-jsonschema brings: no misspelt key, no step that does nothing."""
    assert files
    command = [TOOLS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_named_by_commit(file: Path) -> None:
    """A tag can be moved; beside the commit stands which version it is, the same everywhere."""
    versions: dict[str, str] = {}
    for line in file.read_text("utf-8").splitlines():
        if "uses:" in line and "uses: ./" not in line:
            found = re.search(r"uses: ([\w./-]+@[0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", line)
            assert found, line
            assert versions.setdefault(found[1], found[2]) == found[2], line


def test_an_action_has_one_version() -> None:
    """All workflows use the same commit of an action: there is one place to look at."""
    text = "".join(file.read_text("utf-8") for file in FILES)
    used = set(re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", text))
    assert len({name for name, _ in used}) == len(used)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_no_job_may_more_than_it_needs(job: dict[str, Any]) -> None:
    """Rights are named by job, no secret is read, no key stays behind, and what others choose (a
    tag's name, a title) reaches no shell as a part of its commands."""
    assert "secrets." not in str(job)
    for step in job.get("steps", ()):
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_only_the_release_may_write() -> None:
    """What publishes is named; all others read."""
    writing = {
        name for name, job in JOBS.items() if {"write"} & {*(job.get("permissions") or {}).values()}
    }
    assert writing == {f"release-{name}" for name in PUBLISHING} | {
        "terraform-plan",  # by the role that only reads
        "terraform-deploy",
    }
    for content in WORKFLOWS.values():
        assert content["permissions"] in ({}, {"contents": "read"})


def test_every_change_is_tested() -> None:
    """`.ci/run`, whole, for each push to a branch and each pull request."""
    assert WORKFLOWS["ci"][True]["push"] == {"branches": ["**"]}
    assert {"pull_request", "workflow_call"} <= WORKFLOWS["ci"][True].keys()
    assert [step["run"] for step in WORKFLOWS["ci"]["jobs"]["test"]["steps"] if "run" in step][
        -1
    ] == ".ci/run"


def test_nothing_is_published_untested() -> None:
    """Only a tag publishes, and only after all tests, the packages' and both images'."""
    release = WORKFLOWS["release"]
    assert release[True] == {"push": {"tags": ["v*"]}}
    assert release["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"
    platforms = [each["arch"] for each in release["jobs"]["image"]["strategy"]["matrix"]["include"]]
    assert platforms == ["amd64", "arm64"]
    for name in PUBLISHING:
        assert {"test", "packages", "image"} <= needed(name)
    for name in {"test", "packages", "image"}:
        assert needed(name) == set()
    assert release["jobs"]["deploy"]["uses"] == "./.github/workflows/terraform.yml"


def test_what_they_make_is_there() -> None:
    """Each `make TARGET` and each file that a step runs exists."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for job in JOBS.values():
        for run in [step["run"] for step in job.get("steps", ()) if "run" in step]:
            for targets in re.findall(r"^make ([a-z -]+)$", run, re.MULTILINE):
                for target in targets.split():
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for file in re.findall(r"(?:^|\s)((?:\.ci|terraform)/[a-z-]+)", run):
                assert (ROOT / file).is_file(), file


def scripts() -> dict[str, str]:
    """Every shell script: the files that begin as one, and what workflows run."""
    found = {}
    for folder in (".ci", "service/deploy", "service/deploy/tests", "terraform"):
        for file in (ROOT / folder).iterdir():
            if file.is_file() and re.match(rb"#!.*sh\n", file.read_bytes()[:40]):
                found[f"{folder}/{file.name}"] = file.read_text("utf-8")
    for name, job in JOBS.items():
        for number, step in enumerate(job.get("steps", ())):
            if "run" in step:
                found[f"{name}-{number}"] = f"#!/bin/bash\nset -eo pipefail\n{step['run']}"
    return found


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    """In one run over all of them, however small a finding."""
    files = []
    for name, text in scripts().items():
        files.append(tmp_path / f"{name.replace('/', '-')}.sh")
        files[-1].write_text(text)
    assert len(files) > 15
    checked = subprocess.run([TOOLS / "shellcheck", *files], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
