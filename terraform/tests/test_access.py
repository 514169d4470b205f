"""What GitHub's roles may do, held against what is really called.

moto lets anybody do anything, so their policies are read here: an action is allowed by a statement
that names it, and not if one denies it everywhere. (Which resources are named test_apply looks at.)
The calls are those of the provider's own binary; those of a deploy are in test_scripts.
"""

import re
from typing import Any

import pytest

from terraform.tests.policies import refused
from terraform.tests.stack import Stack


def test_a_pull_request_may_see_what_would_change(
    applied: Stack, replanned: tuple[dict[str, Any], set[str]]
) -> None:
    """Every call that a whole plan makes, state and its lock included, both roles may make."""
    _, calls = replanned
    assert len(calls) > 60
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= calls
    assert refused(applied, "plan", calls) == set()
    assert refused(applied, "apply", calls) == set()


def test_a_pull_request_may_not_see_more(applied: Stack) -> None:
    """Neither what users sent, in whichever form AWS shows it, nor change anything of ours."""
    seen = {
        "athena:GetQueryResultsStream",
        "logs:GetLogEvents",
        "logs:StartLiveTail",
        "rds:DownloadDBLogFilePortion",
        "sqs:ReceiveMessage",
        "wafv2:GetSampledRequests",
    }
    changed = {"ecs:UpdateService", "ecs:RunTask", "iam:PassRole", "ecr:PutImage", "kms:Encrypt"}
    for calls in (seen, changed):
        assert refused(applied, "plan", calls) == calls


@pytest.mark.parametrize(
    ("use", "subject"), [("plan", "pull_request"), ("apply", "environment:{environment}")]
)
def test_only_our_repository_gets_in(applied: Stack, use: str, subject: str) -> None:
    """GitHub's token must be for AWS, and for exactly this use: a branch of any name isn't one."""
    role = f"livetally-{applied.environment}-github-{use}"
    found = applied.moto.client("iam").get_role(RoleName=role)["Role"]
    (statement,) = found["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    host = "token.actions.githubusercontent.com"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{host}:aud": "sts.amazonaws.com",
            f"{host}:sub": "repo:livetally/livetally:"
            + subject.format(environment=applied.environment),
        }
    }
    assert re.fullmatch(
        rf"arn:aws:iam::\d+:oidc-provider/{host}", statement["Principal"]["Federated"]
    )


def test_services_act_for_this_account_only(applied: Stack) -> None:
    """Each of AWS's services that takes one of our roles must do so for us, not for a stranger."""
    roles = applied.moto.client("iam").list_roles(MaxItems=100)["Roles"]
    ours = [each for each in roles if each["RoleName"].startswith("livetally-")]
    taken = set()
    for role in ours:
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if service := statement["Principal"].get("Service"):
                condition = statement["Condition"]["StringEquals"]
                assert condition == {"aws:SourceAccount": "123456789012"}, role["RoleName"]
                taken.add(service)
    assert taken == {
        "ecs-tasks.amazonaws.com",
        "iot.amazonaws.com",
        "monitoring.rds.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    }
