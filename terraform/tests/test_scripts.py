"""bootstrap, deploy and task, as people run them: the real aws and terraform, against moto.

Only docker isn't real: a stand-in writes down what it was asked, and its push makes the tag.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from terraform.tests.policies import refused
from terraform.tests.stack import BACKEND_OVERRIDE, ROOT, Stack

DOCKER = """#!/usr/bin/env bash
MANIFEST=application/vnd.docker.distribution.manifest.v2+json
echo "$*" >>"$(dirname "$0")/log"
case $1 in
login) cat >/dev/null ;;
buildx)
    image=$(grep -o -- '--tag [^ ]*' <<<"$*") image=${image#--tag } name=${image##*/}
    aws ecr put-image --repository-name "${name%:*}" --image-tag "${name#*:}" \\
        --image-manifest '{"schemaVersion": 2, "mediaType": "'$MANIFEST'"}' >/dev/null ;;
create) echo c0ffee ;;
cp) mkdir "$3/assets"; echo 1 >"$3/assets/app.js" ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A directory for the PATH with a docker that has a log."""
    for needed in ("aws", "jq"):
        if not shutil.which(needed):
            pytest.skip(f"no {needed} here: the scripts need it on the PATH")
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "docker").write_text(DOCKER)
    (directory / "docker").chmod(0o755)
    return directory


def asked(docker: Path) -> list[str]:
    """docker's commands, in order: the first word of each."""
    log = docker / "log"
    return [each.split()[0] for each in log.read_text().splitlines()] if log.exists() else []


def running(stack: Stack) -> dict[str, str]:
    """Which image each service has its tasks of, by its tag."""
    ecs, outputs = stack.moto.client("ecs"), stack.outputs()["service"]
    services = ecs.describe_services(
        cluster=outputs["cluster_name"], services=[*outputs["service_names"].values()]
    )["services"]
    return {each["serviceName"]: _tag(ecs, each["taskDefinition"]) for each in services}


def tasks(stack: Stack) -> list[tuple[str, list[str]]]:
    """What was run by itself, oldest first: the image's tag, and the command instead of its own."""
    ecs, cluster = stack.moto.client("ecs"), stack.outputs()["service"]["cluster_name"]
    arns = ecs.list_tasks(cluster=cluster)["taskArns"]
    found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return [
        (
            _tag(ecs, each["taskDefinitionArn"]),
            each["overrides"]["containerOverrides"][0]["command"],
        )
        for each in found
    ]


def _tag(ecs: Any, task_definition: str) -> str:
    found = ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    return str(found["containerDefinitions"][0]["image"]).rpartition(":")[2]


def test_a_deploy_knows_whose_state_it_changes(applied: Stack, docker: Path) -> None:
    """Terraform looks at this environment's state: a deploy to another one touches nothing."""
    other = "staging" if applied.environment != "staging" else "dev"
    ended = applied.script("deploy", other, "v2", path=docker)
    assert ended.returncode == 1
    assert f"terraform/bootstrap {other}" in ended.stderr
    assert asked(docker) == []


def test_a_failed_migration_stops_a_deploy(applied: Stack, docker: Path) -> None:
    """The new image's `migrate` comes before any service takes it; that fails, and none does."""
    ended = applied.script("deploy", applied.environment, "broken", path=docker)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "livetally migrate: ended with 1" in ended.stderr
    assert tasks(applied)[-1] == ("broken", ["migrate"])
    assert running(applied) == {"web": "v1", "worker": "v1"}
    assert asked(docker) == ["login", "buildx"]


def test_a_rollback_by_ecs_is_reported(applied: Stack, docker: Path) -> None:
    """Tasks that don't become healthy: ECS keeps the old ones, and the deploy says so and fails."""
    ended = applied.script("deploy", applied.environment, "unhealthy", path=docker)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "was rolled back" in ended.stderr
    assert running(applied) == {"web": "v1", "worker": "v1"}


def test_a_deploy_migrates_then_rolls_out(applied: Stack, docker: Path) -> None:
    """The image built once for ARM64, migrated with, taken by both services. GitHub's role may make
    every call of it, but isn't shown what the migration logged: keys are printed there."""
    with applied.moto.calls() as calls:
        ended = applied.script("deploy", applied.environment, "v2", path=docker)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {"ecr:PutImage", "ecs:RunTask", "ecs:UpdateService", "s3:PutObject"} <= calls
    assert refused(applied, "apply", calls) == {"logs:GetLogEvents"}
    assert ended.stdout.endswith(applied.outputs()["url"])
    assert tasks(applied)[-1] == ("v2", ["migrate"])
    assert running(applied) == {"web": "v2", "worker": "v2"}
    assert asked(docker)[:2] == ["login", "buildx"]
    # (With its provenance it would be an index, which ECR doesn't scan.)
    assert "--platform linux/arm64 --provenance=false" in (docker / "log").read_text()
    pages = applied.outputs()["edge"]["pages_bucket_name"]
    if pages:
        found = applied.moto.client("s3").head_object(Bucket=pages, Key="assets/app.js")
        assert "immutable" in found["CacheControl"]
    assert applied.container("web")["image"].endswith(":v2")


def test_a_tag_of_before_is_a_rollback(applied: Stack, docker: Path) -> None:
    """Its image is still there: nothing is built, and the services have it again."""
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    applied.moto.client("ecr").put_image(
        repositoryName=f"livetally-{applied.environment}",
        imageManifest=json.dumps(manifest),
        imageTag="v1",
    )
    ended = applied.script("deploy", applied.environment, "v1", path=docker)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "buildx" not in asked(docker)
    assert running(applied) == {"web": "v1", "worker": "v1"}


def test_a_task_ends_as_its_command_did(applied: Stack, docker: Path) -> None:
    """Arguments reach the container one by one, spaces and all, in the private subnets."""
    ended = applied.script(
        "task", applied.environment, "keys", "create", "--name", "the first", path=docker
    )
    assert ended.returncode == 0, ended.stderr
    assert tasks(applied)[-1][1] == ["keys", "create", "--name", "the first"]


def test_a_first_deploy_makes_what_migrate_stands_on(applied: Stack) -> None:
    """Each resource or module that deploy names by `-target` is one that there is."""
    text = (ROOT / "deploy").read_text()
    targets = [word.split("=", 1)[1].strip("'") for word in text.split() if "-target=" in word]
    there = applied.run("state list").splitlines()
    assert len(targets) == 7
    for target in (each.rstrip(")") for each in targets):
        assert [
            each
            for each in there
            if each == target or each.startswith((f"{target}.", f"{target}["))
        ]


def test_bootstrap_makes_a_bucket_for_the_state(
    applied: Stack, tmp_path: Path, docker: Path
) -> None:
    """Private, versioned, encrypted, and the state goes there; a second time changes nothing."""
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    shutil.copy2(ROOT / "bootstrap", tmp_path)
    (tmp_path / "main.tf").write_text('terraform {\n  backend "s3" {}\n}\n')
    (tmp_path / "test_override.tf").write_text(BACKEND_OVERRIDE)
    for _ in range(2):
        ended = applied.script("bootstrap", applied.environment, path=docker, directory=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    s3 = applied.moto.client("s3")
    (bucket,) = {each["Name"] for each in s3.list_buckets()["Buckets"]} & {
        "livetally-terraform-123456789012"
    }
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-central-1"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    backend = json.loads((tmp_path / ".terraform" / "terraform.tfstate").read_text())["backend"]
    assert backend["config"]["bucket"] == bucket
    assert backend["config"]["key"] == f"{applied.environment}/terraform.tfstate"
