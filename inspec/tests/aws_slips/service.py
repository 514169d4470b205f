"""Slips in the cluster, its tasks and services, and their image."""

from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, kept, told


def task(cloud: Cloud, name: str) -> Any:
    """A task definition's one container."""
    arn = cloud.inputs["task_definition_arns"][name]
    return cloud.memory("ecs").describe_task_definition(arn).container_definitions[0]


def service(cloud: Cloud, name: str) -> Any:
    found, _ = cloud.memory("ecs").describe_services(
        cloud.inputs["cluster_name"], [cloud.inputs["service_names"][name]]
    )
    return found[0]


def cluster(cloud: Cloud) -> Any:
    return cloud.memory("ecs").clusters[cloud.inputs["cluster_name"]]


def plain_password(cloud: Cloud) -> Made:
    container = task(cloud, "worker")
    wrong = [*container["environment"], {"name": "LIVETALLY_REDIS_PASSWORD", "value": "x"}]
    return kept(container, "environment", wrong)


def public_address(cloud: Cloud) -> Made:
    where = service(cloud, "web").network_configuration["awsvpcConfiguration"]
    return kept(where, "assignPublicIp", "ENABLED")


def slow_log(cloud: Cloud) -> Made:
    return kept(task(cloud, "web")["logConfiguration"]["options"], "mode", "blocking")


def quick_scale_in(cloud: Cloud) -> Made:
    policy = next(iter(cloud.memory("applicationautoscaling").policies.values()))
    return kept(policy.target_tracking_scaling_policy_configuration, "ScaleInCooldown", 60)


SERVICE: dict[str, Slip] = {
    "livetally-ecs-01": lambda cloud: kept(
        cluster(cloud), "settings", [{"name": "containerInsights", "value": "disabled"}]
    ),
    "livetally-ecs-02": lambda cloud: kept(task(cloud, "worker"), "user", "0"),
    "livetally-ecs-03": lambda cloud: kept(task(cloud, "web"), "readonlyRootFilesystem", False),
    "livetally-ecs-04": plain_password,
    "livetally-ecs-05": public_address,
    "livetally-ecs-06": lambda cloud: told(
        cloud.client("ecs").update_service,
        {"enableExecuteCommand": True},
        {"enableExecuteCommand": False},
        cluster=cloud.inputs["cluster_name"],
        service=cloud.inputs["service_names"]["worker"],
    ),
    "livetally-ecs-07": lambda cloud: kept(
        service(cloud, "web").deployment_configuration["deploymentCircuitBreaker"],
        "rollback",
        False,
    ),
    "livetally-ecs-08": lambda cloud: kept(task(cloud, "web"), "stopTimeout", 30),
    "livetally-ecs-09": slow_log,
    "livetally-ecs-10": quick_scale_in,
    "livetally-ecs-11": lambda cloud: kept(
        service(cloud, "worker"),
        "task_definition",
        cloud.inputs["task_definition_arns"]["worker"].rpartition(":")[0] + ":99",
    ),
    "livetally-ecr-01": lambda cloud: told(
        cloud.client("ecr").put_image_tag_mutability,
        {"imageTagMutability": "MUTABLE"},
        {"imageTagMutability": "IMMUTABLE"},
        repositoryName=cloud.inputs["repository_name"],
    ),
}
