"""Who called what: a line a call in the file that MOTO_CALLS names, as IAM calls the actions."""

import os
import re
from pathlib import Path
from typing import Any

from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model
from moto.s3.responses import S3Response

#: Where IAM's name for a service isn't the one that requests are signed for.
_SERVICES = {"monitoring": "cloudwatch"}


def fill() -> None:
    if not (name := os.environ.get("MOTO_CALLS")):
        return
    file = Path(name).open("a", buffering=1)  # noqa: SIM115 (as long as the server)
    normal_of_moto = BaseResponse._authenticate_and_authorize_normal_action
    s3_of_moto = S3Response._authenticate_and_authorize_s3_action

    def normal(response: Any, *told: Any, **named: Any) -> None:
        service = get_service_model(response.boto3_service_name).signing_name
        # (CloudFront's name the day of its interface too.)
        action = re.sub(r"\d{4}_\d\d_\d\d$", "", response._get_action())
        file.write(f"{_SERVICES.get(service, service)}:{action}\n")
        normal_of_moto(response, *told, **named)

    def s3(response: Any, *told: Any, **named: Any) -> None:
        file.write(f"s3:{response.data['Action']}\n")
        s3_of_moto(response, *told, **named)

    BaseResponse._authenticate_and_authorize_normal_action = normal
    S3Response._authenticate_and_authorize_s3_action = s3
