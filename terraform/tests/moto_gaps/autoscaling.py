"""Application auto scaling: targets forget their tags."""

import json
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse


def fill() -> None:
    tags: dict[str, dict[str, str]] = {}
    register_of_moto = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(response: Any) -> str:
        result: str = register_of_moto(response)
        if told := response._get_param("Tags"):
            tags[json.loads(result)["ScalableTargetARN"]] = told
        return result

    def list_tags_for_resource(response: Any) -> str:
        return json.dumps({"Tags": tags.get(response._get_param("ResourceARN"), {})})

    for call in (register_scalable_target, list_tags_for_resource):
        setattr(ApplicationAutoScalingResponse, call.__name__, call)
