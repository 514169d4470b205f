"""Slips in who may do what."""

import json

from inspec.tests.cloud import Cloud, Made, Slip, between, told


def trust(cloud: Cloud, role: str, was: str, becomes: str) -> Made:
    """A word of a role's trust policy is another."""
    iam = cloud.client("iam")
    document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    right = json.dumps(document)
    assert was in right
    return told(
        iam.update_assume_role_policy,
        {"PolicyDocument": right.replace(was, becomes)},
        {"PolicyDocument": right},
        RoleName=role,
    )


def allowed(cloud: Cloud, role: str, action: str, resource: str) -> Made:
    """A role has one more right."""
    iam, name = cloud.client("iam"), cloud.inputs["role_names"][role]
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return between(
        lambda: iam.put_role_policy(RoleName=name, PolicyName="slip", PolicyDocument=policy),
        lambda: iam.delete_role_policy(RoleName=name, PolicyName="slip"),
    )


ROLES: dict[str, Slip] = {
    "livetally-iam-01": lambda cloud: trust(
        cloud, cloud.inputs["role_names"]["execution-migrate"], "123456789012", "999999999999"
    ),
    "livetally-iam-02": lambda cloud: allowed(cloud, "web", "s3:GetObject", "arn:aws:s3:::*"),
    "livetally-iam-03": lambda cloud: allowed(
        cloud,
        "execution-web",
        "secretsmanager:Get*",
        cloud.inputs["database_owner_secret_arn"],
    ),
    "livetally-iam-04": lambda cloud: trust(
        cloud, cloud.inputs["github_role_names"]["plan"], "repo:livetally/livetally:", "repo:*:"
    ),
}
