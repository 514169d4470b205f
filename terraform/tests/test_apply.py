"""Each environment for real: the provider's binary makes every call, a moto server answers.

In order: apply, plan again, look at what there is, change one thing (and in test_destroy: destroy).
"""

import json
from typing import Any

import pytest

from terraform.tests.policies import only_tls
from terraform.tests.stack import Stack, changes

#: What a second plan may show although nothing was changed: (type, attribute) and why moto differs.
MOTOS_OWN: dict[tuple[str, str], str] = {}


def differing(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """(type, attribute) of all that a plan would change."""
    found = set()
    for each in plan["resource_changes"]:
        change = each["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        before, after = change["before"] or {}, change["after"] or {}
        unknown = change["after_unknown"] or {}
        names = {n for n in {*before, *after, *unknown} if before.get(n) != after.get(n)}
        found |= {(each["type"], name) for name in names or {"(the resource itself)"}}
    return found


def test_a_second_plan_has_nothing_to_do(replanned: tuple[dict[str, Any], set[str]]) -> None:
    """What AWS says it has is what was asked for, in every attribute."""
    plan, _ = replanned
    assert differing(plan) <= MOTOS_OWN.keys(), changes(plan)
    outputs = {
        n: c["actions"] for n, c in plan["output_changes"].items() if c["actions"] != ["no-op"]
    }
    assert not outputs


def test_every_check_holds(applied: Stack) -> None:
    """No `check` block complains of the environment as committed."""
    state = json.loads(applied.run("show", json=True))
    assert {each["status"] for each in state["checks"]} == {"pass"}, state["checks"]


def test_outputs_name_what_is_there(applied: Stack) -> None:
    """AWS finds each thing by the name that the outputs give."""
    outputs, client = applied.outputs(), applied.moto.client
    assert outputs["environment"] == applied.environment
    assert outputs["url"].startswith("https://")
    assert client("ec2").describe_vpcs(VpcIds=[outputs["network"]["vpc_id"]])["Vpcs"]
    groups = [*outputs["network"]["security_group_ids"].values()]
    assert len(client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]) >= 4
    assert client("rds").describe_db_instances(
        DBInstanceIdentifier=outputs["database"]["identifier"]
    )["DBInstances"]
    assert client("elasticache").describe_replication_groups(
        ReplicationGroupId=outputs["cache"]["replication_group_id"]
    )["ReplicationGroups"]
    for name in [*outputs["storage"]["bucket_names"].values(), outputs["edge"]["logs_bucket_name"]]:
        client("s3").head_bucket(Bucket=name)
    for kind in ("url", "dead_letter_url"):
        client("sqs").get_queue_attributes(QueueUrl=outputs["queue"][kind])
    services = client("ecs").describe_services(
        cluster=outputs["service"]["cluster_name"],
        services=[*outputs["service"]["service_names"].values()],
    )["services"]
    assert {each["status"] for each in services} == {"ACTIVE"}
    for name in outputs["service"]["role_names"].values():
        client("iam").get_role(RoleName=name)
    arns = [*outputs["edge"]["listener_arns"].values()]
    assert len(client("elbv2").describe_listeners(ListenerArns=arns)["Listeners"]) == 2
    names = {*outputs["monitoring"]["alarm_names"].values()}
    alarms = client("cloudwatch").describe_alarms(MaxRecords=100)["MetricAlarms"]
    # The rest are autoscaling's own.
    assert {a["AlarmName"] for a in alarms if a["AlarmName"].startswith("livetally")} == names


def test_data_is_encrypted_and_kept_apart(applied: Stack) -> None:
    """Postgres, Redis and buckets, asked by boto3: encrypted, private, as many as tfvars say."""
    outputs, client = applied.outputs(), applied.moto.client
    (database,) = client("rds").describe_db_instances(
        DBInstanceIdentifier=outputs["database"]["identifier"]
    )["DBInstances"]
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["MultiAZ"] is outputs["database"]["multi_az"]
    assert database["BackupRetentionPeriod"] == outputs["database"]["backup_days"]
    assert database["DeletionProtection"] is (applied.environment == "prod")
    assert {each["VpcSecurityGroupId"] for each in database["VpcSecurityGroups"]} == {
        outputs["network"]["security_group_ids"]["database"]
    }
    (cache,) = client("elasticache").describe_replication_groups(
        ReplicationGroupId=outputs["cache"]["replication_group_id"]
    )["ReplicationGroups"]
    assert cache["TransitEncryptionEnabled"] is True
    assert cache["AtRestEncryptionEnabled"] is True
    assert len(cache["MemberClusters"]) == outputs["cache"]["nodes"]
    users = client("elasticache").describe_users()["Users"]
    assert {each["UserName"]: each["AccessString"].split()[0] for each in users} == {
        "default": "off",
        "livetally": "on",
    }
    for name in outputs["storage"]["bucket_names"].values():
        block = client("s3").get_public_access_block(Bucket=name)
        assert all(block["PublicAccessBlockConfiguration"].values())
        (rule,) = client("s3").get_bucket_encryption(Bucket=name)[
            "ServerSideEncryptionConfiguration"
        ]["Rules"]
        default = rule["ApplyServerSideEncryptionByDefault"]
        assert default["KMSMasterKeyID"] == outputs["kms_key_arn"]
        assert client("s3").get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        rules = client("s3").get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert any("AbortIncompleteMultipartUpload" in each for each in rules)
        policy = json.loads(client("s3").get_bucket_policy(Bucket=name)["Policy"])
        arn = f"arn:aws:s3:::{name}"
        assert policy["Statement"] == [only_tls("s3:*", [f"{arn}/*", arn])]


def test_only_the_load_balancer_hears_the_world(applied: Stack) -> None:
    """No other group has a rule with an address inwards, and data has no way out."""
    outputs, ec2 = applied.outputs(), applied.moto.client("ec2")
    groups = outputs["network"]["security_group_ids"]
    rules = ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [*groups.values()]}]
    )["SecurityGroupRules"]
    inwards = [each for each in rules if not each["IsEgress"]]
    worldly = {each["GroupId"] for each in inwards if "ReferencedGroupInfo" not in each}
    assert worldly == {groups["alb"]}
    data = {groups["database"], groups["cache"]}
    assert not [each for each in rules if each["IsEgress"] and each["GroupId"] in data]
    for subnet in outputs["network"]["data_subnet_ids"]:
        (table,) = ec2.describe_route_tables(
            Filters=[{"Name": "association.subnet-id", "Values": [subnet]}]
        )["RouteTables"]
        assert {each.get("GatewayId") for each in table["Routes"]} == {"local"}


