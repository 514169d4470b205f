"""What Terraform says of the service, and what the service is, without Terraform.

The real thing, applied and run, is `make terraform-test`. These take no time and need no tool: a
setting that is renamed, or a column of the archive, shows in any `make test`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from livetally.archive.schema import GLUE_COLUMNS, PARTITION_KEYS, projection
from livetally.base.config import PREFIX, variables
from livetally.ops.emf import UNITS
from service.tests.support.paths import ROOT
from terraform.tests.cloud import Moto

TERRAFORM = ROOT / "terraform"
SERVICE = (TERRAFORM / "modules" / "service" / "autoscaling.tf").read_text("utf-8")
MONITORING = "".join(
    file.read_text("utf-8") for file in sorted((TERRAFORM / "modules" / "monitoring").glob("*.tf"))
)
ATHENA = (TERRAFORM / "modules" / "storage" / "athena.tf").read_text("utf-8")


def test_every_variable_of_a_task_is_a_setting() -> None:
    """A task whose environment names an unknown setting would refuse to start."""
    main = (TERRAFORM / "main.tf").read_text("utf-8")
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", main))
    assert {"LIVETALLY_DATABASE_URL", "LIVETALLY_QUEUE_URL"} <= named
    assert named <= {name for name, _, _ in variables()}


def test_the_archives_table_has_its_columns() -> None:
    """Athena reads by these names: the writer's, in its order, and the folders'."""
    named = re.findall(r'\{ name = "(\w+)", type = "(\w+)" \}', ATHENA)
    assert tuple(named) == GLUE_COLUMNS + PARTITION_KEYS


def test_athena_finds_the_partitions() -> None:
    """The projection is what the writer says that its folders are."""
    found = dict(re.findall(r'"(classification|projection\.[\w.]+)" += "([^"]+)"', ATHENA))
    expected = projection("s3://bucket/events")
    template = expected.pop("storage.location.template")
    assert found == expected
    folders = "/".join(f"{name}=${{{name}}}" for name, _ in PARTITION_KEYS)
    assert template == f"s3://bucket/events/{folders}"
    assert 'join("/", [for each in local.partitions : "${each.name}=$${${each.name}}"])' in ATHENA


def test_what_is_watched_is_what_is_said() -> None:
    """Alarms, the dashboard and autoscaling name only metrics that the service logs."""
    pattern = (
        r'namespace = var\.metric_namespace, metric = "(\w+)"|\[var\.metric_namespace, "(\w+)"'
    )
    alarms = {a or b for a, b in re.findall(pattern, MONITORING)}
    scaling = set(re.findall(r'metric_name = "(\w+)"', SERVICE))
    assert scaling == {"Viewers"}
    assert {"CommitMilliseconds"} <= alarms
    assert alarms | scaling <= UNITS.keys()


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_an_environments_file_sets_all_that_varies(environment: str) -> None:
    """Each gives every variable that has no default, none that isn't one, and its own state."""
    text = (TERRAFORM / "variables.tf").read_text("utf-8")
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE)
    required = {name for name, body in blocks if not re.search(r"^  default ", body, re.MULTILINE)}
    values = (TERRAFORM / "environments" / f"{environment}.tfvars").read_text("utf-8")
    given = set(re.findall(r"^(\w+) *=", values, re.MULTILINE))
    assert required - {"image_tag"} <= given <= {name for name, _ in blocks}
    assert f'environment = "{environment}"' in values
    backend = (TERRAFORM / "environments" / f"{environment}.s3.tfbackend").read_text("utf-8")
    assert f'"{environment}/terraform.tfstate"' in backend


def test_every_variable_is_described_typed_and_validated() -> None:
    """At the root, where people write values; what has a fixed set of them says so."""
    text = (TERRAFORM / "variables.tf").read_text("utf-8")
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 20
    for name, body in blocks:
        assert "  description = " in body, name
        assert "  type " in body, name
        assert "  validation {" in body or "type        = bool" in body, name


def test_the_cost_table_is_computed() -> None:
    """README's table is what the script prints, from its prices and its model."""
    script = [sys.executable, TERRAFORM / "costs.py"]
    table = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    readme = (TERRAFORM / "README.md").read_text("utf-8")
    assert f"<!-- costs -->\n{table}<!-- /costs -->" in readme


def test_without_terraform_its_tests_say_what_is_missing(tmp_path: Path) -> None:
    """A fresh machine: nothing fails, each test is skipped, and how to get Terraform is said."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", TERRAFORM / "tests", "-p", "no:cacheprovider"],
        env={**os.environ, "TERRAFORM": "no-such-program", "CHECKOV": str(tmp_path / "none")},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert re.search(r"^=+ \d+ skipped in ", run.stdout, re.MULTILINE), run.stdout
    assert "no terraform here. Terraform 1.11 or newer must be on the PATH" in run.stdout
    assert "providers mirror DIRECTORY" in run.stdout


def test_a_simulated_aws_that_comes_too_late_is_ended(tmp_path: Path) -> None:
    """It says for how long it was waited for, and leaves nothing behind that runs on."""
    cloud = Moto(tmp_path / "moto.log", start_s=0)
    with pytest.raises(TimeoutError, match="moto's server wasn't there in 0 s"), cloud:
        pass
    assert cloud.process.poll() is not None
