"""Terraform's own binary, driven against a moto server: what the tests hold in their hands."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged, Terraform

from terraform.tests.cloud import ROOT, STATE_BUCKET, Moto

#: What makes Postgres Aurora's.
AURORA = {
    "engine": "aurora",
    "multi_az": True,
    "backup_days": 7,
    "aurora_capacity": {"min": 1, "max": 8},
}

#: Where people and images keep providers for machines without the internet.
MIRRORS = (
    "/usr/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/opt/tf-plugins",
    "/opt/terraform/plugins",
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
)

HOW_TO_GET = (
    "Terraform 1.11 or newer must be on the PATH (or TERRAFORM name it), and the AWS provider 5.100"
    " in a directory that TF_PLUGIN_DIR names: on a machine that may download,"
    " `terraform -chdir=terraform providers mirror DIRECTORY` makes one."
)

#: S3 as a path of the one address, for the state and for everything: for tests only.
BACKEND_OVERRIDE = """
terraform {
  backend "s3" {
    use_path_style = true
  }
}
"""
PROVIDER_OVERRIDE = """

provider "aws" {
  region            = var.region
  s3_use_path_style = true

  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias             = "us_east_1"
  region            = "us-east-1"
  s3_use_path_style = true

  default_tags {
    tags = local.tags
  }
}
"""


class Missing(Exception):
    """Terraform or its provider isn't on this machine."""


def terraform_and_mirror() -> tuple[str, Path]:
    """The binary, and the directory that has the provider for this machine. Raises Missing."""
    binary = shutil.which(os.environ.get("TERRAFORM", "terraform"))
    if not binary:
        raise Missing(f"no terraform here. {HOW_TO_GET}")
    named = os.environ.get("TF_PLUGIN_DIR")
    for place in [named] if named else MIRRORS:
        directory = Path(place).expanduser()
        if list(directory.glob("*/hashicorp/aws/5.*/*_*/terraform-provider-aws_*")) or list(
            directory.glob("*/hashicorp/aws/terraform-provider-aws_5.*.zip")
        ):
            return binary, directory
    raise Missing(f"no AWS provider in {named or ', '.join(MIRRORS)}. {HOW_TO_GET}")


