"""ECS: most of what a service is told is forgotten, and no task ever starts."""

from collections.abc import Callable
from typing import Any

from moto.core.utils import camelcase_to_underscores
from moto.ecs.responses import EC2ContainerServiceResponse

_FORGOTTEN = (
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "deploymentConfiguration",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
)


def fill() -> None:
    for name in ("create_service", "update_service"):
        call = getattr(EC2ContainerServiceResponse, name)
        setattr(EC2ContainerServiceResponse, name, _remembering(call))


def _remembering(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def wrapped(response: Any) -> Any:
        result = call(response)
        service = result.result["service"]
        for name in _FORGOTTEN:
            value = response._get_param(name)
            if value is not None:
                setattr(service, name, value)
                setattr(service, camelcase_to_underscores(name), value)
        if response._get_param("capacityProviderStrategy"):
            service.launch_type = None
        _settle(service)
        return result

    return wrapped


def _settle(service: Any) -> None:
    """A simulated service is at once what it was asked to be."""
    service.running_count, service.pending_count = service.desired_count, 0
    for deployment in service.deployments:
        deployment["taskDefinition"] = service.task_definition
        deployment["desiredCount"] = deployment["runningCount"] = service.desired_count
        deployment["pendingCount"] = 0
        deployment["rolloutState"] = "COMPLETED"
