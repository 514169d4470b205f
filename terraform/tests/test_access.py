"""What GitHub's roles may do, held against what is really called.

moto lets anybody do anything, so their policies are read here: an action is allowed by a statement
that names it, and not if one denies it everywhere. (Which resources are named test_apply looks at.)
The calls are those of the provider's own binary; those of a deploy are in test_scripts.
"""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from terraform.tests.stack import Stack

#: Where IAM's action has another name than the call.
NAMED = {
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeNotificationsForBudget": "budgets:ViewBudget",
    "budgets:DescribeSubscribersForNotification": "budgets:ViewBudget",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
}
#: What needs no right.
FREE = {"sts:GetCallerIdentity"}


def statements(stack: Stack, role: str) -> Iterator[dict[str, Any]]:
    """Of all policies that the role has: its own, and those attached to it."""
    iam = stack.moto.client("iam")
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield from iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"][
            "Statement"
        ]
    for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = each["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        document = found["Document"]
        yield from (json.loads(document) if isinstance(document, str) else document)["Statement"]


def refused(stack: Stack, use: str, calls: set[str]) -> set[str]:
    """Those of the calls that GitHub's role for this use may not make."""
    found = [*statements(stack, f"livetally-{stack.environment}-github-{use}")]
    allowed = _actions(each for each in found if each["Effect"] == "Allow")
    denied = _actions(
        each for each in found if each["Effect"] == "Deny" and each.get("Resource") == "*"
    )
    return {
        call
        for call in calls - FREE
        if not _matches(NAMED.get(call, call), allowed) or _matches(call, denied)
    }


def _actions(found: Iterator[dict[str, Any]]) -> list[str]:
    listed = (each["Action"] for each in found)
    return [name.lower() for each in listed for name in ([each] if isinstance(each, str) else each)]


def _matches(action: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(action.lower(), pattern) for pattern in patterns)


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
