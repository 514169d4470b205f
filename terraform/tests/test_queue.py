"""The ways into the queue: who may send, and that what is sent arrives."""

import json
from typing import Any

from terraform.tests.policies import only_tls
from terraform.tests.stack import Stack


def test_who_may_send_to_the_queue(applied: Stack) -> None:
    """Besides the account: our topic and our bucket, by AWS's services; nobody without TLS."""
    queue, buckets = applied.outputs()["queue"], applied.outputs()["storage"]["bucket_names"]
    sqs, sources = applied.moto.client("sqs"), {}
    for url in (queue["url"], queue["dead_letter_url"]):
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert found["KmsMasterKeyId"] == applied.outputs()["kms_key_arn"]
        *allowed, last = json.loads(found["Policy"])["Statement"]
        assert last == only_tls("sqs:*", found["QueueArn"])
        for each in allowed:
            assert each["Action"] == "sqs:SendMessage"
            who = each["Principal"]["Service"]
            sources[url, who] = each["Condition"]["ArnEquals"]["aws:SourceArn"]
    bucket = f"arn:aws:s3:::{buckets['imports']}"
    assert sources == {
        (queue["url"], "sns.amazonaws.com"): queue["topic_arn"],
        (queue["url"], "s3.amazonaws.com"): bucket,
        (queue["dead_letter_url"], "sns.amazonaws.com"): queue["topic_arn"],
    }


def test_events_reach_the_queue_every_way(applied: Stack) -> None:
    """By SNS what looks like an event, by S3 what is NDJSON, from devices by IoT's rule."""
    queue, client = applied.outputs()["queue"], applied.moto.client
    for message in ({"type": "click", "subject": "red"}, {"type": "of somebody else's"}):
        client("sns").publish(TopicArn=queue["topic_arn"], Message=json.dumps(message))
    bucket = applied.outputs()["storage"]["bucket_names"]["imports"]
    for key in ("events.ndjson", "events.jsonl", "events.txt"):
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
    told = [json.loads(body) for body in drained(client("sqs"), queue["url"])]
    topics = [json.loads(each["Message"])["subject"] for each in told if "Message" in each]
    keys = {record["s3"]["object"]["key"] for each in told for record in each.get("Records", [])}
    assert topics == ["red"]
    assert keys == {"events.ndjson", "events.jsonl"}
    rule = client("iot").get_topic_rule(ruleName=queue["iot_rule_name"])["rule"]
    assert rule["sql"] == "SELECT * FROM 'livetally/events/#'"
    assert [each["sqs"]["queueUrl"] for each in rule["actions"]] == [queue["url"]]
    assert rule["ruleDisabled"] is False


def drained(sqs: Any, url: str) -> list[str]:
    """All messages of a queue, taken away."""
    bodies: list[str] = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages"
    ):
        for each in found:
            bodies.append(each["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return bodies
