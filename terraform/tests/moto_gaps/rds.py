"""RDS: settings of monitoring and insights are forgotten, and every instance has the same id."""

from collections.abc import Callable
from typing import Any

from moto.core.utils import camelcase_to_underscores
from moto.moto_api._internal import mock_random
from moto.rds.models import DBCluster
from moto.rds.responses import RDSResponse

_FORGOTTEN = (
    "DatabaseInsightsMode",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "NetworkType",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PromotionTier",
)
#: moto's id of every instance. The provider finds instances by it.
_SAME_ID = "db-M5ENSHXFPU6XHZ4G4ZEI5QIO2U"


def fill() -> None:
    for name, key in [
        ("create_db_instance", "DBInstance"),
        ("modify_db_instance", "DBInstance"),
        ("create_db_cluster", "DBCluster"),
        ("modify_db_cluster", "DBCluster"),
    ]:
        setattr(RDSResponse, name, _remembering(getattr(RDSResponse, name), key))
    for name in ("describe_db_parameters", "describe_db_cluster_parameters"):
        setattr(RDSResponse, name, _with_source(getattr(RDSResponse, name)))
    scaling = DBCluster.scaling_configuration_info.fget
    DBCluster.scaling_configuration_info = property(
        lambda cluster: scaling(cluster) if cluster.scaling_configuration else None
    )


def _remembering(call: Callable[[Any], Any], key: str) -> Callable[[Any], Any]:
    def wrapped(response: Any) -> Any:
        result = call(response)
        thing, told = result.result[key], response.params
        if getattr(thing, "dbi_resource_id", "") == _SAME_ID:
            thing.dbi_resource_id = f"db-{mock_random.get_random_hex(26).upper()}"
        for name in _FORGOTTEN:
            if told.get(name) is not None:
                setattr(thing, camelcase_to_underscores(name), told[name])
                setattr(thing, name, told[name])
        if (enabled := told.get("EnablePerformanceInsights")) is not None:
            thing.performance_insights_enabled = thing.PerformanceInsightsEnabled = enabled
        return result

    return wrapped


def _with_source(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say that the parameters we set are ours: the provider reads only a user's."""

    def wrapped(response: Any) -> Any:
        result = call(response)
        parameters = result.result["Parameters"]
        result.result["Parameters"] = [{"Source": "user", **each} for each in parameters]
        return result

    return wrapped
