"""Policies as IAM would read them: moto lets anybody do anything."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from terraform.tests.stack import Stack


def only_tls(actions: str, resource: object) -> dict[str, Any]:
    """Whoever it is, and whatever else allows it: not without TLS."""
    return {
        "Sid": "OnlyTLS",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


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
