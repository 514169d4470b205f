"""And back: whatever was applied is taken away, last of all."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from terraform.tests.stack import Stack


def test_destroy_leaves_nothing(applied: Stack) -> None:
    """What is protected AWS won't delete; retired and destroyed, nothing of ours is left."""
    if applied.environment == "prod":
        refuse_to_be_deleted(applied)
        applied.apply(retire=True)
    applied.destroy(retire=True)
    assert applied.run("state list").strip() == ""
    assert left_over(applied) == {}


def refuse_to_be_deleted(stack: Stack) -> None:
    """Whoever asks, Terraform or a person at the console."""
    outputs, client = stack.outputs(), stack.moto.client
    with pytest.raises(ClientError, match="deletion protection"):
        client("rds").delete_db_instance(
            DBInstanceIdentifier=outputs["database"]["identifier"], SkipFinalSnapshot=True
        )
    # moto deletes a protected load balancer all the same: AWS wouldn't.
    attributes = client("elbv2").describe_load_balancer_attributes(
        LoadBalancerArn=outputs["edge"]["load_balancer_arn"]
    )["Attributes"]
    assert {"Key": "deletion_protection.enabled", "Value": "true"} in attributes


def left_over(stack: Stack) -> dict[str, Any]:
    """Whatever AWS still has that bears our name."""
    client, name = stack.moto.client, f"livetally-{stack.environment}"
    lists = {
        "vpcs": client("ec2").describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])[
            "Vpcs"
        ],
        "addresses": client("ec2").describe_addresses()["Addresses"],
        "databases": client("rds").describe_db_instances()["DBInstances"],
        "clusters": client("rds").describe_db_clusters()["DBClusters"],
        "caches": client("elasticache").describe_replication_groups()["ReplicationGroups"],
        "buckets": [
            each["Name"]
            for each in client("s3").list_buckets()["Buckets"]
            if not each["Name"].startswith("livetally-terraform-")
        ],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "topics": client("sns").list_topics()["Topics"],
        "ecs": [
            each
            for each in client("ecs").describe_clusters(clusters=[name])["clusters"]
            if each["status"] != "INACTIVE"
        ],
        "images": client("ecr").describe_repositories()["repositories"],
        "balancers": client("elbv2").describe_load_balancers()["LoadBalancers"],
        "targets": client("elbv2").describe_target_groups()["TargetGroups"],
        "acls": client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"],
        "logs": client("logs").describe_log_groups()["logGroups"],
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "roles": [
            each["RoleName"]
            for each in client("iam").list_roles(MaxItems=100)["Roles"]
            if each["RoleName"].startswith("livetally")
        ],
        "rules": client("iot").list_topic_rules()["rules"],
        "tables": client("glue").get_databases()["DatabaseList"],
        "distributions": client("cloudfront")
        .list_distributions()["DistributionList"]
        .get("Items", []),
        "certificates": client("acm").list_certificates()["CertificateSummaryList"],
        "endpoints": [
            each
            for each in client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
            if each["State"] != "deleted"
        ],
        "gateways": [
            each
            for each in client("ec2").describe_nat_gateways()["NatGateways"]
            if each["State"] != "deleted"
        ],
        "secrets": [
            each["Name"]
            for each in client("secretsmanager").list_secrets()["SecretList"]
            if each["Name"].startswith(name)
        ],
        "users": [
            each["UserId"]
            for each in client("elasticache").describe_users()["Users"]
            if each["UserId"].startswith(name)
        ],
        "user groups": client("elasticache").describe_user_groups()["UserGroups"],
        "workgroups": [
            each["Name"]
            for each in client("athena").list_work_groups()["WorkGroups"]
            if each["Name"] != "primary"
        ],
        "budgets": client("budgets").describe_budgets(AccountId="123456789012").get("Budgets", []),
        "providers": client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"],
        "scaling": client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="ecs"
        )["ScalableTargets"],
        "acls of CloudFront": client("wafv2", "us-east-1").list_web_acls(Scope="CLOUDFRONT")[
            "WebACLs"
        ],
        "aliases": [
            each["AliasName"]
            for each in client("kms").list_aliases()["Aliases"]
            if name in each["AliasName"]
        ],
        "records": [
            each["Name"]
            for zone in client("route53").list_hosted_zones()["HostedZones"]
            for each in client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])[
                "ResourceRecordSets"
            ]
            if each["Type"] not in ("NS", "SOA")
        ],
    }
    return {what: found for what, found in lists.items() if found}
