"""Slips in Postgres and Redis."""

from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, kept, told


def database(cloud: Cloud) -> Any:
    return cloud.memory("rds").databases[cloud.inputs["database_identifier"]]


def redis(cloud: Cloud) -> Any:
    groups = cloud.memory("elasticache").replication_groups
    return groups[cloud.inputs["cache_replication_group_id"]]


def redis_user(cloud: Cloud) -> Any:
    users = cloud.memory("elasticache").users.values()
    return next(user for user in users if user.name == "livetally")


DATABASE: dict[str, Slip] = {
    "livetally-rds-01": lambda cloud: kept(database(cloud), "publicly_accessible", True),
    "livetally-rds-02": lambda cloud: kept(database(cloud), "storage_encrypted", False),
    "livetally-rds-03": lambda cloud: kept(database(cloud), "multi_az", False),
    "livetally-rds-04": lambda cloud: kept(database(cloud), "backup_retention_period", 1),
    "livetally-rds-05": lambda cloud: kept(database(cloud), "deletion_protection", False),
    "livetally-rds-06": lambda cloud: told(
        cloud.client("rds").modify_db_parameter_group,
        {"Parameters": [parameter("rds.force_ssl", "0")]},
        {"Parameters": [parameter("rds.force_ssl", "1")]},
        DBParameterGroupName=database(cloud).db_parameter_group_name,
    ),
    "livetally-rds-07": lambda cloud: kept(
        database(cloud).master_user_secret.secret, "kms_key_id", cloud.another_key()
    ),
    "livetally-rds-08": lambda cloud: kept(
        database(cloud), "enabled_cloudwatch_logs_exports", ["postgresql"]
    ),
    "livetally-rds-09": lambda cloud: kept(database(cloud), "auto_minor_version_upgrade", False),
}


def parameter(name: str, value: str) -> dict[str, str]:
    return {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot"}


def one_subnet(cloud: Cloud) -> Made:
    group = next(iter(cloud.memory("elasticache").cache_subnet_groups.values()))
    public = cloud.inputs["public_subnet_ids"][0]
    return kept(
        group, "subnets", [*group.subnets[1:], {**group.subnets[0], "subnet_identifier": public}]
    )


CACHE: dict[str, Slip] = {
    "livetally-redis-01": lambda cloud: kept(redis(cloud), "transit_encryption_mode", "preferred"),
    "livetally-redis-02": lambda cloud: kept(redis(cloud), "at_rest_encryption_enabled", False),
    "livetally-redis-03": lambda cloud: kept(redis(cloud), "automatic_failover", "disabled"),
    "livetally-redis-04": one_subnet,
    "livetally-redis-05": lambda cloud: kept(redis_user(cloud), "access_string", "on ~* &* +@all"),
}
