"""Slips in buckets."""

import json
from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, between, told

STRANGER = {"AWS": "arn:aws:iam::999999999999:root"}


def policy_of(cloud: Cloud, bucket: str) -> dict[str, Any]:
    return dict(json.loads(cloud.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]))


def bucket_open_to_stranger(cloud: Cloud) -> Made:
    bucket = cloud.inputs["bucket_names"]["archive"]
    right = policy_of(cloud, bucket)
    everything = f"arn:aws:s3:::{bucket}/*"
    stranger = {"Effect": "Allow", "Principal": STRANGER, "Action": "s3:GetObject"}
    wrong = [*right["Statement"], {**stranger, "Resource": everything}]
    return told(
        cloud.client("s3").put_bucket_policy,
        {"Policy": json.dumps({**right, "Statement": wrong})},
        {"Policy": json.dumps(right)},
        Bucket=bucket,
    )


def bucket_without_tls(cloud: Cloud) -> Made:
    bucket, s3 = cloud.inputs["bucket_names"]["imports"], cloud.client("s3")
    right = json.dumps(policy_of(cloud, bucket))
    return between(
        lambda: s3.delete_bucket_policy(Bucket=bucket),
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy=right),
    )


def bucket_that_forgets(cloud: Cloud) -> Made:
    bucket, s3 = cloud.inputs["bucket_names"]["archive"], cloud.client("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    wrong = {"ID": "soon", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 7}}
    return told(
        s3.put_bucket_lifecycle_configuration,
        {"LifecycleConfiguration": {"Rules": [*rules, wrong]}},
        {"LifecycleConfiguration": {"Rules": rules}},
        Bucket=bucket,
    )


def encrypted(algorithm: str, **key: str) -> dict[str, Any]:
    default = {"SSEAlgorithm": algorithm, **key}
    rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def public(blocked: bool) -> dict[str, Any]:
    kinds = ("BlockPublicAcls", "IgnorePublicAcls", "RestrictPublicBuckets")
    block = {**dict.fromkeys(kinds, True), "BlockPublicPolicy": blocked}
    return {"PublicAccessBlockConfiguration": block}


STORAGE: dict[str, Slip] = {
    "livetally-s3-01": lambda cloud: told(
        cloud.client("s3").put_public_access_block,
        public(blocked=False),
        public(blocked=True),
        Bucket=cloud.inputs["logs_bucket_name"],
    ),
    "livetally-s3-02": lambda cloud: told(
        cloud.client("s3").put_bucket_encryption,
        encrypted("AES256"),
        encrypted("aws:kms", KMSMasterKeyID=cloud.inputs["kms_key_arn"]),
        Bucket=cloud.inputs["bucket_names"]["archive"],
    ),
    "livetally-s3-03": bucket_without_tls,
    "livetally-s3-04": lambda cloud: told(
        cloud.client("s3").put_bucket_versioning,
        {"VersioningConfiguration": {"Status": "Suspended"}},
        {"VersioningConfiguration": {"Status": "Enabled"}},
        Bucket=cloud.inputs["bucket_names"]["archive"],
    ),
    "livetally-s3-05": bucket_that_forgets,
    "livetally-s3-06": lambda cloud: told(
        cloud.client("s3").put_bucket_ownership_controls,
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        Bucket=cloud.inputs["bucket_names"]["results"],
    ),
    "livetally-s3-07": bucket_open_to_stranger,
}
