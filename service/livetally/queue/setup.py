"""`livetally aws-setup`: a queue with its dead letters, a topic and a bucket that lead to it.

For a laptop, compose, or an account that Terraform doesn't manage. Any number of times: what is
there stays, and is set as below.
"""

import json
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ..base.aws import client

#: A message that isn't done in this time, or renewed, goes to another worker.
VISIBILITY_S = 60
#: A message that was refused so often goes to the dead letters.
RECEIVES = 5
#: There an operator has so long to look at it: SQS's longest.
DEAD_S = 14 * 24 * 3600


class Made(msgspec.Struct):
    """Where everything is."""

    queue_url: str
    dead_letter_queue_url: str
    topic_arn: str
    bucket: str


async def set_up(
    *,
    queue: str,
    topic: str,
    bucket: str,
    inbox: str,
    visibility_s: int = VISIBILITY_S,
    receives: int = RECEIVES,
) -> Made:
    """Make what isn't there. Objects under the prefix `inbox` of the bucket are told of.

    Raises what botocore does.
    """
    async with AsyncExitStack() as clients:
        sqs, sns, s3 = [
            await clients.enter_async_context(client(service)) for service in ("sqs", "sns", "s3")
        ]
        dead = (await sqs.create_queue(QueueName=f"{queue}-dead"))["QueueUrl"]
        await _set(sqs, dead, MessageRetentionPeriod=str(DEAD_S))
        url = (await sqs.create_queue(QueueName=queue))["QueueUrl"]
        arn = await _arn(sqs, url)
        topic_arn = (await sns.create_topic(Name=topic))["TopicArn"]
        redrive = {"deadLetterTargetArn": await _arn(sqs, dead), "maxReceiveCount": receives}
        await _set(
            sqs,
            url,
            VisibilityTimeout=str(visibility_s),
            RedrivePolicy=json.dumps(redrive),
            Policy=json.dumps(_policy(arn, topic_arn, f"arn:aws:s3:::{bucket}")),
        )
        await sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
        await _make_bucket(s3, bucket)
        await _tell(s3, bucket, inbox, arn)
        return Made(url, dead, topic_arn, bucket)


def _policy(queue_arn: str, *sources: str) -> dict[str, Any]:
    """The topic and the bucket, and nobody else of their services, may send."""
    services = ("sns.amazonaws.com", "s3.amazonaws.com")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": source}},
            }
            for service, source in zip(services, sources, strict=True)
        ],
    }


async def _set(sqs: Any, url: str, **attributes: str) -> None:
    await sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


async def _arn(sqs: Any, url: str) -> str:
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


async def _make_bucket(s3: Any, bucket: str) -> None:
    region = s3.meta.region_name
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    try:
        await s3.create_bucket(
            Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {})
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise


async def _tell(s3: Any, bucket: str, inbox: str, queue_arn: str) -> None:
    """Have the bucket tell the queue, beside whatever else it tells."""
    asked = await s3.get_bucket_notification_configuration(Bucket=bucket)
    asked.pop("ResponseMetadata", None)
    others = [
        each for each in asked.get("QueueConfigurations", []) if each["QueueArn"] != queue_arn
    ]
    ours = {
        "QueueArn": queue_arn,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": inbox}]}},
    }
    await s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={**asked, "QueueConfigurations": [*others, ours]},
    )
