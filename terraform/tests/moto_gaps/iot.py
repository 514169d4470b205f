"""IoT: rules forget their tags."""

from typing import Any
from urllib.parse import parse_qsl

from moto.core.responses import ActionResult, EmptyResult
from moto.iot.responses import IoTResponse
from moto.utilities.tagging_service import TaggingService


def fill() -> None:
    tags = TaggingService(key_name="Key", value_name="Value")
    create_of_moto = IoTResponse.create_topic_rule

    def create_topic_rule(response: Any) -> Any:
        result = create_of_moto(response)
        place = f"arn:aws:iot:{response.region}:{response.current_account}"
        told = parse_qsl(response.headers.get("x-amz-tagging") or "")
        tags.tag_resource(
            f"{place}:rule/{response._get_param('ruleName')}",
            [{"Key": key, "Value": value} for key, value in told],
        )
        return result

    def list_tags_for_resource(response: Any) -> ActionResult:
        found = tags.list_tags_for_resource(response._get_param("resourceArn"))
        return ActionResult({"tags": found["Tags"]})

    def tag_resource(response: Any) -> EmptyResult:
        tags.tag_resource(response._get_param("resourceArn"), response._get_param("tags", []))
        return EmptyResult()

    def untag_resource(response: Any) -> EmptyResult:
        arn = response._get_param("resourceArn")
        tags.untag_resource_using_names(arn, response._get_param("tagKeys", []))
        return EmptyResult()

    for call in (create_topic_rule, list_tags_for_resource, tag_resource, untag_resource):
        setattr(IoTResponse, call.__name__, call)
