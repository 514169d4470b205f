"""ECS: most of what a service is told is forgotten, and no task ever starts.

How a deploy ends is the image's doing, so its tag says it: a task of `broken` ends with 1 (others
with 0), and a service doesn't become healthy with `unhealthy`: it goes back to what it had.
"""

from collections.abc import Callable
from typing import Any

from moto.core.utils import camelcase_to_underscores
from moto.ecs.models import Container, EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.moto_api import state_manager

_FORGOTTEN = (
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "deploymentConfiguration",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
)


def fill() -> None:
    state_manager.set_transition("ecs::task", {"progression": "immediate"})
    # Fargate's tasks take nothing of any instance, and their containers needn't say how much.
    needs = {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}
    EC2ContainerServiceBackend._calculate_task_resource_requirements = (  # type: ignore[method-assign]
        lambda backend, task_definition: dict(needs)
    )
    Container.__init__ = _ending(Container.__init__)  # type: ignore[method-assign]
    for name in ("create_service", "update_service"):
        call = getattr(EC2ContainerServiceResponse, name)
        setattr(EC2ContainerServiceResponse, name, _remembering(call))


def _ending(init: Callable[..., None]) -> Callable[..., None]:
    def wrapped(container: Any, task_definition: Any) -> None:
        init(container, task_definition)
        container.exitCode = int(container.image.endswith(":broken"))

    return wrapped


def _remembering(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def wrapped(response: Any) -> Any:
        before = _task_definition(response)
        result = call(response)
        service = result.result["service"]
        if before and _image(response, service.task_definition).endswith(":unhealthy"):
            service.task_definition = before
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


def _task_definition(response: Any) -> str | None:
    """What the service has that is about to be updated; None for one that is being made."""
    name = response._get_param("service")
    if not name:
        return None
    found, _ = response.ecs_backend.describe_services(response._get_param("cluster"), [name])
    return str(found[0].task_definition) if found else None


def _image(response: Any, task_definition: str) -> str:
    definition = response.ecs_backend.describe_task_definition(task_definition)
    return str(definition.container_definitions[0]["image"])


def _settle(service: Any) -> None:
    """A simulated service is at once what it was asked to be."""
    service.running_count, service.pending_count = service.desired_count, 0
    for deployment in service.deployments:
        deployment["taskDefinition"] = service.task_definition
        deployment["desiredCount"] = deployment["runningCount"] = service.desired_count
        deployment["pendingCount"] = 0
        deployment["rolloutState"] = "COMPLETED"
