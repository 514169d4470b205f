"""inspec/aws against an environment that Terraform has applied to a simulated AWS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from inspec.tests.aws_slips import SLIPS
from inspec.tests.cloud import Cloud
from inspec.tests.profiles import ROOT, auditor, controls, execute, rows_and_columns
from terraform.tests.stack import Missing, Stack, terraform_and_mirror

ENVIRONMENT = os.environ.get("ENVIRONMENTS", "prod").split()[0]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The simulated AWS, and the inputs made from what Terraform has put there."""
    auditor()
    try:
        tools = terraform_and_mirror()
    except Missing as missing:
        pytest.skip(str(missing))
    with Cloud() as cloud:
        cloud.make_hosted_zone("livetally.example")
        stack = Stack(*tools, tmp_path_factory.mktemp("inspec") / "stack", ENVIRONMENT, cloud)
        stack.apply()
        outputs = {name: {"value": value} for name, value in stack.outputs().items()}
        made = subprocess.run(
            [sys.executable, ROOT / "inspec" / "aws" / "inputs.py"],
            input=json.dumps(outputs),
            capture_output=True,
            text=True,
            check=True,
        )
        cloud.inputs = json.loads(made.stdout)
        yield cloud


def without(inputs: dict[str, Any]) -> set[str]:
    """Controls of what this environment hasn't; prod has all."""
    cloudfront = set() if inputs["distribution_id"] else {"livetally-cloudfront-01"}
    return cloudfront | (set() if inputs["github_role_names"] else {"livetally-iam-04"})


def run(cloud: Cloud, inputs: dict[str, Any], directory: Path) -> dict[str, set[str]]:
    region = ("-t", "aws://eu-central-1")
    return execute("aws", inputs, directory, *region, AWS_CA_BUNDLE="", **cloud.environ())


def test_what_terraform_made_passes(cloud: Cloud, tmp_path: Path) -> None:
    found = run(cloud, cloud.inputs, tmp_path)
    assert found["failed"] == set()
    assert found["skipped"] == without(cloud.inputs)
    assert found["passed"] == controls("aws") - without(cloud.inputs)


@pytest.mark.parametrize("names", rows_and_columns(set(SLIPS)), ids=lambda names: names[0][10:])
def test_a_slip_is_one_red_control(names: list[str], cloud: Cloud, tmp_path: Path) -> None:
    """Each control is red when what it says is broken, and no other is."""
    if ENVIRONMENT != "prod":
        pytest.skip("the slips are of what prod has")
    with ExitStack() as made:
        for name in names:
            made.enter_context(SLIPS[name](cloud))
        assert run(cloud, cloud.inputs, tmp_path)["failed"] == set(names)


def test_slips_are_mended(cloud: Cloud, tmp_path: Path) -> None:
    """So that what the runs before this one have found is of their own slips."""
    assert run(cloud, cloud.inputs, tmp_path)["failed"] == set()


def test_an_empty_account_passes_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """Of what isn't there every control is red: none is content with nothing."""
    cloud.forget()
    found = run(cloud, cloud.inputs, tmp_path)
    assert found["failed"] == controls("aws") - without(cloud.inputs)


def test_inputs_of_nothing_pass_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """A list or a table that came out empty isn't everything that is in it being well."""
    nothing = {
        name: type(value)() if isinstance(value, list | dict) else value
        for name, value in cloud.inputs.items()
    }
    found = run(cloud, nothing, tmp_path)
    assert found["failed"] == controls("aws") - without(nothing)
