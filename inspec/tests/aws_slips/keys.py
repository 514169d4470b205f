"""Slips in the key and with secrets."""

import json

from inspec.tests.cloud import Cloud, Made, Slip, between, told


def key_of_strangers(cloud: Cloud) -> Made:
    kms, key = cloud.client("kms"), cloud.inputs["kms_key_arn"]
    right = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    wrong = {**right, "Statement": [*right["Statement"], anybody]}
    return told(
        kms.put_key_policy,
        {"Policy": json.dumps(wrong)},
        {"Policy": json.dumps(right)},
        KeyId=key,
        PolicyName="default",
    )


KEYS: dict[str, Slip] = {
    "livetally-kms-01": lambda cloud: between(
        cloud.client("kms").disable_key_rotation,
        cloud.client("kms").enable_key_rotation,
        KeyId=cloud.inputs["kms_key_arn"],
    ),
    "livetally-kms-02": key_of_strangers,
    "livetally-secrets-01": lambda cloud: told(
        cloud.client("secretsmanager").update_secret,
        {"KmsKeyId": cloud.another_key()},
        {"KmsKeyId": cloud.inputs["kms_key_arn"]},
        SecretId=cloud.inputs["cache_password_secret_arn"],
    ),
}
