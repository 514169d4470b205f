"""Slips in the queues."""

import json

from inspec.tests.cloud import Cloud, Made, Slip, told


def attribute(cloud: Cloud, queue: str, name: str, wrong: str) -> Made:
    sqs, url = cloud.client("sqs"), cloud.inputs[queue]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
    return told(
        sqs.set_queue_attributes,
        {"Attributes": {name: wrong}},
        {"Attributes": found},
        QueueUrl=url,
    )


def never_dead(cloud: Cloud) -> Made:
    sqs, url = cloud.client("sqs"), cloud.inputs["queue_url"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    redrive = json.loads(found["Attributes"]["RedrivePolicy"])
    wrong = json.dumps({**redrive, "maxReceiveCount": 1000})
    return attribute(cloud, "queue_url", "RedrivePolicy", wrong)


def any_topic_may_send(cloud: Cloud) -> Made:
    """The topic's ARN becomes a pattern that is anybody's topic."""
    sqs, url = cloud.client("sqs"), cloud.inputs["queue_url"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    wrong = found["Policy"].replace(cloud.inputs["queue_topic_arn"], "arn:aws:sns:*:*:*")
    return attribute(cloud, "queue_url", "Policy", wrong)


QUEUE: dict[str, Slip] = {
    "livetally-sqs-01": lambda cloud: attribute(
        cloud, "dead_letter_url", "KmsMasterKeyId", "alias/aws/sqs"
    ),
    "livetally-sqs-02": never_dead,
    "livetally-sqs-03": any_topic_may_send,
    "livetally-sqs-04": lambda cloud: attribute(
        cloud, "dead_letter_url", "MessageRetentionPeriod", "86400"
    ),
}
