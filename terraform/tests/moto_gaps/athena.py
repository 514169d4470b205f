"""Athena: a work group can't be changed."""

from moto.athena.responses import AthenaResponse


def fill() -> None:
    AthenaResponse.update_work_group = _update_work_group  # type: ignore[attr-defined]


def _update_work_group(response: AthenaResponse) -> str:
    group = response.athena_backend.work_groups[response._get_param("WorkGroup")]
    group.description = response._get_param("Description", group.description)
    group.state = response._get_param("State", group.state)
    group.configuration |= response._get_param("ConfigurationUpdates", {})
    return "{}"
