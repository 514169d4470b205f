"""The workflow that plans on pull requests and deploys releases, held to its roles."""

import re
from typing import Any

import pytest
import yaml

from service.tests.support.paths import ROOT

#: (YAML takes `on` for true.)
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "terraform.yml").read_text("utf-8"))
ACCESS = (ROOT / "terraform" / "modules" / "access" / "main.tf").read_text("utf-8")
PLAN, DEPLOY = WORKFLOW["jobs"]["plan"], WORKFLOW["jobs"]["deploy"]


def step(job: dict[str, Any], words: str) -> dict[str, Any]:
    """The step that uses or runs this."""
    (found,) = [s for s in job["steps"] if words in s.get("uses", "") + s.get("run", "")]
    return dict(found)


def test_a_pull_request_plans_and_a_tag_deploys() -> None:
    """Each environment is planned, for our own branches; dev isn't deployed to by a tag."""
    assert WORKFLOW[True].keys() == {"pull_request", "workflow_call"}  # release.yml calls it
    assert "head.repo.full_name == github.repository" in PLAN["if"]
    assert DEPLOY["if"] == "github.event_name == 'push'"
    there = {each.stem for each in (ROOT / "terraform" / "environments").glob("*.tfvars")}
    assert {*PLAN["strategy"]["matrix"]["environment"]} == there
    assert DEPLOY["strategy"] == {"max-parallel": 1, "matrix": {"environment": ["staging", "prod"]}}
    commands = step(PLAN, "terraform plan")["run"]
    assert "apply" not in commands
    assert 'terraform/deploy "$ENVIRONMENT" "$TAG"' in step(DEPLOY, "terraform/deploy")["run"]


@pytest.mark.parametrize(("job", "use"), [(PLAN, "plan"), (DEPLOY, "apply")])
def test_each_takes_its_own_role(job: dict[str, Any], use: str) -> None:
    """By the name that Terraform gives it, for what GitHub's token says of such a run."""
    role = step(job, "configure-aws-credentials")["with"]["role-to-assume"]
    assert role.endswith(f":role/livetally-${{{{ matrix.environment }}}}-github-{use}")
    assert re.search(r'name += "\$\{var\.name\}-github-\$\{each\.key\}"', ACCESS)
    subjects = dict(re.findall(r'(\w+) += "repo:\$\{var\.repository\}:(.+)"', ACCESS))
    assert subjects == {"plan": "pull_request", "apply": "environment:${var.environment}"}
    assert job.get("environment") == (None if use == "plan" else "${{ matrix.environment }}")


@pytest.mark.parametrize("job", [PLAN, DEPLOY])
def test_nothing_moves_and_nothing_is_kept(job: dict[str, Any]) -> None:
    """Actions by commit, a token for AWS and no other right, no secret, no key left behind."""
    assert WORKFLOW["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    used = [each["uses"] for each in job["steps"] if "uses" in each]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
    assert step(job, "actions/checkout")["with"] == {"persist-credentials": False}
    assert "secrets." not in str(job)
    # What others choose (a tag's name) reaches no shell as part of a command.
    assert not [each for each in job["steps"] if "${{" in each.get("run", "")]


def test_its_terraform_is_new_enough() -> None:
    wanted = (ROOT / "terraform" / "versions.tf").read_text("utf-8")
    (least,) = re.findall(r'required_version = ">= ([\d.]+)"', wanted)
    has = WORKFLOW["env"]["TF_VERSION"]
    assert [*map(int, has.split("."))] >= [*map(int, least.split("."))]
    assert step(PLAN, "setup-terraform")["with"]["terraform_version"] == "${{ env.TF_VERSION }}"
