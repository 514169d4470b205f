"""ElastiCache: no parameter groups and user groups, and a replication group has no nodes."""

import re
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.elasticache import models
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.responses import ElastiCacheResponse

Call = Callable[[Any], Any]


def fill() -> None:
    _know_arns()
    calls = [*_parameter_groups(), *_user_groups(), *_replication_groups(), _delete_subnet_group()]
    for call in calls:
        setattr(ElastiCacheResponse, call.__name__, call)


def _know_arns() -> None:
    """Whatever has a name can have tags."""
    init_of_moto = models.ElastiCacheBackend.__init__

    def init(backend: models.ElastiCacheBackend, region_name: str, account_id: str) -> None:
        init_of_moto(backend, region_name, account_id)
        backend.arn_regex = re.compile(r"^arn:aws:elasticache:.*:[0-9]*:[a-z]+:.*$")

    models.ElastiCacheBackend.__init__ = init


def _arn(response: Any, kind: str, name: str) -> str:
    """Where a thing is, tagged with what the caller said."""
    arn = f"arn:aws:elasticache:{response.region}:{response.current_account}:{kind}:{name}"
    if tags := response._get_param("Tags", []):
        response.elasticache_backend.tagging_service.tag_resource(arn, tags)
    return arn


def _found(things: dict[str, Any], name: str | None, kind: str) -> list[Any]:
    if name and name not in things:
        raise ElastiCacheException(f"{kind}NotFoundFault", f"{kind} {name} not found.")
    return [things[name]] if name else list(things.values())


def _parameter_groups() -> list[Call]:
    groups: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[str, str]] = {}

    def create_cache_parameter_group(response: Any) -> ActionResult:
        name = response._get_param("CacheParameterGroupName")
        values[name] = {}
        groups[name] = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": response._get_param("CacheParameterGroupFamily"),
            "Description": response._get_param("Description"),
            "ARN": _arn(response, "parametergroup", name),
        }
        return ActionResult({"CacheParameterGroup": groups[name]})

    def describe_cache_parameter_groups(response: Any) -> ActionResult:
        name = response._get_param("CacheParameterGroupName")
        return ActionResult({"CacheParameterGroups": _found(groups, name, "CacheParameterGroup")})

    def modify_cache_parameter_group(response: Any) -> ActionResult:
        name = response._get_param("CacheParameterGroupName")
        for each in response._get_param("ParameterNameValues", []):
            values[name][each["ParameterName"]] = each["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": name})

    def describe_cache_parameters(response: Any) -> ActionResult:
        found = values[response._get_param("CacheParameterGroupName")]
        return ActionResult(
            {
                "Parameters": [
                    {"ParameterName": name, "ParameterValue": value, "Source": "user"}
                    for name, value in found.items()
                ]
            }
        )

    def delete_cache_parameter_group(response: Any) -> EmptyResult:
        name = response._get_param("CacheParameterGroupName")
        _found(groups, name, "CacheParameterGroup")
        del groups[name]
        return EmptyResult()

    return [
        create_cache_parameter_group,
        describe_cache_parameter_groups,
        modify_cache_parameter_group,
        describe_cache_parameters,
        delete_cache_parameter_group,
    ]


def _user_groups() -> list[Call]:
    groups: dict[str, dict[str, Any]] = {}

    def create_user_group(response: Any) -> ActionResult:
        name = response._get_param("UserGroupId")
        groups[name] = {
            "UserGroupId": name,
            "Status": "active",
            "Engine": response._get_param("Engine"),
            "UserIds": response._get_param("UserIds", []),
            "ARN": _arn(response, "usergroup", name),
        }
        return ActionResult(groups[name])

    def describe_user_groups(response: Any) -> ActionResult:
        name = response._get_param("UserGroupId")
        return ActionResult({"UserGroups": _found(groups, name, "UserGroup")})

    def delete_user_group(response: Any) -> ActionResult:
        name = response._get_param("UserGroupId")
        _found(groups, name, "UserGroup")
        return ActionResult({**groups.pop(name), "Status": "deleting"})

    return [create_user_group, describe_user_groups, delete_user_group]


def _replication_groups() -> list[Call]:
    create_of_moto = ElastiCacheResponse.create_replication_group
    delete_of_moto = ElastiCacheResponse.delete_replication_group
    nodes: dict[str, dict[str, Any]] = {}

    def create_replication_group(response: Any) -> Any:
        backend, count = response.elasticache_backend, response._get_int_param("NumCacheClusters")
        create = backend.create_replication_group
        # moto counts replicas only where shards are given too
        backend.create_replication_group = lambda **told: create(
            **{**told, "replicas_per_node_group": count - 1}
        )
        try:
            result = create_of_moto(response)
        finally:
            del backend.create_replication_group
        group = result.result["ReplicationGroup"]
        for name in group.member_clusters:
            nodes[name] = _node(group, name, _arn(response, "cluster", name))
        return result

    def delete_replication_group(response: Any) -> Any:
        result = delete_of_moto(response)
        group = result.result["ReplicationGroup"]
        response.elasticache_backend.replication_groups.pop(group.replication_group_id, None)
        for name in group.member_clusters:
            nodes.pop(name, None)
        return result

    def describe_cache_clusters(response: Any) -> ActionResult:
        name = response._get_param("CacheClusterId")
        return ActionResult({"CacheClusters": _found(nodes, name, "CacheCluster")})

    return [create_replication_group, delete_replication_group, describe_cache_clusters]


def _node(group: Any, name: str, arn: str) -> dict[str, Any]:
    """A node is as its group was told to be."""
    return {
        "ARN": arn,
        "CacheClusterId": name,
        "CacheClusterStatus": "available",
        "CacheClusterCreateTime": utcnow(),
        "CacheNodes": [],
        "CacheNodeType": group.cache_node_type,
        "NumCacheNodes": 1,
        "Engine": group.engine,
        "EngineVersion": f"{group.engine_version}.0",
        "AutoMinorVersionUpgrade": True,
        "PreferredMaintenanceWindow": group.preferred_maintenance_window,
        "CacheParameterGroup": {"CacheParameterGroupName": group.cache_parameter_group_name},
        "CacheSubnetGroupName": group.cache_subnet_group_name,
        "ReplicationGroupId": group.replication_group_id,
        "SecurityGroups": [
            {"SecurityGroupId": each, "Status": "active"} for each in group.security_group_ids
        ],
        "SnapshotRetentionLimit": group.snapshot_retention_limit,
        "TransitEncryptionEnabled": group.transit_encryption_enabled,
        "TransitEncryptionMode": group.transit_encryption_mode,
        "AtRestEncryptionEnabled": group.at_rest_encryption_enabled,
    }


def _delete_subnet_group() -> Call:
    def delete_cache_subnet_group(response: Any) -> EmptyResult:
        groups = response.elasticache_backend.cache_subnet_groups
        groups.pop(response._get_param("CacheSubnetGroupName"), None)
        return EmptyResult()

    return delete_cache_subnet_group