class Stack:
    """A copy of the configuration, and python-terraform to drive it.

    Two things python-terraform 0.10.1 can't do with today's Terraform: its `destroy` passes
    `-force`, which is gone, and its `init` passes on options that `init` refuses. So everything
    goes by its general `cmd`, which writes variables to a file, runs the binary and hands back what
    it said.
    """

    def __init__(
        self,
        terraform: str,
        mirror: Path,
        directory: Path,
        environment: str = "dev",
        moto: Moto | None = None,
    ) -> None:
        self.environment = environment
        self.moto = moto
        self.directory = directory
        self._outputs: dict[str, Any] | None = None
        shutil.copytree(
            ROOT, directory, ignore=shutil.ignore_patterns(".terraform*"), dirs_exist_ok=True
        )
        if moto:
            (directory / "test_override.tf").write_text(BACKEND_OVERRIDE + PROVIDER_OVERRIDE)
        self._terraform = Terraform(str(directory), terraform_bin_path=terraform)
        backend: dict[str, Any] = {"backend": False}
        if moto:
            moto.make_state_bucket()
            # As terraform/bootstrap does.
            where = self.directory / "environments" / f"{environment}.s3.tfbackend"
            backend = {"backend_config": [str(where), f"bucket={STATE_BUCKET}"]}
        self.run("init", plugin_dir=str(mirror), **backend)

    def run(
        self, command: str, *arguments: str, allowed: tuple[int, ...] = (0,), **options: Any
    ) -> str:
        """Run a command; returns what it printed. Fails the test unless it ends as allowed."""
        if command in ("init", "plan", "apply", "destroy"):
            options |= {"input": False}
        if command in ("plan", "apply", "destroy"):
            # Waiting for the cloud is most of it; 40 wait at once.
            options |= {"parallelism": 40}
        with self._environ():
            status, out, err = self._terraform.cmd(
                command, *arguments, no_color=IsFlagged, **options
            )
        assert status in allowed, f"terraform {command}: {status}\n{out[-4000:]}\n{err}"
        return str(out)

    def variables(self, **changed: object) -> dict[str, Any]:
        """The options that give the environment's values, and these instead."""
        return {
            "var_file": f"environments/{self.environment}.tfvars",
            "var": {"image_tag": "v1", **changed},
        }

    def apply(self, **changed: object) -> None:
        self._outputs = None
        self.run("apply", auto_approve=IsFlagged, **self.variables(**changed))

    def plan(
        self, *, refresh: bool = True, target: str | None = None, **changed: object
    ) -> dict[str, Any]:
        """What an apply would do, as JSON (`terraform show`)."""
        options = self.variables(**changed)
        self.run("plan", out="test.tfplan", refresh=refresh, target=target, **options)
        return dict(json.loads(self.run("show", "test.tfplan", json=IsFlagged)))

    def outputs(self) -> dict[str, Any]:
        """`terraform output`, asked anew when something was applied since."""
        if self._outputs is None:
            found = json.loads(self.run("output", json=IsFlagged))
            self._outputs = {name: each["value"] for name, each in found.items()}
        return self._outputs

    def container(self, task: str) -> dict[str, Any]:
        """The one container of a task definition, as ECS has it."""
        arn = self.outputs()["service"]["task_definition_arns"][task]
        definition = self.moto.client("ecs").describe_task_definition(taskDefinition=arn)
        (found,) = definition["taskDefinition"]["containerDefinitions"]
        return dict(found)

    def destroy(self, **changed: object) -> None:
        options = self.variables(**changed)
        self.run("destroy", auto_approve=IsFlagged, refresh=False, **options)

    def start(self, log: Path, command: str, *options: str) -> "Background":
        """Start a command with this environment's values, and let it run beside others."""
        with self._environ():
            return Background(
                [
                    *(self._terraform.terraform_bin_path, command, "-no-color"),
                    f"-var-file=environments/{self.environment}.tfvars",
                    *("-var=image_tag=v1", *options),
                ],
                self.directory,
                log,
            )

    def script(
        self, name: str, *arguments: str, path: Path, directory: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of the scripts that people run; programs in `path` go before the machine's."""
        self._outputs = None
        with self._environ():
            environ = {
                **os.environ,
                "PATH": f"{path}:{os.environ['PATH']}",
                # What the state says is what there is: nobody else changes this cloud.
                "TF_CLI_ARGS_apply": "-no-color -refresh=false -parallelism=40",
            }
            return subprocess.run(
                [str((directory or self.directory) / name), *arguments],
                env=environ,
                capture_output=True,
                text=True,
                timeout=600,
            )

    @contextmanager
    def _environ(self) -> Iterator[None]:
        """python-terraform hands on this process's environment, and only that."""
        kept = dict(os.environ)
        for name in [name for name in os.environ if name.startswith(("TF_", "AWS_"))]:
            del os.environ[name]
        os.environ |= {
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            **(self.moto.environ() if self.moto else {}),
        }
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= kept


class Background:
    """A command that runs while other tests wait for the cloud."""

    def __init__(self, command: list[str], directory: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=out)

    def end(self) -> None:
        """Nobody waits for it any more."""
        self._process.terminate()
        self._process.wait(60)

    def finish(self, timeout_s: float) -> str:
        """What it printed; fails the test unless it ended well in time."""
        status = self._process.wait(timeout_s)
        out = self._log.read_text(encoding="utf-8")
        assert status == 0, out
        return out


def changes(plan: dict[str, Any]) -> dict[str, list[str]]:
    """What a plan would do, by address: create, update, delete (replaced: both)."""
    return {
        each["address"]: each["change"]["actions"]
        for each in plan["resource_changes"]
        if each["change"]["actions"] not in (["no-op"], ["read"])
    }
