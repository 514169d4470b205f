#!/usr/bin/env python3
"""What the profile is to find, from what Terraform says that it made.

    terraform -chdir=terraform output -json | python3 inspec/aws/inputs.py >inputs.yml

The file is JSON, which is YAML. Nothing in it is secret: names, ARNs and times.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

#: By input, where in the outputs it is.
PLACES = {
    "environment": "environment",
    "kms_key_arn": "kms_key_arn",
    "deletion_protection": "deletion_protection",
    "vpc_id": "network.vpc_id",
    "public_subnet_ids": "network.public_subnet_ids",
    "private_subnet_ids": "network.private_subnet_ids",
    "data_subnet_ids": "network.data_subnet_ids",
    "security_group_ids": "network.security_group_ids",
    "flow_log_group_name": "network.flow_log_group_name",
    "nat": "network.nat",
    "database_engine": "database.engine",
    "database_identifier": "database.identifier",
    "database_owner_secret_arn": "database.owner_secret_arn",
    "database_service_secret_arn": "database.service_secret_arn",
    "database_multi_az": "database.multi_az",
    "database_backup_days": "database.backup_days",
    "cache_replication_group_id": "cache.replication_group_id",
    "cache_user_group_id": "cache.user_group_id",
    "cache_password_secret_arn": "cache.password_secret_arn",
    "cache_nodes": "cache.nodes",
    "bucket_names": "storage.bucket_names",
    "archive_intelligent_tiering": "storage.intelligent_tiering",
    "queue_url": "queue.url",
    "dead_letter_url": "queue.dead_letter_url",
    "queue_topic_arn": "queue.topic_arn",
    "cluster_name": "service.cluster_name",
    "service_names": "service.service_names",
    "task_definition_arns": "service.task_definition_arns",
    "role_names": "service.role_names",
    "port": "service.port",
    "stop_timeout_s": "service.stop_timeout_s",
    "drain_s": "service.drain_s",
    "ping_interval_s": "service.ping_interval_s",
    "load_balancer_arn": "edge.load_balancer_arn",
    "target_group_arn": "edge.target_group_arn",
    "listener_arns": "edge.listener_arns",
    "web_acl_arn": "edge.web_acl_arn",
    "waf_log_group_name": "edge.waf_log_group_name",
    "rate_limit": "edge.rate_limit",
    "logs_bucket_name": "edge.logs_bucket_name",
    "idle_timeout_s": "edge.idle_timeout_s",
    "deregistration_delay_s": "edge.deregistration_delay_s",
    "log_group_names": "monitoring.log_group_names",
    "log_retention_days": "monitoring.log_retention_days",
    "alarm_names": "monitoring.alarm_names",
    "alarm_topic_arn": "monitoring.topic_arn",
    "budget_name": "monitoring.budget_name",
}
#: The same, but null where the environment has none: then an empty text.
PERHAPS = {
    "pages_bucket_name": "edge.pages_bucket_name",
    "distribution_id": "edge.distribution_id",
}


def inputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The profile's inputs; `outputs` as `terraform output -json` has them. Raises SystemExit."""
    found = {name: _at(outputs, place) for name, place in PLACES.items()}
    if missing := sorted(name for name, value in found.items() if value is None):
        sys.exit(
            f"the outputs don't tell {', '.join(missing)}: apply with today's outputs.tf first"
        )
    found |= {name: _at(outputs, place) or "" for name, place in PERHAPS.items()}
    # What AWS asks for by its short name.
    found["repository_name"] = (_at(outputs, "service.repository_url") or "").partition("/")[2]
    roles = _at(outputs, "github_role_arns") or {}
    found["github_role_names"] = {use: arn.rpartition("/")[2] for use, arn in roles.items()}
    return found


def _at(outputs: Mapping[str, Any], place: str) -> Any:
    output, _, field = place.partition(".")
    value = outputs.get(output, {}).get("value")
    return value.get(field) if field and value is not None else value


if __name__ == "__main__":
    json.dump(inputs(json.load(sys.stdin)), sys.stdout, indent=2)
    print()