def test_time_outs_fit_websockets(applied: Stack) -> None:
    """The load balancer's and ECS's times, as AWS has them, leave room for pings and draining."""
    outputs, client = applied.outputs(), applied.moto.client
    elb = client("elbv2")
    attributes = {
        each["Key"]: each["Value"]
        for each in elb.describe_load_balancer_attributes(
            LoadBalancerArn=outputs["edge"]["load_balancer_arn"]
        )["Attributes"]
    }
    assert attributes["idle_timeout.timeout_seconds"] == "120"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    group = {
        each["Key"]: each["Value"]
        for each in elb.describe_target_group_attributes(
            TargetGroupArn=outputs["edge"]["target_group_arn"]
        )["Attributes"]
    }
    assert 60 <= int(group["deregistration_delay.timeout_seconds"]) <= 90
    assert group["stickiness.enabled"] == "false"
    (found,) = elb.describe_target_groups(TargetGroupArns=[outputs["edge"]["target_group_arn"]])[
        "TargetGroups"
    ]
    # Not /readyz: a fail-over of Postgres would have every task replaced, its viewers cut.
    assert found["HealthCheckPath"] == "/healthz"
    web = applied.container("web")
    environment = {each["name"]: each["value"] for each in web["environment"]}
    assert int(environment["LIVETALLY_PING_INTERVAL_S"]) * 2 < 120
    assert int(environment["LIVETALLY_DRAIN_S"]) <= 60
    assert web["stopTimeout"] == 120


