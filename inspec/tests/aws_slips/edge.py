"""Slips in the load balancer, its firewall and CloudFront."""

from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, kept, told


def listening(cloud: Cloud, name: str) -> dict[str, Any]:
    elb = cloud.client("elbv2")
    found = elb.describe_listeners(ListenerArns=[cloud.inputs["listener_arns"][name]])
    return dict(found["Listeners"][0])


def answers_http(cloud: Cloud) -> Made:
    right = listening(cloud, "http")
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "hello"}
    wrong = [{"Type": "fixed-response", "FixedResponseConfig": answer}]
    return told(
        cloud.client("elbv2").modify_listener,
        {"DefaultActions": wrong},
        {"DefaultActions": right["DefaultActions"]},
        ListenerArn=right["ListenerArn"],
    )


def old_tls(cloud: Cloud) -> Made:
    right = listening(cloud, "https")
    return told(
        cloud.client("elbv2").modify_listener,
        {"SslPolicy": "ELBSecurityPolicy-2016-08"},
        {"SslPolicy": right["SslPolicy"]},
        ListenerArn=right["ListenerArn"],
        DefaultActions=right["DefaultActions"],
    )


def open_metrics(cloud: Cloud) -> Made:
    elb = cloud.client("elbv2")
    rules = elb.describe_rules(ListenerArn=cloud.inputs["listener_arns"]["https"])["Rules"]
    rule = next(each for each in rules if not each["IsDefault"])
    return told(
        elb.modify_rule,
        {"Conditions": [{"Field": "path-pattern", "Values": ["/elsewhere"]}]},
        {"Conditions": [{"Field": "path-pattern", "Values": ["/metrics"]}]},
        RuleArn=rule["RuleArn"],
        Actions=rule["Actions"],
    )


def balancer(cloud: Cloud, name: str, wrong: str) -> Made:
    """An attribute of the load balancer is another."""
    elb, arn = cloud.client("elbv2"), cloud.inputs["load_balancer_arn"]
    found = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    right = next(each["Value"] for each in found if each["Key"] == name)
    return told(
        elb.modify_load_balancer_attributes,
        {"Attributes": [{"Key": name, "Value": wrong}]},
        {"Attributes": [{"Key": name, "Value": right}]},
        LoadBalancerArn=arn,
    )


def delay(seconds: int) -> dict[str, Any]:
    key = "deregistration_delay.timeout_seconds"
    return {"Attributes": [{"Key": key, "Value": str(seconds)}]}


def web_acl(cloud: Cloud) -> Any:
    return cloud.memory("wafv2").wacls[cloud.inputs["web_acl_arn"]]


def logged_keys(cloud: Cloud) -> Made:
    waf = cloud.client("wafv2")
    right = waf.get_logging_configuration(ResourceArn=cloud.inputs["web_acl_arn"])
    configuration = right["LoggingConfiguration"]
    return told(
        waf.put_logging_configuration,
        {"LoggingConfiguration": {**configuration, "RedactedFields": []}},
        {"LoggingConfiguration": configuration},
    )


def distribution(cloud: Cloud) -> Any:
    found = cloud.memory("cloudfront", "aws").distributions[cloud.inputs["distribution_id"]]
    return found.distribution_config


EDGE: dict[str, Slip] = {
    "livetally-alb-01": old_tls,
    "livetally-alb-02": answers_http,
    "livetally-alb-03": lambda cloud: balancer(cloud, "idle_timeout.timeout_seconds", "30"),
    "livetally-alb-04": lambda cloud: told(
        cloud.client("elbv2").modify_target_group_attributes,
        delay(300),
        delay(cloud.inputs["deregistration_delay_s"]),
        TargetGroupArn=cloud.inputs["target_group_arn"],
    ),
    "livetally-alb-05": lambda cloud: balancer(
        cloud, "routing.http.drop_invalid_header_fields.enabled", "false"
    ),
    "livetally-alb-06": lambda cloud: balancer(cloud, "connection_logs.s3.enabled", "false"),
    "livetally-alb-07": lambda cloud: balancer(cloud, "deletion_protection.enabled", "false"),
    "livetally-alb-08": open_metrics,
    "livetally-waf-01": lambda cloud: kept(
        web_acl(cloud), "rules", [rule for rule in web_acl(cloud).rules if rule.name != "rate"]
    ),
    "livetally-waf-02": logged_keys,
    "livetally-cloudfront-01": lambda cloud: kept(
        vars(distribution(cloud))["ViewerCertificate"], "MinimumProtocolVersion", "TLSv1"
    ),
}
