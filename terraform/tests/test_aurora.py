"""The database that no environment's file chooses, made for real too: Aurora Serverless v2."""

import json

from terraform.tests.stack import AURORA, Background, Stack, changes


def test_aurora_instead_of_rds(aurora: tuple[Stack, Background]) -> None:
    """One variable: applied, planned again without a difference, as it was asked for, destroyed."""
    stack, applying = aurora
    applying.finish(timeout_s=900)
    plan = stack.plan(target="module.database", database=AURORA)
    assert changes(plan) == {}
    looks_right(stack)
    stack.destroy(database=AURORA)
    assert stack.run("state list").strip() == ""


def looks_right(stack: Stack) -> None:
    """boto3 reads back what matters."""
    client = stack.moto.client
    (cluster,) = client("rds").describe_db_clusters()["DBClusters"]
    assert cluster["DBClusterIdentifier"] == "livetally-dev"
    assert cluster["Engine"] == "aurora-postgresql"
    assert cluster["StorageEncrypted"] is True
    assert cluster["BackupRetentionPeriod"] == 7
    assert cluster["EnabledCloudwatchLogsExports"] == ["postgresql"]
    scaling = cluster["ServerlessV2ScalingConfiguration"]
    assert {"min": scaling["MinCapacity"], "max": scaling["MaxCapacity"]} == (
        AURORA["aurora_capacity"]
    )
    instances = client("rds").describe_db_instances()["DBInstances"]
    assert {each["DBInstanceClass"] for each in instances} == {"db.serverless"}
    assert {each["PubliclyAccessible"] for each in instances} == {False}
    assert len(instances) == 2
    parameters = {
        each["ParameterName"]: each["ParameterValue"]
        for each in client("rds").describe_db_cluster_parameters(
            DBClusterParameterGroupName=cluster["DBClusterParameterGroup"]
        )["Parameters"]
    }
    assert parameters["rds.force_ssl"] == "1"
    assert "max_wal_size" not in parameters
    (secret,) = client("secretsmanager").list_secrets(
        Filters=[{"Key": "name", "Values": ["livetally-dev/database-password"]}]
    )["SecretList"]
    value = client("secretsmanager").get_secret_value(SecretId=secret["ARN"])["SecretString"]
    assert json.loads(value)["username"] == "livetally_service"