@pytest.mark.parametrize("task", ["web", "worker", "migrate"])
def test_tasks_are_locked_down(applied: Stack, task: str) -> None:
    """Not root, nothing writable, no capability, passwords from Secrets Manager only."""
    found = applied.container(task)
    assert found["user"] == "10001:10001"
    assert found["readonlyRootFilesystem"] is True
    assert found["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    secrets = {each["name"]: each["valueFrom"] for each in found["secrets"]}
    owner = applied.outputs()["database"]["owner_secret_arn"]
    assert (task == "migrate") == any(each.startswith(owner) for each in secrets.values())
    assert {"LIVETALLY_DATABASE_PASSWORD", "LIVETALLY_REDIS_PASSWORD"} <= secrets.keys()
    assert not [each for each in found["environment"] if "PASSWORD" in each["name"]]


def test_a_bad_deploy_is_taken_back(applied: Stack) -> None:
    """Never fewer tasks than before; back if they don't get well, or if an alarm that there is goes
    off. None of those goes off where nothing is measured yet: it would end the first deploy."""
    client, outputs = applied.moto.client, applied.outputs()["service"]
    services = client("ecs").describe_services(
        cluster=outputs["cluster_name"], services=[*outputs["service_names"].values()]
    )["services"]
    assert len(services) == 2
    for service in services:
        found = service["deploymentConfiguration"]
        assert found["minimumHealthyPercent"] == 100
        assert found["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert found["alarms"]["enable"] is found["alarms"]["rollback"] is True
        names = found["alarms"]["alarmNames"]
        alarms = client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        assert {each["AlarmName"] for each in alarms} == {*names}
        assert {each["TreatMissingData"] for each in alarms} == {"notBreaching"}


def test_roles_name_what_they_may_touch(applied: Stack) -> None:
    """`*` stands only with actions that have no resource to name."""
    iam = applied.moto.client("iam")
    nameless = {
        "ecr:GetAuthorizationToken",
        "ecs:RegisterTaskDefinition",
        "ecs:DeregisterTaskDefinition",
        "secretsmanager:GetRandomPassword",
    }
    found = set()
    for role in iam.list_roles(MaxItems=100)["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow" and statement.get("Resource") == "*":
                    actions = statement["Action"]
                    found |= {actions} if isinstance(actions, str) else {*actions}
    assert found == nameless


# --- One change plans only what it should --------------------------------------------------------

TASKS = {
    f'module.service.aws_ecs_task_definition.this["{t}"]' for t in ("web", "worker", "migrate")
}
SERVICES = {f"module.service.aws_ecs_service.{name}" for name in ("web", "worker")}


def test_a_new_image_changes_tasks_only(applied: Stack) -> None:
    """Another tag: three new task definitions, two services that take them, nothing else."""
    found = changes(applied.plan(refresh=False, image_tag="v2"))
    assert found.keys() == TASKS | SERVICES
    assert {tuple(found[each]) for each in SERVICES} == {("update",)}


def test_more_tasks_change_their_bounds_only(applied: Stack) -> None:
    """Scaling is one number in one place; no task is started anew for it."""
    web = {"cpu": 512, "memory": 1024, "min": 1, "max": 4}  # dev's
    web |= {} if applied.environment == "dev" else {"cpu": 1024, "memory": 2048, "min": 2, "max": 6}
    found = changes(applied.plan(refresh=False, web={**web, "max": 11}))
    assert found == {'module.service.aws_appautoscaling_target.this["web"]': ["update"]}


def test_a_shell_changes_what_it_needs_only(applied: Stack) -> None:
    """ECS Exec: new tasks that it can write to, who may open it, and its way without a NAT."""
    plan = applied.plan(refresh=False, exec_enabled=True)
    found = changes(plan)
    ways = {f'module.network.aws_vpc_endpoint.interface["{n}"]' for n in ("kms", "ssmmessages")}
    expected = SERVICES | TASKS - {'module.service.aws_ecs_task_definition.this["migrate"]'}
    expected |= {f'module.service.aws_iam_role_policy.exec["{task}"]' for task in ("web", "worker")}
    expected |= ways if applied.outputs()["network"]["nat"] == "none" else set()
    assert found.keys() == expected
    for each in plan["resource_changes"]:
        if each["address"] in TASKS:
            (described,) = json.loads(each["change"]["after"]["container_definitions"])
            assert described["readonlyRootFilesystem"] is ("migrate" in each["address"])
