"""inspec/aws against an environment that Terraform has applied to a simulated AWS."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from profiles import ROOT, auditor, controls, execute

sys.path.insert(0, str(ROOT / "terraform" / "tests"))
ENVIRONMENT = os.environ.get("ENVIRONMENTS", "prod").split()[0]
#: What only some environments have (prod has all).
PERHAPS = {"livetally-cloudfront-01", "livetally-iam-04"}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The simulated AWS, and the inputs made from what Terraform has put there."""
    auditor()
    from stack import Missing, Moto, Stack, terraform_and_mirror

    try:
        tools = terraform_and_mirror()
    except Missing as missing:
        pytest.skip(str(missing))
    directory = tmp_path_factory.mktemp("inspec")
    with Moto(directory / "moto.log") as moto:
        moto.make_hosted_zone("livetally.example")
        stack = Stack(*tools, directory / "stack", ENVIRONMENT, moto)
        stack.apply()
        outputs = {name: {"value": value} for name, value in stack.outputs().items()}
        made = subprocess.run(
            [sys.executable, ROOT / "inspec" / "aws" / "inputs.py"],
            input=json.dumps(outputs),
            capture_output=True,
            text=True,
            check=True,
        )
        yield moto, json.loads(made.stdout)


def run(applied: tuple[Any, dict[str, Any]], directory: Path) -> dict[str, set[str]]:
    moto, inputs = applied
    return execute(
        "aws", inputs, directory, "-t", "aws://eu-central-1", AWS_CA_BUNDLE="", **moto.environ()
    )


def test_what_terraform_made_passes(applied: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    found = run(applied, tmp_path)
    assert not found["failed"]
    assert found["skipped"] <= PERHAPS
    assert found["passed"] | found["skipped"] == controls("aws")


def test_one_slip_is_one_red_control(applied: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    moto, inputs = applied
    moto.client("kms").disable_key_rotation(KeyId=inputs["kms_key_arn"])
    assert run(applied, tmp_path)["failed"] == {"livetally-kms-01"}
    moto.client("kms").enable_key_rotation(KeyId=inputs["kms_key_arn"])


def test_an_empty_account_passes_nothing(
    applied: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    """Of what isn't there every control is red: none is content with nothing."""
    moto, _ = applied
    reset = urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(reset).close()  # noqa: S310
    found = run(applied, tmp_path)
    assert not found["passed"]
    assert found["skipped"] <= PERHAPS
