"""Slips in logs and alarms."""

from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, between, kept, told


def nobody_hears(cloud: Cloud) -> Made:
    sns, topic = cloud.client("sns"), cloud.inputs["alarm_topic_arn"]
    (found,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return between(
        lambda: sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"]),
        lambda: sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=found["Endpoint"]),
    )


def uncounted_errors(cloud: Cloud) -> Made:
    logs, group = cloud.client("logs"), cloud.inputs["log_group_names"]["web"]
    (found,) = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    told_to = ("filterName", "filterPattern", "metricTransformations", "logGroupName")
    right = {name: found[name] for name in told_to}
    name = found["filterName"]
    return between(
        lambda: logs.delete_metric_filter(logGroupName=group, filterName=name),
        lambda: logs.put_metric_filter(**right),
    )


def alarm(cloud: Cloud, what: str) -> Any:
    return cloud.memory("cloudwatch").alarms[cloud.inputs["alarm_names"][what]]


MONITORING: dict[str, Slip] = {
    "livetally-logs-01": lambda cloud: told(
        cloud.client("logs").put_retention_policy,
        {"retentionInDays": 7},
        {"retentionInDays": cloud.inputs["log_retention_days"]},
        logGroupName=cloud.inputs["flow_log_group_name"],
    ),
    "livetally-logs-02": lambda cloud: kept(
        cloud.memory("logs").groups[cloud.inputs["log_group_names"]["exec"]], "kms_key_id", None
    ),
    "livetally-logs-03": uncounted_errors,
    "livetally-alarms-01": lambda cloud: between(
        cloud.client("cloudwatch").disable_alarm_actions,
        cloud.client("cloudwatch").enable_alarm_actions,
        AlarmNames=[cloud.inputs["alarm_names"]["queue-age"]],
    ),
    "livetally-alarms-02": lambda cloud: kept(alarm(cloud, "dead-letters"), "threshold", 1000.0),
    "livetally-alarms-03": nobody_hears,
}
